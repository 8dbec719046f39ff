/* dhatu plan: from two trial runs over samples to the whole corpus. Arithmetic only. */
#ifndef DH_COMMANDS_PLAN_ESTIMATE_H
#define DH_COMMANDS_PLAN_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum dh_plan_phase {
    DH_PLAN_MAP = 0, /* reading, text, jobs, spill: every rank its own documents */
    DH_PLAN_REDUCE,
    DH_PLAN_WRITE,  /* ids, rows, matrix, sources */
    DH_PLAN_FINISH, /* sync, check, rename; and what the run takes besides its phases */
    DH_PLAN_PHASES
} dh_plan_phase;

/* Of the larger sample over the smaller one: else the two say little of what grows. */
enum { DH_PLAN_GROWTH_LEAST = 3 };

/* What a run over a sample was and took. Bytes of content are uncompressed bytes of the sources. */
typedef struct dh_trial {
    double content;
    uint32_t ranks;
    double documents, bad, text_bytes;
    double seconds;        /* of the run itself, less waited_seconds; so are those of phases */
    double waited_seconds; /* for processors that other programs had: the rank that waited most */
    double start_seconds;  /* from the command to the run */
    double phase[DH_PLAN_PHASES];
    double processor_seconds; /* of all ranks, user and system; of all ranks are also those that follow, in
                                 the map phase */
    double rank_map_seconds, read_seconds, kernel_seconds;
    double result_bytes, vocabulary_bytes, other_bytes; /* other: what is written beside the result */
    double spill_bytes, scratch_bytes; /* scratch: the most that the checkpoint folder held */
    double scratch_files;
    double memory; /* of the largest rank */
} dh_trial;

/* What is known of the corpus. */
typedef struct dh_corpus_facts {
    uint64_t sources;
    uint64_t file_bytes;
    double content;            /* all of it */
    double compressed_content; /* of compressed JSONL: one rank decodes a source */
    uint64_t compressed_sources;
    double longest; /* content of the largest source that one rank reads alone; 0: none */
    bool longest_compressed;
    uint64_t text_documents; /* one a source; 0 where JSONL has some */
    uint64_t items;          /* work items that ranks take */
    double content_error;    /* relative standard error of content; below 0: not known */
    double document_error;   /* the same of documents a byte */
    double decode_seconds;   /* a byte of content: what compressed sources take beyond plain ones */
    double storage_seconds;  /* a byte of content: reading it for the first time, measured */
    double discover_seconds; /* to find all of them */
} dh_corpus_facts;

typedef struct dh_plan_job {
    uint32_t nodes, ranks_per_node;
    double memory_limit;    /* most that a rank takes, but for giant documents */
    bool brings_together;   /* a job keeps something of all documents, up to --memory */
    bool exceeds_memory;    /* more than --memory: parts of it go to the disk */
    double commit_interval; /* seconds; 0: never */
    bool whole;             /* the second trial was over the corpus itself */
} dh_plan_job;

/* Expected figures of the whole run. */
typedef struct dh_estimate {
    double documents, bad, text_bytes, content;
    double document_error; /* relative standard error; below 0: not known */
    double seconds, start_seconds, processor_seconds;
    double phase[DH_PLAN_PHASES];
    double kernel_share;    /* of the run's time: what kernels take */
    double accelerated;     /* seconds, had kernels taken no time at all: the bound for any GPU */
    bool bounded_by_source; /* the longest source alone sets the time of the map phase */
    uint32_t idle_ranks;    /* that get no work item */
    double rank_memory, node_memory;
    double result_bytes, vocabulary_bytes, other_bytes, spill_bytes, scratch_bytes, scratch_files;
    double interruption_seconds; /* that an interruption costs, without the time to the new start */
} dh_estimate;

/* The straight line through two measurements, at x. It never falls with x. */
double dh_plan_line(double x1, double y1, double x2, double y2, double x);

/* The power law through two measurements (Heaps' law of different terms), at x; the exponent is in [0, 1]. */
double dh_plan_power(double x1, double y1, double x2, double y2, double x);

/* Pairs whose ratio a / b is wanted: of all of them together, and how sure it is. */
typedef struct dh_ratio {
    double count, a, b, aa, bb, ab; /* sums */
} dh_ratio;

void dh_ratio_add(dh_ratio *ratio, double a, double b);

/* Relative standard error of the ratio for a population of `all` such pairs; below 0: not known. */
double dh_ratio_error(const dh_ratio *ratio, double all);

/* small and large: trials with the same number of ranks, the second over more. */
dh_estimate dh_plan_estimate(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                             const dh_plan_job *job);

/* The cost of nodes for so many seconds, and on spot nodes. */
typedef struct dh_spot {
    double price; /* of a node for an hour */
    double rate;  /* interruptions of a node in an hour */
    double restart_seconds;
} dh_spot;

typedef struct dh_cost {
    double seconds;       /* all paid time */
    double interruptions; /* expected */
    double cost;          /* below 0: it never ends, every hour has more than an hour of interruptions */
} dh_cost;

double dh_plan_price(double seconds, uint32_t nodes, double price);
dh_cost dh_plan_spot_cost(double seconds, double interruption_seconds, uint32_t nodes, const dh_spot *spot);

/* The relative error that times were shown to stay within for such trials; below 0: it was never shown. */
double dh_plan_time_error(const dh_trial *small, const dh_trial *large, const dh_corpus_facts *corpus,
                          const dh_plan_job *job);

/* Did the trial wait so long for processors that it is worth a word? */
bool dh_plan_waited_long(const dh_trial *trial);

/* What to ask a scheduler for: minutes with a margin, and MiB of a core, of which each of a node's ranks has
 * one. */
uint64_t dh_plan_minutes(const dh_estimate *estimate, double seconds);
uint64_t dh_plan_mebibytes(const dh_estimate *estimate, uint32_t ranks);

#endif
