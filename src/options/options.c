#include "options/options.h"

#include "base/file.h"
#include "base/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dh_parse_size(const char *text, bool with_units, uint64_t *out)
{
    uint64_t value = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) {
            return false;
        }
    }
    if (c == text) {
        return false;
    }
    if (with_units && *c != '\0') {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, toupper((unsigned char)*c));
        if (unit == NULL) {
            return false;
        }
        const unsigned shift = 10U * (unsigned)(unit - units + 1);
        if (value > UINT64_MAX >> shift) {
            return false;
        }
        value <<= shift;
        c++;
        if (c[0] == 'i' && c[1] == 'B') {
            c += 2;
        } else if (c[0] == 'B') {
            c++;
        }
    }
    if (*c != '\0') {
        return false;
    }
    *out = value;
    return true;
}

/* HH:MM:SS or MM:SS behind an optional "D-". */
static bool parse_clock(const char *text, uint64_t *out)
{
    uint64_t field[4] = {0}; /* days, then what stands between colons */
    const char *dash = strchr(text, '-');
    const size_t limit = dash != NULL ? 4 : 3;
    size_t count = 0;
    while (count < limit) {
        const size_t size = strcspn(text, dash != NULL && count == 0 ? "-" : ":");
        char digits[21];
        if (size >= sizeof digits) {
            return false;
        }
        memcpy(digits, text, size);
        digits[size] = '\0';
        if (!dh_parse_size(digits, false, &field[count++])) {
            return false;
        }
        text += size;
        if (*text == '\0') {
            break;
        }
        text++;
    }
    if (*text != '\0' || (dash != NULL && count != 4) || count < 2) {
        return false;
    }
    uint64_t seconds = 0;
    for (size_t i = 0; i < count; i++) {
        const bool days = dash != NULL && i == 0;
        if (__builtin_add_overflow(seconds, field[i], &seconds) ||
            (i + 1 < count && __builtin_mul_overflow(seconds, days ? 24U : 60U, &seconds))) {
            return false;
        }
    }
    *out = seconds;
    return true;
}

bool dh_parse_time(const char *text, uint64_t *out)
{
    if (strchr(text, ':') != NULL) {
        return parse_clock(text, out);
    }
    static const struct {
        char letter;
        uint64_t seconds;
    } unit[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char digits[24];
    const size_t size = strlen(text);
    if (size == 0 || size >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, size + 1);
    uint64_t factor = 1;
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
        if (text[size - 1] == unit[i].letter) {
            factor = unit[i].seconds;
            digits[size - 1] = '\0';
        }
    }
    uint64_t value = 0;
    return dh_parse_size(digits, false, &value) && !__builtin_mul_overflow(value, factor, out);
}

static bool parse_number(dh_option_kind kind, const char *text, uint64_t *out)
{
    return kind == DH_KIND_TIME ? dh_parse_time(text, out) : dh_parse_size(text, kind == DH_KIND_SIZE, out);
}

static const char *number_wanted(dh_option_kind kind)
{
    if (kind == DH_KIND_SIZE) {
        return "a size like 512K, 16M or 2G";
    }
    return kind == DH_KIND_TIME ? "a time like 90, 10m, 2h or 1-12:00:00" : "a non-negative integer";
}

static bool is_choice(const char *choices, const char *value)
{
    const size_t size = strcspn(value, "|");
    if (value[size] != '\0') {
        return false;
    }
    for (const char *c = choices; c != NULL; c = strchr(c, '|')) {
        c += *c == '|';
        if (strncmp(c, value, size) == 0 && (c[size] == '|' || c[size] == '\0') && size > 0) {
            return true;
        }
    }
    return false;
}

