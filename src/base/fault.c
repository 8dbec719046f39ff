/* The grammar of the environment variable DHATU_FAULT:
 *
 *     DHATU_FAULT = RULE { ";" RULE }
 *     RULE        = KEY [ "=" VALUE ] { "," KEY [ "=" VALUE ] }
 *
 *     call=NAME      which calls: open (also creates), read, write, sync, close, rename, link, remove,
 *                    reserve (of disk space), folder (make, remove or list one), stat, allocate (of memory),
 *                    device (of an accelerator: path open, or batch), place (no call, but a named place that
 *                    the run comes to), or any: all but allocate, device and place
 *     error=NAME     what happens to it. EIO, ENOSPC, EDQUOT, EINTR, EMFILE, ENFILE, EROFS, EACCES, ENOMEM,
 *                    ENOENT, ETIMEDOUT: it fails so; a device has no memory with ENOMEM, never answers
 *                    again with ETIMEDOUT, and is lost with the others. SHORT: it reads or writes only half
 *                    of its bytes (only reads and writes match). KILL: the process kills itself in front of
 *                    it (SIGKILL). STOP: the process stops itself in front of it (SIGSTOP); once continued
 *                    it makes the call
 *     sleep=MS       instead of error: the process sleeps so many milliseconds in front of it, or until a
 *                    signal comes, then makes the call. With persist a small run lasts as long as is wanted
 *     at=N           to the Nth call that matches, counted from 1; default 1
 *     persist        to that one and to all that match after it
 *     chance=P       instead of at and persist: to each that matches with probability P (0 < P <= 1)
 *     seed=S         of what chance draws, with the rank and the count of the call: with the same seed
 *                    always the same calls; default 0
 *     path=TEXT      only calls whose path has TEXT in it (of an allocation: what for; of a place: its name)
 *     rank=R         only on this rank
 *
 *     count=PREFIX   a rule of its own: at its end the process writes a file PREFIX-RANK with a line a kind
 *                    of call, "write 12", and a line a rule, "rule 1 matched 7 failed 1"
 *
 * A rule needs call, and error or sleep. Values have no "," and no ";". Every rule counts the calls that
 * match it by itself; of several that are due at one call the first is done. A renaming or link has the path
 * that it makes. Examples:
 *
 *     call=write,error=ENOSPC,at=7,persist       from the 7th write on the disk is full
 *     call=sync,error=EIO,path=journal,rank=2    rank 2's first sync of a journal fails
 *     call=place,path=publish,error=KILL         killed in front of publishing the result
 *     call=read,error=EINTR,chance=0.1,seed=4;call=read,error=SHORT,chance=0.1,seed=5
 *     call=write,path=spill,sleep=300,persist    every write to a spill takes 300 ms more
 */
#include "base/fault.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RULES_MAX = 16, TEXT_MAX = 4096 };
enum { ACTION_KILL = -2, ACTION_STOP = -3, ACTION_SLEEP = -4 }; /* besides an errno and DH_FAULT_SHORT */
enum { MILLISECONDS = 1000, NANOSECONDS_PER_MILLISECOND = 1000000 };

typedef struct fault_rule {
    unsigned number; /* in DHATU_FAULT */
    unsigned calls;  /* bit 1 << dh_fault_call */
    int action;
    const char *action_name;
    uint64_t milliseconds; /* of ACTION_SLEEP */
    uint64_t at;
    bool persists;
    bool by_chance;
    uint64_t chance; /* of 2^53 */
    uint64_t seed;
    const char *path; /* NULL: any */
    bool every_rank;
    uint64_t rank;
    const char *count_prefix;
    uint64_t matched, failed;
} fault_rule;

bool dh_fault_armed;

/* Of the process, as the system calls are that it is about. Strings of rules point into text. */
static struct {
    char text[TEXT_MAX];
    fault_rule rule[RULES_MAX];
    unsigned rule_count;
    const char *count_prefix; /* NULL: not asked for */
    int rank;
    uint64_t made[DH_CALL_COUNT];
} faults;

