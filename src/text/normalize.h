/* dhatu: NFKC of a stream of code points, in bounded memory.
 *
 * Code points are decomposed as they come. A starter, with the marks behind it, is held until the next
 * starter that does not compose with it; then the marks are put in canonical order (a stable counting
 * sort, so that long runs of marks take linear time), composed and given out. A run of
 * DH_MARKS_MAX marks without a starter is cut there: what follows is normalised on its own. */
#ifndef DH_TEXT_NORMALIZE_H
#define DH_TEXT_NORMALIZE_H

#include "base/buffer.h"
#include "text/unicode.h"

enum { DH_MARKS_MAX = 65536 };

/* Takes one code point of the normalised text (not yet folded). A status other than DH_OK ends the call. */
typedef dh_status dh_normalizer_output(void *context, uint32_t code_point);

/* The memory is freed by dh_normalizer_free. Set unicode (DH_MAPPING_CASEFOLD), output and context; all
 * else starts as zero. After a failure dh_normalizer_reset makes it usable again. */
typedef struct dh_normalizer {
    dh_unicode *unicode;
    dh_normalizer_output *output;
    void *context;
    uint32_t *held;      /* [starter] marks */
    uint32_t *ordered;   /* as large, for sorting */
    uint8_t *held_class; /* their combining classes; 0 only at index 0 */
    size_t held_count, capacity;
} dh_normalizer;

void dh_normalizer_free(dh_normalizer *normalizer);
void dh_normalizer_reset(dh_normalizer *normalizer);

/* Errors of both: DH_NO_MEMORY (logged) and those of output. */
dh_status dh_normalizer_push(dh_normalizer *normalizer, uint32_t code_point);
dh_status dh_normalizer_flush(dh_normalizer *normalizer);

/* Appends NFKC and full case folding of text (well-formed UTF-8) to out: the definition of "normalised", for
 * lexicons and tests. Errors: DH_NO_MEMORY (logged). */
dh_status dh_nfkc_casefold(dh_unicode *unicode, const uint8_t *text, size_t size, dh_buffer *out);

#endif