static bool flag_value(const char *value, bool *out)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *out = strcmp(value, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static dh_status check_number(const dh_option *option, const char *value, const char *where)
{
    uint64_t number = 0;
    if (!parse_number(option->kind, value, &number)) {
        return dh_error(DH_USAGE, "%s: \"%s\" is not %s", where, value, number_wanted(option->kind));
    }
    if (number < option->minimum || number > option->maximum) {
        return dh_error(DH_USAGE, "%s: %s is out of range (%llu to %llu)", where, value,
                        (unsigned long long)option->minimum, (unsigned long long)option->maximum);
    }
    return DH_OK;
}

static dh_status check_value(const dh_option *option, const char *value, const char *where)
{
    bool flag = false;
    switch (option->kind) {
    case DH_KIND_FLAG:
        return flag_value(value, &flag)
                   ? DH_OK
                   : dh_error(DH_USAGE, "%s: \"%s\" is neither yes nor no", where, value);
    case DH_KIND_COUNT:
    case DH_KIND_SIZE:
    case DH_KIND_TIME:
        return check_number(option, value, where);
    case DH_KIND_TEXT:
    case DH_KIND_LIST:
        break;
    }
    if (option->choices != NULL && !is_choice(option->choices, value)) {
        return dh_error(DH_USAGE, "%s: \"%s\" is none of %s", where, value, option->choices);
    }
    return DH_OK;
}

dh_status dh_options_set(dh_options *options, dh_option_id id, const char *value, dh_origin origin,
                         const char *where)
{
    const dh_option *option = &dh_option_table[id];
    DH_TRY(check_value(option, value, where));
    if (options->value[id] != NULL && origin < options->origin[id]) {
        return DH_OK;
    }
    dh_buffer joined = {0};
    const bool append =
        option->kind == DH_KIND_LIST && options->value[id] != NULL && origin == options->origin[id];
    dh_status status = append ? dh_buffer_printf(&joined, "%s\n%s", options->value[id], value)
                              : dh_buffer_printf(&joined, "%s", value);
    if (status == DH_OK) {
        status = dh_buffer_append(&joined, "", 1);
    }
    if (status != DH_OK) {
        dh_buffer_free(&joined);
        return status;
    }
    free(options->value[id]);
    options->value[id] = (char *)joined.data;
    options->origin[id] = origin;
    return DH_OK;
}

static dh_option_id find_long(const char *name, size_t size)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        if (strlen(dh_option_table[id].name) == size && strncmp(dh_option_table[id].name, name, size) == 0) {
            return (dh_option_id)id;
        }
    }
    return DH_OPTION_COUNT;
}

static dh_option_id find_letter(char letter)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        if (dh_option_table[id].letter == letter) {
            return (dh_option_id)id;
        }
    }
    return DH_OPTION_COUNT;
}

static bool is_of_command(const dh_options *options, dh_option_id id)
{
    return id != DH_OPTION_COUNT && (dh_option_table[id].commands >> options->command & 1U) != 0;
}

static dh_status unknown_option(const dh_options *options, const char *text)
{
    const char *command = dh_command_table[options->command].name;
    return dh_error(DH_USAGE, "dhatu %s has no option %s (dhatu %s --help lists them)", command, text,
                    command);
}

/* --name, --name=value, --name value. */
static dh_status take_long(dh_options *options, char **argv, int argc, int *at)
{
    const char *name = argv[*at] + 2;
    const size_t size = strcspn(name, "=");
    const dh_option_id id = find_long(name, size);
    if (!is_of_command(options, id)) {
        return unknown_option(options, argv[*at]);
    }
    char where[64];
    (void)snprintf(where, sizeof where, "--%s", dh_option_table[id].name);
    if (dh_option_table[id].kind == DH_KIND_FLAG) {
        return dh_options_set(options, id, name[size] == '=' ? name + size + 1 : "yes", DH_ORIGIN_FLAG,
                              where);
    }
    if (name[size] == '=') {
        return dh_options_set(options, id, name + size + 1, DH_ORIGIN_FLAG, where);
    }
    if (*at + 1 >= argc) {
        return dh_error(DH_USAGE, "%s needs a value (%s)", where, dh_option_table[id].value_name);
    }
    *at += 1;
    return dh_options_set(options, id, argv[*at], DH_ORIGIN_FLAG, where);
}

