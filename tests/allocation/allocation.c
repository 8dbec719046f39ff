/* Every allocation of a small run of the MPI-free core fails in turn: once, and in a second series it and all
 * behind it. Each time the run must end with DH_NO_MEMORY and a message, and nothing may be left: no memory,
 * no open file. Child processes do the work, so that a crash or a hang is told with its number, and the rest
 * goes on.
 *
 *     allocation [--once N | --from N]     one number alone, for looking into it */
#include "corpus.h"
#include "interpose.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_MAX = 30, FAULTS_SHOWN = 10, WORKERS_MAX = 16 };
enum { PATH_SIZE = 4096, SAID_MAX = 1 << 16 };

static struct {
    char folder[PATH_SIZE];
    uint64_t count;  /* allocations of an undisturbed run */
    uint64_t digest; /* of what it computes */
} test;

/* ---- what a run says --------------------------------------------------------------------------------- */

static int said_file = -1;

static void said_reset(void)
{
    if (ftruncate(said_file, 0) != 0 || lseek(said_file, 0, SEEK_SET) != 0) {
        abort();
    }
}

static const char *said(void)
{
    static char text[SAID_MAX];
    const ssize_t size = pread(said_file, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static int said_errors(void)
{
    int count = 0;
    for (const char *at = strstr(said(), "dhatu: error: "); at != NULL;
         at = strstr(at + 1, "dhatu: error: ")) {
        count++;
    }
    return count;
}

static void capture_stderr(void)
{
    said_file = memfd_create("stderr", MFD_CLOEXEC);
    if (said_file < 0 || dup2(said_file, STDERR_FILENO) < 0) {
        abort();
    }
}

/* ---- one run ----------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_folder(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        (void)printf("%s: cannot be removed: %s\n", path, strerror(errno));
        exit(1);
    }
}

/* The lowest descriptor that is free. */
static int free_descriptor(void)
{
    const int file = dup(STDIN_FILENO);
    (void)close(file);
    return file;
}

typedef struct run_outcome {
    dh_status status;
    uint64_t made, digest;
    const char *failed_in;
    int errors;
    size_t alive;
    int files;
} run_outcome;

static run_outcome run_once(uint64_t nth, bool persistent)
{
    char checkpoint[PATH_SIZE + 32];
    (void)snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-%ld", test.folder, (long)getpid());
    remove_folder(checkpoint);
    said_reset();
    const int file = free_descriptor();
    run_outcome outcome = {0};
    allocations_mark();
    allocations_begin(nth, persistent);
    outcome.status = scenario_run(test.folder, checkpoint, &outcome.digest);
    outcome.made = allocations_end();
    outcome.alive = allocations_alive();
    outcome.files = free_descriptor() - file;
    outcome.failed_in = allocations_failed_in();
    outcome.errors = said_errors();
    return outcome;
}

/* Functions of libc that hide that memory was missing, and what a run makes of it. */
static bool is_hidden(const run_outcome *outcome)
{
    /* qsort sorts in place then: the same order, for no two elements are equal. */
    if (strcmp(outcome->failed_in, "qsort_r") == 0) {
        return outcome->status == DH_OK && outcome->digest == test.digest && outcome->errors == 0;
    }
    return false;
}

/* NULL: as it must be. Else what is wrong. */
static const char *wrong_with(const run_outcome *outcome, bool persistent)
{
    if (outcome->alive != 0) {
        return "memory is left";
    }
    if (outcome->files != 0) {
        return "a file is left open";
    }
    if (is_hidden(outcome)) {
        return NULL;
    }
    if (outcome->status != DH_NO_MEMORY) {
        return outcome->status == DH_OK ? "nothing was told" : "another status than for missing memory";
    }
    if (strstr(said(), "out of memory") == NULL) {
        return "no message";
    }
    /* Where all fails from there on, what is tried behind the first failure may fail, too. */
    return outcome->errors == 1 || (persistent && outcome->errors > 1) ? NULL : "not one message";
}

static void tell(uint64_t nth, bool persistent, const char *wrong, const run_outcome *outcome)
{
    (void)printf("allocation %" PRIu64 "%s fails: %s\n  status: %s; asked for by: %s; said: %s", nth,
                 persistent ? " and all behind it" : "", wrong, dh_status_name(outcome->status),
                 outcome->failed_in, said());
    allocations_print_failed();
    if (outcome->alive != 0) {
        allocations_trace(true);
        (void)run_once(nth, persistent);
        allocations_print_alive();
        allocations_trace(false);
    }
    (void)fflush(stdout);
}

/* ---- all numbers, in child processes ----------------------------------------------------------------- */

typedef struct worker_state {
    uint64_t next; /* the number it works at */
    uint64_t tried, wrong;
} worker_state;

static void work(worker_state *worker, uint64_t workers, bool persistent)
{
    while (worker->next <= test.count) {
        const uint64_t nth = worker->next;
        (void)alarm(SECONDS_MAX);
        const run_outcome outcome = run_once(nth, persistent);
        const char *wrong = wrong_with(&outcome, persistent);
        if (wrong != NULL && worker->wrong++ < FAULTS_SHOWN) {
            tell(nth, persistent, wrong, &outcome);
        }
        worker->tried++;
        worker->next += workers;
    }
}

static pid_t start(worker_state *worker, uint64_t workers, bool persistent)
{
    (void)fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        capture_stderr(); /* a file of its own */
        work(worker, workers, persistent);
        (void)fflush(stdout);
        _exit(0);
    }
    return child;
}

/* Returns how many numbers were wrong. */
static uint64_t series(bool persistent, uint64_t workers)
{
    worker_state *worker =
        mmap(NULL, WORKERS_MAX * sizeof *worker, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (worker == MAP_FAILED) {
        abort();
    }
    pid_t child[WORKERS_MAX];
    for (uint64_t w = 0; w < workers; w++) {
        worker[w].next = w + 1;
        child[w] = start(&worker[w], workers, persistent);
    }
    uint64_t wrong = 0;
    uint64_t tried = 0;
    for (uint64_t w = 0; w < workers; w++) {
        int how = 0;
        while (waitpid(child[w], &how, 0) == child[w] && (!WIFEXITED(how) || WEXITSTATUS(how) != 0)) {
            (void)printf("allocation %" PRIu64 "%s fails: the process %s\n", worker[w].next,
                         persistent ? " and all behind it" : "",
                         WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM ? "hangs" : "crashes");
            worker[w].wrong++;
            worker[w].tried++;
            worker[w].next += workers;
            child[w] = start(&worker[w], workers, persistent);
        }
        wrong += worker[w].wrong;
        tried += worker[w].tried;
    }
    (void)printf("%s: %" PRIu64 " of %" PRIu64 " allocations tried, %" PRIu64 " wrong\n",
                 persistent ? "it and all behind it fail" : "one fails", tried, test.count, wrong);
    (void)munmap(worker, WORKERS_MAX * sizeof *worker);
    return wrong;
}

/* ---- the allocator itself ---------------------------------------------------------------------------- */

static void *allocate_by(const char *name)
{
    void *block = NULL;
    if (strcmp(name, "malloc") == 0) {
        block = malloc(10);
    } else if (strcmp(name, "calloc") == 0) {
        block = calloc(2, 5);
    } else if (strcmp(name, "realloc") == 0) {
        block = realloc(NULL, 10);
    } else if (strcmp(name, "reallocarray") == 0) {
        block = reallocarray(NULL, 2, 5);
    } else if (strcmp(name, "aligned_alloc") == 0) {
        block = aligned_alloc(64, 64);
    } else if (strcmp(name, "strdup") == 0) {
        block = strdup(name);
    } else if (posix_memalign(&block, 64, 64) != 0) {
        block = NULL;
    }
    return block;
}

/* Each way to allocate must be seen once, and fail when it is to. */
static bool allocator_works(void)
{
    static const char *const name[] = {"malloc",        "calloc",         "realloc", "reallocarray",
                                       "aligned_alloc", "posix_memalign", "strdup"};
    for (size_t way = 0; way < sizeof name / sizeof name[0]; way++) {
        for (uint64_t nth = 0; nth < 2; nth++) {
            allocations_mark();
            allocations_begin(nth, false);
            void *volatile block = allocate_by(name[way]); /* volatile: else the compiler leaves it out */
            const uint64_t made = allocations_end();
            const size_t alive = allocations_alive();
            free(block);
            if (made != 1 || alive != 1 - nth || (block == NULL) != (nth == 1) || allocations_alive() != 0) {
                (void)printf("%s is not seen as one allocation\n", name[way]);
                return false;
            }
        }
    }
    return true;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

/* The first run warms up what libraries keep for good; the second must be clean. */
static bool undisturbed(void)
{
    (void)run_once(0, false);
    const run_outcome outcome = run_once(0, false);
    test.count = outcome.made;
    test.digest = outcome.digest;
    const run_outcome again = run_once(0, false);
    if (outcome.status != DH_OK || outcome.alive != 0 || outcome.files != 0 || again.digest != test.digest ||
        again.made != test.count) {
        (void)printf("undisturbed: status %s, %zu blocks and %d files left, %" PRIu64 " and %" PRIu64
                     " allocations, results %s; said: %s\n",
                     dh_status_name(outcome.status), outcome.alive, outcome.files, outcome.made, again.made,
                     again.digest == test.digest ? "same" : "differ", said());
        if (outcome.alive != 0) {
            allocations_trace(true);
            (void)run_once(0, false);
            allocations_print_alive();
        }
        return false;
    }
    return true;
}

static int run_test(int argc, char **argv)
{
    const bool one = argc == 3 && (strcmp(argv[1], "--once") == 0 || strcmp(argv[1], "--from") == 0);
    if (!one && argc > 1) {
        (void)printf("usage: allocation [--once N | --from N]\n");
        return 2;
    }
    if (!corpus_write(test.folder) || !allocator_works() || !undisturbed()) {
        return 1;
    }
    if (one) {
        const bool persistent = strcmp(argv[1], "--from") == 0;
        const uint64_t nth = strtoull(argv[2], NULL, 10);
        const run_outcome outcome = run_once(nth, persistent);
        const char *wrong = wrong_with(&outcome, persistent);
        tell(nth, persistent, wrong != NULL ? wrong : "as it must be", &outcome);
        return wrong != NULL;
    }
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t workers =
        processors < 1 ? 1 : (processors > WORKERS_MAX ? WORKERS_MAX : (uint64_t)processors);
    const uint64_t wrong = series(false, workers);
    return wrong + series(true, workers) > 0;
}

int main(int argc, char **argv)
{
    static char buffer[1 << 12];
    (void)setvbuf(stdout, buffer, _IOLBF, sizeof buffer); /* else the first line allocates one */
    const char *base = getenv("TMPDIR");
    (void)snprintf(test.folder, sizeof test.folder, "%s/dhatu-allocation-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(test.folder) == NULL) {
        (void)printf("%s: %s\n", test.folder, strerror(errno));
        return 1;
    }
    capture_stderr();
    const int result = run_test(argc, argv);
    remove_folder(test.folder);
    return result;
}
