/* dhatu: where a rank puts what may be lost, the runs of its shuffles: with --scratch in a folder of its own
 * on the node's disk, DIR/dhatu-RRRRRRRRRRRRRRRR-EEEEEE-NNNNNN (16 digits of the run id, the epoch, the
 * rank), else in the checkpoint folder. */
#ifndef DH_RUN_SCRATCH_H
#define DH_RUN_SCRATCH_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct dh_scratch {
    char *folder;
    bool ours; /* made by this rank, and removed by it */
} dh_scratch;

typedef struct dh_scratch_options {
    const char *base;       /* --scratch; NULL: none was given */
    const char *checkpoint; /* used then, and, with a warning, where base cannot be */
    const uint8_t *run;     /* 16 bytes */
    uint32_t epoch, rank;
    bool sweeps; /* one rank of a node: removes what killed attempts of this run have left in base */
} dh_scratch_options;

/* Errors: DH_NO_MEMORY (logged). */
dh_status dh_scratch_open(const dh_scratch_options *options, dh_scratch *out);

/* Removes the folder, which must be empty (else that is logged). */
void dh_scratch_close(dh_scratch *scratch);

#endif
