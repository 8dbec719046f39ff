#include "text/unicode.h"

#include "base/buffer.h"
#include "base/log.h"
#include "text/scripts.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Hangul syllables are composed by arithmetic (Unicode 15, section 3.12). */
enum {
    HANGUL_S = 0xAC00,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11A7, /* one before the first trailing consonant */
    HANGUL_L_COUNT = 19,
    HANGUL_V_COUNT = 21,
    HANGUL_T_COUNT = 28,
    HANGUL_S_COUNT = HANGUL_L_COUNT * HANGUL_V_COUNT * HANGUL_T_COUNT
};

enum { SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, CAPITAL_I_DOT = 0x130 };

/* ---- decomposition, folding ----------------------------------------------------------------- */

/* utf8proc's mapping of one code point, or the code point itself where utf8proc refuses it. */
static size_t map_one(uint32_t code_point, utf8proc_option_t options, uint32_t *out, size_t limit)
{
    utf8proc_int32_t mapped[DH_DECOMPOSITION_MAX];
    int unused = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code_point, mapped,
                                                           (utf8proc_ssize_t)limit, options, &unused);
    if (count < 1 || (size_t)count > limit) {
        out[0] = code_point;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        out[i] = (uint32_t)mapped[i];
    }
    return (size_t)count;
}

size_t dh_unicode_decompose(uint32_t code_point, uint32_t out[DH_DECOMPOSITION_MAX])
{
    return map_one(code_point, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, out, DH_DECOMPOSITION_MAX);
}

size_t dh_unicode_fold(uint32_t code_point, uint32_t out[DH_FOLDING_MAX])
{
    return map_one(code_point, UTF8PROC_CASEFOLD, out, DH_FOLDING_MAX);
}

static size_t lower(uint32_t code_point, uint32_t out[DH_FOLDING_MAX])
{
    if (code_point == CAPITAL_I_DOT) { /* the only unconditional mapping to several (SpecialCasing.txt) */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code_point);
    return 1;
}

/* ---- composition ---------------------------------------------------------------------------- */

static size_t pair_slot(uint32_t first, uint32_t second)
{
    const uint64_t key = ((uint64_t)first << 32 | second) * 0x9E3779B97F4A7C15u;
    return (size_t)(key >> 52); /* 12 bits: DH_PAIR_SLOTS */
}

static uint32_t compose_hangul(uint32_t first, uint32_t second)
{
    if (first - HANGUL_L < HANGUL_L_COUNT && second - HANGUL_V < HANGUL_V_COUNT) {
        return HANGUL_S + ((first - HANGUL_L) * HANGUL_V_COUNT + (second - HANGUL_V)) * HANGUL_T_COUNT;
    }
    if (first - HANGUL_S < HANGUL_S_COUNT && (first - HANGUL_S) % HANGUL_T_COUNT == 0 && second > HANGUL_T &&
        second < HANGUL_T + HANGUL_T_COUNT) {
        return first + (second - HANGUL_T);
    }
    return 0;
}

uint32_t dh_unicode_compose(const dh_unicode *unicode, uint32_t first, uint32_t second)
{
    for (size_t i = pair_slot(first, second); unicode->pair[i].composite != 0; i = (i + 1) % DH_PAIR_SLOTS) {
        if (unicode->pair[i].first == first && unicode->pair[i].second == second) {
            return unicode->pair[i].composite;
        }
    }
    return compose_hangul(first, second);
}

static dh_status add_pair(dh_unicode *unicode, dh_pair pair)
{
    size_t known = 0;
    while (known < unicode->second_count && unicode->second[known] != pair.second) {
        known++;
    }
    if (unicode->pair_count == DH_PAIRS_MAX || known == DH_SECONDS_MAX) {
        return dh_error(DH_INTERNAL, "utf8proc %s has more composition pairs than dhatu has room for",
                        utf8proc_version());
    }
    if (known == unicode->second_count) {
        unicode->second[unicode->second_count++] = pair.second;
    }
    size_t i = pair_slot(pair.first, pair.second);
    while (unicode->pair[i].composite != 0) {
        i = (i + 1) % DH_PAIR_SLOTS;
    }
    unicode->pair[i] = pair;
    unicode->pair_count++;
    return DH_OK;
}

/* A code point is a primary composite when it has a canonical decomposition of several code points that
 * NFC puts together again. Its pair is what NFC makes of all but the last of them, and the last. */
