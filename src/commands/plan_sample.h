/* dhatu plan: pieces of a corpus, spread over all of it, as a small corpus of its own. */
#ifndef DH_COMMANDS_PLAN_SAMPLE_H
#define DH_COMMANDS_PLAN_SAMPLE_H

#include "commands/plan_estimate.h"
#include "plan/plan.h"

typedef struct dh_sampler dh_sampler;

typedef struct dh_sampler_options {
    const dh_plan *plan;
    const dh_record_options *records;
    const char *folder; /* exists; the sample is written into it */
    dh_poll *poll;      /* asked before each piece, and often in long ones */
} dh_sampler_options;

/* plan outlives the sampler. Errors: DH_NO_MEMORY (logged). */
dh_status dh_sampler_create(const dh_sampler_options *options, dh_sampler **out);
void dh_sampler_free(dh_sampler *sampler);

/* Takes pieces until the sample has so many bytes of content, the time (dh_working_seconds) is over, or all
 * is taken. A text that is longer than a record may be is left out; a long one is read as far as the time
 * goes, and taken. Errors: DH_IO, DH_NO_MEMORY (logged), those of poll. */
dh_status dh_sampler_grow(dh_sampler *sampler, double content, double deadline);

double dh_sampler_content(const dh_sampler *sampler);        /* of the sample */
double dh_sampler_corpus_content(const dh_sampler *sampler); /* expected, of all sources */
bool dh_sampler_has_ended(const dh_sampler *sampler);        /* there is no more to take */
bool dh_sampler_has_all(const dh_sampler *sampler);          /* the same, and nothing was left out */

/* The sample as it is now, and back to it: for a last trial, since what is known of the corpus stays. Errors:
 * DH_IO (logged). */
typedef struct dh_sample_mark {
    uint64_t records_size, list_size;
    double content;
} dh_sample_mark;

dh_sample_mark dh_sampler_mark(const dh_sampler *sampler);
dh_status dh_sampler_go_back(dh_sampler *sampler, const dh_sample_mark *mark);

/* The arguments of dhatu run that name the sample: count of them, at most DH_SAMPLE_INPUTS. */
enum { DH_SAMPLE_INPUTS = 2 };
size_t dh_sampler_inputs(const dh_sampler *sampler, const char *input[DH_SAMPLE_INPUTS]);

/* What was learned of the corpus. discover_seconds is the caller's. */
void dh_sampler_facts(const dh_sampler *sampler, dh_corpus_facts *out);

#endif