/* -q, -o FILE, -oFILE; flags may be joined (-qf). */
static dh_status take_short(dh_options *options, char **argv, int argc, int *at)
{
    for (const char *c = argv[*at] + 1; *c != '\0'; c++) {
        const dh_option_id id = find_letter(*c);
        if (!is_of_command(options, id)) {
            return unknown_option(options, argv[*at]);
        }
        const char where[3] = {'-', *c, '\0'};
        if (dh_option_table[id].kind == DH_KIND_FLAG) {
            DH_TRY(dh_options_set(options, id, "yes", DH_ORIGIN_FLAG, where));
            continue;
        }
        if (c[1] != '\0') {
            return dh_options_set(options, id, c + 1, DH_ORIGIN_FLAG, where);
        }
        if (*at + 1 >= argc) {
            return dh_error(DH_USAGE, "%s needs a value (%s)", where, dh_option_table[id].value_name);
        }
        *at += 1;
        return dh_options_set(options, id, argv[*at], DH_ORIGIN_FLAG, where);
    }
    return DH_OK;
}

static dh_status take_arguments(dh_options *options, int argc, char **argv)
{
    bool only_arguments = false;
    for (int at = 2; at < argc; at++) {
        if (only_arguments || argv[at][0] != '-' || argv[at][1] == '\0') {
            options->argument[options->argument_count++] = argv[at];
        } else if (strcmp(argv[at], "--") == 0) {
            only_arguments = true;
        } else if (argv[at][1] == '-') {
            DH_TRY(take_long(options, argv, argc, &at));
        } else {
            DH_TRY(take_short(options, argv, argc, &at));
        }
    }
    return DH_OK;
}

static dh_status take_environment(dh_options *options)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        if (!is_of_command(options, (dh_option_id)id) || id == DH_OPTION_HELP) {
            continue;
        }
        char name[64] = "DHATU_";
        size_t size = strlen(name);
        for (const char *c = dh_option_table[id].name; *c != '\0'; c++) {
            name[size++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        }
        name[size] = '\0';
        const char *value = getenv(name);
        if (value != NULL && value[0] != '\0') {
            DH_TRY(dh_options_set(options, (dh_option_id)id, value, DH_ORIGIN_ENVIRONMENT, name));
        }
    }
    return DH_OK;
}

static dh_status take_defaults(dh_options *options)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const char *value = dh_option_table[id].default_value;
        if (value != NULL) {
            DH_TRY(dh_options_set(options, (dh_option_id)id, value, DH_ORIGIN_DEFAULT,
                                  dh_option_table[id].name));
        }
    }
    return DH_OK;
}

