/* dhatu: the row datasets. Each rank reads its blocks of rows from the spills and writes them where
 * HDF5 has put the dataset; deflated ones are compressed by all ranks and appended by rank 0. */
#include "base/file.h"
#include "base/log.h"
#include "output/writer.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BLOCKS_AT_ONCE = 4 /* that the system is asked to write to the disk together */ };

typedef struct row_writer {
    dh_writer *writer;
    dh_duplicate_reader *duplicates; /* NULL: job neardup is not active */
    dh_duplicate *duplicate;         /* of the block: DH_BLOCK_ROWS */
    dh_buffer *digests;              /* a dataset each: of this rank's blocks (contiguous) */
    dh_sha256 *whole;                /* rank 0, deflated: grows with the blocks as they come */
    dh_buffer made;                  /* rows of a dataset that is no plain column */
    dh_buffer shuffled;
    dh_buffer message;  /* deflated chunks of a round */
    dh_h5 *h5;          /* rank 0, deflated */
    dh_buffer incoming; /* rank 0: a message that is not complete yet */
} row_writer;

/* In front of a deflated chunk on its way to rank 0. */
typedef struct chunk_head {
    uint64_t row, size;
    uint32_t dataset, reserved;
    uint8_t digest[DH_SHA256_SIZE];
} chunk_head;

static bool is_kept(const dh_duplicate *duplicate, uint64_t row)
{
    return (duplicate->cluster < 0 || (uint64_t)duplicate->cluster == row) && duplicate->against < 0;
}

/* Rows of obs/dup_*. */
static dh_status make_duplicates(row_writer *rows, const dh_bulk_dataset *dataset, const dh_row_block *block)
{
    int64_t *number = (int64_t *)(void *)rows->made.data;
    uint64_t *size = (uint64_t *)(void *)rows->made.data;
    for (uint32_t i = 0; i < block->count; i++) {
        const dh_duplicate *duplicate = &rows->duplicate[i];
        if (dataset->index == DH_DUPLICATE_EXACT) {
            number[i] = duplicate->exact;
        } else if (dataset->index == DH_DUPLICATE_CLUSTER) {
            number[i] = duplicate->cluster;
        } else if (dataset->index == DH_DUPLICATE_SIZE) {
            size[i] = duplicate->size;
        } else if (dataset->index == DH_DUPLICATE_KEEP) {
            rows->made.data[i] = is_kept(duplicate, block->first_row + i) ? 1 : 0;
        } else {
            char *id = (char *)rows->made.data + (size_t)i * dataset->array.text_width;
            memset(id, 0, dataset->array.text_width);
            if (duplicate->against >= 0) {
                DH_TRY(dh_duplicate_id(rows->duplicates, duplicate->against, id));
            }
        }
    }
    return DH_OK;
}

/* The bytes of a dataset's rows for a block. */
static dh_status make_rows(row_writer *rows, const dh_bulk_dataset *dataset, const dh_row_block *block,
                           const void **out)
{
    const dh_writer *writer = rows->writer;
    if (dataset->kind == DH_BULK_COLUMN) {
        *out = block->column[dataset->index];
        return DH_OK;
    }
    rows->made.size = 0;
    DH_TRY(dh_buffer_reserve(&rows->made, block->count * dh_h5_row_size(&dataset->array)));
    if (dataset->kind == DH_BULK_DUPLICATE) {
        *out = rows->made.data;
        return make_duplicates(rows, dataset, block);
    }
    int32_t *code = (int32_t *)(void *)rows->made.data;
    if (dataset->kind == DH_BULK_ID) {
        dh_ids_fill(&writer->ids, block, (char *)rows->made.data);
    } else if (dataset->kind == DH_BULK_LANGUAGE) {
        const uint16_t *language = block->column[DH_ENGINE_LANGUAGE];
        for (uint32_t i = 0; i < block->count; i++) {
            code[i] = (int32_t)writer->bulk->language_code[language[i]];
        }
    } else {
        const uint8_t *status = block->column[DH_ENGINE_STATUS];
        for (uint32_t i = 0; i < block->count; i++) {
            code[i] = status[i];
        }
    }
    *out = rows->made.data;
    return DH_OK;
}

/* HDF5's shuffle filter: first all first bytes of the elements, then all second bytes, and so on. */
static void shuffle(const uint8_t *in, uint8_t *out, size_t count, size_t width)
{
    for (size_t b = 0; b < width; b++) {
        for (size_t i = 0; i < count; i++) {
            out[b * count + i] = in[i * width + b];
        }
    }
}

