/* dhatu: what a checkpoint folder holds, for `dhatu status`. Reads only; works beside a running job. */
#ifndef DH_CHECKPOINT_SURVEY_H
#define DH_CHECKPOINT_SURVEY_H

#include "checkpoint/attempt.h"
#include "checkpoint/manifest.h"

enum { DH_SURVEY_STAGES_BYTES = 128 };

typedef struct dh_survey {
    dh_holder_state state;
    dh_attempt holder;          /* the last attempt */
    dh_manifest_facts manifest; /* zero while there is none yet */
    bool has_manifest, has_result;
    uint32_t restarts;      /* attempts since the checkpoint was begun, less one */
    uint32_t idle_attempts; /* at the end of these, without a segment or a step that became durable */
    uint64_t segments_done; /* each counted once, whoever committed it */
    uint64_t segments_open; /* known ones, and an estimate for streams by their bytes */
    bool open_is_estimate;
    uint64_t documents, text_bytes, file_bytes, bad;                    /* of the done segments */
    uint64_t attempt_text_bytes, attempt_documents, attempt_file_bytes; /* of those, by the last attempt */
    double attempt_seconds; /* from its start to its last commit; 0: no commit yet */
    uint64_t last_commit;   /* ns since 1970, of any attempt; 0: none */
    uint64_t damaged;       /* journal entries that do not check */
    uint64_t files, bytes;  /* in the folder, ours */
    /* Steps of the reduce phase that are done (stages), in the order of their names, with ", " between. */
    char stages[DH_SURVEY_STAGES_BYTES];
} dh_survey;

/* Spilled bytes are not read: `run` checks them when it goes on. 64 bytes of memory a segment. Errors: DH_IO
 * (logged; also: no such folder), DH_MISMATCH (a later format), DH_NO_MEMORY. */
dh_status dh_survey_make(const char *folder, dh_survey *out);

/* The last attempt made the result and ended well: nothing is left to do. */
bool dh_survey_is_complete(const dh_survey *survey);

#endif