static bool is_command(const char *name)
{
    for (int c = 0; c < DH_COMMAND_COUNT; c++) {
        if (strcmp(dh_command_table[c].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r", text[size - 1]) != NULL) {
        text[--size] = '\0';
    }
    return text;
}

/* One line of an INI file. *here: the section is for this command. */
static dh_status take_file_line(dh_options *options, const char *where, char *line, bool *here)
{
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
        return DH_OK;
    }
    if (line[0] == '[') {
        char *close = strchr(line, ']');
        if (close == NULL || close[1] != '\0') {
            return dh_error(DH_USAGE, "%s: a section is [command]: %s", where, line);
        }
        *close = '\0';
        if (!is_command(line + 1)) {
            return dh_error(DH_USAGE, "%s: there is no command %s", where, line + 1);
        }
        *here = strcmp(line + 1, dh_command_table[options->command].name) == 0 ||
                (options->command == DH_COMMAND_PLAN && /* of a run */
                 strcmp(line + 1, dh_command_table[DH_COMMAND_RUN].name) == 0);
        return DH_OK;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return dh_error(DH_USAGE, "%s: expected name = value: %s", where, line);
    }
    *equals = '\0';
    const char *name = trim(line);
    const dh_option_id id = find_long(name, strlen(name));
    if (id == DH_OPTION_COUNT || id == DH_OPTION_CONFIG || id == DH_OPTION_HELP) {
        return dh_error(DH_USAGE, "%s: no option has the name %s", where, name);
    }
    if (!*here || !is_of_command(options, id)) {
        return DH_OK;
    }
    return dh_options_set(options, id, trim(equals + 1), DH_ORIGIN_FILE, where);
}

dh_status dh_options_read_file(dh_options *options, const char *path)
{
    enum { FILE_SIZE_MAX = 1 << 20 };
    dh_buffer text = {0};
    dh_status status = dh_file_read_all(path, FILE_SIZE_MAX, &text);
    if (status == DH_OK) {
        status = dh_buffer_append(&text, "", 1);
    }
    if (status == DH_OK && strlen((const char *)text.data) + 1 != text.size) {
        status = dh_error(DH_USAGE, "%s: a configuration is a text file, but this one has NUL bytes", path);
    }
    bool here = true;
    unsigned number = 0;
    char *rest = (char *)text.data;
    if (status == DH_OK && strncmp(rest, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark */
        rest += 3;
    }
    while (status == DH_OK && rest != NULL && *rest != '\0') {
        char *line = rest;
        char *end = strchr(line, '\n');
        rest = end != NULL ? end + 1 : NULL;
        if (end != NULL) {
            *end = '\0';
        }
        char where[4200];
        (void)snprintf(where, sizeof where, "%s:%u", path, ++number);
        status = take_file_line(options, where, line, &here);
    }
    dh_buffer_free(&text);
    return status;
}

dh_status dh_options_resolve(int argc, char **argv, dh_options *out)
{
    dh_options options = {.command = DH_COMMAND_COUNT};
    for (int c = 0; argc > 1 && c < DH_COMMAND_COUNT; c++) {
        if (strcmp(argv[1], dh_command_table[c].name) == 0) {
            options.command = (dh_command)c;
        }
    }
    if (options.command == DH_COMMAND_COUNT) {
        return dh_error(DH_USAGE, "%s%s (dhatu --help lists the commands)",
                        argc > 1 ? "there is no command " : "which command?", argc > 1 ? argv[1] : "");
    }
    void *memory = NULL;
    DH_TRY(dh_allocate((size_t)argc, sizeof(char *), "the arguments", &memory));
    options.argument = memory;
    dh_status status = take_arguments(&options, argc, argv);
    if (status == DH_OK) {
        status = take_environment(&options);
    }
    const char *config = options.value[DH_OPTION_CONFIG];
    if (status == DH_OK && config != NULL) {
        status = dh_options_read_file(&options, config);
    }
    if (status == DH_OK) {
        status = take_defaults(&options);
    }
    if (status != DH_OK) {
        dh_options_free(&options);
        return status;
    }
    *out = options;
    return DH_OK;
}

void dh_options_free(dh_options *options)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        free(options->value[id]);
    }
    free(options->argument);
    *options = (dh_options){.command = DH_COMMAND_COUNT};
}

bool dh_options_flag(const dh_options *options, dh_option_id id)
{
    bool flag = false;
    return options->value[id] != NULL && flag_value(options->value[id], &flag) && flag;
}

const char *dh_options_text(const dh_options *options, dh_option_id id)
{
    return options->value[id];
}

uint64_t dh_options_number(const dh_options *options, dh_option_id id)
{
    uint64_t number = 0;
    if (options->value[id] != NULL) {
        (void)parse_number(dh_option_table[id].kind, options->value[id], &number);
    }
    return number;
}

bool dh_options_is_set(const dh_options *options, dh_option_id id)
{
    return options->value[id] != NULL && options->origin[id] != DH_ORIGIN_DEFAULT;
}
