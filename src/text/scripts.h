/* dhatu: the scripts that are written without spaces between words. */
#ifndef DH_TEXT_SCRIPTS_H
#define DH_TEXT_SCRIPTS_H

#include <stdbool.h>
#include <stdint.h>

/* True for code points whose Script property is Han, Hiragana, Katakana, Thai, Lao, Khmer or Myanmar.
 * Shared characters (Common, Inherited: U+30FC, U+3099) belong to no script and are not among them. */
bool dh_script_is_unspaced(uint32_t code_point);

#endif