static dh_status add_pair_of(dh_unicode *unicode, uint32_t code_point)
{
    const utf8proc_option_t compose = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    uint32_t part[DH_DECOMPOSITION_MAX];
    utf8proc_int32_t work[DH_DECOMPOSITION_MAX];
    const size_t count = map_one(code_point, UTF8PROC_DECOMPOSE, part, DH_DECOMPOSITION_MAX);
    if (count < 2) {
        return DH_OK;
    }
    memcpy(work, part, count * sizeof part[0]);
    if (utf8proc_normalize_utf32(work, (utf8proc_ssize_t)count, compose) != 1 ||
        (uint32_t)work[0] != code_point) {
        return DH_OK;
    }
    memcpy(work, part, (count - 1) * sizeof part[0]);
    if (utf8proc_normalize_utf32(work, (utf8proc_ssize_t)count - 1, compose) != 1) {
        return DH_OK;
    }
    return add_pair(unicode, (dh_pair){(uint32_t)work[0], part[count - 1], code_point});
}

/* Canonical composites outside these ranges are Hangul syllables; ideographs and private use have none. */
static dh_status find_pairs(dh_unicode *unicode)
{
    static const uint32_t range[][2] = {
        {0xC0, 0x33FF}, {0xA000, 0xABFF}, {0xF900, 0xFFFF}, {0x10000, 0x1FFFF}};
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++) {
        for (uint32_t c = range[i][0]; c <= range[i][1]; c++) {
            DH_TRY(add_pair_of(unicode, c));
        }
    }
    return DH_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* True when code_point may compose with the starter before it. The whole jamo block is taken, although
 * only its modern vowels and trailing consonants compose. */
static bool is_second(const dh_unicode *unicode, uint32_t code_point)
{
    if (code_point >= 0x1160 && code_point <= 0x11FF) {
        return true;
    }
    for (size_t i = 0; i < unicode->second_count; i++) {
        if (unicode->second[i] == code_point) {
            return true;
        }
    }
    return false;
}

static bool is_letter_or_number(utf8proc_category_t category)
{
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static bool is_mark(utf8proc_category_t category)
{
    return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

/* Appends a mapped code point to an entry. False: there is no room for it. */
static bool add_mapped(dh_mapping mapping, uint32_t code_point, dh_character *entry)
{
    uint8_t bytes[4];
    const size_t length = dh_utf8_encode(code_point, bytes);
    if (entry->size + length > sizeof entry->utf8) {
        return false;
    }
    memcpy(entry->utf8 + entry->size, bytes, length);
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    const unsigned mask = ((1u << length) - 1) << entry->size;
    const size_t last = entry->size + length - 1;
    bool word = is_letter_or_number(category);
    bool single = false;
    if (mapping == DH_MAPPING_LOWER) {
        word = word || code_point == '_';
    } else {
        word = word || is_mark(category);
        single = category == UTF8PROC_CATEGORY_SM || (word && dh_script_is_unspaced(code_point));
    }
    if (single) {
        entry->single_first = (uint8_t)(entry->single_first | 1u << entry->size);
        entry->single_last = (uint8_t)(entry->single_last | 1u << last);
    } else if (word) {
        entry->word = (uint8_t)(entry->word | mask);
    }
    entry->size = (uint8_t)(entry->size + length);
    return true;
}

static uint8_t combining_class(uint32_t code_point)
{
    return (uint8_t)utf8proc_get_property((utf8proc_int32_t)code_point)->combining_class;
}

/* NFKC of one code point, in place: `part` holds its decomposition. Decompositions of single code points
 * are in canonical order already, except that a starter may follow a mark. */
static size_t compose_parts(const dh_unicode *unicode, uint32_t *part, size_t count)
{
    size_t starter = SIZE_MAX;
    size_t used = 0;
    uint8_t last_class = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t class = combining_class(part[i]);
        const bool adjacent = starter != SIZE_MAX && starter + 1 == used;
        if (adjacent || (starter != SIZE_MAX && class > last_class)) {
            const uint32_t composite = dh_unicode_compose(unicode, part[starter], part[i]);
            if (composite != 0) {
                part[starter] = composite;
                continue;
            }
        }
        if (class == 0) {
            starter = used;
        }
        last_class = class;
        part[used++] = part[i];
    }
    return used;
}

static void fill_casefold(const dh_unicode *unicode, uint32_t code_point, dh_character *entry)
{
    uint32_t part[DH_DECOMPOSITION_MAX];
    size_t count = dh_unicode_decompose(code_point, part);
    entry->combining_class = combining_class(code_point);
    if (combining_class(part[0]) != 0 || is_second(unicode, part[0])) {
        entry->flags |= DH_CHARACTER_UNSTABLE;
    }
    count = compose_parts(unicode, part, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t folded[DH_FOLDING_MAX];
        const size_t folded_count = dh_unicode_fold(part[i], folded);
        for (size_t k = 0; k < folded_count; k++) {
            if (!add_mapped(DH_MAPPING_CASEFOLD, folded[k], entry)) {
                entry->flags |= DH_CHARACTER_SPECIAL;
                return;
            }
        }
    }
}

static void fill_lower(uint32_t code_point, dh_character *entry)
{
    uint32_t lowered[DH_FOLDING_MAX];
    const size_t count = lower(code_point, lowered);
    for (size_t i = 0; i < count; i++) {
        (void)add_mapped(DH_MAPPING_LOWER, lowered[i], entry); /* at most 2 code points of 2 bytes, or 1 */
    }
    if (code_point == DH_CAPITAL_SIGMA) {
        entry->flags |= DH_CHARACTER_SPECIAL;
    }
}

const dh_character *dh_unicode_fill(dh_unicode *unicode, uint32_t code_point)
{
    void *memory = NULL;
    if (dh_allocate(DH_UNICODE_BLOCK, sizeof(dh_character), "a block of the Unicode table", &memory) !=
        DH_OK) {
        return NULL;
    }
    dh_character *block = memory;
    const uint32_t first = code_point - code_point % DH_UNICODE_BLOCK;
    for (uint32_t i = 0; i < DH_UNICODE_BLOCK; i++) {
        if (unicode->mapping == DH_MAPPING_CASEFOLD) {
            fill_casefold(unicode, first + i, &block[i]);
        } else {
            fill_lower(first + i, &block[i]);
        }
    }
    unicode->block[code_point / DH_UNICODE_BLOCK] = block;
    return block + code_point % DH_UNICODE_BLOCK;
}

dh_status dh_unicode_create(dh_mapping mapping, dh_unicode **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_unicode), "the Unicode table", &memory));
    dh_unicode *unicode = memory;
    unicode->mapping = mapping;
    const dh_status status = mapping == DH_MAPPING_CASEFOLD ? find_pairs(unicode) : DH_OK;
    if (status != DH_OK) {
        dh_unicode_free(unicode);
        return status;
    }
    *out = unicode;
    return DH_OK;
}

