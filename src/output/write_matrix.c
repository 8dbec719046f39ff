/* dhatu: X and var. Each rank turns the values of its rows into rows of X, and writes them where the values
 * of all rows in front of them end. */
#include "base/log.h"
#include "output/fill.h"
#include "output/writer.h"

#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 8 };

/* A dataset of the matrix. */
typedef struct part_fill {
    const dh_bulk_dataset *dataset;
    dh_fill fill;
} part_fill;

typedef struct matrix_writer {
    dh_writer *writer;
    const dh_features *features;
    part_fill part[DH_MATRIX_PARTS];
    part_fill variable[DH_VARIABLE_FACTS];
    dh_buffer column, value, data, indptr; /* of a block of rows */
} matrix_writer;

/* ---- filling ----------------------------------------------------------------------------------------- */

static const dh_bulk_dataset *find_dataset(const dh_bulk *bulk, dh_bulk_kind kind, uint32_t index)
{
    uint32_t d = bulk->source_datasets_end;
    while (d < bulk->dataset_count && (bulk->dataset[d].kind != kind || bulk->dataset[d].index != index)) {
        d++;
    }
    return d < bulk->dataset_count ? &bulk->dataset[d] : NULL;
}

static dh_status open_fill(const dh_writer *writer, dh_bulk_kind kind, uint32_t index, uint64_t first,
                           part_fill *out)
{
    out->dataset = find_dataset(writer->bulk, kind, index);
    if (out->dataset == NULL) {
        return dh_error(DH_INTERNAL, "part %u of the matrix is not among the datasets", index);
    }
    const dh_h5_array *array = &out->dataset->array;
    const dh_fill_place place = {.file = writer->file,
                                 .path = writer->options->partial,
                                 .offset = out->dataset->offset,
                                 .element_size = dh_h5_row_size(array),
                                 .elements = array->dims[0]};
    return dh_fill_open(&place, first, &out->fill);
}

static dh_status append(part_fill *to, const void *data, uint64_t count)
{
    return dh_fill_append(&to->fill, data, count);
}

/* ---- X ----------------------------------------------------------------------------------------------- */

static dh_status damaged(const dh_writer *writer)
{
    return dh_error(DH_IO, "%s: the values in a spill changed after they were written",
                    writer->options->folder);
}

/* One document's row, behind those of the block so far. */
static dh_status make_row(matrix_writer *matrix, const uint8_t **bytes, const uint8_t *end, uint32_t count)
{
    const dh_writer *writer = matrix->writer;
    const size_t size = count * sizeof(uint32_t);
    if (count > matrix->features->columns) {
        return damaged(writer);
    }
    DH_TRY(dh_buffer_reserve(&matrix->column, size));
    DH_TRY(dh_buffer_reserve(&matrix->data, size));
    matrix->value.size = 0;
    DH_TRY(dh_buffer_reserve(&matrix->value, size));
    uint32_t *column = (uint32_t *)(void *)(matrix->column.data + matrix->column.size);
    int32_t *value = (int32_t *)(void *)matrix->value.data;
    if (!dh_features_decode(bytes, end, matrix->features->columns, count, column, value)) {
        return damaged(writer);
    }
    dh_features_weigh(matrix->features, &writer->settings->job_options, count, column, value,
                      (float *)(void *)(matrix->data.data + matrix->data.size));
    matrix->column.size += size;
    matrix->data.size += size;
    return DH_OK;
}

