/* dhatu: counts the n-grams of a chunk's documents while they are read. */
#ifndef DH_RUN_TERMS_H
#define DH_RUN_TERMS_H

#include "base/buffer.h"
#include "kernels/backend.h"

#include <stdbool.h>

typedef struct dh_term_table dh_term_table;

/* memory: bytes the table may take; when it is full, what it holds is written and counting begins anew,
 * between two documents. One document may need more. Errors: DH_NO_MEMORY (logged). */
dh_status dh_term_table_create(dh_ngram_range range, uint64_t memory, dh_term_table **out);
void dh_term_table_free(dh_term_table *table);

/* Counts the n-grams of all documents of the batch (it has spelling). out: as of dh_term_table_flush. */
dh_status dh_term_table_add(dh_term_table *table, const dh_batch *batch, dh_buffer *out);

/* Appends what was counted and empties the table: for each n-gram, in the order in which they first occurred:
 * bytes of its UTF-8 (LEB128), the UTF-8, how often it occurs (LEB128), in how many documents (LEB128). */
dh_status dh_term_table_flush(dh_term_table *table, dh_buffer *out);

/* Reads one from *bytes on, and moves it. *key: XXH3-64 of the term. False when the bytes do not hold it. */
bool dh_term_decode(const uint8_t **bytes, const uint8_t *end, const uint8_t **term, uint32_t *size,
                    uint64_t *frequency, uint64_t *documents);

#endif
