/* Reads the Unicode Character Database where the system has it (Debian: unicode-data), for tests. */
#ifndef DH_TESTS_UNICODE_FILES_H
#define DH_TESTS_UNICODE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNICODE_LIMIT = 0x110000, UNICODE_LINE = 2048 };

typedef struct unicode_file {
    FILE *file;
    bool piped;
    char line[UNICODE_LINE];
} unicode_file;

/* Opens NAME or NAME.bz2 in DH_UNICODE_DATA or /usr/share/unicode. False, with a message: not there. */
static inline bool unicode_open(unicode_file *in, const char *name)
{
    const char *folder = getenv("DH_UNICODE_DATA");
    folder = folder == NULL ? "/usr/share/unicode" : folder;
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    in->piped = false;
    in->file = fopen(path, "r");
    if (in->file == NULL) {
        (void)snprintf(path, sizeof path, "%s/%s.bz2", folder, name);
        FILE *packed = fopen(path, "r");
        if (packed != NULL) {
            (void)fclose(packed);
            (void)snprintf(path, sizeof path, "bzip2 -dc '%s/%s.bz2'", folder, name);
            in->piped = true;
            in->file = popen(path, "r");
        }
    }
    if (in->file == NULL) {
        printf("skipped: no %s in %s (package unicode-data, or set DH_UNICODE_DATA)\n", name, folder);
    }
    return in->file != NULL;
}

/* Reads the next line that is not empty, without comment and line end. False: no more lines. */
static inline bool unicode_next_line(unicode_file *in)
{
    while (fgets(in->line, sizeof in->line, in->file) != NULL) {
        in->line[strcspn(in->line, "#\r\n")] = '\0';
        if (in->line[0] != '\0') {
            return true;
        }
    }
    return false;
}

static inline void unicode_close(unicode_file *in)
{
    if (in->piped) {
        (void)pclose(in->file);
    } else {
        (void)fclose(in->file);
    }
}

/* Cuts a line at its semicolons, and blanks off the fields. Returns how many there are. */
static inline size_t unicode_fields(char *line, char **field, size_t limit)
{
    size_t count = 0;
    char *rest = line;
    while (rest != NULL && count < limit) {
        char *this = strsep(&rest, ";");
        while (*this == ' ') {
            this ++;
        }
        for (size_t size = strlen(this); size > 0 && this[size - 1] == ' '; size--) {
            this[size - 1] = '\0';
        }
        field[count++] = this;
    }
    return count;
}

/* Reads "0041 0301". */
static inline size_t unicode_sequence(const char *text, uint32_t *out, size_t limit)
{
    size_t count = 0;
    char *end = NULL;
    for (unsigned long c = strtoul(text, &end, 16); end != text && count < limit;
         c = strtoul(text, &end, 16)) {
        out[count++] = (uint32_t)c;
        text = end;
    }
    return count;
}

/* Reads "0041" or "0041..005A". */
static inline void unicode_range(const char *text, uint32_t *first, uint32_t *last)
{
    char *end = NULL;
    *first = (uint32_t)strtoul(text, &end, 16);
    *last = strncmp(end, "..", 2) == 0 ? (uint32_t)strtoul(end + 2, NULL, 16) : *first;
}

/* What UnicodeData.txt says of the code points it has (category[0] == 0: it has none). */
typedef struct unicode_data {
    char category[UNICODE_LIMIT][2];
    uint32_t lower[UNICODE_LIMIT]; /* itself where there is none */
    uint32_t canonical[UNICODE_LIMIT][2];
    uint8_t combining_class[UNICODE_LIMIT];
} unicode_data;

/* NULL, with a message: no file. The caller frees it. */
static inline unicode_data *unicode_read_data(void)
{
    unicode_file in;
    if (!unicode_open(&in, "UnicodeData.txt")) {
        return NULL;
    }
    unicode_data *data = calloc(1, sizeof *data);
    uint32_t range_first = 0;
    while (data != NULL && unicode_next_line(&in)) {
        char *field[15];
        if (unicode_fields(in.line, field, 15) < 14) {
            continue;
        }
        const uint32_t c = (uint32_t)strtoul(field[0], NULL, 16);
        const bool range_end = strstr(field[1], ", Last>") != NULL;
        for (uint32_t i = range_end ? range_first : c; i <= c; i++) {
            memcpy(data->category[i], field[2], 2);
            data->combining_class[i] = (uint8_t)strtoul(field[3], NULL, 10);
            data->lower[i] = field[13][0] == '\0' ? i : (uint32_t)strtoul(field[13], NULL, 16);
            if (field[5][0] != '<') {
                (void)unicode_sequence(field[5], data->canonical[i], 2);
            }
        }
        range_first = c;
    }
    unicode_close(&in);
    return data;
}

#endif
