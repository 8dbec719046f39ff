/* dhatu: X and var. Each rank turns the values of its rows into rows of X, and writes them where the values
 * of all rows in front of them end. */
#include "base/file.h"
#include "base/log.h"
#include "output/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };

/* A contiguous dataset that ranks fill one behind the other: this one from element `first` on. Its digest is
 * taken over blocks of DH_BLOCK_ROWS elements, and where ranks meet within a block, the one that has its
 * first element digests it, read back from the file when all is written. */
typedef struct stream {
    const dh_bulk_dataset *dataset;
    uint64_t element_size;
    uint64_t next;     /* element that comes next */
    uint8_t *block;    /* the block under way: DH_BLOCK_ROWS elements */
    uint64_t in_block; /* elements of it that are there */
    bool owns_block;   /* this rank has its first element */
    dh_buffer digests;
} stream;

typedef struct matrix_writer {
    dh_writer *writer;
    const dh_features *features;
    stream part[DH_MATRIX_PARTS];
    stream variable[DH_VARIABLE_FACTS];
    dh_buffer column, value, data, indptr; /* of a block of rows */
} matrix_writer;

/* ---- streams ----------------------------------------------------------------------------------------- */

static dh_status open_stream(const dh_writer *writer, dh_bulk_kind kind, uint32_t index, uint64_t first,
                             stream *out)
{
    const dh_bulk *bulk = writer->bulk;
    uint32_t d = bulk->source_datasets_end;
    while (d < bulk->dataset_count && (bulk->dataset[d].kind != kind || bulk->dataset[d].index != index)) {
        d++;
    }
    if (d == bulk->dataset_count) {
        return dh_error(DH_INTERNAL, "part %u of the matrix is not among the datasets", index);
    }
    out->dataset = &bulk->dataset[d];
    out->element_size = dh_h5_row_size(&out->dataset->array);
    out->next = first;
    out->in_block = first % DH_BLOCK_ROWS;
    out->owns_block = out->in_block == 0;
    void *memory = NULL;
    DH_TRY(dh_allocate(DH_BLOCK_ROWS, out->element_size, "a block of the matrix", &memory));
    out->block = memory;
    return DH_OK;
}

static void close_stream(stream *to)
{
    free(to->block);
    dh_buffer_free(&to->digests);
}

static dh_status add_digest(stream *to, uint64_t count)
{
    uint8_t digest[DH_SHA256_SIZE];
    dh_content_block(to->block, count * to->element_size, digest);
    return dh_buffer_append(&to->digests, digest, sizeof digest);
}

static dh_status append(const dh_writer *writer, stream *to, const void *data, uint64_t count)
{
    const uint8_t *bytes = data;
    DH_TRY(dh_file_write_at(writer->file, writer->options->partial, data, count * to->element_size,
                            to->dataset->offset + to->next * to->element_size));
    to->next += count;
    while (count > 0) {
        const uint64_t room = DH_BLOCK_ROWS - to->in_block;
        const uint64_t piece = count < room ? count : room;
        if (to->owns_block) {
            memcpy(to->block + to->in_block * to->element_size, bytes, piece * to->element_size);
        }
        bytes += piece * to->element_size;
        count -= piece;
        to->in_block += piece;
        if (to->in_block == DH_BLOCK_ROWS) {
            DH_TRY(to->owns_block ? add_digest(to, DH_BLOCK_ROWS) : DH_OK);
            to->in_block = 0;
            to->owns_block = true;
        }
    }
    return DH_OK;
}

/* Behind the last element of all ranks: the block that this rank began and others went on with. */
static dh_status end_stream(const dh_writer *writer, stream *to)
{
    if (!to->owns_block || to->in_block == 0) {
        return DH_OK;
    }
    const uint64_t first = to->next - to->in_block;
    const uint64_t left = to->dataset->array.dims[0] - first;
    const uint64_t count = left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS;
    DH_TRY(dh_file_read_at(writer->file, writer->options->partial, to->block, count * to->element_size,
                           to->dataset->offset + first * to->element_size));
    return add_digest(to, count);
}

/* ---- X ----------------------------------------------------------------------------------------------- */

