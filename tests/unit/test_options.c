/* Tests of options/options.h: the table, the resolution of values, help and man pages. */
#include "support.h"

#include "dhatu_config.h"
#include "options/options.h"

#include <ctype.h>

/* ---- resolving --------------------------------------------------------------------------------------- */

static char program[] = "dhatu";

/* Arguments behind "dhatu run", NULL at the end. */
static dh_status resolve_run(const char *const *argument, dh_options *out)
{
    char run[] = "run";
    char *argv[32] = {program, run};
    int argc = 2;
    for (; *argument != NULL; argument++) {
        argv[argc++] = (char *)(uintptr_t)*argument;
    }
    return dh_options_resolve(argc, argv, out);
}

#define RUN(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_text(const char *const *argument, dh_option_id id, const char *expected)
{
    dh_options options;
    assert_ok(resolve_run(argument, &options));
    if (expected == NULL) {
        assert_null(dh_options_text(&options, id));
    } else {
        assert_string_equal(dh_options_text(&options, id), expected);
    }
    dh_options_free(&options);
}

static void expect_refused(const char *const *argument, const char *reason)
{
    dh_options options = {.argument_count = 77};
    support_capture_begin();
    const dh_status status = resolve_run(argument, &options);
    assert_says(support_capture_end(), reason);
    assert_int_equal(status, DH_USAGE);
    assert_int_equal(options.argument_count, 77); /* not set on an error */
}

static void test_forms_of_a_value(void **state)
{
    (void)state;
    expect_text(RUN("-oFILE", "in"), DH_OPTION_OUTPUT, "FILE");
    expect_text(RUN("-o", "FILE", "in"), DH_OPTION_OUTPUT, "FILE");
    expect_text(RUN("--output=FILE", "in"), DH_OPTION_OUTPUT, "FILE");
    expect_text(RUN("--output", "FILE", "in"), DH_OPTION_OUTPUT, "FILE");
    expect_text(RUN("--output=a=b", "in"), DH_OPTION_OUTPUT, "a=b");
    expect_text(RUN("--output=", "in"), DH_OPTION_OUTPUT, "");
    expect_text(RUN("--output", "--force", "in"), DH_OPTION_OUTPUT, "--force");
    expect_text(RUN("-o", "first", "-o", "last", "in"), DH_OPTION_OUTPUT, "last");
    expect_text(RUN("in"), DH_OPTION_OUTPUT, "dhatu.h5");
    expect_text(RUN("in"), DH_OPTION_LANG, NULL);
}

static void test_joined_flags(void **state)
{
    (void)state;
    dh_options options;
    assert_ok(resolve_run(RUN("-qfv", "in"), &options));
    assert_true(dh_options_flag(&options, DH_OPTION_QUIET));
    assert_true(dh_options_flag(&options, DH_OPTION_FORCE));
    assert_true(dh_options_flag(&options, DH_OPTION_VERBOSE));
    assert_false(dh_options_flag(&options, DH_OPTION_STRICT));
    dh_options_free(&options);
    assert_ok(resolve_run(RUN("-qfoOUT", "in"), &options));
    assert_true(dh_options_flag(&options, DH_OPTION_FORCE));
    assert_string_equal(dh_options_text(&options, DH_OPTION_OUTPUT), "OUT");
    dh_options_free(&options);
    assert_ok(resolve_run(RUN("--force=no", "--quiet=on", "in"), &options));
    assert_false(dh_options_flag(&options, DH_OPTION_FORCE));
    assert_true(dh_options_flag(&options, DH_OPTION_QUIET));
    dh_options_free(&options);
}

static void test_arguments_keep_their_order(void **state)
{
    (void)state;
    dh_options options;
    assert_ok(resolve_run(RUN("a", "-f", "b", "-", "--", "-q", "--", "c"), &options));
    static const char *const expected[] = {"a", "b", "-", "-q", "--", "c"};
    assert_int_equal(options.argument_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_string_equal(options.argument[i], expected[i]);
    }
    assert_false(dh_options_flag(&options, DH_OPTION_QUIET));
    dh_options_free(&options);
}

