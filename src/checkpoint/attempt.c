#include "checkpoint/attempt.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "checkpoint/folder.h"
#include "checkpoint/slurm.h"
#include "read/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    ATTEMPT_FORMAT = 1,
    FILE_SIZE_MAX = 4096, /* of an attempt's file; what is larger is none */
    CHECK_SIZE = 29,      /* ,"check":"0123456789abcdef"} and a newline */
    ROUNDS_MAX = 40,      /* tries to take a folder that others take and give back at the same time */
    ROUND_PAUSE_MAX_MS = 128
};

/* ---- for messages ------------------------------------------------------------------------------------ */

/* "attempt 3 on node12, process 4711, Slurm job 123456, since 2026-01-31 12:00:00 UTC (5 min 2 s ago)" */
static dh_status describe(const dh_attempt *attempt, dh_buffer *out)
{
    if (attempt->start == 0) {
        return dh_buffer_printf(out, "attempt %u, whose file is damaged", attempt->epoch);
    }
    DH_TRY(dh_buffer_printf(out, "attempt %u on %s, process %lld", attempt->epoch, attempt->host,
                            (long long)attempt->pid));
    if (attempt->job[0] != '\0') {
        DH_TRY(dh_buffer_printf(out, ", Slurm job %s", attempt->job));
    }
    DH_TRY(dh_buffer_printf(out, ", since "));
    DH_TRY(dh_append_time(attempt->start, out));
    DH_TRY(dh_buffer_printf(out, " ("));
    DH_TRY(dh_append_duration(1e-9 * ((double)dh_time_of_day() - (double)attempt->start), out));
    return dh_buffer_printf(out, " ago)");
}

/* ---- this process ------------------------------------------------------------------------------------ */

/* Files in /proc, which have no size. What cannot be read is empty: the caller then knows less. */
static bool read_proc(const char *path, char *out, size_t room)
{
    out[0] = '\0';
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t got = read(file, out, room - 1);
    while (got < 0 && errno == EINTR) {
        got = read(file, out, room - 1);
    }
    (void)close(file);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* Fields 3 and 22 of /proc/PID/stat. Field 2, the name, may have spaces and brackets in it. */
static bool read_process(int64_t pid, char *process_state, uint64_t *start)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (!read_proc(path, text, sizeof text)) {
        return false;
    }
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return false;
    }
    at += 2;
    *process_state = *at;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return false;
        }
        at++;
    }
    *start = strtoull(at, NULL, 10);
    return true;
}

static void copy_text(char *out, size_t room, const char *text)
{
    const size_t size = text == NULL ? 0 : strnlen(text, room - 1);
    if (size > 0) {
        memcpy(out, text, size);
    }
    out[size] = '\0';
}

