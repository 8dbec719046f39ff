/* How fast the shuffle is on one rank: bench_shuffle [PAIRS [MEMORY_MIB]]. Pairs with a random key of 8 bytes
 * and a value of 8, no name: added, sorted and read again, in memory and with the given memory, where it
 * spills to the folder $TMPDIR; beside qsort of the same pairs and a plain copy of them. The least of several
 * rounds, which take turns. */
#include "base/clock.h"
#include "shuffle/shuffle.h"
#include "tests/unit/one_rank.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 3, PAIRS = 10000000, MEMORY_MIB = 64, MEBIBYTE = 1 << 20, BYTES = 16, CONTENDERS = 5 };

typedef struct plain_pair {
    uint64_t key, value;
} plain_pair;

typedef struct bench {
    plain_pair *pair, *copy;
    size_t count;
    uint64_t memory;
    char folder[4096];
    uint64_t sum; /* so that nothing is left out */
} bench;

static void stop_if(int failed, const char *what)
{
    if (failed) {
        (void)fprintf(stderr, "bench_shuffle: %s\n", what);
        exit(1);
    }
}

static uint64_t random_number(uint64_t *seed)
{
    *seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t x = *seed;
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static int compare(const void *a, const void *b)
{
    const plain_pair *left = a;
    const plain_pair *right = b;
    if (left->key != right->key) {
        return left->key < right->key ? -1 : 1;
    }
    return (left->value > right->value) - (left->value < right->value);
}

static void copy_pairs(bench *of)
{
    memcpy(of->copy, of->pair, of->count * sizeof *of->pair);
    of->sum += of->copy[of->count / 2].key;
}

static void sort_plainly(bench *of)
{
    copy_pairs(of);
    qsort(of->copy, of->count, sizeof *of->copy, compare);
    of->sum += of->copy[of->count / 2].key;
}

static void shuffle(bench *of, uint64_t memory, dh_combine combine, uint64_t mask)
{
    const dh_shuffle_options options = {
        .name = "bench", .folder = of->folder, .epoch = 1, .memory = memory, .combine = combine};
    dh_shuffle *made = NULL;
    stop_if(dh_shuffle_create(&one_rank, &options, &made) != DH_OK, "create");
    for (size_t i = 0; i < of->count; i++) {
        const dh_pair pair = {.key = of->pair[i].key & mask,
                              .value = (const uint8_t *)&of->pair[i].value,
                              .value_size = sizeof of->pair[i].value};
        stop_if(dh_shuffle_add(made, &pair) != DH_OK, "add");
    }
    stop_if(dh_shuffle_finish(made, DH_OK) != DH_OK, "finish");
    dh_pair pair;
    uint64_t last = 0;
    dh_status status = DH_OK;
    while ((status = dh_shuffle_next(made, &pair)) == DH_OK) {
        stop_if(pair.key < last, "not sorted");
        last = pair.key;
        of->sum += last + pair.value[0];
    }
    stop_if(status != DH_END, "next");
    dh_shuffle_free(made);
}

static void shuffle_in_memory(bench *of)
{
    shuffle(of, (uint64_t)of->count * BYTES * 4, DH_COMBINE_NONE, UINT64_MAX);
}

static void shuffle_with_runs(bench *of)
{
    shuffle(of, of->memory, DH_COMBINE_NONE, UINT64_MAX);
}

static void count_few(bench *of)
{
    enum { KEYS = 0xFFFF };
    shuffle(of, of->memory, DH_COMBINE_SUM, KEYS);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(bench *);
    } contender[CONTENDERS] = {{"memcpy", copy_pairs},
                               {"qsort", sort_plainly},
                               {"shuffle in memory", shuffle_in_memory},
                               {"shuffle with runs", shuffle_with_runs},
                               {"sums of 65,536 keys", count_few}};
    bench of = {.count = argc > 1 ? strtoull(argv[1], NULL, 10) : PAIRS,
                .memory = (argc > 2 ? strtoull(argv[2], NULL, 10) : MEMORY_MIB) * MEBIBYTE};
    const char *base = getenv("TMPDIR");
    (void)snprintf(of.folder, sizeof of.folder, "%s/dhatu-bench-XXXXXX", base != NULL ? base : "/tmp");
    stop_if(of.count == 0 || mkdtemp(of.folder) == NULL, "no pairs, or no folder");
    of.pair = calloc(of.count, sizeof *of.pair);
    of.copy = calloc(of.count, sizeof *of.copy);
    stop_if(of.pair == NULL || of.copy == NULL, "no memory");
    uint64_t seed = 1;
    for (size_t i = 0; i < of.count; i++) {
        of.pair[i] = (plain_pair){random_number(&seed), random_number(&seed)};
    }
    double least[CONTENDERS] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CONTENDERS; c++) {
            const double start = dh_seconds();
            contender[c].run(&of);
            const double seconds = dh_seconds() - start;
            least[c] = round == 0 || seconds < least[c] ? seconds : least[c];
        }
    }
    (void)printf("%zu pairs of %d bytes; runs: %" PRIu64 " MiB of memory (%" PRIx64 ")\n", of.count, BYTES,
                 of.memory / MEBIBYTE, of.sum & 0xFF);
    for (int c = 0; c < CONTENDERS; c++) {
        (void)printf("%-20s %7.3f s %8.2f million pairs/s %8.1f MB/s\n", contender[c].name, least[c],
                     1e-6 * (double)of.count / least[c], 1e-6 * BYTES * (double)of.count / least[c]);
    }
    (void)rmdir(of.folder);
    free(of.pair);
    free(of.copy);
    return 0;
}
