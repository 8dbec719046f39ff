#include "commands/plan_trial.h"

#include "base/clock.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/log.h"
#include "commands/plan_record.h"
#include "commands/plan_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RECORD_MAX = 64 << 20, /* of OUT.run.json and the log */
    LOOK_MS = 10,          /* between looks at the checkpoint folder */
    PATIENCE_MS = 5000,    /* for a trial that was asked to end */
    FOLDERS_OPEN = 16,
    SIGNAL_CODE = 128
};

/* Set by the shell's convention for a program that is not there. */
#define NO_PROGRAM 127

extern char **environ;

static volatile sig_atomic_t signal_seen;

static void note_signal(int number)
{
    signal_seen = number;
}

/* What ends a program that does not expect it, and comes from outside of it. */
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGPIPE, SIGALRM, SIGXCPU};

/* Sets what is done on them, but for those that are ignored. */
static void set_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    for (size_t s = 0; s < sizeof caught / sizeof *caught; s++) {
        struct sigaction known;
        if (sigaction(caught[s], NULL, &known) == 0 && known.sa_handler != SIG_IGN) {
            (void)sigaction(caught[s], &action, NULL);
        }
    }
}

void dh_trial_catch_signals(void)
{
    set_signals(note_signal);
}

dh_status dh_trial_poll(void *unused)
{
    (void)unused;
    return signal_seen != 0 ? DH_AGAIN : DH_OK;
}

void dh_trial_obey_signal(void)
{
    set_signals(SIG_DFL);
    if (signal_seen != 0) {
        (void)raise(signal_seen);
    }
}

/* ---- the folder -------------------------------------------------------------------------------------- */

