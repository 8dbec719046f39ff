/* UTF-8: table 3-7 of Unicode, maximal subparts, and a byte-at-a-time reference on random bytes. */
#include "text/utf8.h"

#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % limit;
}

/* A copy that ends at the end of its allocation, so that a sanitizer sees every byte read too many. */
static uint8_t *exact_copy(const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

static size_t valid_prefix(const void *bytes, size_t size)
{
    uint8_t *copy = exact_copy(bytes, size);
    const size_t length = dh_utf8_valid_prefix(copy, size);
    assert_int_equal(dh_utf8_valid_prefix_without(UINT32_MAX, copy, size), length);
    free(copy);
    return length;
}

static void expect_repair(const char *bytes, size_t size, const char *expected, uint64_t expected_count)
{
    uint8_t *copy = exact_copy(bytes, size);
    dh_buffer out = {0};
    uint64_t replaced = 100;
    assert_int_equal(dh_utf8_repair(copy, size, &out, &replaced), DH_OK);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.data, expected, out.size);
    assert_int_equal(replaced, 100 + expected_count);
    dh_buffer_free(&out);
    free(copy);
}

#define R "\xEF\xBF\xBD"
#define REPAIR(bytes, expected, count) expect_repair(bytes, sizeof(bytes) - 1, expected, count)

static void encodes_and_decodes_every_scalar_value(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) {
            continue;
        }
        uint8_t bytes[4];
        const size_t length = dh_utf8_encode(c, bytes);
        assert_int_equal(length, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        size_t decoded_length = 0;
        assert_int_equal(dh_utf8_decode(bytes, &decoded_length), c);
        assert_int_equal(decoded_length, length);
        assert_int_equal(dh_utf8_valid_prefix(bytes, length), length);
        for (size_t cut = 1; cut < length; cut++) { /* a sequence cut short is not valid */
            assert_int_equal(dh_utf8_valid_prefix(bytes, cut), 0);
        }
    }
}

/* Every lead byte with every second byte, followed by enough continuation bytes. */
static void follows_table_3_7(void **state)
{
    (void)state;
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        for (unsigned second = 0; second < 0x100; second++) {
            size_t expected = 0;
            const bool continuation = second >= 0x80 && second <= 0xBF;
            if (lead >= 0xC2 && lead <= 0xDF && continuation) {
                expected = 2;
            } else if (lead == 0xE0 && second >= 0xA0 && second <= 0xBF) {
                expected = 3;
            } else if (((lead >= 0xE1 && lead <= 0xEC) || lead == 0xEE || lead == 0xEF) && continuation) {
                expected = 3;
            } else if (lead == 0xED && second >= 0x80 && second <= 0x9F) {
                expected = 3;
            } else if (lead == 0xF0 && second >= 0x90 && second <= 0xBF) {
                expected = 4;
            } else if (lead >= 0xF1 && lead <= 0xF3 && continuation) {
                expected = 4;
            } else if (lead == 0xF4 && second >= 0x80 && second <= 0x8F) {
                expected = 4;
            }
            const uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, 0x80, 0xBF};
            const size_t size = expected == 0 ? 4 : expected;
            assert_int_equal(valid_prefix(bytes, size), expected);
        }
    }
}

static void stops_at_the_first_fault_wherever_it_is(void **state)
{
    (void)state;
    uint8_t text[100];
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, 'a', size);
        assert_int_equal(valid_prefix(text, size), size);
        for (size_t at = 0; at < size; at++) {
            text[at] = 0xFF;
            assert_int_equal(valid_prefix(text, size), at);
            text[at] = 'a';
        }
        for (size_t at = 0; at + 2 <= size; at++) {
            text[at] = 0xC3;
            text[at + 1] = 0xA9;
            assert_int_equal(valid_prefix(text, size), size);
            text[at] = text[at + 1] = 'a';
        }
    }
}

/* The expectations are those of Python's bytes.decode("utf-8", "replace"). */
static void replaces_maximal_subparts(void **state)
{
    (void)state;
    REPAIR("", "", 0);
    REPAIR("plain", "plain", 0);
    REPAIR("\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9", 0);
    REPAIR("a\x80z", "a" R "z", 1);
    REPAIR("\xC0\xAF", R R, 2);                         /* overlong: each byte */
    REPAIR("\xE0\x80\xAF", R R R, 3);                   /* overlong */
    REPAIR("\xF0\x80\x80\xAF", R R R R, 4);             /* overlong */
    REPAIR("\xED\xA0\x80", R R R, 3);                   /* a surrogate */
    REPAIR("\xED\xAF\xBF\xED\xBF\xBF", R R R R R R, 6); /* a surrogate pair */
    REPAIR("\xF4\x90\x80\x80", R R R R, 4);             /* above U+10FFFF */
    REPAIR("\xF5\x80\x80\x80", R R R R, 4);             /* no lead byte */
    REPAIR("\xE2\x82", R, 1);                           /* the end is missing: one subpart */
    REPAIR("\xE2\x82x", R "x", 1);
    REPAIR("\xE2x", R "x", 1);
    REPAIR("\xF0\x9F\x98", R, 1);
    REPAIR("\xF0\x9F\x98x", R "x", 1);
    REPAIR("\xF0\x9F", R, 1);
    REPAIR("\xF0", R, 1);
    REPAIR("\xF1\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64", R R R "b" R "c" R R "d", 6); /* table 3-11 */
    REPAIR("\x61\xF1\x80\x80\xE1\x80\xC2\x62", "a" R R R "b", 3);                       /* table 3-11 */
    REPAIR("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", R R R R "A", 4);                     /* table 3-10 */
    REPAIR("\xFE\xFF", R R, 2);
    REPAIR("\xF0\x9F\x98\x80\xE9 fin", "\xF0\x9F\x98\x80" R " fin", 1);
}