/* One document's row, behind those of the block so far. */
static dh_status make_row(matrix_writer *matrix, const uint8_t **bytes, const uint8_t *end, uint32_t count)
{
    const dh_writer *writer = matrix->writer;
    const size_t size = count * sizeof(uint32_t);
    DH_TRY(dh_buffer_reserve(&matrix->column, size));
    DH_TRY(dh_buffer_reserve(&matrix->data, size));
    matrix->value.size = 0;
    DH_TRY(dh_buffer_reserve(&matrix->value, size));
    uint32_t *column = (uint32_t *)(void *)(matrix->column.data + matrix->column.size);
    int32_t *value = (int32_t *)(void *)matrix->value.data;
    if (!dh_features_decode(bytes, end, matrix->features->columns, count, column, value)) {
        return dh_error(DH_IO, "%s: the values in a spill changed after they were written",
                        writer->options->folder);
    }
    dh_features_weigh(matrix->features, &writer->settings->job_options, count, column, value,
                      (float *)(void *)(matrix->data.data + matrix->data.size));
    matrix->column.size += size;
    matrix->data.size += size;
    return DH_OK;
}

static dh_status write_rows(matrix_writer *matrix, const dh_row_block *block)
{
    const dh_writer *writer = matrix->writer;
    const uint32_t *count = block->column[DH_ENGINE_VALUES];
    const uint32_t *size = block->column[DH_ENGINE_VALUE_BYTES];
    const uint8_t *bytes = block->values;
    uint64_t values = block->first_value;
    matrix->column.size = 0;
    matrix->data.size = 0;
    matrix->indptr.size = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const uint8_t *end = bytes + size[i];
        DH_TRY(make_row(matrix, &bytes, end, count[i]));
        bytes = end;
        values += count[i];
        const int64_t pointer = (int64_t)values;
        DH_TRY(dh_buffer_append(&matrix->indptr, &pointer, sizeof pointer));
    }
    const uint64_t made = matrix->data.size / sizeof(float);
    DH_TRY(append(writer, &matrix->part[DH_MATRIX_DATA], matrix->data.data, made));
    DH_TRY(append(writer, &matrix->part[DH_MATRIX_INDICES], matrix->column.data, made));
    return append(writer, &matrix->part[DH_MATRIX_INDPTR], matrix->indptr.data, block->count);
}

/* Where this rank's rows begin: `row`, and how many values are in front of it. */
static dh_status find_first_value(const dh_writer *writer, uint64_t row, uint64_t *out)
{
    const dh_row_block *block = NULL;
    *out = writer->table->values;
    if (row < writer->table->rows) {
        DH_TRY(dh_row_reader_read_values(writer->reader, row, 1, false, &block));
        *out = block->first_value;
    }
    return DH_OK;
}

static dh_status open_matrix(matrix_writer *matrix, const dh_share *share)
{
    const dh_writer *writer = matrix->writer;
    const uint64_t block = dh_share_first(share, share->rank);
    const uint64_t row =
        block * DH_BLOCK_ROWS < writer->table->rows ? block * DH_BLOCK_ROWS : writer->table->rows;
    uint64_t value = 0;
    DH_TRY(find_first_value(writer, row, &value));
    DH_TRY(open_stream(writer, DH_BULK_MATRIX, DH_MATRIX_DATA, value, &matrix->part[DH_MATRIX_DATA]));
    DH_TRY(open_stream(writer, DH_BULK_MATRIX, DH_MATRIX_INDICES, value, &matrix->part[DH_MATRIX_INDICES]));
    /* Element 0 is rank 0's, element i + 1 that of row i. */
    const bool root = share->rank == 0;
    stream *indptr = &matrix->part[DH_MATRIX_INDPTR];
    DH_TRY(open_stream(writer, DH_BULK_MATRIX, DH_MATRIX_INDPTR, root ? 0 : row + 1, indptr));
    const int64_t zero = 0;
    return root ? append(writer, indptr, &zero, 1) : DH_OK;
}

static dh_status write_matrix(matrix_writer *matrix, const dh_share *share)
{
    const dh_writer *writer = matrix->writer;
    DH_TRY(open_matrix(matrix, share));
    for (uint64_t k = 0; k < dh_share_count(share); k++) {
        const uint64_t first = dh_share_block(share, k) * DH_BLOCK_ROWS;
        const uint64_t left = writer->table->rows - first;
        const dh_row_block *block = NULL;
        DH_TRY(dh_row_reader_read_values(
            writer->reader, first, left < DH_BLOCK_ROWS ? (uint32_t)left : DH_BLOCK_ROWS, false, &block));
        DH_TRY(write_rows(matrix, block));
    }
    return DH_OK;
}

