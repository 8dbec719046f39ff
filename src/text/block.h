/* dhatu: 64 bytes of text of any script at a time, for processors with AVX-512.
 *
 * Characters of one to three bytes that map to as many bytes, or separate tokens, are looked up by their last
 * byte in a table of their 64 neighbours: one permutation of bytes does it for all characters of a block that
 * share the bytes before. A block of most texts needs one to three such pages. */
#ifndef DH_TEXT_BLOCK_H
#define DH_TEXT_BLOCK_H

#include "text/unicode.h"

enum { DH_BLOCK = 64, DH_PAGE = 64, DH_PAGES = 0x10000 / DH_PAGE, DH_ASCII = 128 };

/* DH_CLASS_HARD: to be taken one by one, as it changes its size or depends on what stands around it. */
enum { DH_CLASS_WORD = 1, DH_CLASS_SINGLE = 2, DH_CLASS_HARD = 4 };

/* 64 code points that differ in the last byte of their UTF-8. */
typedef struct dh_page {
    uint8_t mapped[3][DH_PAGE]; /* the bytes of the mapped character; not of hard ones */
    uint8_t class[DH_PAGE];     /* DH_CLASS_* or 0: separates */
    bool changes;               /* some are mapped to others */
} dh_page;

typedef struct dh_blocks {
    dh_unicode *unicode;
    uint8_t lower[DH_ASCII], class[DH_ASCII];
    dh_page *page[DH_PAGES];
} dh_blocks;

/* What a block holds; bit i speaks of byte i. As in the tokeniser's stage. */
typedef struct dh_block_masks {
    uint64_t word, single_first, single_last;
} dh_block_masks;

/* Can this build and this processor do it, with these features (DH_CPU_*)? */
bool dh_blocks_are_available(uint32_t features);

/* underscore: part of words, as in DH_TOKENS_SKLEARN. unicode must outlive it. Errors: DH_NO_MEMORY (logged).
 */
dh_status dh_blocks_create(dh_unicode *unicode, bool underscore, dh_blocks **out);
void dh_blocks_free(dh_blocks *blocks);

/* Takes the characters at the front of text (size > 0, well-formed, at the beginning of a character), at most
 * DH_BLOCK bytes and up to the first one that is hard. Writes DH_BLOCK bytes to `mapped`, of which as many
 * are meant as were taken. *taken may be 0. Errors: DH_NO_MEMORY (logged). */
dh_status dh_blocks_take(dh_blocks *blocks, const uint8_t *text, size_t size, uint8_t *mapped,
                         dh_block_masks *masks, size_t *taken);

/* Writes the places of the bits, from `base` on; up to DH_BLOCK places are written in any case. Returns how
 * many they are. */
size_t dh_blocks_places(uint64_t bits, size_t base, uint16_t *place);

enum { DH_BLOCK_TOKENS = 256, DH_BLOCK_LANES = 16, DH_SIZE_CLASSES = 4 };

/* Lists the tokens first to first + count - 1, at most DH_BLOCK_TOKENS, by their size: up to 3, 8, 16 bytes,
 * and longer. Token i lies from edge[2 * i] to edge[2 * i + 1]. */
void dh_blocks_sort(const uint16_t *edge, size_t first, size_t count,
                    uint16_t list[DH_SIZE_CLASSES][DH_BLOCK_TOKENS + DH_BLOCK_LANES],
                    size_t listed[DH_SIZE_CLASSES]);

#endif
