/* dhatu: is a Slurm job over? Asks squeue, where there is one. */
#ifndef DH_CHECKPOINT_SLURM_H
#define DH_CHECKPOINT_SLURM_H

typedef enum dh_slurm_job {
    DH_SLURM_JOB_UNKNOWN = 0, /* no squeue, or it did not answer within 10 s, or not clearly */
    DH_SLURM_JOB_OVER,        /* ended, waits to run again, or Slurm does not know it any more */
    DH_SLURM_JOB_ALIVE        /* runs, is being started or ended */
} dh_slurm_job;

/* job: its number, as in SLURM_JOB_ID; anything else is unknown. */
dh_slurm_job dh_slurm_ask(const char *job);

#endif
