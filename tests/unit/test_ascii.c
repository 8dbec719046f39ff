/* The ASCII classifiers, each against a loop over single bytes. */
#include "text/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef dh_ascii_masks classifier(const uint8_t *text, uint8_t extra, uint8_t *lowered);

static void expect_masks(classifier *classify, const uint8_t *text, uint8_t extra)
{
    uint8_t lowered[DH_ASCII_BLOCK];
    const dh_ascii_masks masks = classify(text, extra, lowered);
    for (unsigned i = 0; i < DH_ASCII_BLOCK; i++) {
        const uint8_t byte = text[i];
        assert_int_equal((masks.high >> i) & 1, byte >= 0x80);
        if (byte >= 0x80) {
            continue;
        }
        const bool upper = byte >= 'A' && byte <= 'Z';
        const bool word =
            upper || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == extra;
        const bool symbol = byte != 0 && strchr("+<=>|~", byte) != NULL;
        assert_int_equal(lowered[i], upper ? byte + 32 : byte);
        assert_int_equal((masks.word >> i) & 1, word);
        assert_int_equal((masks.symbol >> i) & 1, symbol);
    }
}

static void check(classifier *classify)
{
    uint8_t text[DH_ASCII_BLOCK];
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        const unsigned shift = (unsigned)round % 3; /* all bytes, or fewer and fewer that are not ASCII */
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = (uint8_t)(random >> 24);
            text[i] = (random >> 16 & 7) < 3 * shift ? text[i] & 0x7F : text[i];
        }
        expect_masks(classify, text, 'a');
        expect_masks(classify, text, '_');
    }
    for (unsigned byte = 0; byte < 0x100;
         byte++) { /* every byte at every place, with every neighbour's kind */
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, byte % 2 == 0 ? 'Z' : 0xFF, sizeof text);
            text[at] = (uint8_t)byte;
            expect_masks(classify, text, '_');
        }
    }
}

static void classifies_as_a_plain_loop(void **state)
{
    (void)state;
    check(dh_ascii_classify);
}

static void classifies_portably_as_a_plain_loop(void **state)
{
    (void)state;
    check(dh_ascii_classify_portable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifies_as_a_plain_loop),
        cmocka_unit_test(classifies_portably_as_a_plain_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