dh_status dh_trial_folder_create(const dh_options *options, dh_buffer *path)
{
    const char *base = dh_options_text(options, DH_OPTION_SCRATCH);
    static const char *const variable[] = {"SLURM_TMPDIR", "TMPDIR"};
    for (size_t v = 0; v < sizeof variable / sizeof *variable && base == NULL; v++) {
        base = getenv(variable[v]);
        base = base != NULL && base[0] != '\0' ? base : NULL;
    }
    DH_TRY(dh_buffer_printf(path, "%s/dhatu-plan-XXXXXX", base != NULL ? base : "/tmp"));
    DH_TRY(dh_buffer_append(path, "", 1));
    if (mkdtemp((char *)path->data) == NULL) {
        const int reason = errno;
        path->size = 0;
        return dh_error(DH_IO, "%s: cannot make a folder for the sample: %s", base != NULL ? base : "/tmp",
                        strerror(reason));
    }
    return DH_OK;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    (void)facts;
    (void)kind;
    (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

dh_status dh_trial_folder_remove(const char *path)
{
    if (nftw(path, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return dh_error(DH_IO, "%s: cannot be removed: %s", path, strerror(errno));
    }
    return DH_OK;
}

/* ---- the command line -------------------------------------------------------------------------------- */

typedef struct words {
    dh_buffer text;  /* each with a NUL */
    dh_buffer start; /* size_t: where each begins */
} words;

static dh_status add(words *list, const char *first, const char *second)
{
    const size_t start = list->text.size;
    DH_TRY(dh_buffer_append(&list->start, &start, sizeof start));
    DH_TRY(dh_buffer_printf(&list->text, "%s%s", first, second));
    return dh_buffer_append(&list->text, "", 1);
}

/* A pointer to each word, NULL behind the last. */
static dh_status make_arguments(const words *list, char ***out)
{
    const size_t count = list->start.size / sizeof(size_t);
    void *memory = NULL;
    DH_TRY(dh_allocate(count + 1, sizeof(char *), "a command line", &memory));
    char **arguments = memory;
    for (size_t i = 0; i < count; i++) {
        size_t start = 0;
        memcpy(&start, list->start.data + i * sizeof start, sizeof start);
        arguments[i] = (char *)list->text.data + start;
    }
    *out = arguments;
    return DH_OK;
}

/* What a trial decides by itself, or what is no matter of the work. */
static bool is_own(dh_option_id id)
{
    static const dh_option_id own[] = {
        DH_OPTION_OUTPUT,          DH_OPTION_FORCE,      DH_OPTION_CHECKPOINT,   DH_OPTION_FRESH,
        DH_OPTION_KEEP_CHECKPOINT, DH_OPTION_BREAK_LOCK, DH_OPTION_FINGERPRINT,  DH_OPTION_MAX_TIME,
        DH_OPTION_GRACE,           DH_OPTION_MAX_BAD,    DH_OPTION_STRICT,       DH_OPTION_BACKEND,
        DH_OPTION_DEVICES,         DH_OPTION_ROUTE,      DH_OPTION_SEGMENT_SIZE, DH_OPTION_MEMORY,
        DH_OPTION_PROGRESS,        DH_OPTION_SCRATCH,    DH_OPTION_WHERE,        DH_OPTION_CONFIG,
        DH_OPTION_QUIET,           DH_OPTION_VERBOSE,    DH_OPTION_HELP};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (own[i] == id) {
            return true;
        }
    }
    return false;
}

static dh_status add_option(words *list, const dh_options *options, dh_option_id id)
{
    const dh_option *option = &dh_option_table[id];
    char name[64];
    (void)snprintf(name, sizeof name, "--%s=", option->name);
    if (option->kind != DH_KIND_LIST) {
        return add(list, name, dh_options_text(options, id));
    }
    dh_buffer values = {0};
    dh_status status = dh_buffer_printf(&values, "%s", dh_options_text(options, id));
    if (status == DH_OK) {
        status = dh_buffer_append(&values, "", 1);
    }
    char *rest = NULL;
    for (char *value = status == DH_OK ? strtok_r((char *)values.data, "\n", &rest) : NULL;
         value != NULL && status == DH_OK; value = strtok_r(NULL, "\n", &rest)) {
        status = add(list, name, value);
    }
    dh_buffer_free(&values);
    return status;
}

static dh_status add_handed_on(words *list, const dh_options *options)
{
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        const bool of_run = (dh_option_table[id].commands >> DH_COMMAND_RUN & 1U) != 0;
        const bool set = options->value[id] != NULL && options->origin[id] != DH_ORIGIN_DEFAULT;
        if (of_run && set && !is_own((dh_option_id)id)) {
            DH_TRY(add_option(list, options, (dh_option_id)id));
        }
    }
    return DH_OK;
}

static dh_status add_number(words *list, const char *name, uint64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, number);
    return add(list, name, digits);
}

static dh_status add_launcher(words *list, uint32_t ranks)
{
    /* --oversubscribe: a trial has no more ranks than there are cores, but Open MPI may count fewer slots. */
    static const char *const word[] = {"mpirun", "--oversubscribe", "--bind-to", "none", "-n"};
    for (size_t w = 0; w < sizeof word / sizeof *word; w++) {
        DH_TRY(add(list, word[w], ""));
    }
    return add_number(list, "", ranks);
}

static dh_status command_line(const dh_trial_options *trial, words *list)
{
    char program[4096] = "";
    const ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) {
        return dh_error(DH_IO, "/proc/self/exe: cannot be read: %s", strerror(errno));
    }
    if (trial->under_mpirun) {
        DH_TRY(add_launcher(list, trial->ranks));
    }
    DH_TRY(add(list, program, ""));
    DH_TRY(add(list, "run", ""));
    DH_TRY(add_handed_on(list, trial->options));
    DH_TRY(add(list, "--backend=cpu", ""));
    DH_TRY(add(list, "--keep-checkpoint", "")); /* so that the watched folder does not go away */
    DH_TRY(add(list, "--quiet", ""));
    DH_TRY(add_number(list, "--memory=", trial->memory));
    DH_TRY(add_number(list, "--segment-size=", trial->segment_size));
    DH_TRY(add(list, "--output=", trial->folder));
    list->text.size--;
    DH_TRY(dh_buffer_append(&list->text, "/out.h5", sizeof "/out.h5"));
    DH_TRY(add(list, "--", ""));
    for (size_t i = 0; i < trial->input_count; i++) {
        DH_TRY(add(list, trial->input[i], ""));
    }
    return DH_OK;
}

