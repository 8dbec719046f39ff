#include "read/json.h"

#include "read/json_paths.h"
#include "read/json_string.h"
#include "text/utf8.h"

#include <string.h>

/* ---- the scanner ------------------------------------------------------------------------------------ */

/* What may come next, white space aside. */
typedef enum expected {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_CLOSE, /* behind [ */
    EXPECT_NAME,
    EXPECT_NAME_OR_CLOSE, /* behind { */
    EXPECT_COMMA_OR_CLOSE,
    EXPECT_END
} expected;

typedef struct scanner {
    const dh_json_strings *strings;
    const dh_json_paths *paths;
    dh_json_value *value;
    const uint8_t *begin, *at, *limit;
    const uint8_t *error; /* set where at is not the byte that is wrong */
    uint32_t depth;       /* open objects and arrays */
    /* The paths that go on inside the object at a depth (1 is the top): their names up to there matched. */
    dh_json_path_set inside[DH_JSON_PATH_DEPTH_MAX + 1];
    dh_json_path_set named;   /* the paths that go on or end in the value that comes next */
    dh_json_path_set pending; /* the paths that end in an object or array that is still open... */
    uint32_t pending_depth;   /* ... at this depth */
    uint64_t is_array[DH_JSON_DEPTH_MAX / 64];
} scanner;

static void skip_white_space(scanner *s)
{
    while (s->at < s->limit && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) {
        s->at++;
    }
}

static dh_json_error syntax_error(scanner *s, const uint8_t *where)
{
    s->error = where;
    return DH_JSON_SYNTAX;
}

/* Notes the value that begins: it replaces what an earlier one of the same name held, even if it is of
 * another kind. Names count once, so that the elements of an array match nothing. */
static dh_json_path_set value_note(scanner *s, dh_json_value found)
{
    const dh_json_path_set named = s->named;
    s->named = 0;
    if (named == 0) {
        return 0;
    }
    const dh_json_path_set ends = named & s->paths->ends[s->depth - 1];
    for (dh_json_path_set left = named; left != 0; left &= left - 1) {
        const unsigned i = (unsigned)__builtin_ctz(left);
        s->value[i] = (ends >> i & 1) != 0 ? found : (dh_json_value){0};
    }
    return named;
}

/* ---- scalars ---------------------------------------------------------------------------------------- */

