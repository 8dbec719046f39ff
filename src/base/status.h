/* dhatu: the outcome of every call that can fail.
 *
 * Who decides that something is an error logs it (log.h) with what it knows: path, record, reason.
 * Callers forward the status and do not log again. Outputs come last in a parameter list and are set
 * only on success. */
#ifndef DH_BASE_STATUS_H
#define DH_BASE_STATUS_H

typedef enum dh_status {
    DH_OK = 0,
    DH_END,       /* no error: nothing more to read */
    DH_AGAIN,     /* checkpointed: run the same command again */
    DH_FAILED,    /* a failure without a name of its own */
    DH_USAGE,     /* the command line, configuration or lexicon is wrong */
    DH_BAD_DATA,  /* more bad records than allowed */
    DH_LOCKED,    /* another run holds the checkpoint folder */
    DH_INTERNAL,  /* a fault of dhatu itself: a known answer is wrong, an invariant is broken */
    DH_NO_MEMORY, /* an allocation failed */
    DH_IO,        /* reading or writing failed: disk full, no permission, I/O error */
    DH_MISMATCH,  /* the input or the options are not those of the checkpoint */
    DH_STATUS_COUNT
} dh_status;

/* Is called often in long work. DH_OK: go on. Else what the work is to end with at once (already said);
 * DH_AGAIN when the run is to be left, or another rank has failed. */
typedef dh_status dh_poll(void *context);

/* The exit code of the program for a status (docs/operations.md). */
int dh_status_exit_code(dh_status status);

/* A short name in lower case, for messages. Static storage. */
const char *dh_status_name(dh_status status);

/* Forwards any status other than DH_OK to the caller. */
#define DH_TRY(call)                                                                                         \
    do {                                                                                                     \
        const dh_status dh_try_status = (call);                                                              \
        if (dh_try_status != DH_OK) {                                                                        \
            return dh_try_status;                                                                            \
        }                                                                                                    \
    } while (0)

#endif
