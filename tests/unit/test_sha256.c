#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/sha256.h"

#include "support.h"

enum { SENTINEL_SIZE = 256, SENTINEL = 0xC5, POISON = 0x5C };

/* -- a second, plain SHA-256 (FIPS 180-4, 6.2), whose constants are computed, not copied ------------ */

static uint32_t plain_k[64], plain_h0[8];

/* The first 32 bits of the fraction of the square or cube root of n, by bisection over whole numbers:
 * the largest r with r^power <= n 2^(32 power). */
static uint32_t root_fraction(uint32_t n, int power)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t low = 0, high = UINT64_C(1) << 37;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        wide square = (wide)middle * middle;
        /* cubes of 37 bits fit 128 */
        wide raised = power == 2 ? square : square * middle;
        if (raised <= (wide)n << (32 * power)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

static void plain_init(void)
{
    uint32_t found = 0;
    for (uint32_t n = 2; found < 64; n++) {
        uint32_t divisor = 2;
        while (n % divisor != 0) {
            divisor++;
        }
        if (divisor != n) {
            continue;
        }
        if (found < 8) {
            plain_h0[found] = root_fraction(n, 2);
        }
        plain_k[found++] = root_fraction(n, 3);
    }
}

static uint32_t plain_rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void plain_block(uint32_t h[8], const uint8_t *block)
{
    uint32_t w[64] = {0}, v[8];
    for (int t = 0; t < 64; t++) {
        if (t < 16) {
            w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
                   (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
            continue;
        }
        uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = (plain_rotate(b, 17) ^ plain_rotate(b, 19) ^ b >> 10) + w[t - 7] +
               (plain_rotate(a, 7) ^ plain_rotate(a, 18) ^ a >> 3) + w[t - 16];
    }
    memcpy(v, h, sizeof v);
    for (int t = 0; t < 64; t++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (plain_rotate(e, 6) ^ plain_rotate(e, 11) ^ plain_rotate(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + plain_k[t] + w[t];
        uint32_t t2 = (plain_rotate(a, 2) ^ plain_rotate(a, 13) ^ plain_rotate(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        h[i] += v[i];
    }
}

static void plain_sha256(const uint8_t *prefix, size_t prefix_size, const uint8_t *text, size_t text_size,
                         uint8_t digest[32])
{
    size_t size = prefix_size + text_size;
    size_t padded = (size + 8) / 64 * 64 + 64;
    uint8_t *message = calloc(padded, 1);
    assert_non_null(message);
    if (prefix_size > 0) {
        memcpy(message, prefix, prefix_size);
    }
    if (text_size > 0) {
        memcpy(message + prefix_size, text, text_size);
    }
    message[size] = 0x80;
    for (size_t i = 0; i < 8; i++) {
        message[padded - 1 - i] = (uint8_t)((uint64_t)size * 8 >> (8 * i));
    }
    uint32_t h[8];
    memcpy(h, plain_h0, sizeof h);
    for (size_t at = 0; at < padded; at += 64) {
        plain_block(h, message + at);
    }
    for (size_t i = 0; i < 32; i++) {
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
    free(message);
}

/* -- helpers ----------------------------------------------------------------------------------------- */

static uint64_t random_seed = 1;

static uint64_t random_next(void)
{
    uint64_t z = (random_seed += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static void random_fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)random_next();
    }
}

static dh_sha256_prefix prefix_of(const char *text)
{
    dh_sha256_prefix prefix = {.size = (uint8_t)strlen(text)};
    memcpy(prefix.bytes, text, prefix.size);
    return prefix;
}

static uint32_t names_make(dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX])
{
    static const char *const names[] = {
        "RELATE::", "MODAL::", "EXIST::", "EVAL::", "COMM::", "CAUSE::", "ITER::", "DECIDE::", "FEEL::", ""};
    uint32_t count = sizeof names / sizeof names[0];
    for (uint32_t p = 0; p < count; p++) {
        prefix[p] = prefix_of(names[p]);
    }
    return count;
}

/* Runs one engine over a batch with poisoned output and sentinels on both sides, and compares with what
 * is expected. */
static void engine_check(dh_sha256_engine engine, const uint8_t *text, const uint64_t *offset, uint32_t count,
                         const dh_sha256_prefix *prefix, uint32_t prefix_count, const uint8_t *expected)
{
    size_t size = (size_t)count * prefix_count * DH_SHA256_SIZE;
    uint8_t *buffer = malloc(size + 2 * SENTINEL_SIZE);
    assert_non_null(buffer);
    memset(buffer, SENTINEL, size + 2 * SENTINEL_SIZE);
    memset(buffer + SENTINEL_SIZE, POISON, size);
    dh_sha256_batch(engine, text, offset, count, prefix, prefix_count, buffer + SENTINEL_SIZE);
    for (size_t i = 0; i < SENTINEL_SIZE; i++) {
        assert_int_equal(buffer[i], SENTINEL);
        assert_int_equal(buffer[SENTINEL_SIZE + size + i], SENTINEL);
    }
    for (size_t i = 0; i < size; i++) {
        if (buffer[SENTINEL_SIZE + i] != expected[i]) {
            size_t d = i / (prefix_count * DH_SHA256_SIZE), p = i / DH_SHA256_SIZE % prefix_count;
            fail_msg("%s: document %zu of %u (%llu bytes), prefix %zu of %u bytes, differs",
                     dh_sha256_engine_name(engine), d, count, (unsigned long long)(offset[d + 1] - offset[d]),
                     p, prefix[p].size);
        }
    }
    free(buffer);
}

/* Every available engine against the plain SHA-256. */
static void batch_check(const uint8_t *text, const uint64_t *offset, uint32_t count,
                        const dh_sha256_prefix *prefix, uint32_t prefix_count)
{
    size_t stride = (size_t)prefix_count * DH_SHA256_SIZE;
    uint8_t *expected = malloc(count * stride + 1);
    assert_non_null(expected);
    for (uint32_t d = 0; d < count; d++) {
        for (uint32_t p = 0; p < prefix_count; p++) {
            plain_sha256(prefix[p].bytes, prefix[p].size, text + offset[d], offset[d + 1] - offset[d],
                         expected + d * stride + p * DH_SHA256_SIZE);
        }
    }
    for (int e = 0; e < DH_SHA256_ENGINE_COUNT; e++) {
        if (dh_sha256_engine_is_available((dh_sha256_engine)e)) {
            engine_check((dh_sha256_engine)e, text, offset, count, prefix, prefix_count, expected);
        }
    }
    free(expected);
}

/* A batch of these sizes, of random bytes, in a buffer of exactly that size. */
static void sizes_check(const uint64_t *size, uint32_t count, const dh_sha256_prefix *prefix,
                        uint32_t prefix_count)
{
    uint64_t *offset = calloc((size_t)count + 1, sizeof *offset);
    assert_non_null(offset);
    for (uint32_t d = 0; d < count; d++) {
        offset[d + 1] = offset[d] + size[d];
    }
    uint8_t *text = malloc(offset[count] > 0 ? offset[count] : 1);
    assert_non_null(text);
    random_fill(text, offset[count]);
    batch_check(text, offset, count, prefix, prefix_count);
    free(text);
    free(offset);
}

/* -- tests ------------------------------------------------------------------------------------------- */

static void digest_is(const uint8_t *digest, const char *hex)
{
    char got[65];
    for (int i = 0; i < 32; i++) {
        (void)snprintf(got + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(got, hex);
}

static void vector_check(const uint8_t *text, size_t size, const char *hex)
{
    uint8_t digest[32];
    uint64_t offset[2] = {0, size};
    dh_sha256_prefix none = {.size = 0};
    dh_sha256 sha;
    plain_sha256(NULL, 0, text, size, digest);
    digest_is(digest, hex);
    for (int e = 0; e < DH_SHA256_ENGINE_COUNT; e++) {
        if (dh_sha256_engine_is_available((dh_sha256_engine)e)) {
            memset(digest, POISON, sizeof digest);
            dh_sha256_batch((dh_sha256_engine)e, text, offset, 1, &none, 1, digest);
            digest_is(digest, hex);
        }
    }
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, text, size);
    dh_sha256_end(&sha, digest);
    digest_is(digest, hex);
}

static void nist_vectors(void **unused)
{
    (void)unused;
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    vector_check((const uint8_t *)"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    vector_check((const uint8_t *)"abc", 3,
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    vector_check((const uint8_t *)two_blocks, 56,
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    uint8_t *million = malloc(1000000);
    assert_non_null(million);
    memset(million, 'a', 1000000);
    vector_check(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* All sizes of 0 to 300 behind one prefix of every length, and behind all lengths at once. */
static void every_length(void **unused)
{
    (void)unused;
    uint64_t size[301];
    dh_sha256_prefix prefix[DH_SHA256_PREFIX_MAX + 1];
    for (uint32_t d = 0; d <= 300; d++) {
        size[d] = d;
    }
    for (uint32_t p = 0; p <= DH_SHA256_PREFIX_MAX; p++) {
        prefix[p].size = (uint8_t)p;
        random_fill(prefix[p].bytes, sizeof prefix[p].bytes);
        sizes_check(size, 301, &prefix[p], 1);
    }
    sizes_check(size, 301, prefix, DH_SHA256_PREFIXES_MAX);
    sizes_check(size, 301, prefix + 1, DH_SHA256_PREFIXES_MAX);
}

/* Sets of one size, at the sizes where a message gets another block. */
static void boundary_lengths(void **unused)
{
    (void)unused;
    static const uint32_t at[] = {0, 1, 54, 55, 56, 57, 63, 64, 65, 111, 112, 119, 120, 127, 128};
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    uint32_t prefix_count = names_make(prefix);
    uint64_t size[33];
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        for (uint32_t less = 0; less <= 8 && less <= at[i]; less++) {
            for (uint32_t d = 0; d < 33; d++) {
                size[d] = at[i] - less;
            }
            sizes_check(size, 33, prefix, prefix_count);
            sizes_check(size, 1, prefix, prefix_count);
        }
    }
}

/* How many prefixes, and how they fall into groups, decides how streams are put together. */
static void every_prefix_count(void **unused)
{
    (void)unused;
    uint64_t size[40];
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    for (uint32_t round = 0; round < 12; round++) {
        uint64_t lengths = 1 + random_next() % (DH_SHA256_PREFIX_MAX + 1);
        for (uint32_t count = 0; count <= DH_SHA256_PREFIXES_MAX; count++) {
            for (uint32_t p = 0; p < count; p++) {
                prefix[p].size = (uint8_t)(random_next() % lengths);
                random_fill(prefix[p].bytes, sizeof prefix[p].bytes);
            }
            for (uint32_t d = 0; d < 40; d++) {
                size[d] = random_next() % 400;
            }
            sizes_check(size, 40, prefix, count);
        }
    }
}

static void batches_of_many_sizes(void **unused)
{
    (void)unused;
    static const uint32_t counts[] = {0, 1, 2, 15, 16, 17, 31, 32, 33, 1000, 1024, 1025, 2100};
    enum { MOST = 2100 };
    uint64_t *size = calloc(MOST, sizeof *size);
    assert_non_null(size);
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    uint32_t prefix_count = names_make(prefix);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (uint32_t kind = 0; kind < 3; kind++) {
            if (support_share() > 1 && counts[i] >= 1000 && kind != i % 3) {
                continue;
            }
            uint64_t same = random_next() % 700;
            for (uint32_t d = 0; d < counts[i]; d++) {
                /* all of one size; mixed with many zeros; small, with some larger */
                uint64_t mixed = random_next() % 4 == 0 ? 0 : random_next() % 1500;
                uint64_t skewed = random_next() % (random_next() % 50 == 0 ? 20000 : 300);
                size[d] = kind == 0 ? same : kind == 1 ? mixed : skewed;
            }
            sizes_check(size, counts[i], prefix, prefix_count);
        }
    }
    free(size);
}

static void one_large_document_among_small(void **unused)
{
    (void)unused;
    uint64_t size[50];
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    uint32_t prefix_count = names_make(prefix);
    for (uint32_t d = 0; d < 50; d++) {
        size[d] = random_next() % 40;
    }
    size[20] = support_turns(3 << 20);
    sizes_check(size, 50, prefix, prefix_count);
}

/* Texts that end where a page that may not be touched begins, or begin where one ends. */
static void nothing_outside_the_texts_is_read(void **unused)
{
    (void)unused;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    random_fill(map + page, page);
    assert_int_equal(mprotect(map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(map + 2 * page, page, PROT_NONE), 0);
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    uint32_t prefix_count = names_make(prefix);
    uint64_t offset[34];
    for (uint32_t size = 0; size <= 120; size++) {
        for (uint32_t count = 1; count <= 33; count += 16) {
            for (uint32_t d = 0; d <= count; d++) {
                offset[d] = (uint64_t)d * size;
            }
            batch_check(map + page, offset, count, prefix, prefix_count);
            batch_check(map + 2 * page - offset[count], offset, count, prefix, prefix_count);
        }
    }
    offset[1] = page;
    batch_check(map + page, offset, 1, prefix, prefix_count);
    munmap(map, 3 * page);
}

/* No text at all: a batch of empty documents may come without a buffer. */
static void empty_documents_need_no_buffer(void **unused)
{
    (void)unused;
    dh_sha256_prefix prefix[DH_SHA256_PREFIXES_MAX];
    uint32_t prefix_count = names_make(prefix);
    static const uint64_t offset[21];
    static uint8_t expected[20 * 10 * DH_SHA256_SIZE];
    for (uint32_t d = 0; d < 20; d++) {
        for (uint32_t p = 0; p < prefix_count; p++) {
            plain_sha256(prefix[p].bytes, prefix[p].size, NULL, 0,
                         expected + (d * prefix_count + p) * DH_SHA256_SIZE);
        }
    }
    for (int e = 0; e < DH_SHA256_ENGINE_COUNT; e++) {
        if (dh_sha256_engine_is_available((dh_sha256_engine)e)) {
            engine_check((dh_sha256_engine)e, NULL, offset, 20, prefix, prefix_count, expected);
        }
    }
}

static void pieces_give_the_same(void **unused)
{
    (void)unused;
    enum { MOST = 3000 };
    static uint8_t text[MOST];
    random_fill(text, sizeof text);
    for (uint32_t round = 0; round < 3000; round++) {
        size_t size = random_next() % MOST, at = 0;
        size_t longest = 1 + random_next() % 300;
        uint8_t expected[32], digest[32];
        dh_sha256 sha;
        memset(&sha, POISON, sizeof sha);
        memset(digest, POISON, sizeof digest);
        dh_sha256_begin(&sha);
        while (at < size) {
            size_t piece = random_next() % (longest + 1);
            piece = piece < size - at ? piece : size - at;
            dh_sha256_update(&sha, text + at, piece);
            at += piece;
        }
        dh_sha256_update(&sha, NULL, 0);
        dh_sha256_end(&sha, digest);
        plain_sha256(NULL, 0, text, size, expected);
        assert_memory_equal(digest, expected, sizeof digest);
    }
}

static void engines_have_names(void **unused)
{
    (void)unused;
    for (int e = 0; e < DH_SHA256_ENGINE_COUNT; e++) {
        int there = dh_sha256_engine_is_available((dh_sha256_engine)e);
        print_message("engine %s: %s\n", dh_sha256_engine_name((dh_sha256_engine)e),
                      there ? "tested" : "not on this machine, not tested");
    }
    assert_true(dh_sha256_engine_is_available(DH_SHA256_SCALAR));
    assert_true(dh_sha256_engine_is_available(dh_sha256_engine_best()));
    assert_false(dh_sha256_engine_is_available(DH_SHA256_ENGINE_COUNT));
    print_message("best engine: %s\n", dh_sha256_engine_name(dh_sha256_engine_best()));
}

int main(void)
{
    plain_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_have_names),
        cmocka_unit_test(nist_vectors),
        cmocka_unit_test(every_length),
        cmocka_unit_test(boundary_lengths),
        cmocka_unit_test(every_prefix_count),
        cmocka_unit_test(batches_of_many_sizes),
        cmocka_unit_test(one_large_document_among_small),
        cmocka_unit_test(nothing_outside_the_texts_is_read),
        cmocka_unit_test(empty_documents_need_no_buffer),
        cmocka_unit_test(pieces_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
