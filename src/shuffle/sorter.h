/* dhatu: sorts and combines the pairs of one rank within a bounded memory: an arena, and runs on the disk. */
#ifndef DH_SHUFFLE_SORTER_H
#define DH_SHUFFLE_SORTER_H

#include "shuffle/runs.h"

typedef struct dh_sorter_options {
    const char *name, *folder; /* must outlive the sorter */
    uint32_t epoch, rank;
    uint64_t memory; /* of all that it has until finish */
    dh_combine combine;
    dh_poll *poll; /* NULL: none */
    void *poll_context;
    dh_memory_count *count; /* must outlive the sorter */
} dh_sorter_options;

typedef struct dh_sorter dh_sorter;

dh_status dh_sorter_create(const dh_sorter_options *options, dh_sorter **out);
void dh_sorter_free(dh_sorter *sorter); /* removes the runs; NULL is fine */

/* May the pair be added? DH_INTERNAL (logged): its sizes are not those of a pair, or of one that can be
 * combined. */
dh_status dh_sorter_check(const dh_sorter *sorter, const dh_pair *pair);

/* The pair is copied. Errors: DH_IO, DH_NO_MEMORY, DH_INTERNAL (logged), poll's. */
dh_status dh_sorter_add(dh_sorter *sorter, const dh_pair *pair);

/* No more pairs. memory: of all that it has from now on. */
dh_status dh_sorter_finish(dh_sorter *sorter, uint64_t memory);

/* The next pair, valid until the next call. DH_END. */
dh_status dh_sorter_next(dh_sorter *sorter, dh_pair *out);

uint64_t dh_sorter_runs(const dh_sorter *sorter); /* ever made */
uint64_t dh_sorter_bytes_spilled(const dh_sorter *sorter);

#endif
