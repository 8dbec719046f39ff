/* dhatu: exact counts of n-grams over the corpus (jobs vocab and features).
 *
 * While documents are read, the n-grams of a chunk are counted in a table and spilled with it (run/terms.h);
 * the shuffle brings the counts of an n-gram together. Two n-grams are the same when their bytes are: hashes
 * only find them. */
#ifndef DH_REDUCE_TERMS_H
#define DH_REDUCE_TERMS_H

#include "reduce/step.h"

/* Bytes of a term in the list of the commonest at most; longer ones are cut there at a character, and whole
 * in reduce->vocab_tsv. */
enum { DH_TERM_WIDTH_MAX = 256 };

/* A longer term is counted as these first bytes of it, cut at a character, a "#" and its XXH3-128 in
 * hexadecimal. */
enum { DH_TERM_BYTES_MAX = 1 << 14 };

/* The stage "terms": key XXH3-64 of the n-gram, name its UTF-8, value two 64-bit numbers: how often it
 * occurs, in how many documents. */
typedef struct dh_terms {
    bool is_there;
    dh_stage stage;
    uint64_t terms, occurrences; /* different n-grams; all of them */
    /* Of job vocab, on rank 0: the `top_count` commonest, by frequency, then by the bytes of the term. */
    uint64_t top_count;
    uint32_t term_width; /* bytes of the longest of these */
    char *term;          /* top_count x term_width, NUL-padded */
    uint64_t *frequency, *documents;
} dh_terms;

/* COLLECTIVE. Also writes reduce->vocab_tsv: a header, then term, frequency, documents, by frequency, then by
 * bytes. */
dh_status dh_reduce_terms(const dh_reduce *reduce, dh_terms *out);
void dh_terms_free(dh_terms *terms);

/* Bytes of --memory that a list of the `top` commonest terms takes on rank 0 at least, with terms of 8 bytes:
 * numbers and bytes, as they are brought together and as they are written. */
uint64_t dh_terms_memory(uint64_t top);

/* Bytes that are kept for the writer by this rank. */
static inline uint64_t dh_terms_kept(const dh_terms *terms)
{
    return terms->top_count * (terms->term_width + 2 * sizeof(uint64_t));
}

/* dh_comm_agree behind work that ranks did each by itself: where this one failed, the others stop soon.
 * COLLECTIVE. */
dh_status dh_terms_agree(const dh_reduce *reduce, dh_status status);

/* Calls visit for this rank's share of the terms, by key. Not collective. Errors: DH_IO, DH_NO_MEMORY
 * (logged), the watch's, what visit returns. */
typedef dh_status dh_term_visitor(void *context, const uint8_t *term, uint32_t size, uint64_t frequency,
                                  uint64_t documents);
dh_status dh_terms_visit(const dh_reduce *reduce, const dh_terms *terms, dh_term_visitor *visit,
                         void *context);

/* The part of dh_reduce_terms behind the counting: the order by frequency, for the commonest and the file.
 * COLLECTIVE. */
dh_status dh_terms_rank(const dh_reduce *reduce, dh_terms *terms);

/* On rank 0: uns/dhatu/vocab. */
dh_status dh_terms_emit(const dh_terms *terms, dh_emitter *emitter);

#endif