/* The trial is a job of its own: it is no rank of a job step that this program may be in, and options come by
 * its command line. */
static dh_status plain_environment(char ***out)
{
    static const char *const dropped[] = {
        "DHATU_",           "SLURM_",         "PMIX_",        "PMI_",
        "OMPI_COMM_WORLD_", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_UNIVERSE_SIZE",
        "MPI_LOCAL"};
    static const char *const kept[] = {"DHATU_DATA=", "OMPI_MCA_orte_tmpdir_base="};
    return dh_environment_less((dh_environment_names){dropped, sizeof dropped / sizeof *dropped},
                               (dh_environment_names){kept, sizeof kept / sizeof *kept}, out);
}

/* ---- the process ------------------------------------------------------------------------------------- */

/* Becomes the program. */
static _Noreturn void become(pid_t parent, char **arguments, char **environment, const char *log)
{
    enum { LOG_MODE = 0600 };
    (void)setpgid(0, 0);
    /* Who is killed outright ends nobody: the system does. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int in = open("/dev/null", O_RDONLY);
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, LOG_MODE);
    const bool ready = in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
                       dup2(out, STDERR_FILENO) >= 0;
    if (ready && getppid() == parent) {
        (void)execvpe(arguments[0], arguments, environment);
    }
    _exit(NO_PROGRAM);
}

/* In a process group of its own, so that a signal of the terminal reaches this program alone, which then
 * tidies up. */
static dh_status spawn(char **arguments, char **environment, const char *log, pid_t *process)
{
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child == 0) {
        become(self, arguments, environment, log);
    }
    if (child < 0) {
        return dh_error(DH_FAILED, "a trial run cannot be started: %s", strerror(errno));
    }
    (void)setpgid(child, child); /* whoever comes first */
    *process = child;
    return DH_OK;
}

typedef struct folder_size {
    const char *folder;
    double bytes, files;
} folder_size;

static dh_status add_file(void *context, const char *name)
{
    folder_size *sum = context;
    char path[4096];
    struct stat facts;
    (void)snprintf(path, sizeof path, "%s/%s", sum->folder, name);
    if (stat(path, &facts) == 0) { /* files come and go meanwhile */
        sum->bytes += (double)facts.st_size;
        sum->files += 1;
    }
    return DH_OK;
}

static dh_status look(const char *folder, dh_trial *out)
{
    bool there = false;
    DH_TRY(dh_file_exists(folder, &there));
    if (!there) {
        return DH_OK;
    }
    folder_size sum = {.folder = folder};
    DH_TRY(dh_folder_list(folder, add_file, &sum));
    out->scratch_bytes = sum.bytes > out->scratch_bytes ? sum.bytes : out->scratch_bytes;
    out->scratch_files = sum.files > out->scratch_files ? sum.files : out->scratch_files;
    return DH_OK;
}

static void wait_a_moment(void)
{
    const struct timespec moment = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&moment, NULL);
}

/* SIGTERM, then SIGKILL, until it is gone. */
static int end_process(pid_t process)
{
    int code = 0;
    (void)kill(-process, SIGTERM);
    for (int waited = 0; waitpid(process, &code, WNOHANG) == 0; waited += LOOK_MS) {
        if (waited == PATIENCE_MS) {
            (void)kill(-process, SIGKILL);
        }
        wait_a_moment();
    }
    return code;
}

typedef struct trial_process {
    pid_t id;
    const char *folder; /* its checkpoint */
    bool under_mpirun;
    double begin, limit; /* limit: seconds; 0: none */
    int code;            /* as of waitpid */
    bool hangs;
} trial_process;

