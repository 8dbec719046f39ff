/* For shuffle.py: shuffles pairs that are the same for any number of ranks, makes a stage of them, or reads
 * one.
 *
 *     shuffle_program make|read FOLDER EPOCH MEMORY PAIRS COMBINE SKEW SPLIT LARGE FAIL
 *
 * The pairs are those with the numbers below PAIRS; each rank adds every RANKS-th. SKEW: one in so many pairs
 * has the same key (0: none). SPLIT: 1: ranks have ranges of keys that are given, most of them empty. LARGE:
 * one pair of so many bytes for each rank. FAIL: this rank fails halfway (-1: none). Prints, from rank 0:
 * pairs, a hash of all in their order, the most memory that a rank took, rounds, runs. */
#include "base/fault.h"
#include "base/log.h"
#include "comm/comm.h"
#include "shuffle/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NAME_MAX_BYTES = 40, KEYS = 5000, ARGUMENTS = 11, RANKS_MAX = 64 };

typedef struct settings {
    const char *folder;
    uint32_t epoch;
    uint64_t memory, pairs, skew, large;
    dh_combine combine;
    int split;
    long fail;
    dh_comm *comm;
} settings;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static dh_status add_number(dh_shuffle *shuffle, const settings *set, uint64_t number)
{
    uint8_t name[NAME_MAX_BYTES];
    const uint64_t random = mix(number + 1);
    uint64_t value = random % 9;
    memset(name, (int)(random % 3), sizeof name);
    const bool common = set->skew > 0 && number % set->skew == 0;
    uint64_t key = common ? UINT64_MAX / 2 : mix(random % KEYS);
    if (set->split != 0 && !common) {
        key = random % KEYS;
    }
    if (set->combine == DH_COMBINE_NONE) {
        value = number;
    }
    const dh_pair pair = {.key = key,
                          .name = name,
                          .name_size = (uint32_t)(mix(random) % NAME_MAX_BYTES),
                          .value = (const uint8_t *)&value,
                          .value_size = sizeof value};
    return dh_shuffle_add(shuffle, &pair);
}

static dh_status add_large(dh_shuffle *shuffle, const settings *set, uint8_t *bytes, uint64_t number)
{
    enum { LARGE_PAIRS = 8 };
    if (number >= LARGE_PAIRS || set->large == 0) {
        return DH_OK;
    }
    memset(bytes, (int)number, set->large);
    const dh_pair pair = {.key = mix(number),
                          .name = (const uint8_t *)"large",
                          .name_size = sizeof "large",
                          .value = bytes,
                          .value_size = (uint32_t)set->large};
    return dh_shuffle_add(shuffle, &pair);
}

static dh_status add_all(dh_shuffle *shuffle, const settings *set)
{
    const uint64_t ranks = (uint64_t)dh_comm_size(set->comm);
    const uint64_t rank = (uint64_t)dh_comm_rank(set->comm);
    uint8_t *bytes = calloc(1, set->large + 1);
    dh_status status = bytes != NULL ? DH_OK : DH_NO_MEMORY;
    for (uint64_t i = rank; i < set->pairs && status == DH_OK; i += ranks) {
        status = add_number(shuffle, set, i);
        if (status == DH_OK) {
            status = add_large(shuffle, set, bytes, i);
        }
        if (status == DH_OK && set->fail == (long)rank && i > set->pairs / 2) {
            status = dh_error(DH_BAD_DATA, "rank %" PRIu64 " fails on purpose", rank);
        }
    }
    free(bytes);
    return status;
}

static dh_stage_place place_of(const settings *set)
{
    return (dh_stage_place){
        .folder = set->folder, .name = "test", .comm = set->comm, .run = {5, 5}, .epoch = set->epoch};
}

static dh_status drain(dh_shuffle *shuffle, dh_stage_writer *writer)
{
    dh_pair pair;
    dh_status status = DH_OK;
    while ((status = dh_shuffle_next(shuffle, &pair)) == DH_OK) {
        DH_TRY(dh_stage_add(writer, &pair));
    }
    return status == DH_END ? DH_OK : status;
}

static dh_status write_stage(const settings *set, dh_shuffle *shuffle, dh_stage *stage)
{
    const dh_stage_place place = place_of(set);
    const uint64_t figure[8] = {set->pairs};
    dh_stage_writer *writer = NULL;
    DH_TRY(dh_stage_create(&place, &writer));
    return dh_stage_commit(writer, drain(shuffle, writer), figure, stage);
}