/* Appends a chunk to the message of this round. Chunks are whole: the last one is filled up with zeros. */
static dh_status deflate_rows(row_writer *rows, uint32_t index, const dh_row_block *block, const void *data,
                              const uint8_t *digest)
{
    const dh_bulk_dataset *dataset = &rows->writer->bulk->dataset[index];
    const uint64_t row_size = dh_h5_row_size(&dataset->array);
    const uint64_t chunk_rows = dataset->array.dims[0] < dataset->array.chunk_rows
                                    ? dataset->array.dims[0]
                                    : dataset->array.chunk_rows;
    const size_t size = chunk_rows * row_size;
    const size_t width =
        dataset->array.type == DH_TEXT ? dataset->array.text_width : dh_type_size(dataset->array.type);
    rows->shuffled.size = 0;
    DH_TRY(dh_buffer_reserve(&rows->shuffled, 2 * size));
    uint8_t *whole = rows->shuffled.data;
    uint8_t *shuffled = whole + size;
    memset(whole, 0, size);
    memcpy(whole, data, block->count * row_size);
    shuffle(whole, shuffled, size / width, width);
    const size_t start = rows->message.size;
    uLongf deflated = compressBound(size);
    DH_TRY(dh_buffer_reserve(&rows->message, sizeof(chunk_head) + deflated));
    uint8_t *place = rows->message.data + start + sizeof(chunk_head);
    if (compress2(place, &deflated, shuffled, size, (int)dataset->array.deflate) != Z_OK) {
        return dh_error(DH_INTERNAL, "deflating %zu bytes of %s failed", size, dataset->path);
    }
    chunk_head head = {.row = block->first_row, .size = deflated, .dataset = index};
    memcpy(head.digest, digest, sizeof head.digest);
    memcpy(rows->message.data + start, &head, sizeof head);
    rows->message.size = start + sizeof head + deflated;
    return DH_OK;
}

static dh_status write_dataset(row_writer *rows, uint32_t index, const dh_row_block *block)
{
    const dh_writer *writer = rows->writer;
    const dh_bulk_dataset *dataset = &writer->bulk->dataset[index];
    const uint64_t row_size = dh_h5_row_size(&dataset->array);
    const void *data = NULL;
    uint8_t digest[DH_SHA256_SIZE];
    DH_TRY(make_rows(rows, dataset, block, &data));
    dh_content_block(data, block->count * row_size, digest);
    if (dataset->array.chunk_rows > 0) {
        return deflate_rows(rows, index, block, data, digest);
    }
    DH_TRY(dh_buffer_append(&rows->digests[index], digest, sizeof digest));
    return dh_file_write_at(writer->file, writer->options->partial, data, block->count * row_size,
                            dataset->offset + block->first_row * row_size);
}

static dh_status accumulate(const dh_writer *writer, const dh_row_block *block)
{
    for (uint32_t j = 0; j < writer->settings->job_count; j++) {
        const dh_active_job *active = &writer->settings->job[j];
        const dh_rows rows = {
            .first_row = block->first_row,
            .count = block->count,
            .facts = {.tokens = block->column[DH_ENGINE_TOKENS],
                      .bytes = block->column[DH_ENGINE_BYTES],
                      .language = block->column[DH_ENGINE_LANGUAGE]},
            .column = (const void *const *)&block->column[active->first_column],
        };
        if (active->job->accumulate != NULL) {
            DH_TRY(active->job->accumulate(active->state, &rows));
        }
    }
    return DH_OK;
}

static dh_status write_block(row_writer *rows, uint64_t number)
{
    dh_writer *writer = rows->writer;
    const uint64_t first = number * DH_BLOCK_ROWS;
    const uint64_t left = writer->bulk->rows - first;
    const dh_row_block *block = NULL;
    DH_TRY(dh_row_reader_read(writer->reader, first, left < DH_BLOCK_ROWS ? (uint32_t)left : DH_BLOCK_ROWS,
                              true, &block));
    if (rows->duplicates != NULL) {
        DH_TRY(dh_duplicate_read(rows->duplicates, first, block->count, rows->duplicate));
    }
    for (uint32_t d = 0; d < writer->bulk->row_dataset_count; d++) {
        DH_TRY(write_dataset(rows, d, block));
    }
    const uint8_t *status = block->column[DH_ENGINE_STATUS];
    for (uint32_t i = 0; i < block->count; i++) {
        writer->quality.repaired_documents += status[i] == DH_DOCUMENT_REPAIRED;
    }
    return accumulate(writer, block);
}

/* ---- contiguous: all ranks write at once ------------------------------------------------------------- */

static dh_status write_contiguous(row_writer *rows)
{
    const dh_share *share = &rows->writer->ids.share;
    dh_status status = DH_OK;
    for (uint64_t k = 0; k < dh_share_count(share) && status == DH_OK; k++) {
        dh_progress_tell(rows->writer->options->progress, k);
        status = write_block(rows, dh_share_block(share, k));
        if (status == DH_OK && (k + 1) % BLOCKS_AT_ONCE == 0) {
            /* Little is left then to the sync at the end. */
            status = dh_file_begin_write_back(rows->writer->file, rows->writer->options->partial, 0, 0);
        }
    }
    DH_TRY(dh_writer_agree(rows->writer, status));
    for (uint32_t d = 0; d < rows->writer->bulk->row_dataset_count; d++) {
        DH_TRY(dh_writer_collect_digest(rows->writer, &rows->writer->bulk->dataset[d], &rows->digests[d]));
    }
    return DH_OK;
}

