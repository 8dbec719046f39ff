/* Tests of kernels/ngrams.h on the CPU, and of the SHA-256 of spellings. */
#include "lanes.h"

#include "kernels/ngrams_core.h"

#include <sys/mman.h>
#include <unistd.h>

enum { SENTINEL = 0x5C5C5C5C, EVERY_FEATURE = DH_CPU_AVX2 | DH_CPU_AVX512 | DH_CPU_SHA };

/* ---- documents --------------------------------------------------------------------------------------- */

enum { TOKENS_MAX = 20000, DOCUMENTS_MAX = 2500, SPELLING_MAX = 1 << 20 };

/* The arrays of a batch. The first offsets are not 0: whatever stands before belongs to nobody. */
typedef struct spelled {
    uint8_t spelling[SPELLING_MAX];
    uint32_t token_end[TOKENS_MAX];
    uint64_t spelling_offset[DOCUMENTS_MAX + 1], token_offset[DOCUMENTS_MAX + 1];
    uint64_t size, tokens;
    uint32_t documents;
} spelled;

static spelled all;

static void spell_begin(uint64_t first_byte, uint64_t first_token)
{
    memset(all.spelling, '?', sizeof all.spelling);
    all.size = first_byte;
    all.tokens = first_token;
    all.documents = 0;
    all.spelling_offset[0] = first_byte;
    all.token_offset[0] = first_token;
}

static void spell_token(const void *bytes, size_t size)
{
    assert_true(all.size + size < SPELLING_MAX && all.tokens < TOKENS_MAX);
    memcpy(all.spelling + all.size, bytes, size);
    all.size += size;
    all.token_end[all.tokens++] = (uint32_t)(all.size - all.spelling_offset[all.documents]);
    all.spelling[all.size++] = ' ';
}

static void spell_end(void)
{
    assert_true(all.documents < DOCUMENTS_MAX);
    all.documents++;
    all.spelling_offset[all.documents] = all.size;
    all.token_offset[all.documents] = all.tokens;
}

static void spell_words(const char *const *word, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spell_token(word[i], strlen(word[i]));
    }
    spell_end();
}

static void spell_random(uint64_t tokens, uint64_t longest)
{
    uint8_t bytes[64];
    for (uint64_t t = 0; t < tokens; t++) {
        const size_t size = 1 + (size_t)support_random_below(longest);
        assert_true(size <= sizeof bytes);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)support_random();
        }
        spell_token(bytes, size);
    }
    spell_end();
}

/* The batch, with spelling in a block of its own that ends where the spelling does: reading behind it is
 * found by the tools that look for that. */
static dh_batch spelled_batch(uint8_t **block)
{
    *block = malloc(all.size > 0 ? all.size : 1);
    assert_non_null(*block);
    memcpy(*block, all.spelling, all.size);
    return (dh_batch){.document_count = all.documents,
                      .token_offset = all.token_offset,
                      .spelling = *block,
                      .spelling_offset = all.spelling_offset,
                      .token_end = all.token_end};
}

/* ---- MurmurHash3 ------------------------------------------------------------------------------------- */

typedef struct known_hash {
    const char *text;
    uint32_t hash;
} known_hash;

/* sklearn.utils.murmurhash3_32(text, seed=0, positive=True) of scikit-learn 1.2.1 */
static const known_hash known[] = {
    {"", 0x0},
    {"a", 0x3c2569b2},
    {"ab", 0x9bbfd75f},
    {"abc", 0xb3dd93fa},
    {"abcd", 0x43ed676a},
    {"hello", 0x248bfa47},
    {"hello world", 0x5e928f0f},
    {"the quick brown fox", 0x1efc4bf4},
    {"na\xc3\xafve caf\xc3\xa9", 0x6764ea36},
    {"\xc3\xbc"
     "ber",
     0xa006a72c},
    {"\xd0\xb4\xd0\xb0\xd0\xbd\xd0\xbd\xd1\x8b\xd0\xb5", 0xa88c4ec9},
    {"\xe6\x95\xb0\xe6\x8d\xae \xe7\xa7\x91\xe5\xad\xa6", 0x440e997c},
    {"\xf0\x9f\x98\x80 smile", 0xcc5e257b},
    {"aaaaaaaaaaaaaaaa", 0xf99427eb},
    {"a rather long token sequence of nine words in all", 0x7318dde6},
};

static void test_murmur_is_that_of_scikit_learn(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        const uint32_t size = (uint32_t)strlen(known[i].text);
        assert_int_equal(dh_murmur3((const uint8_t *)known[i].text, size), known[i].hash);
    }
    assert_int_equal(dh_murmur3((const uint8_t *)"x\0y", 3), 0xd95e8682);
}

/* ---- n-grams ----------------------------------------------------------------------------------------- */

