/* A small corpus in all forms, with damage, and lexicons; written by the test itself. */
#ifndef DH_TESTS_CORPUS_H
#define DH_TESTS_CORPUS_H

#include <stdbool.h>

/* In folder: corpus/ with files, list (of two of them), words.tsv, words.dic, settings.ini. False: it cannot
 * be written (said). */
bool corpus_write(const char *folder);

#endif
