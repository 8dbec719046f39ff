/* What the unit tests share: temporary folders, files in them, capture of stderr, random numbers. */
#ifndef DH_TESTS_SUPPORT_H
#define DH_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define assert_ok(call) assert_int_equal((call), DH_OK)

/* ---- temporary folder: support_set_up and support_tear_down are the group's fixtures ----------------- */

static char support_folder[4096];

static inline int support_set_up(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(support_folder, sizeof support_folder, "%s/dhatu-test-XXXXXX",
                   base != NULL ? base : "/tmp");
    char *real = mkdtemp(support_folder) != NULL ? realpath(support_folder, NULL) : NULL;
    if (real == NULL) {
        return -1;
    }
    (void)snprintf(support_folder, sizeof support_folder, "%s", real);
    free(real);
    return 0;
}

static inline int support_remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

/* Removes a folder and what is in it. */
static inline int support_remove(const char *path)
{
    return nftw(path, support_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int support_tear_down(void **state)
{
    (void)state;
    return support_remove(support_folder);
}

/* The path of a name in the temporary folder. One of eight static buffers in turn. */
static inline char *support_path(const char *name)
{
    static char paths[8][4400];
    static unsigned next;
    char *path = paths[next++ % COUNT(paths)];
    const int size =
        snprintf(path, sizeof paths[0], "%s%s%s", support_folder, name[0] != '\0' ? "/" : "", name);
    assert_true(size > 0 && (size_t)size < sizeof paths[0]);
    return path;
}

/* Makes a folder in the temporary folder. */
static inline char *support_make_folder(const char *name)
{
    char *path = support_path(name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

/* Writes a file in the temporary folder and gives its path. */
static inline char *support_write(const char *name, const void *bytes, size_t size)
{
    char *path = support_path(name);
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    for (size_t done = 0; done < size;) {
        const ssize_t put = write(file, (const uint8_t *)bytes + done, size - done);
        assert_true(put > 0);
        done += (size_t)put;
    }
    assert_int_equal(close(file), 0);
    return path;
}

static inline char *support_write_text(const char *name, const char *text)
{
    return support_write(name, text, strlen(text));
}

/* ---- capture of stderr ------------------------------------------------------------------------------- */

static char support_said[1 << 16]; /* what stderr got between begin and end */
static int support_stderr = -1;
static FILE *support_capture;

static inline void support_capture_begin(void)
{
    support_capture = tmpfile();
    assert_non_null(support_capture);
    support_stderr = dup(STDERR_FILENO);
    assert_true(support_stderr >= 0);
    assert_true(dup2(fileno(support_capture), STDERR_FILENO) >= 0);
}

static inline const char *support_capture_end(void)
{
    assert_true(dup2(support_stderr, STDERR_FILENO) >= 0);
    (void)close(support_stderr);
    const ssize_t size = pread(fileno(support_capture), support_said, sizeof support_said - 1, 0);
    assert_true(size >= 0);
    support_said[size] = '\0';
    (void)fclose(support_capture);
    return support_said;
}

/* The message must have `part` in it; the failure shows both. */
static inline void assert_says(const char *message, const char *part)
{
    if (strstr(message, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, message);
    }
}

/* ---- loops and random numbers ------------------------------------------------------------------------ */

/* With DHATU_TEST_SHORT=N long tests do an Nth of their work (sanitizers, valgrind); 1: all of it. */
static inline unsigned support_share(void)
{
    const char *text = getenv("DHATU_TEST_SHORT");
    const unsigned long share = text == NULL ? 1 : strtoul(text, NULL, 10);
    return share == 0 ? 1 : (unsigned)share;
}

/* Turns of a long random loop. */
static inline unsigned support_turns(unsigned turns)
{
    const unsigned share = support_share();
    return (turns + share - 1) / share;
}

/* The step through all of something. It is odd: every bit of a byte has its turn. */
static inline unsigned support_step(void)
{
    return 2 * support_share() - 1;
}

/* xorshift64*: the same numbers on every machine. */
static uint64_t support_seed = UINT64_C(0x9E3779B97F4A7C15);

static inline uint64_t support_random(void)
{
    support_seed ^= support_seed >> 12;
    support_seed ^= support_seed << 25;
    support_seed ^= support_seed >> 27;
    return support_seed * UINT64_C(0x2545F4914F6CDD1D);
}

static inline uint64_t support_random_below(uint64_t limit)
{
    return support_random() % limit;
}

#endif