static void test_ngrams_are_those_of_scikit_learn(void **state)
{
    (void)state;
    enum { WORDS = 5, LENGTHS = 3 };
    static const char *const word[WORDS] = {"the", "cat", "na\xc3\xafvet\xc3\xa9", "\xe6\x97\xa5\xe6\x9c\xac",
                                            "a"};
    static const uint32_t expected[WORDS][LENGTHS] = {{0xbc7b9f62, 0x4716a942, 0xc4cddd32},
                                                      {0x68649727, 0x6feef11b, 0x8899b3f6},
                                                      {0xc7ddf53d, 0x411cb4b1, 0xaee12ab5},
                                                      {0xc4d9f942, 0xcfe37d25, 0},
                                                      {0x3c2569b2, 0, 0}};
    uint32_t hash[3 * WORDS][LENGTHS];
    spell_begin(0, 0);
    for (int d = 0; d < 3; d++) {
        spell_words(word, WORDS);
    }
    uint8_t *block = NULL;
    const dh_batch batch = spelled_batch(&block);
    dh_backend *backend = open_cpu();
    dh_lane *lane = begin(backend, &batch);
    const dh_ngram_range range = {1, LENGTHS};
    assert_int_equal(dh_backend_cpu.ngrams(lane, range, hash[0]), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.poll(lane), DH_BACKEND_OK);
    for (int d = 0; d < 3; d++) {
        assert_memory_equal(hash[(ptrdiff_t)d * WORDS], expected, sizeof expected);
    }
    dh_backend_cpu.close(backend);
    free(block);
}

/* The n-gram from the definition: its bytes joined, and MurmurHash3 of them. */
static uint32_t ngram_expected(uint32_t document, uint64_t token, uint32_t n)
{
    if (token + n > all.token_offset[document + 1]) {
        return 0;
    }
    const uint32_t begin = token == all.token_offset[document] ? 0 : all.token_end[token - 1] + 1;
    return dh_murmur3(all.spelling + all.spelling_offset[document] + begin,
                      all.token_end[token + n - 1] - begin);
}

static void check_range(dh_lane *lane, dh_ngram_range range)
{
    const uint32_t lengths = dh_ngram_lengths(range);
    const uint64_t tokens = all.tokens - all.token_offset[0];
    uint32_t *hash = malloc((tokens * lengths + 1) * sizeof *hash);
    assert_non_null(hash);
    memset(hash, 0xA5, tokens * lengths * sizeof *hash);
    hash[tokens * lengths] = SENTINEL;
    assert_int_equal(dh_backend_cpu.ngrams(lane, range, hash), DH_BACKEND_OK);
    const uint32_t *next = hash;
    for (uint32_t d = 0; d < all.documents; d++) {
        for (uint64_t t = all.token_offset[d]; t < all.token_offset[d + 1]; t++) {
            for (uint32_t n = range.least; n <= range.most; n++) {
                assert_int_equal(*next++, ngram_expected(d, t, n));
            }
        }
    }
    assert_int_equal(*next, SENTINEL);
    free(hash);
}

static void check_ranges(const dh_batch *batch, uint32_t without)
{
    char why[DH_BACKEND_TEXT];
    const dh_backend_options options = {.lanes = 1, .cpu_without = without};
    dh_backend *backend = NULL;
    assert_int_equal(dh_backend_cpu.open(&options, &backend, why), DH_BACKEND_OK);
    dh_lane *lane = begin(backend, batch);
    for (uint32_t least = 1; least <= DH_NGRAM_TOKENS_MAX; least++) {
        for (uint32_t most = least; most <= DH_NGRAM_TOKENS_MAX; most++) {
            const dh_ngram_range range = {least, most};
            check_range(lane, range);
        }
    }
    dh_backend_cpu.close(backend);
}

static void check_every_range(void)
{
    uint8_t *block = NULL;
    const dh_batch batch = spelled_batch(&block);
    check_ranges(&batch, 0);
    check_ranges(&batch, DH_CPU_AVX512);
    free(block);
}

static void test_every_range_of_lengths(void **state)
{
    (void)state;
    spell_begin(13, 7);
    spell_end(); /* empty documents at both ends and between */
    for (uint64_t tokens = 0; tokens < 2 * DH_NGRAM_TOKENS_MAX; tokens++) {
        spell_random(tokens, 1 + tokens);
    }
    spell_random(300, 60);
    spell_random(300, 3);
    spell_end();
    check_every_range();
}

/* Engines that take 8 or 16 tokens at once may read them otherwise where they are more than 128 bytes. */
static void test_tokens_close_together_and_far_apart(void **state)
{
    (void)state;
    uint8_t bytes[40];
    spell_begin(1, 2);
    spell_random(700, 30);
    for (size_t size = 5; size <= sizeof bytes; size++) {
        for (uint32_t t = 0; t < 33; t++) {
            memset(bytes, (int)('a' + t), sizeof bytes);
            spell_token(bytes, size);
        }
        spell_end();
    }
    check_every_range();
    for (uint64_t tokens = 7; tokens <= 40; tokens++) {
        spell_begin(0, 0);
        spell_random(tokens, 20); /* the last tokens of the batch */
        check_every_range();
    }
}

