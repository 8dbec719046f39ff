/* dhatu: the search for lexicon prefixes at the front of tokens. The public calls are in tokens.h.
 *
 * Most tokens are turned away by a bitmap of the first four bytes of the prefixes (of three for those that
 * have no more). For the others a memo tells what the same word met before, or a table of lengths tells which
 * of their fronts of 1 to 8 bytes to look up in a hash table, behind another bitmap. Prefixes longer than
 * that go on from their first 8 bytes in a trie, byte by byte. */
#ifndef DH_TEXT_PREFIXES_H
#define DH_TEXT_PREFIXES_H

#include "text/tokens.h"

#include <stdbool.h>

enum {
    DH_PREFIX_MAX = 255,
    DH_PREFIX_HEAD = 8,        /* bytes of the longest head */
    DH_PREFIX_LEADS = 1 << 16, /* hashed first bytes */
};

/* A prefix of a lexicon that ends at a head or at an edge of the trie. */
typedef struct dh_prefix_end {
    uint64_t hash;
    uint32_t lexicon;
    uint32_t next; /* index of the next end at the same place, of a higher lexicon; 0: none */
} dh_prefix_end;

/* A slot of one of the two hash tables. Of the heads: key is the bytes, the first one lowest. Of the trie:
 * key is parent << 8 | byte. */
typedef struct dh_prefix_slot {
    uint64_t key;
    uint32_t length; /* of the head; 1 in the trie; 0: an empty slot */
    uint32_t end;    /* index of the first end here; 0: none */
    uint32_t node;   /* of the trie, from which longer prefixes go on; 0: none */
} dh_prefix_slot;

typedef struct dh_prefix_table {
    dh_prefix_slot *slot;
    size_t count, slots; /* slots: a power of two */
} dh_prefix_table;

struct dh_prefix_set {
    uint64_t four[DH_PREFIX_LEADS / 64];  /* by the first four bytes of prefixes of four and more */
    uint64_t three[DH_PREFIX_LEADS / 64]; /* by the bytes of prefixes of three */
    bool has_three;
    uint64_t heads[DH_PREFIX_LEADS / 64]; /* by the hash of the heads, first bytes and length */
    uint8_t short_lengths[256];           /* by the first byte: bit 0, 1: there are prefixes of 1, 2 bytes */
    uint8_t lengths[DH_PREFIX_LEADS];     /* by the first four: bit 3 to 6: of 4 to 7; bit 7: of 8 and more */
    dh_prefix_table head, trie;
    dh_prefix_end *end; /* index 0 is not used */
    size_t end_count, end_capacity;
    uint32_t node_count;
};

/* What the search found for words seen before: nearly all tokens of a text are repetitions. A place holds the
 * last word that fell on it. One memo serves one tokeniser, for any number of sets. */
enum { DH_PREFIX_MEMO_PLACES = 1 << 15, DH_PREFIX_MEMO_ENDS = 4 };

typedef struct dh_prefix_memo {
    uint64_t key;                      /* of the token and the set; 0: empty */
    uint16_t end[DH_PREFIX_MEMO_ENDS]; /* its hits in order, as indices of ends; 0: no more */
} dh_prefix_memo;

/* How many tokens can be searched by one call. */
enum { DH_PREFIX_TOKENS = 256 };

/* Appends the hits of `count` tokens, ordered, to the sink; the first token has number `index`. Token i lies
 * in text from edge[2 * i] to edge[2 * i + 1]; its first DH_PREFIX_MAX bytes are enough, and
 * DH_PREFIX_HEAD bytes must be readable even where it is shorter. hash has the tokens' hashes, memo
 * DH_PREFIX_MEMO_PLACES places. Errors: DH_NO_MEMORY (logged). */
dh_status dh_prefix_set_find(const dh_prefix_set *set, dh_prefix_memo *memo, const uint8_t *text,
                             const uint16_t *edge, const uint64_t *hash, size_t count, uint32_t index,
                             dh_token_sink *sink);

#endif