static void test_commands(void **state)
{
    (void)state;
    dh_options options;
    for (int c = 0; c < DH_COMMAND_COUNT; c++) {
        char *argv[] = {program, (char *)(uintptr_t)dh_command_table[c].name};
        assert_ok(dh_options_resolve(2, argv, &options));
        assert_int_equal(options.command, c);
        dh_options_free(&options);
    }
    char walk[] = "walk";
    char *unknown[] = {program, walk};
    support_capture_begin();
    const dh_status status = dh_options_resolve(2, unknown, &options);
    const dh_status none = dh_options_resolve(1, unknown, &options);
    const char *said = support_capture_end();
    assert_int_equal(status, DH_USAGE);
    assert_int_equal(none, DH_USAGE);
    assert_says(said, "there is no command walk");
    assert_says(said, "which command?");
}

static void test_bad_command_lines_name_the_option(void **state)
{
    (void)state;
    expect_refused(RUN("--colour"), "dhatu run has no option --colour");
    expect_refused(RUN("--out=x"), "dhatu run has no option --out=x");
    expect_refused(RUN("-Z"), "dhatu run has no option -Z");
    expect_refused(RUN("-qZ"), "dhatu run has no option -qZ");
    expect_refused(RUN("--doc", "x"), "dhatu run has no option --doc");
    expect_refused(RUN("-d", "x"), "dhatu run has no option -d");
    expect_refused(RUN("in", "--output"), "--output needs a value (FILE)");
    expect_refused(RUN("in", "-qo"), "-o needs a value (FILE)");
    expect_refused(RUN("--format", "xml"), "--format: \"xml\" is none of auto|jsonl|text");
    expect_refused(RUN("--format", "auto|jsonl"), "--format: \"auto|jsonl\" is none of");
    expect_refused(RUN("--format", "json"), "--format: \"json\" is none of");
    expect_refused(RUN("--format="), "--format: \"\" is none of");
    expect_refused(RUN("--force=maybe"), "--force: \"maybe\" is neither yes nor no");
    expect_refused(RUN("--max-tokens", "1M"), "--max-tokens: \"1M\" is not a non-negative integer");
    expect_refused(RUN("--max-tokens", "-1"), "\"-1\" is not a non-negative integer");
    expect_refused(RUN("--max-tokens", "0"), "--max-tokens: 0 is out of range (1 to 16777216)");
    expect_refused(RUN("--max-record", "2G"), "--max-record: 2G is out of range");
    expect_refused(RUN("--max-record", "big"), "\"big\" is not a size like 512K, 16M or 2G");
    expect_refused(RUN("--max-id", "63"), "--max-id: 63 is out of range (64 to 4096)");
    expect_refused(RUN("--max-bad", "18446744073709551616"), "is not a non-negative integer");
    expect_refused(RUN("--max-time", "soon"), "\"soon\" is not a time like 90, 10m, 2h or 1-12:00:00");
    expect_refused(RUN("--max-time", "0"), "--max-time: 0 is out of range");
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds;
    } right[] = {{"0", 0},
                 {"90", 90},
                 {"90s", 90},
                 {"10m", 600},
                 {"2h", 7200},
                 {"3d", 259200},
                 {"01:30", 90},
                 {"1:02:03", 3723},
                 {"90:00", 5400},
                 {"1-00:00:01", 86401},
                 {"0-12:00:00", 43200},
                 {"2-1:1:1", 176461}};
    static const char *const wrong[] = {"",
                                        "s",
                                        "1.5h",
                                        "-1",
                                        "1w",
                                        "1:",
                                        ":1",
                                        "1:2:3:4",
                                        "1-2:3",
                                        "1-2",
                                        "1-1:2:3:4",
                                        "1:2s",
                                        "1-:2:3",
                                        " 1",
                                        "1 ",
                                        "2h30m",
                                        "0x10",
                                        "99999999999999999999d",
                                        "213503982334602d"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        uint64_t seconds = UINT64_MAX;
        assert_true(dh_parse_time(right[i].text, &seconds));
        assert_int_equal(seconds, right[i].seconds);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t seconds = 0;
        assert_false(dh_parse_time(wrong[i], &seconds));
    }
}