/* ---- deflated: in rounds, rank 0 appends ------------------------------------------------------------- */

static dh_status append_chunks(row_writer *rows)
{
    size_t used = 0;
    while (rows->incoming.size - used >= sizeof(chunk_head)) {
        chunk_head head;
        memcpy(&head, rows->incoming.data + used, sizeof head);
        if (rows->incoming.size - used - sizeof head < head.size) {
            break;
        }
        const dh_bulk_dataset *dataset = &rows->writer->bulk->dataset[head.dataset];
        DH_TRY(dh_h5_chunk_write(rows->h5, dataset->path, head.row, rows->incoming.data + used + sizeof head,
                                 head.size));
        dh_sha256_update(&rows->whole[head.dataset], head.digest, sizeof head.digest);
        used += sizeof head + head.size;
    }
    memmove(rows->incoming.data, rows->incoming.data + used, rows->incoming.size - used);
    rows->incoming.size -= used;
    return DH_OK;
}

static dh_status take_chunks(void *context, int rank, const void *bytes, size_t size)
{
    (void)rank;
    row_writer *rows = context;
    DH_TRY(dh_buffer_append(&rows->incoming, bytes, size));
    return append_chunks(rows);
}

static dh_status write_rounds(row_writer *rows)
{
    dh_writer *writer = rows->writer;
    const dh_share *share = &writer->ids.share;
    const uint64_t rounds = (share->blocks + share->ranks - 1) / share->ranks;
    for (uint64_t round = 0; round < rounds; round++) {
        rows->message.size = 0;
        dh_status status = DH_OK;
        if (round < dh_share_count(share)) {
            dh_progress_tell(writer->options->progress, round);
            status = write_block(rows, dh_share_block(share, round));
        }
        DH_TRY(dh_comm_agree(writer->comm, status));
        status = dh_comm_collect(writer->comm, rows->message.data, rows->message.size, take_chunks, rows);
        DH_TRY(dh_comm_agree(writer->comm, status));
    }
    return DH_OK;
}

static dh_status write_deflated(row_writer *rows)
{
    dh_writer *writer = rows->writer;
    const bool root = dh_comm_rank(writer->comm) == 0;
    const uint32_t count = writer->bulk->row_dataset_count;
    dh_status status = root ? dh_h5_open(writer->options->partial, true, &rows->h5) : DH_OK;
    for (uint32_t d = 0; d < count; d++) {
        dh_sha256_begin(&rows->whole[d]);
    }
    status = dh_comm_agree(writer->comm, status);
    if (status == DH_OK) {
        status = write_rounds(rows);
    }
    const dh_status closed = dh_h5_close(rows->h5);
    rows->h5 = NULL;
    status = dh_comm_agree(writer->comm, status == DH_OK ? closed : status);
    for (uint32_t d = 0; root && d < count && status == DH_OK; d++) {
        uint8_t digest[DH_SHA256_SIZE];
        dh_sha256_end(&rows->whole[d], digest);
        status = dh_content_add(&writer->content, writer->bulk->dataset[d].path,
                                &writer->bulk->dataset[d].array, digest);
    }
    return dh_comm_agree(writer->comm, status);
}

static dh_status open_duplicates(row_writer *rows)
{
    const dh_result_options *options = rows->writer->options;
    if (!options->reduced->neardup.is_there) {
        return DH_OK;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(DH_BLOCK_ROWS, sizeof(dh_duplicate), "duplicates", &memory));
    rows->duplicate = memory;
    return dh_duplicate_open(options->reduce, &options->reduced->neardup, &rows->duplicates);
}

dh_status dh_writer_rows(dh_writer *writer)
{
    row_writer rows = {.writer = writer};
    void *digests = NULL;
    void *whole = NULL;
    dh_status status = dh_allocate(writer->bulk->row_dataset_count, sizeof(dh_buffer), "digests", &digests);
    if (status == DH_OK) {
        status = dh_allocate(writer->bulk->row_dataset_count, sizeof(dh_sha256), "digests", &whole);
    }
    rows.digests = digests;
    rows.whole = whole;
    if (status == DH_OK) {
        status = open_duplicates(&rows);
    }
    dh_progress_step(writer->options->progress, DH_STEP_ROWS, dh_share_count(&writer->ids.share));
    status = dh_comm_agree(writer->comm, status);
    if (status == DH_OK) {
        status = writer->bulk->deflate > 0 && writer->bulk->rows > 0 ? write_deflated(&rows)
                                                                     : write_contiguous(&rows);
    }
    for (uint32_t d = 0; rows.digests != NULL && d < writer->bulk->row_dataset_count; d++) {
        dh_buffer_free(&rows.digests[d]);
    }
    free(digests);
    free(whole);
    dh_duplicate_close(rows.duplicates);
    free(rows.duplicate);
    dh_buffer_free(&rows.made);
    dh_buffer_free(&rows.shuffled);
    dh_buffer_free(&rows.message);
    dh_buffer_free(&rows.incoming);
    return status;
}