static dh_attempt this_process(uint32_t epoch, int ranks)
{
    dh_attempt self = {.epoch = epoch, .ranks = ranks, .pid = getpid(), .start = dh_time_of_day()};
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    copy_text(self.host, sizeof self.host, host[0] != '\0' ? host : "unknown");
    char process_state = 0;
    (void)read_process(self.pid, &process_state, &self.pid_start);
    char boot[64];
    (void)read_proc("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    boot[strcspn(boot, "\n")] = '\0';
    copy_text(self.boot, sizeof self.boot, boot);
    struct stat facts;
    self.pid_space = stat("/proc/self/ns/pid", &facts) == 0 ? (uint64_t)facts.st_ino : 0;
    copy_text(self.job, sizeof self.job, getenv("SLURM_JOB_ID"));
    const char *restart = getenv("SLURM_RESTART_COUNT");
    const unsigned long restarts = restart != NULL ? strtoul(restart, NULL, 10) : 0;
    self.job_restart = restarts < UINT32_MAX ? (uint32_t)restarts : UINT32_MAX;
    return self;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static dh_status append_field(dh_buffer *out, const char *name, const char *text)
{
    DH_TRY(dh_buffer_printf(out, ",\"%s\":", name));
    return dh_json_append_string(out, text, strlen(text));
}

/* The check is over all bytes in front of it: a flipped digit must not make a living holder a dead one. */
static dh_status append_check(dh_buffer *out)
{
    const unsigned long long check = XXH3_64bits(out->data, out->size);
    return dh_buffer_printf(out, ",\"check\":\"%016llx\"}\n", check);
}

static dh_status compose(const dh_attempt *attempt, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "{\"format\":%d,\"epoch\":%u,\"ranks\":%d", ATTEMPT_FORMAT, attempt->epoch,
                            attempt->ranks));
    DH_TRY(append_field(out, "host", attempt->host));
    DH_TRY(dh_buffer_printf(out, ",\"pid\":%lld,\"pid_start\":%llu", (long long)attempt->pid,
                            (unsigned long long)attempt->pid_start));
    DH_TRY(append_field(out, "boot", attempt->boot));
    DH_TRY(dh_buffer_printf(out, ",\"pid_space\":%llu", (unsigned long long)attempt->pid_space));
    DH_TRY(append_field(out, "job", attempt->job));
    DH_TRY(dh_buffer_printf(out, ",\"job_restart\":%u,\"start\":%llu,\"end\":%llu,\"exit_code\":%d",
                            attempt->job_restart, (unsigned long long)attempt->start,
                            (unsigned long long)attempt->end, attempt->exit_code));
    return append_check(out);
}

static bool take_number(const dh_json_value *value, uint64_t maximum, uint64_t *out)
{
    uint64_t number = 0;
    if (value->kind != DH_JSON_NUMBER || value->size == 0) {
        return false;
    }
    for (size_t i = 0; i < value->size; i++) {
        const uint8_t digit = value->text[i];
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(digit - '0'), &number)) {
            return false;
        }
    }
    *out = number;
    return number <= maximum;
}

static bool take_text(const dh_json_value *value, char *out, size_t room)
{
    uint8_t plain[512];
    uint64_t replaced = 0;
    if (value->kind != DH_JSON_STRING || value->size > sizeof plain) {
        return false;
    }
    const size_t size = dh_json_unescape(value, plain, &replaced);
    if (size >= room || memchr(plain, 0, size) != NULL) {
        return false;
    }
    memcpy(out, plain, size);
    out[size] = '\0';
    return true;
}

static dh_status scan(const char *const *name, size_t count, const dh_buffer *text, dh_json_value *value,
                      bool *good)
{
    dh_json_paths *paths = NULL;
    size_t error_offset = 0;
    DH_TRY(dh_json_paths_create(name, count, &paths));
    *good = dh_json_scan(paths, text->data, text->size, value, &error_offset) == DH_JSON_OK;
    dh_json_paths_free(paths);
    return DH_OK;
}

static bool check_fits(const dh_buffer *text)
{
    char expected[CHECK_SIZE + 1];
    if (text->size <= CHECK_SIZE) {
        return false;
    }
    const size_t covered = text->size - CHECK_SIZE;
    const unsigned long long check = XXH3_64bits(text->data, covered);
    (void)snprintf(expected, sizeof expected, ",\"check\":\"%016llx\"}\n", check);
    return memcmp(text->data + covered, expected, CHECK_SIZE) == 0;
}