/* ---- var --------------------------------------------------------------------------------------------- */

static dh_status write_names(const matrix_writer *matrix, stream *names)
{
    const dh_features *features = matrix->features;
    const uint64_t width = names->element_size;
    uint8_t block[DH_BLOCK_ROWS * NUMBER_BYTES];
    for (uint64_t done = 0; done < features->count;) {
        const uint64_t left = features->count - done;
        const uint64_t count = left < DH_BLOCK_ROWS ? left : DH_BLOCK_ROWS;
        memset(block, 0, sizeof block);
        for (uint64_t i = 0; i < count; i++) {
            char digits[24];
            const int size =
                snprintf(digits, sizeof digits, "%llu", (unsigned long long)(features->first + done + i));
            memcpy(block + i * width, digits, (size_t)size);
        }
        DH_TRY(append(matrix->writer, names, block, count));
        done += count;
    }
    return DH_OK;
}

static dh_status write_variables(matrix_writer *matrix)
{
    const dh_writer *writer = matrix->writer;
    const dh_features *features = matrix->features;
    stream *variable = matrix->variable;
    for (uint32_t f = 0; f < DH_VARIABLE_FACTS; f++) {
        DH_TRY(open_stream(writer, DH_BULK_VARIABLE, f, features->first, &variable[f]));
    }
    DH_TRY(write_names(matrix, &variable[DH_VARIABLE_NAME]));
    DH_TRY(append(writer, &variable[DH_VARIABLE_DOCUMENTS], features->documents, features->count));
    DH_TRY(
        append(writer, &variable[DH_VARIABLE_WEIGHT], features->weight + features->first, features->count));
    return append(writer, &variable[DH_VARIABLE_TERMS], features->terms, features->count);
}

/* ---- both -------------------------------------------------------------------------------------------- */

static dh_status finish_streams(matrix_writer *matrix, stream *streams, uint32_t count)
{
    dh_writer *writer = matrix->writer;
    dh_status status = DH_OK;
    for (uint32_t s = 0; s < count && status == DH_OK; s++) {
        status = end_stream(writer, &streams[s]);
    }
    DH_TRY(dh_writer_agree(writer, status));
    for (uint32_t s = 0; s < count; s++) {
        DH_TRY(dh_writer_collect_digest(writer, streams[s].dataset, &streams[s].digests));
    }
    return DH_OK;
}

static dh_status write_all(matrix_writer *matrix)
{
    dh_writer *writer = matrix->writer;
    const dh_share share = {.kind = DH_SHARE_RANGES,
                            .blocks = (writer->table->rows + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS,
                            .rank = (uint32_t)dh_comm_rank(writer->comm),
                            .ranks = (uint32_t)dh_comm_size(writer->comm)};
    dh_status status = write_matrix(matrix, &share);
    if (status == DH_OK) {
        status = write_variables(matrix);
    }
    DH_TRY(dh_writer_agree(writer, status)); /* all is written: blocks that two ranks share can be read */
    DH_TRY(finish_streams(matrix, matrix->part, DH_MATRIX_PARTS));
    return finish_streams(matrix, matrix->variable, DH_VARIABLE_FACTS);
}

dh_status dh_writer_matrix(dh_writer *writer)
{
    matrix_writer matrix = {.writer = writer, .features = &writer->options->reduced->features};
    if (!matrix.features->is_there) {
        return DH_OK;
    }
    const dh_status status = write_all(&matrix);
    for (uint32_t s = 0; s < DH_MATRIX_PARTS; s++) {
        close_stream(&matrix.part[s]);
    }
    for (uint32_t s = 0; s < DH_VARIABLE_FACTS; s++) {
        close_stream(&matrix.variable[s]);
    }
    dh_buffer_free(&matrix.column);
    dh_buffer_free(&matrix.value);
    dh_buffer_free(&matrix.data);
    dh_buffer_free(&matrix.indptr);
    return status;
}
