/* dhatu: the bulk of a result, the datasets that grow with documents or sources. Every rank computes the
 * same list; rank 0 creates the file with them, then all ranks fill in their blocks. */
#ifndef DH_OUTPUT_BULK_H
#define DH_OUTPUT_BULK_H

#include "output/content.h"
#include "reduce/reduce.h"
#include "run/ids.h"
#include "run/rows.h"

enum { DH_BULK_MAX = DH_SCHEMA_COLUMNS_MAX + 64, DH_LANGUAGE_BYTES = (1 + 26 * 26 + 26 * 26 * 26 + 7) / 8 };

/* How a dataset's rows are made. */
typedef enum dh_bulk_kind {
    DH_BULK_COLUMN,      /* rows: a column of the schema as it is */
    DH_BULK_ID,          /* rows: final ids */
    DH_BULK_LANGUAGE,    /* rows: codes into the languages that occur */
    DH_BULK_STATUS,      /* rows: codes into dh_document_status_name */
    DH_BULK_DUPLICATE,   /* rows: what is known of duplicates, index tells which (dh_duplicate_fact) */
    DH_BULK_SOURCE_NAME, /* sources */
    DH_BULK_SOURCE_FACT, /* sources: a 64-bit count, index tells which */
    DH_BULK_SOURCE_HASH, /* sources: content hash, hexadecimal */
    DH_BULK_SOURCE_SUMS, /* sources: sums of job `index` */
    DH_BULK_MATRIX,      /* X: index tells which part of it (dh_matrix_part) */
    DH_BULK_VARIABLE     /* var, columns of X: index tells which (dh_variable_fact) */
} dh_bulk_kind;

typedef enum dh_duplicate_fact {
    DH_DUPLICATE_EXACT = 0,
    DH_DUPLICATE_CLUSTER,
    DH_DUPLICATE_SIZE,
    DH_DUPLICATE_KEEP,
    DH_DUPLICATE_AGAINST,
    DH_DUPLICATE_FACTS
} dh_duplicate_fact;

typedef enum dh_matrix_part {
    DH_MATRIX_DATA = 0,
    DH_MATRIX_INDICES,
    DH_MATRIX_INDPTR,
    DH_MATRIX_PARTS
} dh_matrix_part;

typedef enum dh_variable_fact {
    DH_VARIABLE_NAME = 0,
    DH_VARIABLE_DOCUMENTS,
    DH_VARIABLE_WEIGHT,
    DH_VARIABLE_TERMS,
    DH_VARIABLE_FACTS
} dh_variable_fact;

typedef enum dh_source_fact {
    DH_FACT_DOCUMENTS = 0,
    DH_FACT_RECORDS,
    DH_FACT_BYTES,
    DH_FACT_BAD,
    DH_FACT_COUNT
} dh_source_fact;

typedef struct dh_bulk_dataset {
    char path[128];
    dh_bulk_kind kind;
    uint32_t index; /* column of the schema, fact, or job */
    dh_h5_array array;
    uint64_t offset; /* in the file, where contiguous */
} dh_bulk_dataset;

typedef struct dh_bulk {
    const dh_settings *settings;
    uint64_t rows, sources;
    uint32_t deflate; /* of the row datasets; 0: contiguous */
    dh_bulk_dataset dataset[DH_BULK_MAX];
    const dh_reduced *reduced;
    uint32_t row_dataset_count;   /* the first ones; ... */
    uint32_t source_datasets_end; /* up to here they have a row a source; behind are X and var */
    uint32_t dataset_count;
    uint8_t language_present[DH_LANGUAGE_BYTES]; /* a bit a code */
    uint32_t *language_code;                     /* language -> place among those present */
    uint64_t languages;
} dh_bulk;

/* What the list depends on besides settings. */
typedef struct dh_bulk_shape {
    uint64_t rows, sources, id_width, source_name_width;
    const dh_reduced *reduced;
    uint32_t deflate;
} dh_bulk_shape;

/* language_present must be set (of all ranks). Owner frees with dh_bulk_free. */
dh_status dh_bulk_list(dh_bulk *bulk, const dh_settings *settings, const dh_bulk_shape *shape);
void dh_bulk_free(dh_bulk *bulk);

/* Creates the file with the AnnData skeleton and all bulk datasets, closes it, and sets their offsets. What
 * it fills itself (categories) goes into content. On rank 0. */
dh_status dh_bulk_create(dh_bulk *bulk, const char *path, dh_content *content);

#endif