/* A file of a later format is as good as damaged: who wrote it is not known. */
static dh_status parse(const dh_buffer *text, uint32_t epoch, dh_attempt *out, bool *good)
{
    static const char *const number_name[] = {"format",    "epoch",       "ranks", "pid",
                                              "pid_start", "job_restart", "start", "end"};
    static const char *const other_name[] = {"pid_space", "exit_code", "host", "boot", "job"};
    static const uint64_t maximum[] = {ATTEMPT_FORMAT, UINT32_MAX, INT32_MAX,  INT32_MAX,
                                       UINT64_MAX,     UINT32_MAX, UINT64_MAX, UINT64_MAX};
    enum {
        NUMBERS = sizeof number_name / sizeof number_name[0],
        OTHERS = sizeof other_name / sizeof other_name[0]
    };
    dh_json_value value[NUMBERS];
    uint64_t number[NUMBERS] = {0};
    *good = false;
    bool fits = check_fits(text);
    if (fits) {
        DH_TRY(scan(number_name, NUMBERS, text, value, &fits));
    }
    for (size_t i = 0; i < NUMBERS && fits; i++) {
        fits = take_number(&value[i], maximum[i], &number[i]);
    }
    if (!fits || number[0] != ATTEMPT_FORMAT || number[1] != epoch || number[6] == 0) {
        return DH_OK;
    }
    dh_attempt read = {.epoch = epoch,
                       .ranks = (int)number[2],
                       .pid = (int64_t)number[3],
                       .pid_start = number[4],
                       .job_restart = (uint32_t)number[5],
                       .start = number[6],
                       .end = number[7]};
    uint64_t exit_code = 0;
    DH_TRY(scan(other_name, OTHERS, text, value, &fits));
    if (fits && take_number(&value[0], UINT64_MAX, &read.pid_space) &&
        take_number(&value[1], 255, &exit_code) && take_text(&value[2], read.host, sizeof read.host) &&
        take_text(&value[3], read.boot, sizeof read.boot) &&
        take_text(&value[4], read.job, sizeof read.job)) {
        read.exit_code = (int)exit_code;
        *out = read;
        *good = true;
    }
    return DH_OK;
}

static bool is_gone(int reason)
{
    return reason == ENOENT || reason == ESTALE;
}

typedef enum attempt_file { FILE_MISSING = 0, FILE_DAMAGED, FILE_GOOD } attempt_file;

static dh_status load(const char *folder, uint32_t epoch, dh_attempt *out, attempt_file *found)
{
    dh_buffer path = {0};
    dh_buffer text = {0};
    int file = -1;
    uint64_t size = 0;
    bool good = false;
    dh_status status = dh_checkpoint_open(folder, DH_CHECKPOINT_ATTEMPT, epoch, 0, &path, &file, &size);
    const bool missing = status == DH_OK && file < 0;
    if (status == DH_OK && !missing && size <= FILE_SIZE_MAX) {
        status = dh_buffer_reserve(&text, (size_t)size);
        if (status == DH_OK) {
            status = dh_file_read_at(file, (const char *)path.data, text.data, (size_t)size, 0);
        }
        if (status == DH_OK) {
            text.size = (size_t)size;
            status = parse(&text, epoch, out, &good);
        }
    }
    if (status == DH_OK) {
        *found = missing ? FILE_MISSING : (good ? FILE_GOOD : FILE_DAMAGED);
    }
    if (file >= 0) {
        (void)close(file);
    }
    dh_buffer_free(&text);
    dh_buffer_free(&path);
    return status;
}

bool dh_attempt_read(const char *folder, uint32_t epoch, dh_attempt *out)
{
    attempt_file found = FILE_MISSING;
    return load(folder, epoch, out, &found) == DH_OK && found == FILE_GOOD;
}

/* ---- dead or alive ----------------------------------------------------------------------------------- */

/* Of a process whose number means the same to the holder and to us. */
static dh_holder_state state_of_process(const dh_attempt *holder)
{
    char process_state = 0;
    uint64_t start = 0;
    if (holder->pid <= 0) {
        return DH_HOLDER_UNKNOWN;
    }
    if (!read_process(holder->pid, &process_state, &start)) {
        /* /proc may hide the processes of other users. */
        return kill((pid_t)holder->pid, 0) != 0 && errno == ESRCH ? DH_HOLDER_DEAD : DH_HOLDER_UNKNOWN;
    }
    if (holder->pid_start == 0) {
        return DH_HOLDER_UNKNOWN;
    }
    const bool gone = process_state == 'Z' || process_state == 'X' || start != holder->pid_start;
    return gone ? DH_HOLDER_DEAD : DH_HOLDER_ALIVE;
}

