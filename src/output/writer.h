/* dhatu: what the files of the write phase share. */
#ifndef DH_OUTPUT_WRITER_H
#define DH_OUTPUT_WRITER_H

#include "output/result.h"

typedef struct dh_writer {
    dh_comm *comm;
    const dh_settings *settings;
    const dh_plan *plan;
    const dh_chunk_table *table;
    const dh_result_options *options;
    dh_row_reader *reader;
    dh_ids ids;
    dh_bulk *bulk;
    int file;           /* of the partial result, for pwrite */
    dh_content content; /* rank 0 */
    dh_quality quality; /* of this rank, then of all */
    dh_buffer scratch;
} dh_writer;

/* Fill the row datasets, and let the jobs accumulate. COLLECTIVE. */
dh_status dh_writer_rows(dh_writer *writer);

/* Fills X and var, where a job has made them. COLLECTIVE. */
dh_status dh_writer_matrix(dh_writer *writer);

/* Fill the source datasets, count quality, write the quarantine (to its partial name). COLLECTIVE. */
dh_status dh_writer_sources(dh_writer *writer);

/* On rank 0: corpus-level results, config, quality, versions, content digest. */
dh_status dh_writer_finish(dh_writer *writer, char content[2 * DH_SHA256_SIZE + 1]);

/* dh_comm_agree; a rank that failed first makes the others stop at their next block. */
dh_status dh_writer_agree(dh_writer *writer, dh_status status);

/* Digests of the blocks of a dataset, rank after rank, become its digest on rank 0. COLLECTIVE. */
dh_status dh_writer_collect_digest(dh_writer *writer, const dh_bulk_dataset *dataset,
                                   const dh_buffer *blocks);

#endif