/* A state machine written from table 3-7, one byte at a time: `low` to `high` is what the next byte must
 * be and `missing` how many are missing. Independent of the code under test. */
typedef struct reference {
    unsigned missing;
    uint8_t low, high;
    uint8_t kept[4];
    size_t kept_count;
} reference;

static void reference_lead(reference *r, uint8_t byte)
{
    r->low = 0x80;
    r->high = 0xBF;
    r->kept_count = 1;
    r->kept[0] = byte;
    r->missing = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    switch (byte) {
    case 0xE0:
        r->low = 0xA0;
        break;
    case 0xED:
        r->high = 0x9F;
        break;
    case 0xF0:
        r->low = 0x90;
        break;
    case 0xF4:
        r->high = 0x8F;
        break;
    default:
        break;
    }
}

static size_t reference_repair(const uint8_t *text, size_t size, uint8_t *out, uint64_t *replaced)
{
    reference r = {0};
    size_t used = 0;
    for (size_t i = 0; i <= size; i++) {
        const bool end = i == size;
        if (!end && r.missing > 0 && text[i] >= r.low && text[i] <= r.high) {
            r.kept[r.kept_count++] = text[i];
            r.low = 0x80;
            r.high = 0xBF;
            if (--r.missing == 0) {
                memcpy(out + used, r.kept, r.kept_count);
                used += r.kept_count;
            }
            continue;
        }
        const bool fault = !end && (text[i] >= 0x80 && (text[i] < 0xC2 || text[i] > 0xF4));
        for (int k = 0; k < (r.missing > 0 ? 1 : 0) + (fault ? 1 : 0); k++) {
            memcpy(out + used, R, 3);
            used += 3;
            ++*replaced;
        }
        r.missing = 0;
        if (!end && !fault && text[i] < 0x80) {
            out[used++] = text[i];
        } else if (!end && !fault) {
            reference_lead(&r, text[i]);
        }
    }
    return used;
}

static size_t random_text(uint8_t *text, size_t limit)
{
    static const uint8_t likely[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0,
                                     0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    const size_t size = random_below((uint32_t)limit + 1);
    const uint32_t ascii = random_below(4);
    for (size_t i = 0; i < size; i++) {
        const uint32_t kind = random_below(4);
        if (kind < ascii) {
            text[i] = (uint8_t)random_below(0x80);
        } else if (random_below(3) == 0) {
            text[i] = (uint8_t)random_below(0x100);
        } else {
            text[i] = likely[random_below(sizeof likely)];
        }
    }
    return size;
}

static void agrees_with_the_reference_on_random_bytes(void **state)
{
    (void)state;
    uint8_t text[90];
    uint8_t expected[3 * sizeof text];
    const unsigned rounds = support_turns(300000);
    for (unsigned round = 0; round < rounds; round++) {
        const size_t size = random_text(text, sizeof text);
        uint64_t expected_count = 0;
        const size_t expected_size = reference_repair(text, size, expected, &expected_count);
        uint8_t *copy = exact_copy(text, size);
        dh_buffer out = {0};
        uint64_t count = 0;
        assert_int_equal(dh_utf8_repair(copy, size, &out, &count), DH_OK);
        assert_int_equal(count, expected_count);
        assert_int_equal(out.size, expected_size);
        if (expected_size > 0) {
            assert_memory_equal(out.data, expected, expected_size);
        }
        assert_int_equal(dh_utf8_valid_prefix(copy, size) == size, expected_count == 0);
        assert_int_equal(dh_utf8_valid_prefix(out.data, out.size), out.size);
        dh_buffer_free(&out);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_and_decodes_every_scalar_value),
        cmocka_unit_test(follows_table_3_7),
        cmocka_unit_test(stops_at_the_first_fault_wherever_it_is),
        cmocka_unit_test(replaces_maximal_subparts),
        cmocka_unit_test(agrees_with_the_reference_on_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