static dh_holder_state judge(const dh_attempt *holder, bool ask_slurm)
{
    if (holder->end != 0) {
        return DH_HOLDER_ENDED;
    }
    const dh_attempt self = this_process(0, 0);
    const bool boots_known = holder->boot[0] != '\0' && self.boot[0] != '\0';
    const bool same_boot = boots_known && strcmp(holder->boot, self.boot) == 0;
    if (same_boot && self.pid_space != 0 && holder->pid_space == self.pid_space) {
        return state_of_process(holder);
    }
    if (boots_known && !same_boot && strcmp(holder->host, self.host) == 0) {
        return DH_HOLDER_DEAD;
    }
    if (holder->job[0] == '\0') {
        return DH_HOLDER_UNKNOWN;
    }
    /* Slurm restarts a job only when what ran of it has ended. */
    if (strcmp(holder->job, self.job) == 0 && self.job_restart > holder->job_restart) {
        return DH_HOLDER_DEAD;
    }
    const dh_slurm_job job = ask_slurm ? dh_slurm_ask(holder->job) : DH_SLURM_JOB_UNKNOWN;
    return job == DH_SLURM_JOB_OVER ? DH_HOLDER_DEAD
                                    : (job == DH_SLURM_JOB_ALIVE ? DH_HOLDER_ALIVE : DH_HOLDER_UNKNOWN);
}

/* The highest epochs in the folder: of attempts, and of any of our names, since an attempt's file may be
 * lost and its name must not be used again. */
typedef struct epochs {
    uint32_t attempt, any;
} epochs;

static dh_status take_name(void *context, const char *name)
{
    epochs *highest = context;
    uint32_t epoch = 0;
    uint32_t rank = 0;
    const dh_checkpoint_file file = dh_checkpoint_classify(name, &epoch, &rank);
    if (epoch > highest->any) { /* 0 of names without one */
        highest->any = epoch;
    }
    if (file == DH_CHECKPOINT_ATTEMPT && epoch > highest->attempt) {
        highest->attempt = epoch;
    }
    return DH_OK;
}

/* One look into the folder says both who holds it and which epoch is next: an attempt that comes to be
 * behind it gets that epoch, so that taking it fails. */
static dh_status look(const char *folder, bool ask_slurm, epochs *highest, dh_attempt *holder,
                      dh_holder_state *state)
{
    enum { LOOKS_MAX = 8 };
    attempt_file found = FILE_MISSING;
    *holder = (dh_attempt){0};
    *state = DH_HOLDER_NONE;
    for (int i = 0; i < LOOKS_MAX && found == FILE_MISSING; i++) {
        *highest = (epochs){0};
        DH_TRY(dh_folder_list(folder, take_name, highest));
        if (highest->attempt == 0) {
            return DH_OK;
        }
        DH_TRY(load(folder, highest->attempt, holder, &found));
    }
    if (found == FILE_GOOD) {
        *state = judge(holder, ask_slurm);
        return DH_OK;
    }
    *holder = (dh_attempt){.epoch = highest->attempt};
    *state = DH_HOLDER_UNKNOWN;
    return DH_OK;
}

dh_status dh_attempt_look(const char *folder, bool ask_slurm, dh_attempt *holder, dh_holder_state *state)
{
    epochs highest;
    dh_attempt found;
    dh_holder_state found_state;
    DH_TRY(look(folder, ask_slurm, &highest, &found, &found_state));
    *holder = found;
    *state = found_state;
    return DH_OK;
}

/* ---- taking ------------------------------------------------------------------------------------------ */