static void test_ranges_include_their_ends(void **state)
{
    (void)state;
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const dh_option *option = &dh_option_table[id];
        if (option->kind != DH_KIND_COUNT && option->kind != DH_KIND_SIZE && option->kind != DH_KIND_TIME) {
            continue;
        }
        dh_options options = {0};
        const uint64_t right[] = {option->minimum, option->maximum};
        for (int i = 0; i < 2; i++) {
            char text[32];
            (void)snprintf(text, sizeof text, "%llu", (unsigned long long)right[i]);
            assert_ok(dh_options_set(&options, (dh_option_id)id, text, DH_ORIGIN_FLAG, "here"));
            assert_int_equal(dh_options_number(&options, (dh_option_id)id), right[i]);
        }
        char text[32];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)option->maximum + 1);
        support_capture_begin();
        const dh_status status = dh_options_set(&options, (dh_option_id)id, text, DH_ORIGIN_FLAG, "here");
        assert_says(support_capture_end(), "here: ");
        assert_int_equal(status, DH_USAGE);
        assert_int_equal(dh_options_number(&options, (dh_option_id)id), option->maximum);
        dh_options_free(&options);
    }
}

/* ---- sizes ------------------------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0", 0},
        {"17", 17},
        {"007", 7},
        {"1k", 1024},
        {"1K", 1024},
        {"1KB", 1024},
        {"1KiB", 1024},
        {"300M", UINT64_C(300) << 20},
        {"2g", UINT64_C(2) << 30},
        {"3T", UINT64_C(3) << 40},
        {"16777215T", UINT64_C(16777215) << 40},
        {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t value = 1;
        assert_true(dh_parse_size(good[i].text, true, &value));
        assert_int_equal(value, good[i].value);
    }
    static const char *const bad[] = {"",
                                      "K",
                                      " 1",
                                      "1 ",
                                      "1 K",
                                      "-1",
                                      "+1",
                                      "1.5M",
                                      "1X",
                                      "1KK",
                                      "1Ki",
                                      "1KiBs",
                                      "0x10",
                                      "16777216T",
                                      "1e3",
                                      "18446744073709551616",
                                      "99999999999999999999999K"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t value = 4711;
        assert_false(dh_parse_size(bad[i], true, &value));
        assert_int_equal(value, 4711);
    }
    uint64_t value = 4711;
    assert_true(dh_parse_size("12", false, &value));
    assert_int_equal(value, 12);
    assert_false(dh_parse_size("1K", false, &value));
    assert_int_equal(value, 12);
}

/* ---- precedence -------------------------------------------------------------------------------------- */