static const char *const call_name[DH_CALL_COUNT] = {
    [DH_CALL_OPEN] = "open",     [DH_CALL_READ] = "read",     [DH_CALL_WRITE] = "write",
    [DH_CALL_SYNC] = "sync",     [DH_CALL_CLOSE] = "close",   [DH_CALL_RENAME] = "rename",
    [DH_CALL_LINK] = "link",     [DH_CALL_REMOVE] = "remove", [DH_CALL_RESERVE] = "reserve",
    [DH_CALL_FOLDER] = "folder", [DH_CALL_STAT] = "stat",     [DH_CALL_ALLOCATE] = "allocate",
    [DH_CALL_DEVICE] = "device", [DH_CALL_PLACE] = "place",
};

static const struct {
    const char *name;
    int action;
} action_table[] = {
    {"EIO", EIO},          {"ETIMEDOUT", ETIMEDOUT},  {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
    {"EINTR", EINTR},      {"EMFILE", EMFILE},        {"ENFILE", ENFILE}, {"EROFS", EROFS},
    {"EACCES", EACCES},    {"ENOMEM", ENOMEM},        {"ENOENT", ENOENT}, {"KILL", ACTION_KILL},
    {"STOP", ACTION_STOP}, {"SHORT", DH_FAULT_SHORT},
};

enum {
    CALLS_SHORT = 1U << DH_CALL_READ | 1U << DH_CALL_WRITE,
    CALLS_PLACE = 1U << DH_CALL_PLACE,
    CALLS_ANY =
        ((1U << DH_CALL_COUNT) - 1) & ~(1U << DH_CALL_ALLOCATE | 1U << DH_CALL_DEVICE | 1U << DH_CALL_PLACE)
};

/* ---- reading the rules ------------------------------------------------------------------------------ */

/* Cuts what stands before the separator off *rest; NULL when nothing is left. */
static char *cut(char **rest, char separator)
{
    char *piece = *rest;
    if (piece == NULL) {
        return NULL;
    }
    char *end = strchr(piece, separator);
    *rest = NULL;
    if (end != NULL) {
        *end = '\0';
        *rest = end + 1;
    }
    return piece;
}

static dh_status wrong(unsigned number, const char *what, const char *value)
{
    return dh_error(DH_USAGE, "DHATU_FAULT: rule %u: %s '%s'", number, what, value);
}

static dh_status parse_call(unsigned number, const char *value, fault_rule *out)
{
    if (strcmp(value, "any") == 0) {
        out->calls = CALLS_ANY;
        return DH_OK;
    }
    for (unsigned i = 0; i < DH_CALL_COUNT; i++) {
        if (strcmp(value, call_name[i]) == 0) {
            out->calls = 1U << i;
            return DH_OK;
        }
    }
    return wrong(number, "there is no call", value);
}

static dh_status parse_error(unsigned number, const char *value, fault_rule *out)
{
    for (size_t i = 0; i < sizeof action_table / sizeof action_table[0]; i++) {
        if (strcmp(value, action_table[i].name) == 0) {
            out->action = action_table[i].action;
            out->action_name = action_table[i].name;
            return DH_OK;
        }
    }
    return wrong(number, "there is no error", value);
}

static dh_status parse_count(unsigned number, const char *value, uint64_t minimum, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long count = strtoull(value, &end, 10);
    /* strtoull takes signs and blanks in front of the digits. */
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || count < minimum) {
        return wrong(number, minimum > 0 ? "not a number from 1 on:" : "not a number from 0 on:", value);
    }
    *out = count;
    return DH_OK;
}

static dh_status parse_chance(unsigned number, const char *value, fault_rule *out)
{
    char *end = NULL;
    const double chance = strtod(value, &end);
    if (end == value || *end != '\0' || !(chance > 0.0 && chance <= 1.0)) {
        return wrong(number, "not a probability above 0 and up to 1:", value);
    }
    out->by_chance = true;
    out->chance = (uint64_t)(chance * 9007199254740992.0);
    return DH_OK;
}

/* The keys that were given, to see what is missing and what does not go together. */
enum {
    KEY_CALL = 1,
    KEY_ERROR = 2,
    KEY_AT = 4,
    KEY_PERSIST = 8,
    KEY_CHANCE = 16,
    KEY_SEED = 32,
    KEY_PATH = 64,
    KEY_RANK = 128,
    KEY_COUNT = 256,
    KEY_SLEEP = 512
};

