#include "base/status.h"

static const struct {
    int exit_code;
    const char *name;
} status_table[DH_STATUS_COUNT] = {
    [DH_OK] = {0, "ok"},
    [DH_END] = {0, "end"},
    [DH_FAILED] = {1, "failed"},
    [DH_USAGE] = {2, "usage"},
    [DH_BAD_DATA] = {65, "bad data"},
    [DH_LOCKED] = {69, "locked"},
    [DH_INTERNAL] = {70, "internal error"},
    [DH_NO_MEMORY] = {1, "out of memory"},
    [DH_IO] = {74, "I/O error"},
    [DH_AGAIN] = {75, "checkpointed"},
    [DH_MISMATCH] = {78, "mismatch"},
};

int dh_status_exit_code(dh_status status)
{
    if ((unsigned)status >= DH_STATUS_COUNT) {
        return 70;
    }
    return status_table[status].exit_code;
}

const char *dh_status_name(dh_status status)
{
    if ((unsigned)status >= DH_STATUS_COUNT) {
        return "unknown status";
    }
    return status_table[status].name;
}
