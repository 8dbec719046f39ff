/* dhatu plan: what a record of a run (OUT.run.json) says of what it took. */
#ifndef DH_COMMANDS_PLAN_RECORD_H
#define DH_COMMANDS_PLAN_RECORD_H

#include "commands/plan_estimate.h"

#include "base/status.h"

#include <stddef.h>

/* Sets the figures of a trial that the record has. path is for messages. Errors: DH_INTERNAL (logged: not
 * such a record), DH_NO_MEMORY. */
dh_status dh_plan_read_record(const char *path, const void *json, size_t size, dh_trial *out);

#endif