static dh_status parse_value(unsigned number, unsigned key, const char *value, fault_rule *out)
{
    switch (key) {
    case KEY_CALL:
        return parse_call(number, value, out);
    case KEY_ERROR:
        return parse_error(number, value, out);
    case KEY_AT:
        return parse_count(number, value, 1, &out->at);
    case KEY_PERSIST:
        out->persists = true;
        return value[0] == '\0' ? DH_OK : wrong(number, "persist has no value:", value);
    case KEY_CHANCE:
        return parse_chance(number, value, out);
    case KEY_SEED:
        return parse_count(number, value, 0, &out->seed);
    case KEY_RANK:
        out->every_rank = false;
        return parse_count(number, value, 0, &out->rank);
    case KEY_SLEEP:
        out->action = ACTION_SLEEP;
        out->action_name = "sleep";
        return parse_count(number, value, 1, &out->milliseconds);
    case KEY_PATH:
        out->path = value;
        break;
    default:
        out->count_prefix = value;
        break;
    }
    return value[0] != '\0' ? DH_OK : wrong(number, "without a text:", key == KEY_PATH ? "path" : "count");
}

static dh_status parse_key(unsigned number, char *text, unsigned *keys, fault_rule *out)
{
    static const char *const key_name[] = {"call", "error", "at",   "persist", "chance",
                                           "seed", "path",  "rank", "count",   "sleep"};
    char *value = text;
    const char *name = cut(&value, '=');
    for (unsigned i = 0; i < sizeof key_name / sizeof key_name[0]; i++) {
        if (strcmp(name, key_name[i]) == 0) {
            if ((*keys & 1U << i) != 0) {
                return wrong(number, "given twice:", name);
            }
            *keys |= 1U << i;
            return parse_value(number, 1U << i, value != NULL ? value : "", out);
        }
    }
    return wrong(number, "there is no key", name);
}

static dh_status check_rule(unsigned number, unsigned keys, const fault_rule *rule)
{
    if ((keys & KEY_COUNT) != 0) {
        return keys == KEY_COUNT ? DH_OK : wrong(number, "a rule of its own is", "count");
    }
    if ((keys & KEY_CALL) == 0 || (keys & (KEY_ERROR | KEY_SLEEP)) == 0) {
        return wrong(number, "it lacks", (keys & KEY_CALL) == 0 ? "call" : "error");
    }
    if ((keys & KEY_ERROR) != 0 && (keys & KEY_SLEEP) != 0) {
        return wrong(number, "sleep does not go with", "error");
    }
    if (rule->by_chance && (keys & (KEY_AT | KEY_PERSIST)) != 0) {
        return wrong(number, "chance does not go with", (keys & KEY_AT) != 0 ? "at" : "persist");
    }
    if (!rule->by_chance && (keys & KEY_SEED) != 0) {
        return wrong(number, "only with chance goes", "seed");
    }
    if (rule->calls == CALLS_PLACE && rule->action != ACTION_KILL && rule->action != ACTION_STOP &&
        rule->action != ACTION_SLEEP) {
        return wrong(number, "at a place only KILL, STOP and sleep can be had, not", rule->action_name);
    }
    if (rule->action == DH_FAULT_SHORT && (rule->calls & CALLS_SHORT) == 0) {
        return wrong(number, "only read and write can be", "SHORT");
    }
    return DH_OK;
}

static dh_status parse_rule(unsigned number, char *text, fault_rule *out)
{
    fault_rule read = {.number = number, .at = 1, .every_rank = true};
    unsigned keys = 0;
    for (char *rest = text, *key = cut(&rest, ','); key != NULL; key = cut(&rest, ',')) {
        DH_TRY(parse_key(number, key, &keys, &read));
    }
    DH_TRY(check_rule(number, keys, &read));
    if (read.action == DH_FAULT_SHORT) {
        read.calls &= CALLS_SHORT;
    }
    *out = read;
    return DH_OK;
}

static dh_status parse_rules(const char *text)
{
    const size_t size = strlen(text);
    if (size >= sizeof faults.text) {
        return dh_error(DH_USAGE, "DHATU_FAULT: longer than %zu bytes", sizeof faults.text - 1);
    }
    memcpy(faults.text, text, size + 1);
    unsigned number = 0;
    for (char *rest = faults.text, *piece = cut(&rest, ';'); piece != NULL; piece = cut(&rest, ';')) {
        fault_rule read;
        DH_TRY(parse_rule(++number, piece, &read));
        if (number > RULES_MAX) {
            return dh_error(DH_USAGE, "DHATU_FAULT: more than %d rules", RULES_MAX);
        }
        if (read.count_prefix != NULL) {
            faults.count_prefix = read.count_prefix;
        } else if (read.every_rank || read.rank == (uint64_t)faults.rank) {
            faults.rule[faults.rule_count++] = read;
        }
    }
    return DH_OK;
}

