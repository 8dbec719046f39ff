/* dhatu: lexicons, from files to the tables that kernels read.
 *
 * Two formats, told apart by content: dhatu's own (docs/formats.md, "Lexicon") and LIWC's .dic. All
 * lexicons of a run have the same categories in the same order. */
#ifndef DH_LEXICON_LEXICON_H
#define DH_LEXICON_LEXICON_H

#include "base/status.h"
#include "kernels/profile.h"
#include "text/tokens.h"

enum { DH_LEXICONS_MAX = 64 };

typedef struct dh_lexicons dh_lexicons;

/* An empty set. Terms will be tokenised in this mode, as the documents. Owner frees. */
dh_status dh_lexicons_create(dh_token_mode mode, dh_lexicons **out);
void dh_lexicons_free(dh_lexicons *lexicons);

/* Reads one file. Errors: DH_USAGE (logged as path:line: reason), DH_IO, DH_NO_MEMORY. After an error the set
 * can only be freed. */
dh_status dh_lexicons_load(dh_lexicons *lexicons, const char *path);

/* Makes the tables; nothing can be loaded after it. Errors: DH_USAGE (no lexicon), DH_NO_MEMORY. */
dh_status dh_lexicons_compile(dh_lexicons *lexicons);

/* Valid after dh_lexicons_compile, as long as the set. */
const dh_profile_tables *dh_lexicons_tables(const dh_lexicons *lexicons);
const char *const *dh_lexicons_categories(const dh_lexicons *lexicons);
/* The prefixes of one lexicon, or with DH_LEXICONS_MAX of all. */
const dh_prefix_set *dh_lexicons_prefixes(const dh_lexicons *lexicons, uint32_t index);

uint32_t dh_lexicons_count(const dh_lexicons *lexicons);

/* What the result records of a lexicon. Strings live as long as the set. */
typedef struct dh_lexicon_facts {
    const char *name;
    const char *language; /* "fr", or "*" for any */
    const char *sha256;   /* of the file, hexadecimal */
    uint32_t terms, negators, function_words;
} dh_lexicon_facts;

dh_lexicon_facts dh_lexicons_facts(const dh_lexicons *lexicons, uint32_t index);

/* The lexicon for a language (dh_language code): its own, else one for any language, else DH_NO_LEXICON. */
uint16_t dh_lexicons_find(const dh_lexicons *lexicons, uint16_t language);

/* Guesses a document's language from the function words among its first tokens: the language with most of
 * them, if it has more than any other and they are at least one token in 25. Else DH_LANGUAGE_UNKNOWN. */
uint16_t dh_lexicons_vote(const dh_lexicons *lexicons, const uint64_t *token, uint64_t count);

#endif
