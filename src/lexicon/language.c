#include "lexicon/language.h"

#include <string.h>

static int letter_value(uint8_t c)
{
    if (c >= 'a' && c <= 'z') {
        return c - 'a';
    }
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    return -1;
}

uint16_t dh_language_parse(const void *tag, size_t size)
{
    const uint8_t *text = tag;
    uint32_t value = 0;
    size_t letters = 0;
    while (letters < size && letters < 4 && letter_value(text[letters]) >= 0) {
        value = value * 26 + (uint32_t)letter_value(text[letters]);
        letters++;
    }
    const int ends = letters == size || text[letters] == '-' || text[letters] == '_';
    if (!ends || letters < 2 || letters > 3) {
        return DH_LANGUAGE_UNKNOWN;
    }
    const uint16_t code = (uint16_t)(letters == 2 ? 1 + value : 1 + 26 * 26 + value);
    /* "und" is the tag for "not known". */
    return strcmp(dh_language_name(code), "und") == 0 ? DH_LANGUAGE_UNKNOWN : code;
}

const char *dh_language_name(uint16_t code)
{
    static _Thread_local char names[4][4];
    static _Thread_local unsigned next;
    char *name = names[next++ % 4];
    if (code == DH_LANGUAGE_UNKNOWN || code >= DH_LANGUAGE_COUNT) {
        memcpy(name, "und", 4);
        return name;
    }
    uint32_t value = code - 1U;
    const size_t letters = value < 26 * 26 ? 2 : 3;
    if (letters == 3) {
        value -= 26 * 26;
    }
    name[letters] = '\0';
    for (size_t i = letters; i > 0; i--) {
        name[i - 1] = (char)('a' + value % 26);
        value /= 26;
    }
    return name;
}