dh_status dh_fault_arm(int rank)
{
    dh_fault_armed = false;
    memset(&faults, 0, sizeof faults);
    faults.rank = rank;
    const char *text = getenv("DHATU_FAULT");
    if (text == NULL || text[0] == '\0') {
        return DH_OK;
    }
    DH_TRY(parse_rules(text));
    if (faults.rule_count > 0) {
        dh_warning("DHATU_FAULT is set: calls of this process will fail on purpose");
    }
    dh_fault_armed = faults.rule_count > 0 || faults.count_prefix != NULL;
    return DH_OK;
}

/* ---- deciding --------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t mixed(uint64_t value)
{
    value += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

static bool is_due(const fault_rule *rule)
{
    if (rule->by_chance) {
        const uint64_t drawn = mixed(mixed(mixed(rule->seed) ^ (uint64_t)faults.rank) ^ rule->matched);
        return drawn >> 11 < rule->chance;
    }
    return rule->persists ? rule->matched >= rule->at : rule->matched == rule->at;
}

/* A signal ends it: a run that is asked to leave is not to notice that late because it was slowed. */
static void sleep_for(uint64_t milliseconds)
{
    const struct timespec time = {
        .tv_sec = (time_t)(milliseconds / MILLISECONDS),
        .tv_nsec = (long)(milliseconds % MILLISECONDS) * NANOSECONDS_PER_MILLISECOND,
    };
    (void)nanosleep(&time, NULL);
}

static int act(fault_rule *rule, dh_fault_call call, const char *subject)
{
    rule->failed++;
    if (rule->action == ACTION_KILL || rule->action == ACTION_STOP) {
        /* Nothing is said: nothing may come between the place and the signal. */
        (void)kill(getpid(), rule->action == ACTION_KILL ? SIGKILL : SIGSTOP);
        return 0;
    }
    if (rule->failed == 1) {
        dh_warning("fault on purpose: %s of %s: %s", call_name[call], subject, rule->action_name);
    }
    if (rule->action == ACTION_SLEEP) {
        sleep_for(rule->milliseconds);
        return 0;
    }
    return rule->action;
}

int dh_fault_decide(dh_fault_call call, const char *subject)
{
    const int saved = errno; /* an armed process behaves like another one up to the fault */
    faults.made[call]++;
    fault_rule *due = NULL;
    for (unsigned i = 0; i < faults.rule_count; i++) {
        fault_rule *rule = &faults.rule[i];
        if ((rule->calls & 1U << call) != 0 && (rule->path == NULL || strstr(subject, rule->path) != NULL)) {
            rule->matched++;
            if (due == NULL && is_due(rule)) {
                due = rule;
            }
        }
    }
    const int answer = due != NULL ? act(due, call, subject) : 0;
    errno = saved;
    return answer;
}

/* ---- the report ------------------------------------------------------------------------------------- */

static dh_status report_text(dh_buffer *out)
{
    for (int i = 0; i < DH_CALL_COUNT; i++) {
        DH_TRY(dh_buffer_printf(out, "%s %" PRIu64 "\n", call_name[i], faults.made[i]));
    }
    for (unsigned i = 0; i < faults.rule_count; i++) {
        DH_TRY(dh_buffer_printf(out, "rule %u matched %" PRIu64 " failed %" PRIu64 "\n",
                                faults.rule[i].number, faults.rule[i].matched, faults.rule[i].failed));
    }
    return DH_OK;
}

dh_status dh_fault_report(void)
{
    if (!dh_fault_armed) {
        return DH_OK;
    }
    dh_fault_armed = false; /* the report itself is neither counted nor disturbed */
    if (faults.count_prefix == NULL) {
        return DH_OK;
    }
    dh_buffer text = {0};
    dh_buffer path = {0};
    dh_status status = report_text(&text);
    if (status == DH_OK) {
        status = dh_buffer_printf(&path, "%s-%d", faults.count_prefix, faults.rank);
    }
    if (status == DH_OK) {
        status = dh_file_replace((const char *)path.data, text.data, text.size);
    }
    dh_buffer_free(&text);
    dh_buffer_free(&path);
    return status;
}
