#include "reduce/progress.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

static const double interactive_every = 0.5;
static const double percent = 100.0;

static const char *const step_name[DH_STEP_COUNT] = {
    [DH_STEP_TERMS] = "terms are counted",
    [DH_STEP_TERMS_STORE] = "counted terms are stored",
    [DH_STEP_VOCABULARY] = "frequencies of terms are looked at",
    [DH_STEP_VOCABULARY_SORT] = "terms are sorted by frequency",
    [DH_STEP_VOCABULARY_STORE] = "sorted terms are stored",
    [DH_STEP_FREQUENCIES] = "documents of each feature are counted",
    [DH_STEP_COLUMNS] = "terms of each feature are brought together",
    [DH_STEP_COLUMNS_STORE] = "terms of each feature are stored",
    [DH_STEP_EQUAL] = "equal documents are brought together",
    [DH_STEP_EQUAL_EARLIER] = "documents equal to those of the earlier result are brought together",
    [DH_STEP_BANDS] = "documents that share a band are brought together",
    [DH_STEP_COMPARE] = "documents that share a band are compared",
    [DH_STEP_CLUSTERS] = "clusters are found",
    [DH_STEP_DUPLICATES] = "duplicates are stored",
    [DH_STEP_IDS] = "ids are made unique",
    [DH_STEP_ROWS] = "rows are written",
    [DH_STEP_MATRIX] = "the matrix is written",
    [DH_STEP_SOURCES] = "sources are written",
    [DH_STEP_FINISH] = "the result is finished and read back",
};

static void activate(dh_progress *progress, dh_step first, dh_step last, bool active)
{
    for (int step = (int)first; step <= (int)last; step++) {
        progress->is_active[step] = active;
    }
}

void dh_progress_set_up(const dh_comm *comm, const dh_progress_options *options, dh_progress *out)
{
    const dh_settings *settings = options->settings;
    const bool features = dh_settings_job(settings, &dh_job_features) != NULL;
    const bool neardup = dh_settings_job(settings, &dh_job_neardup) != NULL;
    *out = (dh_progress){.watch = options->watch,
                         .is_shown = dh_comm_rank(comm) == 0,
                         .ranks = dh_comm_size(comm),
                         .every = dh_log_is_interactive() ? interactive_every : options->every,
                         .last = options->last,
                         .begin = dh_seconds()};
    activate(out, DH_STEP_TERMS, DH_STEP_TERMS_STORE, settings->uses_terms);
    activate(out, DH_STEP_VOCABULARY, DH_STEP_VOCABULARY_STORE,
             dh_settings_job(settings, &dh_job_vocab) != NULL);
    activate(out, DH_STEP_FREQUENCIES, DH_STEP_COLUMNS_STORE, features);
    activate(out, DH_STEP_EQUAL, DH_STEP_DUPLICATES, neardup);
    out->is_active[DH_STEP_EQUAL_EARLIER] = neardup && options->against;
    activate(out, DH_STEP_IDS, DH_STEP_FINISH, true);
    out->is_active[DH_STEP_MATRIX] = features;
    while (!out->is_active[out->step]) { /* what comes in front of it is told as a part of it */
        out->step++;
    }
}

/* Where this rank's part is, and how long it takes yet: " 43 %, about 12 s left". */
static void describe_part(const dh_progress *progress, double now, char *out, size_t size)
{
    const double seconds = now - progress->begin;
    if (progress->total == 0 && progress->done == 0) {
        (void)snprintf(out, size, "for %.0f s", seconds);
    } else if (progress->total == 0) {
        (void)snprintf(out, size, "%" PRIu64 " so far", progress->done);
    } else if (progress->done >= progress->total) {
        (void)snprintf(out, size, "100 %%%s", progress->ranks > 1 ? " of rank 0's part" : "");
    } else {
        const double share = (double)progress->done / (double)progress->total;
        const int used =
            snprintf(out, size, "%.0f %%%s", percent * share, progress->ranks > 1 ? " of rank 0's part" : "");
        const double left = share > 0 ? seconds / share - seconds : 0;
        if (left >= 1.0 && used > 0 && (size_t)used < size) {
            (void)snprintf(out + used, size - (size_t)used, ", about %.0f s left of it", left);
        }
    }
}

void dh_progress_show(dh_progress *progress)
{
    const double now = progress->is_shown ? dh_seconds() : 0;
    if (!progress->is_shown || now - progress->last < progress->every) {
        return;
    }
    progress->last = now;
    unsigned number = 0;
    unsigned count = 0;
    for (int step = 0; step < DH_STEP_COUNT; step++) {
        count += progress->is_active[step] ? 1 : 0;
        number += step <= (int)progress->step && progress->is_active[step] ? 1 : 0;
    }
    char part[128];
    describe_part(progress, now, part, sizeof part);
    dh_say_progress("%s, step %u of %u: %s, %s", progress->step < DH_STEP_IDS ? "reduce" : "write", number,
                    count, step_name[progress->step], part);
}

void dh_progress_step(dh_progress *progress, dh_step step, uint64_t total)
{
    progress->step = step;
    progress->total = total;
    progress->done = 0;
    progress->begin = dh_seconds();
    dh_progress_show(progress);
}

void dh_progress_tell(dh_progress *progress, uint64_t done)
{
    progress->done = done;
    dh_progress_show(progress);
}

dh_status dh_progress_poll(void *context)
{
    dh_progress *progress = context;
    dh_progress_show(progress);
    return dh_watch_poll(progress->watch);
}
