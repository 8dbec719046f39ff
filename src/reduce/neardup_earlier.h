/* dhatu: signatures of an earlier result (--against). */
#ifndef DH_REDUCE_NEARDUP_EARLIER_H
#define DH_REDUCE_NEARDUP_EARLIER_H

#include "output/h5_file.h"

/* What two results must have in common for their signatures to be comparable; uns/dhatu/neardup/parameters.
 */
typedef enum dh_neardup_parameter {
    DH_PARAMETER_SHINGLE_TOKENS = 0,
    DH_PARAMETER_BANDS,
    DH_PARAMETER_BAND_ROWS,
    DH_PARAMETER_MIN_SHINGLES,
    DH_PARAMETER_SEED,
    DH_PARAMETER_TOKEN_RULE,
    DH_PARAMETER_COUNT
} dh_neardup_parameter;

void dh_neardup_parameters(const dh_job_options *options, uint64_t token_rule,
                           uint64_t parameter[DH_PARAMETER_COUNT]);

enum { DH_SHA256_HEX = 64 };

typedef struct dh_earlier dh_earlier;

/* Errors: DH_USAGE: not a result, one without signatures, or with others (logged); DH_IO, DH_NO_MEMORY. */
dh_status dh_earlier_open(const char *path, const uint64_t parameter[DH_PARAMETER_COUNT], dh_earlier **out);
void dh_earlier_close(dh_earlier *earlier); /* NULL is fine */

uint64_t dh_earlier_rows(const dh_earlier *earlier);
uint32_t dh_earlier_id_width(const dh_earlier *earlier);

/* Rows [first, first + count); those must be there. */
dh_status dh_earlier_signatures(dh_earlier *earlier, uint64_t first, uint64_t count, uint32_t *out);
dh_status dh_earlier_shingles(dh_earlier *earlier, uint64_t first, uint64_t count, uint32_t *out);
dh_status dh_earlier_sha256(dh_earlier *earlier, uint64_t first, uint64_t count, char *out);
/* *id: dh_earlier_id_width bytes, NUL-padded; valid until the next call. */
dh_status dh_earlier_id(dh_earlier *earlier, uint64_t row, const char **id);

#endif