static bool digits_skip(scanner *s)
{
    const uint8_t *from = s->at;
    while (s->at < s->limit && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return s->at > from;
}

static dh_json_error scan_number(scanner *s)
{
    const uint8_t *from = s->at;
    s->at += *s->at == '-';
    if (s->at < s->limit && *s->at == '0') {
        s->at++; /* and no digit behind it: the caller finds none to be allowed there */
    } else if (!digits_skip(s)) {
        return syntax_error(s, s->at);
    }
    if (s->at < s->limit && *s->at == '.') {
        s->at++;
        if (!digits_skip(s)) {
            return syntax_error(s, s->at);
        }
    }
    if (s->at < s->limit && (*s->at | 0x20) == 'e') {
        s->at++;
        s->at += s->at < s->limit && (*s->at == '+' || *s->at == '-');
        if (!digits_skip(s)) {
            return syntax_error(s, s->at);
        }
    }
    value_note(s, (dh_json_value){.kind = DH_JSON_NUMBER, .text = from, .size = (size_t)(s->at - from)});
    return DH_JSON_OK;
}

static dh_json_error scan_literal(scanner *s, const char *word, dh_json_kind kind)
{
    const uint8_t *from = s->at;
    for (; *word != '\0'; word++, s->at++) {
        if (s->at == s->limit || *s->at != (uint8_t)*word) {
            return syntax_error(s, s->at);
        }
    }
    value_note(s, (dh_json_value){.kind = kind, .text = from, .size = (size_t)(s->at - from)});
    return DH_JSON_OK;
}

/* The string at the quote `at`. */
static dh_json_error scan_string(scanner *s, dh_json_value *out)
{
    const uint8_t *from = s->at + 1;
    bool has_escapes;
    const uint8_t *end = s->strings->find_end(s->begin, from, s->limit, &has_escapes, &s->error);
    if (end == NULL) {
        return DH_JSON_SYNTAX;
    }
    *out = (dh_json_value){DH_JSON_STRING, has_escapes, from, (size_t)(end - from)};
    s->at = end + 1;
    return DH_JSON_OK;
}

/* ---- objects and arrays ----------------------------------------------------------------------------- */

static dh_json_error container_open(scanner *s, bool is_array)
{
    if (s->depth == DH_JSON_DEPTH_MAX) {
        s->error = s->at;
        return DH_JSON_TOO_DEEP;
    }
    const dh_json_path_set named = value_note(
        s, (dh_json_value){.kind = is_array ? DH_JSON_ARRAY : DH_JSON_OBJECT, .text = s->at, .size = 1});
    dh_json_path_set ends = 0;
    if (named != 0) {
        ends = named & s->paths->ends[s->depth - 1];
    }
    const uint32_t bit = s->depth++;
    s->is_array[bit / 64] &= ~(1ULL << (bit % 64));
    s->is_array[bit / 64] |= (uint64_t)is_array << (bit % 64);
    /* Nothing goes on inside a value where a path ends: paths_check. */
    if (ends != 0) {
        s->pending = ends;
        s->pending_depth = s->depth;
    }
    if (s->depth <= DH_JSON_PATH_DEPTH_MAX) {
        s->inside[s->depth] = s->depth == 1 ? s->paths->used : named & ~ends;
    }
    s->at++;
    return DH_JSON_OK;
}

static void container_close(scanner *s)
{
    s->at++;
    if (s->pending_depth == s->depth) {
        for (; s->pending != 0; s->pending &= s->pending - 1) {
            dh_json_value *value = &s->value[__builtin_ctz(s->pending)];
            value->size = (size_t)(s->at - value->text);
        }
    }
    s->depth--;
}

static bool in_array(const scanner *s)
{
    const uint32_t bit = s->depth - 1;
    return (s->is_array[bit / 64] >> (bit % 64) & 1) != 0;
}

/* The name at `at` and the colon behind it. */
static dh_json_error scan_name(scanner *s)
{
    if (*s->at != '"') {
        return syntax_error(s, s->at);
    }
    dh_json_value name;
    const dh_json_error error = scan_string(s, &name);
    if (error != DH_JSON_OK) {
        return error;
    }
    const dh_json_path_set set = s->depth <= DH_JSON_PATH_DEPTH_MAX ? s->inside[s->depth] : 0;
    if (set != 0) {
        s->named = dh_json_paths_match(s->paths, set, s->depth - 1, name.text, name.size, name.has_escapes);
    }
    skip_white_space(s);
    if (s->at == s->limit || *s->at != ':') {
        return syntax_error(s, s->at);
    }
    s->at++;
    return DH_JSON_OK;
}

/* The value at `at`. *next is what may follow. */
static dh_json_error scan_value(scanner *s, expected *next)
{
    dh_json_error error;
    *next = s->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
    switch (*s->at) {
    case '"': {
        dh_json_value string;
        error = scan_string(s, &string);
        if (error == DH_JSON_OK) {
            value_note(s, string);
        }
        return error;
    }
    case '{':
        *next = EXPECT_NAME_OR_CLOSE;
        return container_open(s, false);
    case '[':
        *next = EXPECT_VALUE_OR_CLOSE;
        return container_open(s, true);
    case 't':
        return scan_literal(s, "true", DH_JSON_BOOL);
    case 'f':
        return scan_literal(s, "false", DH_JSON_BOOL);
    case 'n':
        return scan_literal(s, "null", DH_JSON_NULL);
    default:
        if (*s->at != '-' && (*s->at < '0' || *s->at > '9')) {
            return syntax_error(s, s->at);
        }
        return scan_number(s);
    }
}

/* One step: from what is expected to what is expected next. There is a byte at `at`, no white space. */
static dh_json_error scan_step(scanner *s, expected *next)
{
    const uint8_t byte = *s->at;
    switch (*next) {
    case EXPECT_VALUE_OR_CLOSE:
        if (byte == ']') {
            break;
        }
        return scan_value(s, next);
    case EXPECT_VALUE:
        return scan_value(s, next);
    case EXPECT_NAME_OR_CLOSE:
        if (byte == '}') {
            break;
        }
        *next = EXPECT_VALUE;
        return scan_name(s);
    case EXPECT_NAME:
        *next = EXPECT_VALUE;
        return scan_name(s);
    case EXPECT_COMMA_OR_CLOSE:
        if (byte == ',') {
            s->at++;
            *next = in_array(s) ? EXPECT_VALUE : EXPECT_NAME;
            return DH_JSON_OK;
        }
        if (byte != (in_array(s) ? ']' : '}')) {
            return syntax_error(s, s->at);
        }
        break;
    case EXPECT_END:
    default:
        return syntax_error(s, s->at);
    }
    container_close(s);
    *next = s->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
    return DH_JSON_OK;
}

dh_json_error dh_json_scan_with(const dh_json_strings *strings, const dh_json_paths *paths,
                                const uint8_t *line, size_t size, dh_json_value *value, size_t *error_offset)
{
    scanner s = {.strings = strings, .paths = paths, .value = value};
    s.begin = s.at = line;
    s.limit = line + size;
    for (size_t i = 0; i < paths->count; i++) {
        value[i] = (dh_json_value){0};
    }
    skip_white_space(&s);
    const uint8_t *const top = s.at;
    expected next = EXPECT_VALUE;
    dh_json_error error = DH_JSON_OK;
    while (error == DH_JSON_OK && s.at < s.limit) {
        error = scan_step(&s, &next);
        skip_white_space(&s);
    }
    if (error == DH_JSON_OK && next != EXPECT_END) {
        error = syntax_error(&s, s.limit);
    }
    if (error == DH_JSON_OK && *top != '{') {
        s.error = top;
        error = DH_JSON_NOT_OBJECT;
    }
    if (error != DH_JSON_OK) {
        *error_offset = (size_t)(s.error - line);
        for (size_t i = 0; i < paths->count; i++) {
            value[i] = (dh_json_value){0};
        }
    }
    return error;
}

/* ---- what others call ------------------------------------------------------------------------------- */

dh_json_error dh_json_scan(const dh_json_paths *paths, const uint8_t *line, size_t size, dh_json_value *value,
                           size_t *error_offset)
{
    return dh_json_scan_with(dh_json_strings_get(0), paths, line, size, value, error_offset);
}

size_t dh_json_unescape(const dh_json_value *value, uint8_t *out, uint64_t *replaced)
{
    if (value->has_escapes) {
        return dh_json_strings_get(0)->unescape(value->text, value->size, out, replaced);
    }
    if (out != value->text && value->size > 0) {
        memcpy(out, value->text, value->size);
    }
    return value->size;
}

/* Appends well-formed text with its quotes, backslashes and control characters escaped. */
static dh_status append_escaped(dh_buffer *out, const uint8_t *text, size_t size)
{
    size_t plain = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '"' && text[i] != '\\' && text[i] >= 0x20) {
            continue;
        }
        DH_TRY(dh_buffer_append(out, text + plain, i - plain));
        plain = i + 1;
        static const char short_letter[0x20] = {
            ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
        const char letter = (char)(text[i] < 0x20 ? short_letter[text[i]] : text[i]);
        if (letter != '\0') {
            DH_TRY(dh_buffer_append(out, (const char[2]){'\\', letter}, 2));
        } else {
            DH_TRY(dh_buffer_printf(out, "\\u%04x", (unsigned)text[i]));
        }
    }
    return dh_buffer_append(out, text + plain, size - plain);
}

dh_status dh_json_append_string(dh_buffer *out, const void *text, size_t size)
{
    DH_TRY(dh_buffer_append(out, "\"", 1));
    if (dh_utf8_valid_prefix(text, size) == size) {
        DH_TRY(append_escaped(out, text, size));
    } else {
        dh_buffer repaired = {0};
        uint64_t replaced = 0;
        dh_status status = dh_utf8_repair(text, size, &repaired, &replaced);
        if (status == DH_OK) {
            status = append_escaped(out, repaired.data, repaired.size);
        }
        dh_buffer_free(&repaired);
        DH_TRY(status);
    }
    return dh_buffer_append(out, "\"", 1);
}
