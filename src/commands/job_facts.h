/* dhatu: what Slurm says of the job that a run is in, by its environment. All of it is a hint for people:
 * what is missing or odd counts as not known, and never ends a run. Needs no MPI. */
#ifndef DH_COMMANDS_JOB_FACTS_H
#define DH_COMMANDS_JOB_FACTS_H

#include <stdbool.h>
#include <stdint.h>

enum { DH_JOB_TEXT = 64, DH_JOB_LONG_TEXT = 512 };

/* Texts are printable, "" where nothing is known, and end in "..." where they were too long. Numbers are 0
 * where nothing is known. */
typedef struct dh_job_facts {
    bool is_slurm;
    char job[DH_JOB_TEXT];   /* its number */
    char array[DH_JOB_TEXT]; /* JOB_TASK of a job array */
    char cluster[DH_JOB_TEXT], partition[DH_JOB_TEXT];
    char nodes[DH_JOB_LONG_TEXT]; /* as Slurm writes lists of nodes */
    char modules[DH_JOB_LONG_TEXT];
    uint64_t start; /* 1 for the first start of the job; a requeue adds one */
    uint64_t node_count;
    uint64_t cpus;                            /* of all nodes */
    uint64_t cpus_here;                       /* of this node */
    uint64_t memory_per_node, memory_per_cpu; /* asked for, bytes */
    bool memory_per_gpu;                      /* it was asked for so */
    uint32_t components;                      /* of a heterogeneous job: texts and sums are of all; else 1 */
} dh_job_facts;

void dh_job_facts_read(dh_job_facts *out);

/* What was asked for of this node, bytes; 0: not known. */
uint64_t dh_job_memory_here(const dh_job_facts *facts);

/* The sum of numbers with repeats: "64(x2),32" is 160. 0: it is not written so, or too large to be true. */
uint64_t dh_job_sum(const char *text);

/* The most memory, with cached files, of the control group of this job on this node; 0: not known. Looks for
 * job_JOB in the list `groups` (/proc/self/cgroup) below the folder `mounted` (/sys/fs/cgroup). */
uint64_t dh_job_memory_peak(const char *groups, const char *mounted, const char *job);

#endif