/* Ranks 1 and 3 have ranges without keys, and the last ones, too. */
static void fill_split(uint64_t split[RANKS_MAX])
{
    for (uint64_t r = 0; r < RANKS_MAX; r++) {
        split[r] = (r + 1) / 2 * (KEYS / 3);
    }
}

static dh_status make(const settings *set, dh_stage *stage, uint64_t figures[3])
{
    uint64_t split[RANKS_MAX];
    fill_split(split);
    const dh_shuffle_options options = {.name = "test",
                                        .folder = set->folder,
                                        .epoch = set->epoch,
                                        .memory = set->memory,
                                        .combine = set->combine,
                                        .split = set->split != 0 ? split : NULL};
    dh_shuffle *shuffle = NULL;
    DH_TRY(dh_shuffle_create(set->comm, &options, &shuffle));
    dh_status status = dh_shuffle_finish(shuffle, add_all(shuffle, set));
    if (status == DH_OK) {
        status = write_stage(set, shuffle, stage);
    }
    const dh_shuffle_figures got = dh_shuffle_statistics(shuffle);
    dh_shuffle_free(shuffle);
    figures[0] = got.memory_peak;
    figures[1] = got.rounds;
    figures[2] = got.runs;
    DH_TRY(dh_comm_agree(set->comm, status));
    return dh_comm_max(set->comm, figures, 3);
}

/* Rank 0 reads all of it. */
static dh_status hash_stage(const settings *set, const dh_stage *stage, uint64_t *pairs, uint64_t *hash)
{
    const dh_stage_place place = place_of(set);
    dh_stage_reader *reader = NULL;
    DH_TRY(dh_stage_open(&place, stage, &reader));
    dh_pair pair;
    dh_status status = DH_OK;
    uint64_t sum = 0;
    uint64_t count = 0;
    while ((status = dh_stage_next(reader, false, &pair)) == DH_OK) {
        const uint64_t parts[] = {sum, pair.key, pair.name_size, XXH3_64bits(pair.name, pair.name_size),
                                  XXH3_64bits(pair.value, pair.value_size)};
        sum = XXH3_64bits(parts, sizeof parts);
        count++;
    }
    dh_stage_close(reader);
    *pairs = count;
    *hash = sum;
    return status == DH_END ? DH_OK : status;
}

static dh_status run(const settings *set, const char *what)
{
    dh_stage stage = {0};
    uint64_t figures[3] = {0};
    dh_status status = DH_OK;
    if (strcmp(what, "make") == 0) {
        status = make(set, &stage, figures);
    } else {
        const dh_stage_place place = place_of(set);
        bool found = false;
        status = dh_stage_find(&place, &stage, &found);
        if (status == DH_OK && !found) {
            status = dh_error(DH_MISMATCH, "there is no stage");
        }
    }
    DH_TRY(status);
    if (dh_comm_rank(set->comm) == 0) {
        uint64_t pairs = 0;
        uint64_t hash = 0;
        status = hash_stage(set, &stage, &pairs, &hash);
        (void)printf("%" PRIu64 " %016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", pairs, hash,
                     figures[0], figures[1], figures[2]);
    }
    dh_stage_free(&stage);
    return dh_comm_agree(set->comm, status);
}

int main(int argc, char **argv)
{
    settings set = {0};
    dh_status status = dh_comm_start(&argc, &argv, &set.comm);
    if (status != DH_OK) {
        return dh_status_exit_code(status);
    }
    status = dh_fault_arm(dh_comm_rank(set.comm));
    if (status == DH_OK && argc != ARGUMENTS) {
        status = dh_error(DH_USAGE, "%d arguments are needed", ARGUMENTS - 1);
    }
    if (status == DH_OK) {
        set.folder = argv[2];
        set.epoch = (uint32_t)strtoul(argv[3], NULL, 10);
        set.memory = strtoull(argv[4], NULL, 10);
        set.pairs = strtoull(argv[5], NULL, 10);
        set.combine = (dh_combine)strtoul(argv[6], NULL, 10);
        set.skew = strtoull(argv[7], NULL, 10);
        set.split = argv[8][0] == '1';
        set.large = strtoull(argv[9], NULL, 10);
        set.fail = strtol(argv[10], NULL, 10);
        status = run(&set, argv[1]);
    }
    dh_comm_end(set.comm);
    return dh_status_exit_code(status);
}
