/* dhatu: the commands. Each takes resolved options and returns the status that becomes the exit code. */
#ifndef DH_COMMANDS_COMMANDS_H
#define DH_COMMANDS_COMMANDS_H

#include "options/options.h"

/* Start and end MPI themselves; argc and argv are for MPI_Init and the record of the run. */
dh_status dh_command_run(dh_options *options, int argc, char **argv);
dh_status dh_command_devices(const dh_options *options, int argc, char **argv);
dh_status dh_command_export(const dh_options *options, int argc, char **argv);

/* Without MPI. Results go to stdout. */
dh_status dh_command_plan(const dh_options *options);
dh_status dh_command_status(const dh_options *options);
dh_status dh_command_jobs(const dh_options *options);
dh_status dh_command_inspect(const dh_options *options);
dh_status dh_command_verify(const dh_options *options);
dh_status dh_command_explain(const dh_options *options);

/* Writes a buffer to stdout. Errors: DH_IO (logged). */
dh_status dh_print(const dh_buffer *text);

#endif
