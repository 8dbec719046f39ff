/* Tests of lexicon/language.h. */
#include "support.h"

#include "lexicon/language.h"

static uint16_t parse(const char *tag)
{
    return dh_language_parse(tag, strlen(tag));
}

static void test_primary_subtag_decides(void **state)
{
    (void)state;
    static const char *const french[] = {"fr",    "FR",  "Fr",         "fr-CA",
                                         "fr_CA", "fr-", "fr-Latn-CA", "FR_ca.UTF-8"};
    const uint16_t code = parse("fr");
    assert_int_not_equal(code, DH_LANGUAGE_UNKNOWN);
    for (size_t i = 0; i < COUNT(french); i++) {
        assert_int_equal(parse(french[i]), code);
    }
    assert_int_not_equal(parse("fra"), code);
    assert_string_equal(dh_language_name(parse("FRA-fr")), "fra");
}

static void test_what_is_no_tag_is_unknown(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "f",         "f-r", "-",     "-fr",   "french",
                                      "fren", "f1",        "fr1", "12",    "fr CA", "fr.",
                                      " fr",  "\xC3\xA9n", "und", "UND-x", "und_"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(parse(bad[i]), DH_LANGUAGE_UNKNOWN);
    }
    assert_int_equal(dh_language_parse(NULL, 0), DH_LANGUAGE_UNKNOWN);
    assert_int_equal(dh_language_parse("fr\0x", 4), DH_LANGUAGE_UNKNOWN);
}

static void test_four_letters_are_no_language(void **state)
{
    (void)state;
    for (int a = 'a'; a <= 'z'; a++) {
        for (int d = 'a'; d <= 'z'; d++) {
            const char tag[5] = {(char)a, 'a', 'b', (char)d, '\0'};
            assert_int_equal(parse(tag), DH_LANGUAGE_UNKNOWN);
        }
    }
}

/* Nothing behind size is looked at: a tag need not end in NUL. */
static void test_size_ends_the_tag(void **state)
{
    (void)state;
    char *exact = malloc(2);
    assert_non_null(exact);
    memcpy(exact, "de", 2);
    assert_int_equal(dh_language_parse(exact, 2), parse("de"));
    assert_int_equal(dh_language_parse("defg", 3), parse("def"));
    free(exact);
}

static void test_every_code_goes_to_its_name_and_back(void **state)
{
    (void)state;
    for (uint32_t code = 1; code < DH_LANGUAGE_COUNT; code++) {
        char name[4];
        (void)snprintf(name, sizeof name, "%s", dh_language_name((uint16_t)code));
        const uint16_t back = parse(name);
        if (strcmp(name, "und") == 0) {
            assert_int_equal(back, DH_LANGUAGE_UNKNOWN);
        } else {
            assert_int_equal(back, code);
        }
    }
    assert_string_equal(dh_language_name(DH_LANGUAGE_UNKNOWN), "und");
    assert_string_equal(dh_language_name(DH_LANGUAGE_COUNT), "und");
    assert_string_equal(dh_language_name(UINT16_MAX), "und");
    assert_string_equal(dh_language_name(DH_LANGUAGE_COUNT - 1), "zzz");
}

static void test_four_names_live_at_the_same_time(void **state)
{
    (void)state;
    const uint16_t code[] = {parse("en"), parse("fr"), parse("deu"), parse("ja")};
    const char *name[4];
    for (int i = 0; i < 4; i++) {
        name[i] = dh_language_name(code[i]);
    }
    assert_string_equal(name[0], "en");
    assert_string_equal(name[1], "fr");
    assert_string_equal(name[2], "deu");
    assert_string_equal(name[3], "ja");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primary_subtag_decides),
        cmocka_unit_test(test_what_is_no_tag_is_unknown),
        cmocka_unit_test(test_four_letters_are_no_language),
        cmocka_unit_test(test_size_ends_the_tag),
        cmocka_unit_test(test_every_code_goes_to_its_name_and_back),
        cmocka_unit_test(test_four_names_live_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
