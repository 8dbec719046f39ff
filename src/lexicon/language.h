/* dhatu: languages as small numbers. A language is the primary subtag of a BCP 47 tag, two or three
 * letters (ISO 639): "fr-CA" and "FR" are fr. */
#ifndef DH_LEXICON_LANGUAGE_H
#define DH_LEXICON_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

enum {
    DH_LANGUAGE_UNKNOWN = 0, /* "und" */
    DH_LANGUAGE_COUNT = 1 + 26 * 26 + 26 * 26 * 26
};

/* DH_LANGUAGE_UNKNOWN for anything that does not begin with two or three ASCII letters and an end, '-' or
 * '_'. */
uint16_t dh_language_parse(const void *tag, size_t size);

/* "fr"; "und". Static storage of the thread, valid until the next call with another code has been made 4
 * times. */
const char *dh_language_name(uint16_t code);

#endif
