#include "text/block.h"

#include "base/buffer.h"
#include "kernels/backend.h"
#include "kernels/cpu.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define DH_BLOCKS_X86 1
#include <immintrin.h>
#else
#define DH_BLOCKS_X86 0
#endif

bool dh_blocks_are_available(uint32_t features)
{
    return DH_BLOCKS_X86 != 0 && (features & dh_cpu_features() & DH_CPU_AVX512) != 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* size: of the character in UTF-8. */
static uint8_t class_of(const dh_character *character, size_t size)
{
    const unsigned all = (1u << size) - 1;
    if (character->flags != 0 || character->size == 0) {
        return DH_CLASS_HARD;
    }
    if (character->word == 0 && character->single_first == 0) {
        return 0;
    }
    if (character->size == size && character->word == all && character->single_first == 0) {
        return DH_CLASS_WORD;
    }
    if (character->size == size && character->word == 0 && character->single_first == 1 &&
        character->single_last == 1u << (size - 1)) {
        return DH_CLASS_SINGLE;
    }
    return DH_CLASS_HARD;
}

static dh_status make_page(dh_blocks *blocks, uint32_t number)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_page), "a tokeniser", &memory));
    dh_page *page = memory;
    for (uint32_t i = 0; i < DH_PAGE; i++) {
        const uint32_t code_point = number * DH_PAGE + i;
        uint8_t utf8[4] = {0};
        const size_t size = dh_utf8_encode(code_point, utf8);
        const dh_character *character = dh_unicode_character(blocks->unicode, code_point);
        if (character == NULL) {
            free(page);
            return DH_NO_MEMORY;
        }
        page->class[i] = class_of(character, size);
        const bool is_token = page->class[i] == DH_CLASS_WORD || page->class[i] == DH_CLASS_SINGLE;
        const uint8_t *mapped = is_token ? character->utf8 : utf8;
        for (size_t k = 0; k < 3; k++) {
            page->mapped[k][i] = mapped[k];
        }
        page->changes = page->changes || memcmp(mapped, utf8, size) != 0;
    }
    blocks->page[number] = page;
    return DH_OK;
}

dh_status dh_blocks_create(dh_unicode *unicode, bool underscore, dh_blocks **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_blocks), "a tokeniser", &memory));
    dh_blocks *blocks = memory;
    blocks->unicode = unicode;
    for (uint32_t c = 0; c < DH_ASCII; c++) {
        const dh_character *character = dh_unicode_character(unicode, c);
        if (character == NULL) {
            free(blocks);
            return DH_NO_MEMORY;
        }
        blocks->lower[c] = character->utf8[0];
        blocks->class[c] = underscore && c == '_' ? DH_CLASS_WORD : class_of(character, 1);
    }
    *out = blocks;
    return DH_OK;
}

void dh_blocks_free(dh_blocks *blocks)
{
    if (blocks != NULL) {
        for (size_t i = 0; i < DH_PAGES; i++) {
            free(blocks->page[i]);
        }
        free(blocks);
    }
}

#if DH_BLOCKS_X86

/* ---- a block --------------------------------------------------------------------------------- */

#define AVX512                                                                                               \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt,"       \
                          "lzcnt")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/* Pages that a block is looked up in at the most: with more it is faster one by one. */
enum { PAGES_AT_ONCE = 8 };

typedef struct block_state {
    __m512i byte, next, third; /* each byte, the one behind it, and the one behind that */
    __m512i mapped;
    __m512i class;                /* at the first byte of characters that are not ASCII */
    uint64_t two, three, pending; /* first bytes of characters of two and of three bytes, of those not done */
} block_state;

AVX512_INLINE __m512i permute(const uint8_t *table, __m512i index)
{
    return _mm512_permutexvar_epi8(index, _mm512_loadu_si512(table));
}

/* Looks up all characters of two bytes that begin with this one. */
AVX512_INLINE void look_up_two(block_state *block, const dh_page *page, uint8_t first)
{
    const uint64_t same = _mm512_mask_cmpeq_epi8_mask(block->two, block->byte, _mm512_set1_epi8((char)first));
    block->class = _mm512_mask_mov_epi8(block->class, same, permute(page->class, block->next));
    if (page->changes) {
        __m512i mapped = _mm512_mask_mov_epi8(block->mapped, same, permute(page->mapped[0], block->next));
        block->mapped = _mm512_mask_mov_epi8(mapped, same << 1, permute(page->mapped[1], block->byte));
    }
    block->pending &= ~same;
}