static void test_flag_before_environment_before_file_before_default(void **state)
{
    (void)state;
    char config[4500];
    (void)snprintf(config, sizeof config, "--config=%s",
                   support_write_text("precedence.ini", "max-id = 100\n"));
    dh_options options;
    assert_int_equal(setenv("DHATU_MAX_ID", "200", 1), 0);
    assert_ok(resolve_run(RUN(config, "--max-id", "300", "in"), &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 300);
    assert_int_equal(options.origin[DH_OPTION_MAX_ID], DH_ORIGIN_FLAG);
    dh_options_free(&options);
    assert_ok(resolve_run(RUN(config, "in"), &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 200);
    assert_int_equal(options.origin[DH_OPTION_MAX_ID], DH_ORIGIN_ENVIRONMENT);
    dh_options_free(&options);
    assert_int_equal(unsetenv("DHATU_MAX_ID"), 0);
    assert_ok(resolve_run(RUN(config, "in"), &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 100);
    assert_int_equal(options.origin[DH_OPTION_MAX_ID], DH_ORIGIN_FILE);
    assert_true(dh_options_is_set(&options, DH_OPTION_MAX_ID));
    dh_options_free(&options);
    assert_ok(resolve_run(RUN("in"), &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 256);
    assert_false(dh_options_is_set(&options, DH_OPTION_MAX_ID));
    dh_options_free(&options);
}

static void test_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("DHATU_TEXT_FIELD", "body.text", 1), 0);
    assert_int_equal(setenv("DHATU_FORCE", "yes", 1), 0);
    assert_int_equal(setenv("DHATU_LANG", "", 1), 0);       /* empty: not set */
    assert_int_equal(setenv("DHATU_SAMPLE", "none", 1), 0); /* of verify: not looked at by run */
    dh_options options;
    assert_ok(resolve_run(RUN("in"), &options));
    assert_string_equal(dh_options_text(&options, DH_OPTION_TEXT_FIELD), "body.text");
    assert_true(dh_options_flag(&options, DH_OPTION_FORCE));
    assert_null(dh_options_text(&options, DH_OPTION_LANG));
    dh_options_free(&options);
    assert_int_equal(setenv("DHATU_DEFLATE", "10", 1), 0);
    expect_refused(RUN("in"), "DHATU_DEFLATE: 10 is out of range (0 to 9)");
    assert_int_equal(unsetenv("DHATU_DEFLATE"), 0);
    assert_int_equal(unsetenv("DHATU_TEXT_FIELD"), 0);
    assert_int_equal(unsetenv("DHATU_FORCE"), 0);
    assert_int_equal(unsetenv("DHATU_LANG"), 0);
    assert_int_equal(unsetenv("DHATU_SAMPLE"), 0);
}

static void test_lists_grow_within_one_origin_only(void **state)
{
    (void)state;
    expect_text(RUN("-l", "a.tsv", "--lexicon=b.dic", "-lc.tsv", "in"), DH_OPTION_LEXICON,
                "a.tsv\nb.dic\nc.tsv");
    assert_int_equal(setenv("DHATU_LEXICON", "env.tsv", 1), 0);
    char config[4500];
    (void)snprintf(config, sizeof config, "--config=%s",
                   support_write_text("lists.ini", "lexicon = one.tsv\nlexicon = two.tsv\n"));
    expect_text(RUN("-l", "a.tsv", config, "in"), DH_OPTION_LEXICON, "a.tsv");
    expect_text(RUN(config, "in"), DH_OPTION_LEXICON, "env.tsv");
    assert_int_equal(unsetenv("DHATU_LEXICON"), 0);
    expect_text(RUN(config, "in"), DH_OPTION_LEXICON, "one.tsv\ntwo.tsv");
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static dh_status read_config(const char *text, size_t size, dh_options *options)
{
    *options = (dh_options){.command = DH_COMMAND_RUN};
    return dh_options_read_file(options, support_write("config.ini", text, size));
}

static void test_configuration_sections(void **state)
{
    (void)state;
    static const char text[] = "# comment\n; comment\n\n  max-id=100  \r\n"
                               "[verify]\nmax-id = 111\nsample = 5\n"
                               "[run]\n\tdeflate = 3\t\r\noutput = with spaces = and = signs .h5\n"
                               "[inspect]\ndeflate = 4\ndoc = x";
    dh_options options;
    assert_ok(read_config(text, sizeof text - 1, &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 100);
    assert_int_equal(dh_options_number(&options, DH_OPTION_DEFLATE), 3);
    assert_string_equal(dh_options_text(&options, DH_OPTION_OUTPUT), "with spaces = and = signs .h5");
    assert_null(dh_options_text(&options, DH_OPTION_SAMPLE));
    assert_null(dh_options_text(&options, DH_OPTION_DOC));
    dh_options_free(&options);
    assert_ok(read_config("\xEF\xBB\xBFmax-id=100", 13, &options));
    assert_int_equal(dh_options_number(&options, DH_OPTION_MAX_ID), 100);
    dh_options_free(&options);
    assert_ok(read_config("", 0, &options));
    dh_options_free(&options);
}

static void test_configuration_errors_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line, *reason;
    } bad[] = {
        {"\n\nmax-id\n", "config.ini:3: ", "expected name = value: max-id"},
        {"max-id = 1\n", "config.ini:1: ", "out of range"},
        {"# one\nmax-di = 100\n", "config.ini:2: ", "no option has the name max-di"},
        {"config = x\n", "config.ini:1: ", "no option has the name config"},
        {"help = yes\n", "config.ini:1: ", "no option has the name help"},
        {"[run\n", "config.ini:1: ", "a section is [command]"},
        {"[run] x\n", "config.ini:1: ", "a section is [command]"},
        {"[runn]\nmax-id = 100\n", "config.ini:1: ", "there is no command runn"},
        {"strict = perhaps\n", "config.ini:1: ", "neither yes nor no"},
        {"= 5\n", "config.ini:1: ", "no option has the name"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        dh_options options;
        support_capture_begin();
        const dh_status status = read_config(bad[i].text, strlen(bad[i].text), &options);
        const char *said = support_capture_end();
        assert_says(said, bad[i].line);
        assert_says(said, bad[i].reason);
        assert_int_equal(status, DH_USAGE);
        dh_options_free(&options);
    }
}

static void test_configuration_with_nul_bytes_is_refused(void **state)
{
    (void)state;
    static const char text[] = "max-id = 100\n\0\nstrict = yes\n";
    dh_options options;
    support_capture_begin();
    const dh_status status = read_config(text, sizeof text - 1, &options);
    const dh_status missing = dh_options_read_file(&options, support_path("missing.ini"));
    assert_says(support_capture_end(), "NUL bytes");
    assert_int_equal(status, DH_USAGE);
    assert_int_equal(missing, DH_IO);
    dh_options_free(&options);
}

/* ---- the table --------------------------------------------------------------------------------------- */

static void test_every_option_is_sane(void **state)
{
    (void)state;
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const dh_option *option = &dh_option_table[id];
        assert_non_null(option->name);
        assert_true(strlen(option->name) > 1 && strlen(option->name) < 24);
        for (const char *c = option->name; *c != '\0'; c++) {
            assert_true(islower((unsigned char)*c) || (*c == '-' && c > option->name && c[1] != '\0'));
        }
        for (int other = 0; other < id; other++) {
            assert_string_not_equal(option->name, dh_option_table[other].name);
            assert_true(option->letter == 0 || option->letter != dh_option_table[other].letter);
        }
        assert_true(option->letter == 0 || isalpha((unsigned char)option->letter));
        assert_true(option->help != NULL && strlen(option->help) > 5);
        assert_int_equal(option->commands >> DH_COMMAND_COUNT, 0);
        assert_int_not_equal(option->commands, 0);
        assert_int_equal(option->kind == DH_KIND_FLAG, option->value_name == NULL);
        if (option->kind == DH_KIND_COUNT || option->kind == DH_KIND_SIZE || option->kind == DH_KIND_TIME) {
            assert_true(option->minimum <= option->maximum);
        }
        assert_true(option->choices == NULL || option->kind == DH_KIND_TEXT);
        if (option->kind == DH_KIND_FLAG) {
            assert_string_equal(option->default_value, "no");
        }
    }
}

static void test_every_default_and_every_choice_is_a_valid_value(void **state)
{
    (void)state;
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const dh_option *option = &dh_option_table[id];
        dh_options options = {0};
        if (option->default_value != NULL) {
            assert_ok(
                dh_options_set(&options, (dh_option_id)id, option->default_value, DH_ORIGIN_DEFAULT, "it"));
        }
        char choices[256];
        (void)snprintf(choices, sizeof choices, "%s", option->choices != NULL ? option->choices : "");
        char *rest = NULL;
        for (char *choice = strtok_r(choices, "|", &rest); choice != NULL;
             choice = strtok_r(NULL, "|", &rest)) {
            assert_ok(dh_options_set(&options, (dh_option_id)id, choice, DH_ORIGIN_FLAG, "it"));
            assert_string_equal(dh_options_text(&options, (dh_option_id)id), choice);
        }
        dh_options_free(&options);
    }
}

/* ---- help and man pages ------------------------------------------------------------------------------ */

static char *text_of(dh_status make(dh_command, dh_buffer *), dh_command command)
{
    dh_buffer text = {0};
    assert_ok(make(command, &text));
    assert_ok(dh_buffer_append(&text, "", 1));
    assert_int_equal(strlen((const char *)text.data) + 1, text.size);
    return (char *)text.data;
}

/* Words of a text, whatever the line breaks: white space becomes one space. */
static void squeeze(char *text)
{
    char *out = text;
    for (const char *c = text; *c != '\0'; c++) {
        const bool space = isspace((unsigned char)*c);
        if (!space || (out > text && out[-1] != ' ')) {
            *out++ = space ? ' ' : *c;
        }
    }
    *out = '\0';
}

static void test_help_mentions_every_option_of_a_command_and_no_other(void **state)
{
    (void)state;
    for (int command = 0; command < DH_COMMAND_COUNT; command++) {
        char *help = text_of(dh_help_text, (dh_command)command);
        char *man = text_of(dh_help_man, (dh_command)command);
        squeeze(help);
        for (int id = 0; id < DH_OPTION_COUNT; id++) {
            const dh_option *option = &dh_option_table[id];
            const bool has = (option->commands >> command & 1U) != 0;
            char name[64];
            (void)snprintf(name, sizeof name, " --%s ", option->name);
            char roff[64];
            (void)snprintf(roff, sizeof roff, "\\fB\\-\\-%s\\fR", option->name);
            assert_int_equal(strstr(man, roff) != NULL, has);
            if (has) {
                assert_says(help, name);
                assert_says(help, option->help);
            }
            if (has && option->default_value != NULL && option->kind != DH_KIND_FLAG) {
                char value[128];
                (void)snprintf(value, sizeof value, "[%s]", option->default_value);
                assert_says(help, value);
            }
        }
        assert_says(help, "Exit codes:");
        assert_says(help, dh_command_table[command].summary);
        free(help);
        free(man);
    }
}

static void test_help_lines_fit_a_terminal(void **state)
{
    (void)state;
    for (int command = 0; command <= DH_COMMAND_COUNT; command++) {
        char *help = text_of(dh_help_text, (dh_command)command);
        for (const char *line = help; *line != '\0';) {
            const size_t size = strcspn(line, "\n");
            assert_true(size <= 110);
            assert_true(size == 0 || line[size - 1] != ' ');
            line += size + (line[size] == '\n');
        }
        free(help);
    }
}

static void test_program_help_names_every_command(void **state)
{
    (void)state;
    char *help = text_of(dh_help_text, DH_COMMAND_COUNT);
    char *man = text_of(dh_help_man, DH_COMMAND_COUNT);
    assert_says(help, DHATU_VERSION);
    for (int command = 0; command < DH_COMMAND_COUNT; command++) {
        assert_says(help, dh_command_table[command].name);
        assert_says(help, dh_command_table[command].summary);
        assert_says(man, dh_command_table[command].name);
    }
    free(help);
    free(man);
}

/* A line of a man page that begins with a dot or a quote is a request to roff: only those that are meant. */
static void test_man_pages_have_no_stray_requests(void **state)
{
    (void)state;
    static const char *const requests[] = {".TH", ".SH", ".TP", ".PP", ".EX", ".EE"};
    for (int command = 0; command <= DH_COMMAND_COUNT; command++) {
        char *man = text_of(dh_help_man, (dh_command)command);
        assert_true(strncmp(man, ".TH ", 4) == 0);
        for (const char *line = man; *line != '\0';) {
            const size_t size = strcspn(line, "\n");
            assert_int_not_equal(line[0], '\'');
            bool known = line[0] != '.';
            for (size_t i = 0; i < COUNT(requests); i++) {
                known |= strncmp(line, requests[i], 3) == 0 && (line[3] == '\n' || line[3] == ' ');
            }
            if (!known) {
                fail_msg("stray request: %.*s", (int)size, line);
            }
            line += size + (line[size] == '\n');
        }
        free(man);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_a_value),
        cmocka_unit_test(test_joined_flags),
        cmocka_unit_test(test_arguments_keep_their_order),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_bad_command_lines_name_the_option),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_ranges_include_their_ends),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_flag_before_environment_before_file_before_default),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_lists_grow_within_one_origin_only),
        cmocka_unit_test(test_configuration_sections),
        cmocka_unit_test(test_configuration_errors_name_file_and_line),
        cmocka_unit_test(test_configuration_with_nul_bytes_is_refused),
        cmocka_unit_test(test_every_option_is_sane),
        cmocka_unit_test(test_every_default_and_every_choice_is_a_valid_value),
        cmocka_unit_test(test_help_mentions_every_option_of_a_command_and_no_other),
        cmocka_unit_test(test_help_lines_fit_a_terminal),
        cmocka_unit_test(test_program_help_names_every_command),
        cmocka_unit_test(test_man_pages_have_no_stray_requests),
    };
    /* The options of whoever runs the tests are not those that are tested. */
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        char name[64] = "DHATU_";
        for (const char *c = dh_option_table[id].name; *c != '\0'; c++) {
            const char letter[2] = {*c == '-' ? '_' : (char)toupper((unsigned char)*c), '\0'};
            (void)strncat(name, letter, sizeof name - strlen(name) - 1);
        }
        (void)unsetenv(name);
    }
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
