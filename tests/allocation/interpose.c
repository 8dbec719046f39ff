#include "interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What glibc has behind its own names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

/* Not declared everywhere that stdlib.h is. */
void *memalign(size_t alignment, size_t size);

enum { FRAMES_MAX = 24, SLOT_COUNT = 1 << 16, CALLS_PRINTED = 12 };

/* A block that is alive. */
typedef struct live_block {
    void *block; /* NULL: free */
    uint64_t number;
    int frame_count;
    void *frame[FRAMES_MAX];
} live_block;

static struct {
    bool counting, persistent, tracing;
    bool inside; /* backtrace may allocate */
    uint64_t nth, made, number, mark;
    int failed_count;
    void *failed[FRAMES_MAX];
    size_t used;
    live_block slot[SLOT_COUNT]; /* open addressing, linear probing */
} heap;

/* ---- what is alive ----------------------------------------------------------------------------------- */

static size_t place_of(const void *block)
{
    return (size_t)(((uint64_t)(uintptr_t)block * UINT64_C(0x9E3779B97F4A7C15)) >> 48);
}

static int calls(void **frame)
{
    if (heap.inside) {
        return 0;
    }
    heap.inside = true;
    const int count = backtrace(frame, FRAMES_MAX);
    heap.inside = false;
    return count;
}

static void *keep(void *block)
{
    if (block == NULL) {
        return NULL;
    }
    if (heap.used >= SLOT_COUNT / 2) {
        static const char said[] = "interpose.c: more blocks alive than it has room for\n";
        const ssize_t written = write(STDERR_FILENO, said, sizeof said - 1);
        (void)written;
        abort();
    }
    size_t at = place_of(block);
    while (heap.slot[at].block != NULL) {
        at = (at + 1) % SLOT_COUNT;
    }
    heap.slot[at].block = block;
    heap.slot[at].number = heap.inside ? 0 : ++heap.number; /* what backtrace keeps is not of the test */
    heap.slot[at].frame_count = heap.tracing ? calls(heap.slot[at].frame) : 0;
    heap.used++;
    return block;
}

static void forget(const void *block)
{
    size_t at = place_of(block);
    while (heap.slot[at].block != NULL && heap.slot[at].block != block) {
        at = (at + 1) % SLOT_COUNT;
    }
    if (heap.slot[at].block == NULL) {
        return; /* of before main, by the loader's own allocator */
    }
    heap.used--;
    /* Those behind move up where their way leads past the gap. */
    size_t gap = at;
    for (size_t next = (at + 1) % SLOT_COUNT; heap.slot[next].block != NULL; next = (next + 1) % SLOT_COUNT) {
        const size_t home = place_of(heap.slot[next].block);
        if ((next - home) % SLOT_COUNT >= (next - gap) % SLOT_COUNT) {
            heap.slot[gap] = heap.slot[next];
            gap = next;
        }
    }
    heap.slot[gap].block = NULL;
}

/* ---- what fails -------------------------------------------------------------------------------------- */

static bool fails(void)
{
    if (!heap.counting || heap.inside) {
        return false;
    }
    heap.made++;
    const bool due = heap.nth != 0 && (heap.persistent ? heap.made >= heap.nth : heap.made == heap.nth);
    if (due && heap.failed_count == 0) {
        heap.failed_count = calls(heap.failed);
    }
    if (due) {
        errno = ENOMEM;
    }
    return due;
}

void *malloc(size_t size)
{
    return fails() ? NULL : keep(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : keep(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size)
{
    if (fails()) {
        return NULL;
    }
    if (block == NULL) {
        return keep(__libc_malloc(size));
    }
    void *moved = __libc_realloc(block, size);
    if (moved != NULL || size == 0) {
        forget(block);
        (void)keep(moved);
    }
    return moved;
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

void *memalign(size_t alignment, size_t size)
{
    return fails() ? NULL : keep(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    const int before = errno;
    void *block = memalign(alignment, size);
    errno = before;
    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

void free(void *block)
{
    if (block != NULL) {
        forget(block);
        __libc_free(block);
    }
}

/* ---- for the test ------------------------------------------------------------------------------------ */

void allocations_begin(uint64_t nth, bool persistent)
{
    heap.nth = nth;
    heap.persistent = persistent;
    heap.made = 0;
    heap.failed_count = 0;
    heap.counting = true;
}

uint64_t allocations_end(void)
{
    heap.counting = false;
    return heap.made;
}

/* The frames above this file's own. */
static int first_caller(void *const *frame, int count)
{
    static const char *const own[] = {"malloc",   "calloc",        "realloc",       "reallocarray",
                                      "memalign", "aligned_alloc", "posix_memalign"};
    int last = 0;
    for (int i = 0; i < count; i++) {
        Dl_info facts;
        if (dladdr(frame[i], &facts) == 0 || facts.dli_sname == NULL) {
            continue;
        }
        for (size_t n = 0; n < sizeof own / sizeof own[0]; n++) {
            if (strcmp(facts.dli_sname, own[n]) == 0) {
                last = i + 1;
            }
        }
    }
    return last;
}

const char *allocations_failed_in(void)
{
    const int first = first_caller(heap.failed, heap.failed_count);
    Dl_info facts;
    if (first >= heap.failed_count || dladdr(heap.failed[first], &facts) == 0 || facts.dli_sname == NULL) {
        return "";
    }
    return facts.dli_sname;
}

static void print_frames(void *const *frame, int count)
{
    heap.inside = true;
    const int first = first_caller(frame, count);
    const int shown = count - first < CALLS_PRINTED ? count - first : CALLS_PRINTED;
    (void)fflush(stdout);
    backtrace_symbols_fd(frame + first, shown, STDOUT_FILENO);
    heap.inside = false;
}

void allocations_print_failed(void)
{
    print_frames(heap.failed, heap.failed_count);
}

void allocations_mark(void)
{
    heap.mark = heap.number;
}

size_t allocations_alive(void)
{
    size_t alive = 0;
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        alive += heap.slot[i].block != NULL && heap.slot[i].number > heap.mark;
    }
    return alive;
}

void allocations_trace(bool on)
{
    heap.tracing = on;
}

void allocations_print_alive(void)
{
    enum { PRINTED_MAX = 5 };
    int printed = 0;
    for (size_t i = 0; i < SLOT_COUNT && printed < PRINTED_MAX; i++) {
        if (heap.slot[i].block != NULL && heap.slot[i].number > heap.mark) {
            printed++;
            (void)printf("  a block that is left was made by:\n");
            print_frames(heap.slot[i].frame, heap.slot[i].frame_count);
        }
    }
}
