/* All that dhatu does without MPI and HDF5, once, on the corpus of corpus.h: what the allocation test
 * disturbs. */
#ifndef DH_TESTS_SCENARIO_H
#define DH_TESTS_SCENARIO_H

#include "base/status.h"

#include <stdint.h>

/* folder: what corpus_write filled. checkpoint: a folder that does not exist and is gone again when all went
 * well. *digest tells whether the same was computed. Frees all it made, whatever happens. */
dh_status scenario_run(const char *folder, const char *checkpoint, uint64_t *digest);

#endif