static dh_status watch_once(const trial_process *process, dh_wait_history *history, dh_trial *out)
{
    wait_a_moment();
    DH_TRY(dh_trial_poll(NULL));
    DH_TRY(look(process->folder, out));
    const double waited =
        process->under_mpirun ? dh_waited_by_children(process->id) : dh_waited_seconds(process->id);
    return dh_wait_note(history, dh_seconds(), waited);
}

/* Waits for the process, and watches its checkpoint folder and how long its ranks wait. */
static dh_status watch(trial_process *process, dh_wait_history *history, dh_trial *out)
{
    pid_t ended = 0;
    dh_status status = DH_OK;
    while (ended == 0 && status == DH_OK && !process->hangs) {
        status = watch_once(process, history, out);
        if (status == DH_OK) {
            ended = waitpid(process->id, &process->code, WNOHANG);
        }
        process->hangs = ended == 0 && process->limit > 0 && dh_seconds() - process->begin > process->limit;
    }
    if (status != DH_OK || process->hangs) {
        process->code = end_process(process->id);
        return status;
    }
    return ended < 0 ? dh_error(DH_FAILED, "a trial run cannot be waited for: %s", strerror(errno)) : DH_OK;
}

/* ---- the outcome ------------------------------------------------------------------------------------- */

static dh_status status_of_code(int code)
{
    for (int s = DH_END + 1; s < DH_STATUS_COUNT; s++) {
        if (dh_status_exit_code((dh_status)s) == code && code != 1) {
            return (dh_status)s;
        }
    }
    return DH_FAILED;
}

/* What tells why a trial failed: its last error, else the last line that it wrote. mpirun says more behind
 * it. A string. */
static dh_status read_reason(const char *log, dh_buffer *out, bool *own)
{
    static const char mark[] = "dhatu: error: ";
    DH_TRY(dh_file_read_all(log, RECORD_MAX, out));
    while (out->size > 0 && (out->data[out->size - 1] == '\n' || out->data[out->size - 1] == '\r')) {
        out->size--;
    }
    DH_TRY(dh_buffer_append(out, "", 1));
    const char *text = (const char *)out->data;
    const char *line_end = strrchr(text, '\n');
    const char *reason = line_end != NULL ? line_end + 1 : text;
    *own = false;
    for (const char *at = strstr(text, mark); at != NULL; at = strstr(at, mark)) {
        at += sizeof mark - 1;
        reason = at;
        *own = true;
    }
    const size_t size = strcspn(reason, "\n");
    memmove(out->data, reason, size);
    out->data[size] = '\0';
    return DH_OK;
}

/* mpirun hands on the exit codes of dhatu run; any other one is mpirun's. 1 is of both: it is dhatu's where
 * dhatu said why, and MPI was not the reason. */
static bool is_of_mpirun(int code, bool own, const char *reason)
{
    if (code == dh_status_exit_code(DH_FAILED)) {
        return !own || strstr(reason, "MPI") != NULL;
    }
    return status_of_code(code) == DH_FAILED;
}

static dh_status judge_failure(const char *log, bool under_mpirun, int code, bool *refused)
{
    dh_buffer reason = {0};
    bool own = false;
    dh_status status = read_reason(log, &reason, &own);
    if (status == DH_OK) {
        *refused = under_mpirun && is_of_mpirun(code, own, (const char *)reason.data);
        status = *refused ? DH_FAILED
                          : dh_error(status_of_code(code), "a run over a sample ended with exit code %d: %s",
                                     code, (const char *)reason.data);
    }
    dh_buffer_free(&reason);
    return status;
}

static dh_status file_size(const char *folder, const char *name, double *sum)
{
    char path[4096];
    bool there = false;
    struct stat facts = {0};
    (void)snprintf(path, sizeof path, "%s/out.h5%s", folder, name);
    DH_TRY(dh_file_exists(path, &there));
    if (there) {
        DH_TRY(dh_file_stat(path, &facts));
        *sum += (double)facts.st_size;
    }
    return DH_OK;
}