static dh_status write_rows(matrix_writer *matrix, const dh_row_block *block)
{
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
    DH_TRY(append(&matrix->part[DH_MATRIX_DATA], matrix->data.data, made));
    DH_TRY(append(&matrix->part[DH_MATRIX_INDICES], matrix->column.data, made));
    return append(&matrix->part[DH_MATRIX_INDPTR], matrix->indptr.data, block->count);
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

static uint64_t first_row(const dh_writer *writer, const dh_share *share, uint32_t rank)
{
    const uint64_t row = dh_share_first(share, rank) * DH_BLOCK_ROWS;
    return row < writer->table->rows ? row : writer->table->rows;
}

static dh_status open_matrix(matrix_writer *matrix, const dh_share *share)
{
    const dh_writer *writer = matrix->writer;
    const uint64_t row = first_row(writer, share, share->rank);
    uint64_t value = 0;
    DH_TRY(find_first_value(writer, row, &value));
    DH_TRY(open_fill(writer, DH_BULK_MATRIX, DH_MATRIX_DATA, value, &matrix->part[DH_MATRIX_DATA]));
    DH_TRY(open_fill(writer, DH_BULK_MATRIX, DH_MATRIX_INDICES, value, &matrix->part[DH_MATRIX_INDICES]));
    /* Element 0 is rank 0's, element i + 1 that of row i. */
    const bool root = share->rank == 0;
    part_fill *indptr = &matrix->part[DH_MATRIX_INDPTR];
    DH_TRY(open_fill(writer, DH_BULK_MATRIX, DH_MATRIX_INDPTR, root ? 0 : row + 1, indptr));
    const int64_t zero = 0;
    return root ? append(indptr, &zero, 1) : DH_OK;
}

static dh_status write_matrix(matrix_writer *matrix, const dh_share *share)
{
    const dh_writer *writer = matrix->writer;
    DH_TRY(open_matrix(matrix, share));
    const uint64_t end = first_row(writer, share, share->rank + 1);
    const uint64_t begin = first_row(writer, share, share->rank);
    dh_progress_step(writer->options->progress, DH_STEP_MATRIX, end - begin);
    for (uint64_t row = begin; row < end;) {
        const uint32_t count = dh_row_reader_few(writer->reader, row, end - row);
        const dh_row_block *block = NULL;
        DH_TRY(dh_row_reader_read_values(writer->reader, row, count, false, &block));
        DH_TRY(write_rows(matrix, block));
        row += count;
        dh_progress_tell(writer->options->progress, row - begin);
    }
    return DH_OK;
}

/* ---- var --------------------------------------------------------------------------------------------- */

static dh_status write_names(const matrix_writer *matrix, part_fill *names)
{
    const dh_features *features = matrix->features;
    const uint64_t width = names->fill.place.element_size;
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
        DH_TRY(append(names, block, count));
        done += count;
    }
    return DH_OK;
}

static dh_status write_variables(matrix_writer *matrix)
{
    const dh_writer *writer = matrix->writer;
    const dh_features *features = matrix->features;
    part_fill *variable = matrix->variable;
    for (uint32_t f = 0; f < DH_VARIABLE_FACTS; f++) {
        DH_TRY(open_fill(writer, DH_BULK_VARIABLE, f, features->first, &variable[f]));
    }
    DH_TRY(write_names(matrix, &variable[DH_VARIABLE_NAME]));
    DH_TRY(append(&variable[DH_VARIABLE_DOCUMENTS], features->documents, features->count));
    DH_TRY(append(&variable[DH_VARIABLE_WEIGHT], features->weight + features->first, features->count));
    return append(&variable[DH_VARIABLE_TERMS], features->terms, features->count);
}

/* ---- both -------------------------------------------------------------------------------------------- */

static dh_status finish_fills(matrix_writer *matrix, part_fill *fills, uint32_t count)
{
    dh_writer *writer = matrix->writer;
    dh_status status = DH_OK;
    for (uint32_t s = 0; s < count && status == DH_OK; s++) {
        status = dh_fill_end(&fills[s].fill);
    }
    DH_TRY(dh_writer_agree(writer, status));
    for (uint32_t s = 0; s < count; s++) {
        DH_TRY(dh_writer_collect_digest(writer, fills[s].dataset, &fills[s].fill.digests));
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
    DH_TRY(finish_fills(matrix, matrix->part, DH_MATRIX_PARTS));
    return finish_fills(matrix, matrix->variable, DH_VARIABLE_FACTS);
}

dh_status dh_writer_matrix(dh_writer *writer)
{
    matrix_writer matrix = {.writer = writer, .features = &writer->options->reduced->features};
    if (!matrix.features->is_there) {
        return DH_OK;
    }
    const dh_status status = write_all(&matrix);
    for (uint32_t s = 0; s < DH_MATRIX_PARTS; s++) {
        dh_fill_close(&matrix.part[s].fill);
    }
    for (uint32_t s = 0; s < DH_VARIABLE_FACTS; s++) {
        dh_fill_close(&matrix.variable[s].fill);
    }
    dh_buffer_free(&matrix.column);
    dh_buffer_free(&matrix.value);
    dh_buffer_free(&matrix.data);
    dh_buffer_free(&matrix.indptr);
    return status;
}