AVX512_INLINE void look_up_three(block_state *block, const dh_page *page, uint8_t first, uint8_t second)
{
    const uint64_t same = _mm512_mask_cmpeq_epi8_mask(
        _mm512_mask_cmpeq_epi8_mask(block->three, block->byte, _mm512_set1_epi8((char)first)), block->next,
        _mm512_set1_epi8((char)second));
    block->class = _mm512_mask_mov_epi8(block->class, same, permute(page->class, block->third));
    if (page->changes) {
        __m512i mapped = _mm512_mask_mov_epi8(block->mapped, same, permute(page->mapped[0], block->third));
        mapped = _mm512_mask_mov_epi8(mapped, same << 1, permute(page->mapped[1], block->next));
        block->mapped = _mm512_mask_mov_epi8(mapped, same << 2, permute(page->mapped[2], block->byte));
    }
    block->pending &= ~same;
}

/* Looks up what is pending, up to PAGES_AT_ONCE pages. */
AVX512_INLINE dh_status look_up(dh_blocks *blocks, const uint8_t *text, block_state *block)
{
    for (int turn = 0; block->pending != 0 && turn < PAGES_AT_ONCE; turn++) {
        const unsigned at = (unsigned)_tzcnt_u64(block->pending);
        const uint8_t first = text[at];
        const uint8_t second = text[at + 1];
        const bool is_two = first < 0xE0;
        const uint32_t number = is_two ? first & 0x1Fu : (first & 0x0Fu) << 6 | (second & 0x3Fu);
        if (__builtin_expect(blocks->page[number] == NULL, 0)) {
            DH_TRY(make_page(blocks, number));
        }
        if (is_two) {
            look_up_two(block, blocks->page[number], first);
        } else {
            look_up_three(block, blocks->page[number], first, second);
        }
    }
    return DH_OK;
}

/* The first `count` bits. */
AVX512_INLINE uint64_t low_bits(size_t count)
{
    return count < 64 ? _bzhi_u64(UINT64_MAX, (unsigned)count) : UINT64_MAX;
}

/* How many of the bytes before `cut` can be taken: not the last character if what follows may compose with
 * it. */
static dh_status hold_back(dh_blocks *blocks, const uint8_t *text, size_t size, size_t *cut)
{
    if (*cut == size || *cut == 0 || text[*cut] < 0x80) {
        return DH_OK;
    }
    size_t length = 0;
    const dh_character *next = dh_unicode_character(blocks->unicode, dh_utf8_decode(text + *cut, &length));
    if (next == NULL) {
        return DH_NO_MEMORY;
    }
    if ((next->flags & DH_CHARACTER_UNSTABLE) != 0) {
        do {
            --*cut;
        } while ((text[*cut] & 0xC0) == 0x80);
    }
    return DH_OK;
}

AVX512_INLINE uint64_t of_class(uint64_t bytes, __m512i class, int wanted)
{
    return _mm512_mask_test_epi8_mask(bytes, class, _mm512_set1_epi8((char)wanted));
}

/* The characters of a block that are not ASCII. Adds their bits to masks, and gives the place of the first
 * one that is not taken in *cut. */
AVX512_INLINE dh_status take_wide(dh_blocks *blocks, const uint8_t *text, uint64_t inside, block_state *block,
                                  dh_block_masks *masks, size_t *cut)
{
    const uint64_t from_two = _mm512_cmpge_epu8_mask(block->byte, _mm512_set1_epi8((char)0xC0));
    const uint64_t from_three = _mm512_cmpge_epu8_mask(block->byte, _mm512_set1_epi8((char)0xE0));
    const uint64_t four = _mm512_cmpge_epu8_mask(block->byte, _mm512_set1_epi8((char)0xF0));
    /* Characters that are not whole in the block are not taken. */
    const uint64_t broken = (from_two & ~(inside >> 1)) | (from_three & ~(inside >> 2));
    block->next = _mm512_maskz_loadu_epi8(inside >> 1, text + 1);
    block->third = _mm512_maskz_loadu_epi8(inside >> 2, text + 2);
    block->class = _mm512_setzero_si512();
    block->two = from_two & ~from_three & ~broken;
    block->three = from_three & ~four & ~broken;
    block->pending = block->two | block->three;
    DH_TRY(look_up(blocks, text, block));
    const uint64_t hard = four | broken | block->pending | of_class(from_two, block->class, DH_CLASS_HARD);
    const uint64_t word = of_class(from_two, block->class, DH_CLASS_WORD);
    const uint64_t single = of_class(from_two, block->class, DH_CLASS_SINGLE);
    masks->word |= word | word << 1 | (word & from_three) << 2;
    masks->single_first |= single;
    masks->single_last |= (single & ~from_three) << 1 | (single & from_three) << 2;
    if (hard != 0) {
        *cut = (size_t)_tzcnt_u64(hard);
    }
    return DH_OK;
}

