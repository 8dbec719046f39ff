/* dhatu: the shuffle. Pairs of all ranks are brought together by key: each rank gets the pairs of a range of
 * keys, sorted, and combined where the caller wants it. Memory is bounded, whatever the keys are: what does
 * not fit is spilled as sorted runs and merged.
 *
 * A pair has a 64-bit key, a name and a value, both bytes. The order of pairs is that of key, then name, then
 * value (bytes compared as by memcmp, a shorter one that the other begins with first). What comes out is a
 * function of what all ranks put in: neither their number nor the memory or the timing shows, but for the cut
 * between ranks: rank r has pairs in front of those of rank r + 1.
 *
 *     create -> add ... add -> finish -> next ... next (DH_END) -> free
 *
 * Runs are files of this attempt, removed when they are read; those that a killed process left are removed by
 * the next attempt. */
#ifndef DH_SHUFFLE_SHUFFLE_H
#define DH_SHUFFLE_SHUFFLE_H

#include "comm/comm.h"

#include <stdbool.h>

typedef struct dh_pair {
    uint64_t key;
    const uint8_t *name, *value; /* views */
    uint32_t name_size, value_size;
} dh_pair;

/* A number as name or value that sorts as it counts: big-endian. */
static inline void dh_pair_put_number(uint8_t bytes[8], uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
}
static inline uint64_t dh_pair_number(const uint8_t bytes[8])
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

typedef enum dh_combine {
    DH_COMBINE_NONE = 0,
    DH_COMBINE_EQUAL, /* equal pairs (key, name, value) become one */
    DH_COMBINE_SUM /* pairs with the same key and name become one: values are arrays of 64-bit numbers in the
                    * machine's byte order, of the same size, and are added */
} dh_combine;

typedef struct dh_shuffle_options {
    const char *name;   /* of files and messages: [a-z]+; no two shuffles at a time have the same */
    const char *folder; /* for runs: of the checkpoint, or of this rank alone */
    uint32_t epoch;
    /* Bytes that this rank may take in all; at least DH_SHUFFLE_MEMORY_MIN. Pairs that are larger than
     * memory / (8 * ranks), or than 64 KiB, may make it exceed that, by three times the largest of them. */
    uint64_t memory;
    dh_combine combine;
    /* Ascending: keys from split[r - 1] on and below split[r] are of rank r; `ranks - 1` of them, the same on
     * all ranks. NULL: keys are hashes, ranks have equal ranges of the 64-bit numbers. */
    const uint64_t *split;
    dh_poll *poll; /* asked in long work; NULL: none */
    void *poll_context;
} dh_shuffle_options;

#define DH_SHUFFLE_MEMORY_MIN (UINT64_C(4) << 20)

typedef struct dh_shuffle dh_shuffle;

/* COLLECTIVE. options' texts and split must outlive the shuffle. */
dh_status dh_shuffle_create(dh_comm *comm, const dh_shuffle_options *options, dh_shuffle **out);
void dh_shuffle_free(dh_shuffle *shuffle); /* removes the runs; NULL is fine. Not collective */

/* Each rank adds as many as it likes, then calls finish once. add may wait for the other ranks (pairs are
 * exchanged in rounds, in which all take part until all have finished). After an error of add, finish must be
 * called with it. A name or value has at most DH_PAIR_BYTES_MAX bytes. Errors: DH_IO, DH_NO_MEMORY (logged),
 * what another rank failed with, what poll says. */
enum { DH_PAIR_BYTES_MAX = 64 << 20 };
dh_status dh_shuffle_add(dh_shuffle *shuffle, const dh_pair *pair);

/* status: DH_OK, or what this rank failed with: then all ranks end with the gravest. COLLECTIVE; the status
 * is the same on all ranks. */
dh_status dh_shuffle_finish(dh_shuffle *shuffle, dh_status status);

/* This rank's next pair, in order; valid until the next call. DH_END: no more. Not collective. */
dh_status dh_shuffle_next(dh_shuffle *shuffle, dh_pair *out);

/* Of this rank. */
typedef struct dh_shuffle_figures {
    uint64_t pairs_in, pairs_received, bytes_sent, bytes_spilled, runs, rounds;
    uint64_t memory_peak;
} dh_shuffle_figures;
dh_shuffle_figures dh_shuffle_statistics(const dh_shuffle *shuffle);

#endif
