/* dhatu: exact frequencies of tokens or n-grams (docs/jobs.md, "vocab"). The engine counts them while
 * documents are read (src/run/terms.h), and the reduce phase brings the counts together (src/reduce/terms.h):
 * this job only asks for it. */
#include "jobs/job.h"

#include "base/buffer.h"

#include <stdlib.h>

static dh_status vocab_create(const dh_job_setup *setup, void **state)
{
    (void)setup;
    return dh_allocate(1, 1, "the vocab job", state);
}

static uint32_t vocab_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    (void)state;
    (void)column;
    return 0;
}

static dh_status vocab_self_test(void *state, dh_backend *backend)
{
    (void)state; /* there is no kernel */
    (void)backend;
    return DH_OK;
}

static dh_backend_status vocab_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    (void)state;
    (void)lane;
    (void)column;
    return DH_BACKEND_OK;
}

const dh_job dh_job_vocab = {
    .name = "vocab",
    .summary = "exact frequencies of tokens or n-grams",
    .adds = "    uns/dhatu/vocab/term       text    the commonest terms\n"
            "    uns/dhatu/vocab/frequency  uint64  how often each of them occurs\n"
            "    uns/dhatu/vocab/documents  uint64  in how many documents\n"
            "    uns/dhatu/vocab/totals     uint64  different terms, occurrences of all\n"
            "    OUTPUT.vocab.tsv           all terms, with --vocab-tsv\n",
    .uses_spelling = true,
    .uses_terms = true,
    .create = vocab_create,
    .free = free,
    .columns = vocab_columns,
    .self_test = vocab_self_test,
    .vectorise = vocab_vectorise,
};
