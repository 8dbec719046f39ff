/* Fuzzing of read/json.h: every kind of strings against the reference, values inside the line, unescaping in
 * both ways. The first byte of the input chooses the paths. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json_reference.h"
#include "read/json.h"
#include "read/json_string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check_unescape(const dh_json_strings *strings, const dh_json_value *value, uint8_t *apart)
{
    uint64_t lone_apart = 0, lone_in_place = 0;
    uint8_t *in_place = malloc(value->size + 1);
    require(in_place != NULL);
    memcpy(in_place, value->text, value->size);
    const size_t a = strings->unescape(value->text, value->size, apart, &lone_apart);
    const size_t b = strings->unescape(in_place, value->size, in_place, &lone_in_place);
    require(a == b && a <= value->size && lone_apart == lone_in_place);
    require(memcmp(apart, in_place, a) == 0);
    free(in_place);
}

static void check_values(const dh_json_strings *strings, const dh_json_value *value,
                         const dh_json_value *first, size_t count, const uint8_t *line, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        require(value[i].kind == first[i].kind && value[i].text == first[i].text &&
                value[i].size == first[i].size);
        if (value[i].kind == DH_JSON_MISSING) {
            continue;
        }
        require(value[i].text >= line && value[i].text + value[i].size <= line + size);
        if (value[i].kind == DH_JSON_OBJECT || value[i].kind == DH_JSON_ARRAY) {
            require(json_reference(value[i].text, value[i].size) != DH_JSON_SYNTAX);
        }
        if (value[i].kind == DH_JSON_STRING) {
            uint8_t *out = malloc(value[i].size + 1);
            require(out != NULL);
            check_unescape(strings, &value[i], out);
            free(out);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FIELDS = 3 };
    static const char *const choice[][FIELDS] = {
        {"text", "id", "lang"}, {"a", "b.a", "b.b"}, {"a.a.a", "a.a.b", "a.b"}, {"a", "a", NULL}};
    if (size == 0) {
        return 0;
    }
    dh_json_paths *paths;
    require(dh_json_paths_create(choice[data[0] % 4], FIELDS, &paths) == DH_OK);
    /* A copy of exactly this size, so that a sanitizer sees a read behind it. */
    size--;
    uint8_t *line = malloc(size + (size == 0));
    require(line != NULL);
    memcpy(line, data + 1, size);
    const dh_json_error expected = json_reference(line, size);
    dh_json_value first[FIELDS];
    const dh_json_strings *strings;
    for (size_t k = 0; (strings = dh_json_strings_get(k)) != NULL; k++) {
        dh_json_value value[FIELDS];
        size_t offset = SIZE_MAX;
        const dh_json_error found = dh_json_scan_with(strings, paths, line, size, value, &offset);
        require(found == expected);
        require(found == DH_JSON_OK || offset <= size);
        if (k == 0) {
            memcpy(first, value, sizeof first);
        }
        check_values(strings, value, first, FIELDS, line, size);
    }
    free(line);
    dh_json_paths_free(paths);
    return 0;
}