void dh_unicode_free(dh_unicode *unicode)
{
    if (unicode != NULL) {
        for (size_t i = 0; i < DH_UNICODE_BLOCKS; i++) {
            free(unicode->block[i]);
        }
        free(unicode);
    }
}

/* ---- the final sigma ------------------------------------------------------------------------ */

/* Case_Ignorable (Unicode 15, D136): Mn, Me, Cf, Lm, Sk, and these by Word_Break. */
static bool is_case_ignorable(uint32_t code_point)
{
    switch (code_point) {
    case 0x27: /* Single_Quote */
    case 0x2E: /* MidNumLet */
    case 0x2018:
    case 0x2019:
    case 0x2024:
    case 0xFE52:
    case 0xFF07:
    case 0xFF0E:
    case 0x3A: /* MidLetter */
    case 0xB7:
    case 0x387:
    case 0x55F:
    case 0x5F4:
    case 0x2027:
    case 0xFE13:
    case 0xFE55:
    case 0xFF1A:
        return true;
    default:
        break;
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_SK;
}

/* Cased (Unicode 15, D135), for code points that are not case-ignorable: Lu, Ll, Lt, and the letters,
 * numbers and symbols of Other_Lowercase and Other_Uppercase (PropList.txt). */
static bool is_cased(uint32_t code_point)
{
    static const uint32_t other[][2] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                                        {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                                        {0x1F170, 0x1F189}};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        if (code_point >= other[i][0] && code_point <= other[i][1]) {
            return true;
        }
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

uint32_t dh_unicode_lower_sigma(const uint8_t *text, size_t size, size_t at)
{
    size_t length = 0;
    size_t before = at;
    uint32_t code_point = 0;
    bool ignorable = true;
    while (before > 0 && ignorable) {
        do {
            before--;
        } while ((text[before] & 0xC0) == 0x80);
        code_point = dh_utf8_decode(text + before, &length);
        ignorable = is_case_ignorable(code_point);
    }
    if (ignorable || !is_cased(code_point)) {
        return SMALL_SIGMA;
    }
    (void)dh_utf8_decode(text + at, &length);
    size_t after = at + length;
    ignorable = true;
    while (after < size && ignorable) {
        code_point = dh_utf8_decode(text + after, &length);
        ignorable = is_case_ignorable(code_point);
        after += length;
    }
    return ignorable || !is_cased(code_point) ? FINAL_SIGMA : SMALL_SIGMA;
}
