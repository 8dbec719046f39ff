/* Rates of the SHA-256 engines, and of OpenSSL where built with DH_BENCH_OPENSSL and -lcrypto.
 *
 *   bench_sha256                      nine names, texts of 1,000 bytes
 *   bench_sha256 SIZE                 the same with texts of SIZE bytes
 *   zcat x.jsonl.gz | bench_sha256 -  ten prefixes, the field "text" of every line
 *
 * All contenders run in turn, ROUNDS times; what is printed is the median, so that a machine that is
 * busy with other things disturbs all of them alike. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef DH_BENCH_OPENSSL
#include <openssl/evp.h>
#endif

#include "kernels/sha256.h"

enum { ROUNDS = 15, BATCH = 1024, PREFIXES = 10, CONTENDERS = DH_SHA256_ENGINE_COUNT + 1 };

static const char *const prefix_text[PREFIXES] = {
    "RELATE::", "MODAL::", "EXIST::", "EVAL::", "COMM::", "CAUSE::", "ITER::", "DECIDE::", "FEEL::", ""};

typedef struct corpus {
    uint8_t *text;
    uint64_t *offset;
    uint32_t count, capacity;
    uint64_t text_capacity;
} corpus;

static void *must(void *pointer)
{
    if (pointer == NULL) {
        (void)fputs("bench_sha256: out of memory\n", stderr);
        exit(1);
    }
    return pointer;
}

static void corpus_reserve(corpus *c, uint64_t bytes)
{
    if (c->count + 2 > c->capacity) {
        c->capacity = 2 * c->capacity + 1024;
        c->offset = must(realloc(c->offset, c->capacity * sizeof *c->offset));
    }
    if (c->offset[c->count] + bytes > c->text_capacity) {
        c->text_capacity = 2 * c->text_capacity + bytes;
        c->text = must(realloc(c->text, c->text_capacity));
    }
}

static void corpus_uniform(corpus *c, uint64_t size, uint32_t count)
{
    uint32_t seed = 1;
    for (uint32_t d = 0; d < count; d++) {
        corpus_reserve(c, size);
        for (uint64_t i = 0; i < size; i++) {
            seed = seed * 1664525U + 1013904223U;
            c->text[c->offset[d] + i] = (uint8_t)(seed >> 24);
        }
        c->offset[d + 1] = c->offset[d] + size;
        c->count++;
    }
}

/* The string behind "text": of a line of JSON, roughly unescaped: \uXXXX becomes three bytes. */
static void corpus_line(corpus *c, const char *line, uint64_t size)
{
    const char *at = strstr(line, "\"text\"");
    at = at == NULL ? NULL : strchr(at + 6, '"');
    if (at == NULL) {
        return;
    }
    corpus_reserve(c, size);
    uint64_t end = c->offset[c->count];
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at != '\\') {
            c->text[end++] = (uint8_t)*at;
        } else if (*++at == 'u') {
            memcpy(c->text + end, "\xE2\x80\x99", 3);
            end += 3;
            at += 4;
        } else {
            c->text[end++] = (uint8_t)(*at == 'n' ? '\n' : *at);
        }
    }
    c->offset[++c->count] = end;
}

static void corpus_stdin(corpus *c)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, stdin)) > 0) {
        corpus_line(c, line, (uint64_t)size);
    }
    free(line);
}

#ifdef DH_BENCH_OPENSSL
static void openssl_run(const corpus *c, const dh_sha256_prefix *prefix, uint32_t prefix_count,
                        uint8_t *digest)
{
    EVP_MD *sha = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    for (uint32_t d = 0; d < c->count; d++) {
        uint8_t *out = digest + (uint64_t)(d % BATCH) * prefix_count * DH_SHA256_SIZE;
        for (uint32_t p = 0; p < prefix_count; p++, out += DH_SHA256_SIZE) {
            EVP_DigestInit_ex2(context, sha, NULL);
            EVP_DigestUpdate(context, prefix[p].bytes, prefix[p].size);
            EVP_DigestUpdate(context, c->text + c->offset[d], c->offset[d + 1] - c->offset[d]);
            EVP_DigestFinal_ex(context, out, NULL);
        }
    }
    EVP_MD_CTX_free(context);
    EVP_MD_free(sha);
}
#endif

static void engine_run(dh_sha256_engine engine, const corpus *c, const dh_sha256_prefix *prefix,
                       uint32_t prefix_count, uint8_t *digest)
{
    for (uint32_t d = 0; d < c->count; d += BATCH) {
        uint32_t count = c->count - d < BATCH ? c->count - d : BATCH;
        dh_sha256_batch(engine, c->text, c->offset + d, count, prefix, prefix_count, digest);
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Runs one contender; returns 0 where it is not there. */
static int contender_run(uint32_t contender, const corpus *c, const dh_sha256_prefix *prefix,
                         uint32_t prefix_count, uint8_t *digest)
{
    if (contender < DH_SHA256_ENGINE_COUNT) {
        dh_sha256_engine engine = (dh_sha256_engine)contender;
        if (!dh_sha256_engine_is_available(engine)) {
            return 0;
        }
        engine_run(engine, c, prefix, prefix_count, digest);
        return 1;
    }
#ifdef DH_BENCH_OPENSSL
    openssl_run(c, prefix, prefix_count, digest);
    return 1;
#else
    return 0;
#endif
}

static int double_compare(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static void report(const corpus *c, const dh_sha256_prefix *prefix, uint32_t prefix_count)
{
    static double seconds[CONTENDERS][ROUNDS];
    uint8_t *digest = must(malloc((size_t)BATCH * prefix_count * DH_SHA256_SIZE));
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t k = 0; k < CONTENDERS; k++) {
            double begin = seconds_now();
            seconds[k][round] = contender_run(k, c, prefix, prefix_count, digest) ? seconds_now() - begin : 0;
        }
    }
    double bytes = (double)c->offset[c->count];
    printf("%u texts, mean %.0f bytes, %u prefixes\n", c->count, bytes / c->count, prefix_count);
    for (uint32_t k = 0; k < CONTENDERS; k++) {
        qsort(seconds[k], ROUNDS, sizeof(double), double_compare);
        double median = seconds[k][ROUNDS / 2];
        const char *name =
            k < DH_SHA256_ENGINE_COUNT ? dh_sha256_engine_name((dh_sha256_engine)k) : "OpenSSL";
        if (median > 0) {
            printf("%-13s %8.1f k texts/s %8.1f MB of text/s\n", name, c->count / median / 1e3,
                   bytes / median / 1e6);
        } else {
            printf("%-13s not available\n", name);
        }
    }
    free(digest);
}

int main(int argc, char **argv)
{
    dh_sha256_prefix prefix[PREFIXES];
    for (uint32_t p = 0; p < PREFIXES; p++) {
        prefix[p].size = (uint8_t)strlen(prefix_text[p]);
        memcpy(prefix[p].bytes, prefix_text[p], prefix[p].size);
    }
    corpus c = {.capacity = 1024};
    c.offset = must(calloc(c.capacity, sizeof *c.offset));
    int from_stdin = argc > 1 && strcmp(argv[1], "-") == 0;
    if (from_stdin) {
        corpus_stdin(&c);
    } else {
        uint64_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
        corpus_uniform(&c, size, size < 20000 ? 16 * BATCH : BATCH);
    }
    if (c.count > 0) {
        report(&c, prefix, from_stdin ? PREFIXES : PREFIXES - 1);
    }
    free(c.text);
    free(c.offset);
    return 0;
}