/* The last n-grams of a batch end where its spelling does. */
static void test_the_end_of_the_spelling(void **state)
{
    (void)state;
    for (uint64_t longest = 1; longest <= 9; longest++) {
        for (uint64_t tokens = 1; tokens <= 6; tokens++) {
            spell_begin(tokens, longest);
            spell_random(tokens, longest);
            check_every_range();
        }
    }
}

/* The same in front of memory that cannot be read: not all ways to read are seen by the tools. */
static void test_the_end_of_memory(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory + page, page, PROT_NONE), 0);
    for (uint64_t longest = 1; longest <= 64; longest++) {
        for (uint64_t tokens = 1; tokens <= 40; tokens += 13) {
            spell_begin(0, 0);
            spell_random(tokens, longest);
            assert_true(all.size <= page);
            memcpy(memory + page - all.size, all.spelling, all.size);
            const dh_batch batch = {.document_count = all.documents,
                                    .token_offset = all.token_offset,
                                    .spelling = memory + page - all.size,
                                    .spelling_offset = all.spelling_offset,
                                    .token_end = all.token_end};
            check_ranges(&batch, 0);
            check_ranges(&batch, DH_CPU_AVX512);
        }
    }
    munmap(memory, 2 * page);
}

static void test_a_batch_without_tokens(void **state)
{
    (void)state;
    spell_begin(0, 0);
    check_every_range();
    spell_end();
    spell_end();
    check_every_range();
}

/* ---- SHA-256 of spellings ---------------------------------------------------------------------------- */

static void check_spelling_digests(uint32_t without)
{
    static uint8_t digest[DOCUMENTS_MAX * DH_SHA256_SIZE + 1];
    char why[DH_BACKEND_TEXT];
    uint8_t *block = NULL;
    const dh_batch batch = spelled_batch(&block);
    const dh_backend_options options = {.lanes = 1, .cpu_without = without};
    dh_backend *backend = NULL;
    assert_int_equal(dh_backend_cpu.open(&options, &backend, why), DH_BACKEND_OK);
    dh_lane *lane = begin(backend, &batch);
    memset(digest, 0xA5, sizeof digest);
    assert_int_equal(dh_backend_cpu.sha256_spelling(lane, digest), DH_BACKEND_OK);
    assert_int_equal(dh_backend_cpu.poll(lane), DH_BACKEND_OK);
    for (uint32_t d = 0; d < all.documents; d++) {
        const uint64_t size = all.spelling_offset[d + 1] - all.spelling_offset[d];
        uint8_t expected[DH_SHA256_SIZE];
        dh_sha256 sha;
        dh_sha256_begin(&sha);
        dh_sha256_update(&sha, all.spelling + all.spelling_offset[d], size > 0 ? size - 1 : 0);
        dh_sha256_end(&sha, expected);
        assert_memory_equal(digest + (size_t)d * DH_SHA256_SIZE, expected, sizeof expected);
    }
    assert_int_equal(digest[(size_t)all.documents * DH_SHA256_SIZE], 0xA5);
    dh_backend_cpu.close(backend);
    free(block);
}

static void test_spelling_digests(void **state)
{
    (void)state;
    spell_begin(13, 7);
    spell_end();
    spell_random(4000, 20); /* far longer than the others of its window */
    while (all.documents < DOCUMENTS_MAX / 2) {
        spell_random(support_random_below(8), 1 + support_random_below(20));
    }
    for (uint32_t d = 0; d < 150; d++) { /* the last space makes or breaks a block */
        static const uint8_t bytes[150];
        if (d > 0) {
            spell_token(bytes, d);
        }
        spell_end();
    }
    for (uint32_t without = 0; without <= EVERY_FEATURE; without++) {
        check_spelling_digests(without);
    }
}

static void test_spelling_digests_of_a_few_documents(void **state)
{
    (void)state;
    for (uint32_t without = 0; without <= EVERY_FEATURE; without++) {
        spell_begin(0, 0);
        check_spelling_digests(without); /* none at all */
        for (int d = 0; d < 20; d++) {
            spell_random(d % 3 == 0 ? 0 : 5, 20);
            check_spelling_digests(without);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_murmur_is_that_of_scikit_learn),
        cmocka_unit_test(test_ngrams_are_those_of_scikit_learn),
        cmocka_unit_test(test_every_range_of_lengths),
        cmocka_unit_test(test_tokens_close_together_and_far_apart),
        cmocka_unit_test(test_the_end_of_the_spelling),
        cmocka_unit_test(test_the_end_of_memory),
        cmocka_unit_test(test_a_batch_without_tokens),
        cmocka_unit_test(test_spelling_digests),
        cmocka_unit_test(test_spelling_digests_of_a_few_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