static dh_status read_outcome(const char *folder, dh_trial *out)
{
    char path[4096];
    dh_buffer record = {0};
    (void)snprintf(path, sizeof path, "%s/out.h5.run.json", folder);
    dh_status status = dh_file_read_all(path, RECORD_MAX, &record);
    if (status == DH_OK) {
        status = dh_plan_read_record(path, record.data, record.size, out);
    }
    dh_buffer_free(&record);
    DH_TRY(status);
    DH_TRY(file_size(folder, ".vocab.tsv", &out->vocabulary_bytes));
    DH_TRY(file_size(folder, ".quarantine.jsonl", &out->other_bytes));
    return file_size(folder, ".run.json", &out->other_bytes);
}

/* Which phase waited when is not known: each is shortened alike. */
static void leave_out_waiting(double waited, dh_trial *out)
{
    const double share = waited < out->seconds ? 1 - waited / out->seconds : 1;
    out->waited_seconds = (1 - share) * out->seconds;
    out->seconds *= share;
    out->rank_map_seconds *= share;
    out->read_seconds *= share;
    out->kernel_seconds *= share;
    for (int p = 0; p < DH_PLAN_PHASES; p++) {
        out->phase[p] *= share;
    }
}

static dh_status run_in(const dh_trial_options *trial, char **arguments, char **environment, bool *refused,
                        dh_wait_history *history, dh_trial *out)
{
    char log[4096];
    char checkpoint[4096];
    (void)snprintf(log, sizeof log, "%s/log", trial->folder);
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/out.h5.ckpt", trial->folder);
    trial_process process = {
        .folder = checkpoint,
        .under_mpirun = trial->under_mpirun,
        .begin = dh_seconds(),
        .limit = trial->under_mpirun ? trial->limit_seconds : 0,
    };
    DH_TRY(spawn(arguments, environment, log, &process.id));
    DH_TRY(watch(&process, history, out));
    const double seconds = dh_seconds() - process.begin;
    if (process.hangs) {
        *refused = true;
        return DH_FAILED;
    }
    const int exit_code =
        WIFEXITED(process.code) ? WEXITSTATUS(process.code) : SIGNAL_CODE + WTERMSIG(process.code);
    if (exit_code != 0) {
        return judge_failure(log, trial->under_mpirun, exit_code, refused);
    }
    DH_TRY(read_outcome(trial->folder, out));
    out->start_seconds = seconds > out->seconds ? seconds - out->seconds : 0;
    leave_out_waiting(dh_wait_of_last(history, out->seconds), out);
    return DH_OK;
}

dh_status dh_trial_run(const dh_trial_options *trial, bool *refused, dh_trial *out)
{
    words list = {0};
    char **arguments = NULL;
    char **environment = NULL;
    bool there = false;
    dh_trial made = {0};
    dh_wait_history history = {0};
    *refused = false;
    dh_status status = command_line(trial, &list);
    if (status == DH_OK) {
        status = make_arguments(&list, &arguments);
    }
    if (status == DH_OK) {
        status = plain_environment(&environment);
    }
    if (status == DH_OK) {
        status = dh_file_exists(trial->folder, &there);
    }
    if (status == DH_OK && !there) {
        status = dh_folder_create(trial->folder);
    }
    if (status == DH_OK) {
        status = run_in(trial, arguments, environment, refused, &history, &made);
    }
    const dh_status removed = dh_trial_folder_remove(trial->folder);
    status = status == DH_OK ? removed : status;
    dh_buffer_free(&list.text);
    dh_buffer_free(&list.start);
    dh_buffer_free(&history.moments);
    free(arguments);
    free(environment);
    if (status == DH_OK) {
        *out = made;
    }
    return status;
}
