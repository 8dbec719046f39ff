/* dhatu: the parts of `dhatu explain` (docs/operations.md, "Explain"). */
#ifndef DH_COMMANDS_EXPLAIN_H
#define DH_COMMANDS_EXPLAIN_H

#include "commands/result_view.h"
#include "options/options.h"
#include "reduce/neardup_match.h"

enum { DH_EXPLAINED = 2, DH_SHINGLE_SAMPLES = 5 };

/* How near-duplicates were looked for. */
typedef struct dh_explain_settings {
    dh_match match;
    uint32_t shingle_tokens, min_shingles;
    double threshold;
    uint64_t seed;
} dh_explain_settings;

/* What the result says of a document. */
typedef struct dh_explain_document {
    uint64_t row, record, tokens;
    dh_buffer id, source; /* with a NUL behind size */
    dh_buffer against; /* the same: id of the document of an earlier result that it duplicates; empty: none */
    char sha256[64];
    uint64_t offset;
    int64_t exact, cluster; /* -1: none */
    uint64_t cluster_size;
    bool is_kept;
    uint64_t shingles; /* different ones: as many as min_shingles at most, where the result counts them; all,
                          where the document was read again */
} dh_explain_document;

/* What the documents themselves say, once they have been read again. */
typedef struct dh_explain_texts {
    uint64_t both, only[DH_EXPLAINED];         /* different shingles */
    dh_buffer both_sample[DH_SHINGLE_SAMPLES]; /* their tokens */
    dh_buffer only_sample[DH_EXPLAINED][DH_SHINGLE_SAMPLES];
    uint32_t both_samples, only_samples[DH_EXPLAINED];
    bool are_equal; /* the same tokens */
} dh_explain_texts;

typedef struct dh_explain_pair {
    dh_result_view view;
    dh_options run_options; /* as the result records them */
    dh_explain_settings settings;
    dh_explain_document document[DH_EXPLAINED];
    bool has_clusters;          /* the result was made with neardup */
    bool has_signatures;        /* of the result, or made of the sources */
    bool has_estimate;          /* and both documents have shingles: else their signatures tell nothing */
    bool is_bare[DH_EXPLAINED]; /* with signatures: the document has no shingles */
    bool has_shingles;          /* document[].shingles is known */
    bool has_texts;
    uint32_t *signature[DH_EXPLAINED]; /* dh_match_places values each */
    uint32_t equal;                    /* places in which they are equal */
    uint32_t shared_bands;
    dh_explain_texts texts;
} dh_explain_pair;

/* Reads both documents of the sources again: texts, and signatures and shingles. Errors: DH_MISMATCH (they
 * are not the documents of the result; logged), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_explain_read_texts(dh_explain_pair *pair, const char *sources);
void dh_explain_texts_free(dh_explain_texts *texts);

/* Do both signatures agree in the band? */
bool dh_explain_shares_band(const dh_explain_pair *pair, uint32_t band);

/* Appends all that is known, for people or as JSON. */
dh_status dh_explain_print(const dh_explain_pair *pair, bool json, dh_buffer *out);

#endif