/* attempt-EEEEEE.claim-HOST-PID-RANDOM */
static dh_status claim_path(const char *path, const char *host, dh_buffer *out)
{
    char plain_host[sizeof((dh_attempt *)0)->host];
    copy_text(plain_host, sizeof plain_host, host);
    for (char *c = plain_host; *c != '\0'; c++) {
        const bool plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           *c == '.' || *c == '-';
        *c = plain ? *c : '_';
    }
    uint64_t number = 0;
    ssize_t got = getrandom(&number, sizeof number, 0);
    while (got < 0 && errno == EINTR) {
        got = getrandom(&number, sizeof number, 0);
    }
    if (got != (ssize_t)sizeof number) {
        return dh_error(DH_IO, "cannot get a random number: %s", strerror(errno));
    }
    DH_TRY(dh_buffer_printf(out, "%s.claim-%s-%ld-%016llx", path, plain_host, (long)getpid(),
                            (unsigned long long)number));
    return dh_buffer_append(out, "", 1);
}

/* *made is false when the folder is gone. */
static dh_status write_claim(const char *claim, const dh_buffer *text, bool *made)
{
    const int file = DH_CALL(OPEN, claim, open(claim, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    *made = file >= 0;
    if (file < 0) {
        return is_gone(errno) ? DH_OK : dh_error(DH_IO, "%s: cannot create: %s", claim, strerror(errno));
    }
    dh_status status = dh_file_write_at(file, claim, text->data, text->size, 0);
    if (status == DH_OK) {
        status = dh_file_sync(file, claim);
    }
    const dh_status closed = dh_file_close(file, claim);
    return status == DH_OK ? closed : status;
}

/* Network file systems may lose the answer and say that the name was there: the link count tells. *taken is
 * false when another was faster, or the claim or the folder was cleared away. */
static dh_status link_claim(const char *claim, const char *path, bool *taken)
{
    const int reason = DH_CALL(LINK, path, link(claim, path)) == 0 ? 0 : errno;
    struct stat facts;
    *taken = reason == 0 || (stat(claim, &facts) == 0 && facts.st_nlink == 2);
    if (*taken || reason == EEXIST || is_gone(reason)) {
        return DH_OK;
    }
    return dh_error(DH_IO, "%s: cannot link (the lock of a checkpoint needs hard links): %s", path,
                    strerror(reason));
}

/* A later attempt may have cleared the epoch's name away before it was linked here: then that one holds the
 * folder, and this one goes. */
static dh_status confirm(const char *folder, uint32_t epoch, const char *path, bool *taken)
{
    epochs highest = {0};
    DH_TRY(dh_folder_list(folder, take_name, &highest));
    *taken = highest.attempt == epoch;
    return *taken ? dh_file_sync_folder_of(path) : dh_file_remove(path);
}

static dh_status try_epoch(const char *folder, const dh_attempt *attempt, bool *taken)
{
    dh_buffer path = {0};
    dh_buffer claim = {0};
    dh_buffer text = {0};
    *taken = false;
    bool made = false;
    dh_status status = dh_checkpoint_path(folder, DH_CHECKPOINT_ATTEMPT, attempt->epoch, 0, &path);
    if (status == DH_OK) {
        status = claim_path((const char *)path.data, attempt->host, &claim);
    }
    if (status == DH_OK) {
        status = compose(attempt, &text);
    }
    if (status == DH_OK) {
        status = write_claim((const char *)claim.data, &text, &made);
    }
    if (status == DH_OK && made) {
        status = link_claim((const char *)claim.data, (const char *)path.data, taken);
    }
    if (made) {
        const dh_status removed = dh_file_remove((const char *)claim.data);
        status = status == DH_OK ? removed : status;
    }
    if (status == DH_OK && *taken) {
        status = confirm(folder, attempt->epoch, (const char *)path.data, taken);
    }
    dh_buffer_free(&text);
    dh_buffer_free(&claim);
    dh_buffer_free(&path);
    return status;
}

static dh_status refuse(const char *folder, const dh_attempt *holder, dh_holder_state state)
{
    dh_buffer who = {0};
    dh_status status = describe(holder, &who);
    if (status == DH_OK) {
        status = dh_error(DH_LOCKED,
                          "%s: %s by another run: %.*s. Wait for it, or if you know that it is dead: "
                          "--break-lock",
                          folder, state == DH_HOLDER_ALIVE ? "is held" : "may be held", (int)who.size,
                          (const char *)who.data);
    }
    dh_buffer_free(&who);
    return status;
}

static dh_status warn_of_break(const char *folder, const dh_attempt *holder)
{
    dh_buffer who = {0};
    const dh_status status = describe(holder, &who);
    if (status == DH_OK) {
        dh_warning("%s: --break-lock takes it from %.*s", folder, (int)who.size, (const char *)who.data);
    }
    dh_buffer_free(&who);
    return status;
}

static void pause_before(int round)
{
    if (round > 0) {
        (void)poll(NULL, 0, round < 8 ? 1 << (round - 1) : ROUND_PAUSE_MAX_MS);
    }
}

dh_status dh_attempt_take(const char *folder, int ranks, bool break_lock, dh_attempt *out)
{
    uint32_t breakable = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        epochs highest = {0};
        dh_attempt holder;
        dh_holder_state state;
        pause_before(round);
        /* The holder may have finished and removed it meanwhile. */
        bool there = false;
        DH_TRY(dh_file_exists(folder, &there));
        if (!there) {
            DH_TRY(dh_folder_create(folder));
        }
        DH_TRY(look(folder, true, &highest, &holder, &state));
        /* The lock that was asked to be broken is that of the holder seen first, not of one who was faster
         * now. */
        breakable = round == 0 && break_lock ? holder.epoch : breakable;
        const bool held = state == DH_HOLDER_ALIVE || state == DH_HOLDER_UNKNOWN;
        if (held && holder.epoch != breakable) {
            return refuse(folder, &holder, state);
        }
        if (highest.any == UINT32_MAX) {
            return dh_error(DH_IO,
                            "%s: has a file of the last attempt there can be, number %u: use another "
                            "folder (-c)",
                            folder, highest.any);
        }
        const dh_attempt attempt = this_process(highest.any + 1, ranks);
        bool taken = false;
        DH_TRY(try_epoch(folder, &attempt, &taken));
        if (taken) {
            *out = attempt;
            return held ? warn_of_break(folder, &holder) : DH_OK;
        }
    }
    return dh_error(DH_LOCKED, "%s: not to be had in %d tries: others take it, or remove it, all the time",
                    folder, ROUNDS_MAX);
}

/* ---- holding ----------------------------------------------------------------------------------------- */

/* Is the attempt's file there (its name as of dh_checkpoint_path)? -1: not known. It is asked before every
 * write, so that it must not fail for want of memory. */
static int presence(const char *folder, uint32_t epoch)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/attempt-%06u", folder, epoch) >= (int)sizeof path) {
        return -1;
    }
    struct stat facts;
    const int reason = DH_CALL(STAT, path, stat(path, &facts)) == 0 ? 0 : errno;
    return reason == 0 ? 1 : (is_gone(reason) ? 0 : -1);
}

bool dh_attempt_is_current(const char *folder, uint32_t epoch)
{
    const bool overtaken = epoch < UINT32_MAX && presence(folder, epoch + 1) == 1;
    return !overtaken && presence(folder, epoch) != 0;
}

dh_status dh_attempt_end(const char *folder, dh_attempt *attempt, int exit_code)
{
    if (!dh_attempt_is_current(folder, attempt->epoch)) {
        return DH_OK;
    }
    dh_attempt ended = *attempt;
    ended.end = dh_time_of_day();
    ended.exit_code = exit_code & 255;
    dh_buffer path = {0};
    dh_buffer text = {0};
    dh_status status = dh_checkpoint_path(folder, DH_CHECKPOINT_ATTEMPT, attempt->epoch, 0, &path);
    if (status == DH_OK) {
        status = compose(&ended, &text);
    }
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, text.data, text.size);
    }
    if (status == DH_OK) {
        *attempt = ended;
    }
    dh_buffer_free(&text);
    dh_buffer_free(&path);
    return status;
}
