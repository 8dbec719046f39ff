/* dhatu: which command is meant. */
#include "base/log.h"
#include "commands/commands.h"
#include "dhatu_config.h"
#include "route/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

dh_status dh_print(const dh_buffer *text)
{
    if ((text->size > 0 && fwrite(text->data, 1, text->size, stdout) != text->size) || fflush(stdout) != 0) {
        return dh_error(DH_IO, "cannot write to standard output: %s", strerror(errno));
    }
    return DH_OK;
}

static dh_command command_by_name(const char *name)
{
    int c = 0;
    while (c < DH_COMMAND_COUNT && strcmp(dh_command_table[c].name, name) != 0) {
        c++;
    }
    return (dh_command)c;
}

static dh_status print_help(dh_command command, bool man)
{
    dh_buffer text = {0};
    dh_status status = man ? dh_help_man(command, &text) : dh_help_text(command, &text);
    if (status == DH_OK) {
        status = dh_print(&text);
    }
    dh_buffer_free(&text);
    return status;
}

/* dhatu, dhatu --help, dhatu help [--man] [COMMAND], dhatu --version. False: a command is to be run. */
static bool answered(int argc, char **argv, dh_status *status)
{
    if (argc == 1) {
        (void)print_help(DH_COMMAND_COUNT, false);
        *status = DH_USAGE;
        return true;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        *status = printf("dhatu %s\n", DHATU_VERSION) > 0 ? DH_OK : DH_IO;
        return true;
    }
    const bool help = strcmp(argv[1], "help") == 0;
    if (!help && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0) {
        return false;
    }
    const bool man = help && argc > 2 && strcmp(argv[2], "--man") == 0;
    const int at = man ? 3 : 2;
    dh_command command = DH_COMMAND_COUNT;
    if (help && argc > at && strcmp(argv[at], "dhatu") != 0) {
        command = command_by_name(argv[at]);
        if (command == DH_COMMAND_COUNT && strcmp(argv[at], "--help") != 0) {
            *status =
                dh_error(DH_USAGE, "there is no command %s (dhatu --help lists the commands)", argv[at]);
            return true;
        }
    }
    *status = print_help(command, man);
    return true;
}

static dh_status run_command(dh_options *options, int argc, char **argv)
{
    if (dh_options_flag(options, DH_OPTION_HELP)) {
        return print_help(options->command, false);
    }
    if (dh_options_flag(options, DH_OPTION_QUIET)) {
        dh_log_set_level(DH_LOG_QUIET);
    } else if (dh_options_flag(options, DH_OPTION_VERBOSE)) {
        dh_log_set_level(DH_LOG_VERBOSE);
    }
    switch (options->command) {
    case DH_COMMAND_RUN:
        return dh_command_run(options, argc, argv);
    case DH_COMMAND_PLAN:
        return dh_command_plan(options);
    case DH_COMMAND_DEVICES:
        return dh_command_devices(options, argc, argv);
    case DH_COMMAND_STATUS:
        return dh_command_status(options);
    case DH_COMMAND_JOBS:
        return dh_command_jobs(options);
    case DH_COMMAND_INSPECT:
        return dh_command_inspect(options);
    case DH_COMMAND_VERIFY:
        return dh_command_verify(options);
    case DH_COMMAND_EXPLAIN:
        return dh_command_explain(options);
    case DH_COMMAND_EXPORT:
        return dh_command_export(options, argc, argv);
    case DH_COMMAND_HELP:
    case DH_COMMAND_COUNT:
        break;
    }
    return DH_INTERNAL;
}

int main(int argc, char **argv)
{
    dh_status status = DH_OK;
    /* A limit on file sizes is met as an error of write, with a message, and not by being killed. */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (!answered(argc, argv, &status)) {
        dh_options options = {0};
        status = dh_options_resolve(argc, argv, &options);
        if (status == DH_OK) {
            status = run_command(&options, argc, argv);
            dh_options_free(&options);
        }
    }
    if (dh_worker_any_hung()) {
        /* The clean-up of the device's driver would wait for the device. */
        (void)fflush(NULL);
        _exit(dh_status_exit_code(status));
    }
    return dh_status_exit_code(status);
}