AVX512 dh_status dh_blocks_take(dh_blocks *blocks, const uint8_t *text, size_t size, uint8_t *mapped,
                                dh_block_masks *masks, size_t *taken)
{
    size_t cut = size < DH_BLOCK ? size : DH_BLOCK;
    const uint64_t inside = low_bits(cut);
    block_state block;
    block.byte = _mm512_maskz_loadu_epi8(inside, text);
    const uint64_t ascii = inside & ~(uint64_t)_mm512_movepi8_mask(block.byte);
    const __m512i lower = _mm512_permutex2var_epi8(_mm512_loadu_si512(blocks->lower), block.byte,
                                                   _mm512_loadu_si512(blocks->lower + DH_BLOCK));
    const __m512i class = _mm512_permutex2var_epi8(_mm512_loadu_si512(blocks->class), block.byte,
                                                   _mm512_loadu_si512(blocks->class + DH_BLOCK));
    const uint64_t symbol = of_class(ascii, class, DH_CLASS_SINGLE);
    dh_block_masks found = {of_class(ascii, class, DH_CLASS_WORD), symbol, symbol};
    block.mapped = _mm512_mask_mov_epi8(block.byte, ascii, lower);
    if (ascii != inside) {
        DH_TRY(take_wide(blocks, text, inside, &block, &found, &cut));
    }
    DH_TRY(hold_back(blocks, text, size, &cut));
    _mm512_storeu_si512(mapped, block.mapped);
    const uint64_t kept = low_bits(cut);
    *masks = (dh_block_masks){found.word & kept, found.single_first & kept, found.single_last & kept};
    *taken = cut;
    return DH_OK;
}

AVX512 size_t dh_blocks_places(uint64_t bits, size_t base, uint16_t *place)
{
    const __m512i index =
        _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43,
                        42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22,
                        21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i places = _mm512_maskz_compress_epi8(bits, index);
    const __m512i start = _mm512_set1_epi16((short)base);
    const size_t count = (size_t)_mm_popcnt_u64(bits);
    _mm512_storeu_si512(place, _mm512_add_epi16(start, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(places))));
    if (count > DH_BLOCK / 2) {
        _mm512_storeu_si512(
            place + DH_BLOCK / 2,
            _mm512_add_epi16(start, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(places, 1))));
    }
    return count;
}

AVX512 void dh_blocks_sort(const uint16_t *edge, size_t first, size_t count,
                           uint16_t list[DH_SIZE_CLASSES][DH_BLOCK_TOKENS + DH_BLOCK_LANES],
                           size_t listed[DH_SIZE_CLASSES])
{
    const __m256i step = _mm256_set_epi16(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    memset(listed, 0, DH_SIZE_CLASSES * sizeof *listed);
    for (size_t i = 0; i < count; i += DH_BLOCK_LANES) {
        const __mmask16 there = (__mmask16)low_bits(count - i);
        const __m512i edges = _mm512_maskz_loadu_epi32(there, edge + 2 * (first + i));
        const __m512i size = _mm512_sub_epi32(_mm512_srli_epi32(edges, 16),
                                              _mm512_and_si512(edges, _mm512_set1_epi32(UINT16_MAX)));
        const __m256i index = _mm256_add_epi16(step, _mm256_set1_epi16((short)(first + i)));
        __mmask16 left = there;
        for (int c = 0; c < DH_SIZE_CLASSES; c++) {
            static const int most[DH_SIZE_CLASSES] = {3, 8, 16, UINT16_MAX};
            const __mmask16 fits = _mm512_mask_cmple_epi32_mask(left, size, _mm512_set1_epi32(most[c]));
            _mm256_storeu_si256((__m256i *)(void *)(list[c] + listed[c]),
                                _mm256_maskz_compress_epi16(fits, index));
            listed[c] += (size_t)_mm_popcnt_u32(fits);
            left = (__mmask16)(left & ~fits);
        }
    }
}

#else

void dh_blocks_sort(const uint16_t *edge, size_t first, size_t count,
                    uint16_t list[DH_SIZE_CLASSES][DH_BLOCK_TOKENS + DH_BLOCK_LANES],
                    size_t listed[DH_SIZE_CLASSES])
{
    (void)edge;
    (void)first;
    (void)count;
    (void)list;
    (void)listed;
}

/* Never called: dh_blocks_are_available. */
dh_status dh_blocks_take(dh_blocks *blocks, const uint8_t *text, size_t size, uint8_t *mapped,
                         dh_block_masks *masks, size_t *taken)
{
    (void)blocks;
    (void)text;
    (void)size;
    (void)mapped;
    (void)masks;
    *taken = 0;
    return DH_INTERNAL;
}

size_t dh_blocks_places(uint64_t bits, size_t base, uint16_t *place)
{
    (void)bits;
    (void)base;
    (void)place;
    return 0;
}

#endif
