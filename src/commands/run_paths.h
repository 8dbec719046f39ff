/* dhatu run: where its files lie. */
#ifndef DH_COMMANDS_RUN_PATHS_H
#define DH_COMMANDS_RUN_PATHS_H

#include "options/options.h"

/* All absolute, so that messages and ranks agree on them. */
typedef struct dh_run_paths {
    char *output;     /* the result */
    char *quarantine; /* OUT.h5.quarantine.jsonl */
    char *vocabulary; /* OUT.h5.vocab.tsv */
    char *folder;     /* the checkpoint's */
} dh_run_paths;

/* Errors: DH_USAGE (--output names no file), DH_IO, DH_NO_MEMORY (logged). */
dh_status dh_run_paths_resolve(const dh_options *options, dh_run_paths *out);
void dh_run_paths_free(dh_run_paths *paths);

/* run --where: prints them, and whether the run is done, begun, or neither. Needs no MPI. */
dh_status dh_run_where(const dh_options *options);

#endif
