/* Tests of checkpoint/spill.h: what is committed is found again, and nothing else is. */
#include "random_chunk.h"

#include "checkpoint/spill.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { EPOCH = 2, RANK = 7, ENTRIES_MAX = 64 };

#define SPILL "/spill-000002-000007"
#define JOURNAL "/journal-000002-000007"

static const dh_run_id run_id = {{9, 8, 7, 6, 5, 4, 3, 2, 1}};
static const size_t row_sizes[] = {4, 8, 1, 2, 3, 13};

/* A spill that is written, and what its calls told. */
typedef struct writer {
    char folder[4400];
    dh_schema schema;
    dh_chunk *chunk;
    dh_spill *spill;
    dh_chunk_entry entry[ENTRIES_MAX];
    size_t entries;
    uint32_t segments;
} writer;

static const char *path_in(const writer *to, const char *name)
{
    static char path[4500];
    (void)snprintf(path, sizeof path, "%s%s", to->folder, name);
    return path;
}

static bool exists(const writer *to, const char *name)
{
    return access(path_in(to, name), F_OK) == 0;
}

static dh_spill_options options_of(const writer *to)
{
    return (dh_spill_options){.folder = to->folder,
                              .run = run_id,
                              .epoch = EPOCH,
                              .rank = RANK,
                              .start = 1700000000000000000,
                              .journalled = true};
}

static void begin(writer *to, const char *folder)
{
    *to = (writer){0};
    (void)snprintf(to->folder, sizeof to->folder, "%s", support_make_folder(folder));
    make_schema(&to->schema, row_sizes, COUNT(row_sizes), 1);
    assert_ok(dh_chunk_create(&to->schema, &to->chunk));
    const dh_spill_options options = options_of(to);
    assert_ok(dh_spill_create(&options, &to->spill));
}

static void finish(writer *to)
{
    dh_spill_free(to->spill);
    dh_chunk_free(to->chunk);
}

static uint64_t begin_of(uint32_t segment)
{
    return segment * UINT64_C(16000000000);
}

/* The segment number s is of source s / 2. */
static void add_chunk(writer *to, uint32_t rows)
{
    dh_chunk_reset(to->chunk);
    fill_chunk(to->chunk, rows);
    assert_true(to->entries < ENTRIES_MAX);
    assert_ok(dh_spill_add_chunk(to->spill, to->chunk, to->segments / 2, begin_of(to->segments),
                                 &to->entry[to->entries++]));
}

static dh_segment_facts facts_of(uint32_t segment)
{
    return (dh_segment_facts){.first_source = segment / 2,
                              .flags = DH_SEGMENT_STREAM,
                              .begin = begin_of(segment),
                              .documents = 10 + segment,
                              .text_bytes = 20 + segment,
                              .file_bytes = 30 + segment,
                              .bad = 40 + segment};
}

static void end_segment(writer *to)
{
    const dh_segment_facts facts = facts_of(to->segments++);
    assert_ok(dh_spill_end_segment(to->spill, &facts));
}

static void add_segment(writer *to, uint32_t chunks, uint32_t rows)
{
    for (uint32_t c = 0; c < chunks; c++) {
        add_chunk(to, rows + c);
    }
    end_segment(to);
}

/* ---- reading back ------------------------------------------------------------------------------------ */

typedef struct scanned {
    dh_journal_entry entry[ENTRIES_MAX];
    size_t count;
} scanned;

static dh_status take_journal_entry(void *context, const dh_journal_entry *entry)
{
    scanned *into = context;
    assert_true(into->count < ENTRIES_MAX);
    into->entry[into->count++] = *entry;
    return DH_OK;
}

static scanned scan(const writer *from)
{
    scanned found = {0};
    dh_journal_scan_result result;
    assert_ok(dh_journal_scan(from->folder, &run_id, EPOCH, RANK, take_journal_entry, &found, &result));
    assert_int_equal(result.valid, found.count);
    assert_int_equal(result.damaged, 0);
    return found;
}

typedef struct chunk_list {
    dh_chunk_entry entry[ENTRIES_MAX];
    size_t count;
} chunk_list;

static dh_status take_chunk_entry(void *context, const dh_chunk_entry *entry)
{
    chunk_list *into = context;
    assert_true(into->count < ENTRIES_MAX);
    into->entry[into->count++] = *entry;
    return DH_OK;
}

static dh_buffer scratch;

static bool is_intact(const writer *from, const dh_journal_entry *entry, chunk_list *chunks)
{
    bool intact = false;
    const size_t before = chunks->count;
    assert_ok(dh_spill_check(from->folder, entry, &from->schema, &scratch, take_chunk_entry, chunks, NULL,
                             NULL, &intact));
    if (!intact) {
        assert_int_equal(chunks->count, before);
    }
    return intact;
}

static bool is_one_intact(const writer *from, const dh_journal_entry *entry)
{
    chunk_list chunks = {.count = 0};
    return is_intact(from, entry, &chunks);
}

/* All of the spill is intact and is what add_chunk told. */
static void expect_all_intact(const writer *from, size_t segments)
{
    const scanned found = scan(from);
    assert_int_equal(found.count, segments);
    chunk_list chunks = {.count = 0};
    for (size_t s = 0; s < segments; s++) {
        assert_true(is_intact(from, &found.entry[s], &chunks));
    }
    assert_int_equal(chunks.count, from->entries);
    if (chunks.count > 0) {
        assert_memory_equal(chunks.entry, from->entry, chunks.count * sizeof chunks.entry[0]);
    }
}

/* The spill's bytes, in which a test may change some. */
static uint8_t *map_spill(const writer *from, size_t *size)
{
    const int file = open(path_in(from, SPILL), O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    struct stat facts;
    assert_int_equal(fstat(file, &facts), 0);
    *size = (size_t)facts.st_size;
    void *bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    assert_true(bytes != MAP_FAILED);
    assert_int_equal(close(file), 0);
    return bytes;
}

/* ---- writing and committing -------------------------------------------------------------------------- */

static void test_what_is_committed_is_found(void **state)
{
    (void)state;
    writer to;
    begin(&to, "committed");
    assert_false(exists(&to, SPILL));
    add_segment(&to, 3, 5);
    assert_true(exists(&to, SPILL));
    assert_true(exists(&to, JOURNAL)); /* made in front of the spill */
    assert_int_equal(scan(&to).count, 0);
    add_segment(&to, 0, 0); /* nothing in it */
    add_segment(&to, 1, 0); /* a chunk without rows */
    assert_int_equal(dh_spill_waiting(to.spill), 3);
    assert_int_equal(dh_spill_committed(to.spill), 0);
    assert_ok(dh_spill_commit(to.spill));
    assert_int_equal(dh_spill_waiting(to.spill), 0);
    assert_int_equal(dh_spill_committed(to.spill), 3);
    expect_all_intact(&to, 3);
    add_segment(&to, 2, DH_CHUNK_ROWS - 1);
    assert_ok(dh_spill_commit(to.spill));
    assert_ok(dh_spill_commit(to.spill)); /* nothing to do */
    add_segment(&to, 1, 100);
    add_segment(&to, 4, 1);
    assert_ok(dh_spill_commit(to.spill));
    expect_all_intact(&to, 6);
    assert_true(dh_spill_commit_seconds(to.spill) > 0.0);
    struct stat facts;
    assert_int_equal(stat(path_in(&to, SPILL), &facts), 0);
    assert_int_equal(facts.st_size, dh_spill_size(to.spill));
    assert_int_equal(stat(path_in(&to, JOURNAL), &facts), 0);
    assert_int_equal(facts.st_size, sizeof(dh_journal_header) + 6 * sizeof(dh_journal_entry));
    assert_ok(dh_spill_close(to.spill));
    expect_all_intact(&to, 6);
    finish(&to);
}

static void test_the_journal_keeps_the_facts(void **state)
{
    (void)state;
    writer to;
    begin(&to, "facts");
    for (int i = 0; i < 5; i++) {
        add_segment(&to, 2, 3);
        if (i % 2 > 0) {
            assert_ok(dh_spill_commit(to.spill));
        }
    }
    assert_ok(dh_spill_commit(to.spill));
    const scanned found = scan(&to);
    assert_int_equal(found.count, 5);
    for (uint32_t s = 0; s < 5; s++) {
        const dh_journal_entry *entry = &found.entry[s];
        const dh_segment_facts facts = facts_of(s);
        assert_int_equal(entry->sequence, s);
        assert_int_equal(entry->flags, facts.flags);
        assert_int_equal(entry->first_source, facts.first_source);
        assert_int_equal(entry->begin, facts.begin);
        assert_int_equal(entry->chunk_count, 2);
        assert_int_equal(entry->documents, facts.documents);
        assert_int_equal(entry->text_bytes, facts.text_bytes);
        assert_int_equal(entry->file_bytes, facts.file_bytes);
        assert_int_equal(entry->bad, facts.bad);
        assert_int_equal(entry->reserved, 0);
        assert_int_equal(entry->offset, s > 0 ? entry[-1].offset + entry[-1].size : 0);
        assert_true(entry->time >= (s > 0 ? entry[-1].time : UINT64_C(1600000000000000000)));
    }
    finish(&to);
}

static void test_what_is_not_committed_is_not_in_the_journal(void **state)
{
    (void)state;
    writer to;
    begin(&to, "uncommitted");
    add_segment(&to, 1, 10);
    assert_ok(dh_spill_commit(to.spill));
    const size_t committed = to.entries;
    add_segment(&to, 1, 10);
    add_chunk(&to, 10);
    finish(&to);
    to.entries = committed;
    expect_all_intact(&to, 1);
}

static void test_a_commit_leaves_the_current_segment_alone(void **state)
{
    (void)state;
    writer to;
    begin(&to, "current");
    add_segment(&to, 1, 10);
    add_chunk(&to, 20);
    assert_ok(dh_spill_commit(to.spill));
    add_chunk(&to, 30);
    end_segment(&to);
    assert_ok(dh_spill_commit(to.spill));
    expect_all_intact(&to, 2);
    finish(&to);
}

static void test_a_dropped_segment_is_overwritten(void **state)
{
    (void)state;
    writer to;
    begin(&to, "dropped");
    dh_spill_drop_segment(to.spill); /* there is none yet */
    for (uint32_t rows = 1; rows < 200; rows += 60) {
        add_segment(&to, 2, rows);
        const uint64_t size = dh_spill_size(to.spill);
        const size_t entries = to.entries;
        add_chunk(&to, 100);
        add_chunk(&to, 3);
        assert_true(dh_spill_size(to.spill) > size);
        dh_spill_drop_segment(to.spill);
        assert_int_equal(dh_spill_size(to.spill), size);
        to.entries = entries;
        if (rows > 100) {
            assert_ok(dh_spill_commit(to.spill));
        }
    }
    assert_ok(dh_spill_commit(to.spill));
    expect_all_intact(&to, 4);
    finish(&to);
}

static void test_empty_segments_need_no_spill(void **state)
{
    (void)state;
    writer to;
    begin(&to, "empty");
    add_segment(&to, 0, 0);
    add_segment(&to, 0, 0);
    assert_ok(dh_spill_commit(to.spill));
    assert_false(exists(&to, SPILL));
    expect_all_intact(&to, 2);
    dh_journal_entry lie = scan(&to).entry[0];
    lie.chunk_count = 1;
    assert_false(is_one_intact(&to, &lie));
    lie.chunk_count = 0;
    lie.hash_low ^= 1;
    assert_false(is_one_intact(&to, &lie));
    lie.hash_low ^= 1;
    lie.hash_high ^= 1;
    assert_false(is_one_intact(&to, &lie));
    lie.hash_high ^= 1;
    lie.offset = 1000; /* behind a segment whose bytes are lost */
    assert_true(is_one_intact(&to, &lie));
    add_segment(&to, 1, 1); /* the spill comes to be behind the journal */
    assert_ok(dh_spill_commit(to.spill));
    expect_all_intact(&to, 3);
    finish(&to);
}

static void test_a_rank_that_did_nothing_leaves_nothing(void **state)
{
    (void)state;
    writer to;
    begin(&to, "nothing");
    assert_ok(dh_spill_commit(to.spill));
    assert_ok(dh_spill_close(to.spill));
    finish(&to);
    dh_spill_free(NULL);
    assert_int_equal(rmdir(to.folder), 0);
}

/* A function of the segment alone: two attempts can be compared by the hashes in their journals. */
static void test_the_same_segment_has_the_same_bytes(void **state)
{
    (void)state;
    writer to;
    begin(&to, "same");
    uint64_t seed = support_seed;
    add_segment(&to, 3, 50);
    add_segment(&to, 1, DH_CHUNK_ROWS);
    to.segments = 0;
    support_seed = seed;
    add_segment(&to, 3, 50);
    assert_ok(dh_spill_commit(to.spill));
    const scanned found = scan(&to);
    assert_int_equal(found.entry[0].size, found.entry[2].size);
    assert_int_equal(found.entry[0].hash_low, found.entry[2].hash_low);
    assert_int_equal(found.entry[0].hash_high, found.entry[2].hash_high);
    assert_int_not_equal(found.entry[0].hash_low, found.entry[1].hash_low);
    finish(&to);
}

static void test_without_a_journal(void **state)
{
    (void)state;
    writer to;
    begin(&to, "unjournalled");
    dh_spill_free(to.spill);
    dh_spill_options options = options_of(&to);
    options.journalled = false;
    assert_ok(dh_spill_create(&options, &to.spill));
    add_segment(&to, 2, 10);
    assert_int_equal(dh_spill_waiting(to.spill), 0);
    assert_ok(dh_spill_commit(to.spill));
    assert_int_equal(dh_spill_committed(to.spill), 0);
    assert_false(exists(&to, JOURNAL));
    size_t size = 0;
    uint8_t *bytes = map_spill(&to, &size);
    assert_int_equal(size, dh_spill_size(to.spill));
    dh_chunk_header header;
    dh_chunk_describe(to.chunk, 0, 0, 1, &header);
    assert_memory_equal(bytes + to.entry[1].offset, &header, sizeof header);
    assert_int_equal(munmap(bytes, size), 0);
    assert_ok(dh_spill_close(to.spill));
    finish(&to);
}

/* ---- refusals and failures --------------------------------------------------------------------------- */

static dh_status may_write(void *context)
{
    int *left = context;
    return (*left)-- > 0 ? DH_OK : DH_LOCKED;
}

static void test_nothing_is_written_where_it_may_not(void **state)
{
    (void)state;
    for (int allowed = 0; allowed < 4; allowed++) {
        char name[32];
        (void)snprintf(name, sizeof name, "may-%d", allowed);
        writer to;
        begin(&to, name);
        dh_spill_free(to.spill);
        int left = allowed;
        dh_spill_options options = options_of(&to);
        options.may_write = may_write;
        options.context = &left;
        assert_ok(dh_spill_create(&options, &to.spill));
        fill_chunk(to.chunk, 10);
        const dh_segment_facts facts = facts_of(0);
        dh_chunk_entry entry = {.rows = 77};
        dh_status status = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
        assert_int_equal(status, allowed > 0 ? DH_OK : DH_LOCKED);
        assert_int_equal(entry.rows, allowed > 0 ? 10 : 77);
        assert_int_equal(exists(&to, SPILL), allowed > 0);
        status = dh_spill_end_segment(to.spill, &facts);
        assert_int_equal(status, allowed > 0 ? DH_OK : DH_LOCKED);
        status = dh_spill_commit(to.spill);
        assert_int_equal(status, allowed > 1 ? DH_OK : DH_LOCKED);
        assert_int_equal(exists(&to, JOURNAL), allowed > 0);
        status = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
        assert_int_equal(status, allowed > 2 ? DH_OK : DH_LOCKED);
        status = dh_spill_end_segment(to.spill, &facts);
        assert_int_equal(status, allowed > 2 ? DH_OK : DH_LOCKED);
        assert_int_equal(dh_spill_commit(to.spill), DH_LOCKED);
        assert_int_equal(scan(&to).count, allowed > 1);
        left = 100; /* it stays so */
        assert_int_equal(dh_spill_commit(to.spill), DH_LOCKED);
        assert_int_equal(left, 100);
        finish(&to);
    }
}

static void test_a_file_that_is_there_is_not_overwritten(void **state)
{
    (void)state;
    writer to;
    begin(&to, "there");
    (void)support_write_text("there" SPILL, "spill of somebody");
    fill_chunk(to.chunk, 10);
    dh_chunk_entry entry = {.rows = 77};
    support_capture_begin();
    const dh_status status = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
    assert_says(support_capture_end(), path_in(&to, SPILL));
    assert_int_equal(status, DH_IO);
    assert_int_equal(entry.rows, 77);
    finish(&to);
    begin(&to, "there-2");
    (void)support_write_text("there-2" JOURNAL, "journal of somebody");
    fill_chunk(to.chunk, 10);
    support_capture_begin();
    const dh_status refused = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
    assert_says(support_capture_end(), path_in(&to, JOURNAL));
    assert_int_equal(refused, DH_IO);
    assert_false(exists(&to, SPILL));
    assert_int_equal(dh_spill_commit(to.spill), DH_IO);
    assert_int_equal(dh_spill_committed(to.spill), 0);
    struct stat facts;
    assert_int_equal(stat(path_in(&to, JOURNAL), &facts), 0);
    assert_int_equal(facts.st_size, strlen("journal of somebody"));
    finish(&to);
}

/* A limit on the size of files stands for a full disk. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_after_a_failed_write_nothing_is_committed(void **state)
{
    (void)state;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    writer to;
    begin(&to, "full");
    add_segment(&to, 1, 10);
    dh_chunk_reset(to.chunk);
    fill_chunk(to.chunk, 1000);
    dh_chunk_entry entry = {.rows = 77};
    support_capture_begin();
    limit_files(8192);
    const dh_status status = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
    limit_files(before.rlim_cur);
    assert_says(support_capture_end(), path_in(&to, SPILL));
    assert_int_equal(status, DH_IO);
    assert_int_equal(entry.rows, 77);
    dh_spill_drop_segment(to.spill);
    assert_int_equal(dh_spill_commit(to.spill), DH_IO);
    assert_int_equal(scan(&to).count, 0);
    finish(&to);
    begin(&to, "full-2");
    for (int i = 0; i < 20; i++) {
        add_segment(&to, 0, 0);
    }
    support_capture_begin();
    limit_files(1000);
    const dh_status committed = dh_spill_commit(to.spill);
    limit_files(before.rlim_cur);
    assert_says(support_capture_end(), path_in(&to, JOURNAL));
    assert_int_equal(committed, DH_IO);
    assert_int_equal(dh_spill_committed(to.spill), 0);
    finish(&to);
}

static void test_a_chunk_that_no_entry_can_describe_is_refused(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        char name[32];
        (void)snprintf(name, sizeof name, "too-many-%d", turn);
        writer to;
        begin(&to, name);
        to.chunk->rows = turn == 0 ? DH_CHUNK_ROWS + 1 : 0;
        to.chunk->part_count = turn == 1 ? UINT16_MAX + 1 : 0;
        to.chunk->bad_count = turn == 2 ? UINT16_MAX + 1 : 0;
        dh_chunk_entry entry;
        support_capture_begin();
        const dh_status status = dh_spill_add_chunk(to.spill, to.chunk, 0, 0, &entry);
        assert_says(support_capture_end(), "a chunk of ");
        assert_int_equal(status, DH_INTERNAL);
        assert_false(exists(&to, SPILL));
        finish(&to);
    }
}

/* ---- damage ------------------------------------------------------------------------------------------ */

/* Segments one behind the other, with several chunks each. */
static scanned make_small_spill(writer *to, const char *folder)
{
    begin(to, folder);
    for (uint32_t s = 0; s < 5; s++) {
        add_segment(to, 1 + s % 3, 2 + 7 * s);
    }
    assert_ok(dh_spill_commit(to->spill));
    expect_all_intact(to, 5);
    return scan(to);
}

static bool holds(const dh_journal_entry *entry, uint64_t at)
{
    return at >= entry->offset && at < entry->offset + entry->size;
}

static void test_every_flip_is_seen_and_costs_its_segment_only(void **state)
{
    (void)state;
    writer to;
    const scanned found = make_small_spill(&to, "flips");
    size_t size = 0;
    uint8_t *bytes = map_spill(&to, &size);
    for (unsigned turn = 0; turn < support_turns(10000); turn++) {
        const size_t bit = support_random_below(8 * size);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        for (size_t s = 0; s < found.count; s++) {
            assert_int_equal(is_one_intact(&to, &found.entry[s]), !holds(&found.entry[s], bit / 8));
        }
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(munmap(bytes, size), 0);
    expect_all_intact(&to, found.count);
    finish(&to);
}

static void test_a_cut_spill_keeps_the_segments_in_front_of_the_cut(void **state)
{
    (void)state;
    writer to;
    const scanned found = make_small_spill(&to, "cuts");
    const uint64_t size = dh_spill_size(to.spill);
    for (uint64_t cut = size; cut > 0; cut -= cut < 13 ? cut : 13) {
        assert_int_equal(truncate(path_in(&to, SPILL), (off_t)cut), 0);
        for (size_t s = 0; s < found.count; s++) {
            const bool whole = found.entry[s].offset + found.entry[s].size <= cut;
            assert_int_equal(is_one_intact(&to, &found.entry[s]), whole);
        }
    }
    assert_int_equal(truncate(path_in(&to, SPILL), 0), 0);
    assert_false(is_one_intact(&to, &found.entry[0]));
    assert_int_equal(truncate(path_in(&to, SPILL), (off_t)size), 0); /* zeros, as after a power cut */
    for (size_t s = 0; s < found.count; s++) {
        assert_false(is_one_intact(&to, &found.entry[s]));
    }
    assert_int_equal(unlink(path_in(&to, SPILL)), 0);
    assert_false(is_one_intact(&to, &found.entry[0]));
    finish(&to);
}

static void test_places_outside_of_the_spill(void **state)
{
    (void)state;
    writer to;
    const scanned found = make_small_spill(&to, "places");
    static const uint64_t numbers[] = {
        0, 1, 47, 48, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 47};
    for (unsigned turn = 0; turn < support_turns(5000); turn++) {
        dh_journal_entry entry = found.entry[support_random_below(found.count)];
        uint64_t *field = turn % 2 > 0 ? &entry.offset : &entry.size;
        const uint64_t before = *field;
        const uint64_t number = numbers[support_random_below(COUNT(numbers))];
        const uint64_t any = support_random() >> support_random_below(64);
        *field = turn % 3 == 0 ? number : turn % 3 == 1 ? before + number : any;
        assert_int_equal(is_one_intact(&to, &entry), *field == before);
    }
    finish(&to);
}

/* The journal's hash of a segment as it is now. */
static void hash_again(const uint8_t *spill, dh_journal_entry *entry)
{
    const XXH128_hash_t hash = XXH3_128bits(spill + entry->offset, entry->size);
    entry->hash_low = hash.low64;
    entry->hash_high = hash.high64;
}

/* Bytes that hash as they should, but are not the chunks of that segment under that schema. */
static void test_headers_must_fit(void **state)
{
    (void)state;
    writer to;
    const scanned found = make_small_spill(&to, "headers");
    dh_journal_entry entry = found.entry[2]; /* three chunks */
    assert_int_equal(entry.chunk_count, 3);
    size_t size = 0;
    uint8_t *bytes = map_spill(&to, &size);
    for (size_t c = 0; c < 3; c++) {
        const size_t number = found.entry[0].chunk_count + found.entry[1].chunk_count + c;
        dh_chunk_header *header = (dh_chunk_header *)(void *)(bytes + to.entry[number].offset);
        const dh_chunk_header good = *header;
        for (size_t turn = 0; turn < 20; turn++) {
            *header = good;
            header->magic[3] = (char)(good.magic[3] + (turn == 0));
            header->number += turn == 1;
            header->size += turn == 2 ? 8 : 0;
            header->size -= turn == 3 ? 8 : 0;
            header->size = turn == 4 ? UINT64_MAX : turn == 5 ? 0 : header->size;
            header->begin += turn == 6;
            header->first_source += turn == 7;
            header->rows = turn == 8 ? DH_CHUNK_ROWS + 1 : turn == 9 ? UINT32_MAX : header->rows;
            header->id_bytes = turn == 10 ? UINT32_MAX : header->id_bytes;
            header->part_count += turn == 11 ? UINT16_MAX : 0;
            header->bad_count += turn == 12 ? UINT16_MAX : 0;
            header->part_count += turn == 13;
            header->value_bytes = turn == 14 ? UINT64_MAX - 7 : header->value_bytes;
            header->term_bytes = turn == 15 ? UINT64_MAX / 2 : header->term_bytes;
            header->term_bytes += turn == 16 ? 8 : 0;
            header->value_count = turn == 17 ? header->value_bytes + 1 : header->value_count;
            header->lines += turn == 18; /* it may have any number of them */
            hash_again(bytes, &entry);
            assert_int_equal(is_one_intact(&to, &entry), turn >= 18);
        }
    }
    entry = found.entry[2];
    assert_true(is_one_intact(&to, &entry));
    entry.chunk_count = 2;
    assert_false(is_one_intact(&to, &entry));
    entry.chunk_count = 4;
    assert_false(is_one_intact(&to, &entry));
    entry.chunk_count = 3;
    const uint64_t whole = entry.size;
    const uint64_t sizes[] = {sizeof(dh_chunk_header) - 1, whole - 8, whole + 8, whole + 40,
                              whole + found.entry[3].size};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        entry.size = sizes[i];
        hash_again(bytes, &entry);
        assert_false(is_one_intact(&to, &entry));
    }
    to.schema.row_size[2]++;
    assert_false(is_one_intact(&to, &found.entry[2]));
    to.schema.row_size[2]--;
    assert_true(is_one_intact(&to, &found.entry[2]));
    to.schema.source_sum_count++;
    assert_false(is_one_intact(&to, &found.entry[2]));
    to.schema.source_sum_count--;
    /* No room for a header, at the end of the file. */
    entry.size = 40;
    entry.chunk_count = 1;
    hash_again(bytes, &entry);
    assert_int_equal(munmap(bytes, size), 0);
    assert_int_equal(truncate(path_in(&to, SPILL), (off_t)(entry.offset + entry.size)), 0);
    assert_false(is_one_intact(&to, &entry));
    finish(&to);
}

/* ---- what the check calls ---------------------------------------------------------------------------- */

static dh_status count_down(void *context)
{
    int *left = context;
    return (*left)-- > 0 ? DH_OK : DH_AGAIN;
}

static dh_status refuse_chunk(void *context, const dh_chunk_entry *entry)
{
    (void)context;
    return entry->number == 2 ? DH_NO_MEMORY : DH_OK;
}

static void test_a_check_is_interrupted_between_pieces(void **state)
{
    (void)state;
    writer to;
    begin(&to, "poll");
    add_segment(&to, 8, DH_CHUNK_ROWS - 8);
    assert_ok(dh_spill_commit(to.spill));
    const scanned found = scan(&to);
    const int pieces = (int)((found.entry[0].size + (1 << 20) - 1) >> 20);
    assert_true(pieces > 1);
    for (int allowed = 0; allowed <= pieces; allowed++) {
        int left = allowed;
        chunk_list chunks = {.count = 0};
        bool intact = false;
        const dh_status status = dh_spill_check(to.folder, &found.entry[0], &to.schema, &scratch,
                                                take_chunk_entry, &chunks, count_down, &left, &intact);
        assert_int_equal(status, allowed == pieces ? DH_OK : DH_AGAIN);
        assert_int_equal(intact, allowed == pieces);
        assert_int_equal(chunks.count, allowed == pieces ? 8 : 0);
    }
    bool intact = false;
    assert_int_equal(dh_spill_check(to.folder, &found.entry[0], &to.schema, &scratch, refuse_chunk, NULL,
                                    NULL, NULL, &intact),
                     DH_NO_MEMORY);
    assert_false(intact);
    finish(&to);
}

static void test_what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    writer to;
    const scanned found = make_small_spill(&to, "unreadable");
    assert_int_equal(unlink(path_in(&to, SPILL)), 0);
    assert_int_equal(mkdir(path_in(&to, SPILL), 0777), 0);
    bool intact = true;
    support_capture_begin();
    const dh_status status = dh_spill_check(to.folder, &found.entry[0], &to.schema, &scratch, refuse_chunk,
                                            NULL, NULL, NULL, &intact);
    assert_says(support_capture_end(), path_in(&to, SPILL));
    assert_int_equal(status, DH_IO);
    assert_true(intact);
    finish(&to);
}

static int tear_down(void **state)
{
    dh_buffer_free(&scratch);
    return support_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_committed_is_found),
        cmocka_unit_test(test_the_journal_keeps_the_facts),
        cmocka_unit_test(test_what_is_not_committed_is_not_in_the_journal),
        cmocka_unit_test(test_a_commit_leaves_the_current_segment_alone),
        cmocka_unit_test(test_a_dropped_segment_is_overwritten),
        cmocka_unit_test(test_empty_segments_need_no_spill),
        cmocka_unit_test(test_a_rank_that_did_nothing_leaves_nothing),
        cmocka_unit_test(test_the_same_segment_has_the_same_bytes),
        cmocka_unit_test(test_without_a_journal),
        cmocka_unit_test(test_nothing_is_written_where_it_may_not),
        cmocka_unit_test(test_a_file_that_is_there_is_not_overwritten),
        cmocka_unit_test(test_after_a_failed_write_nothing_is_committed),
        cmocka_unit_test(test_a_chunk_that_no_entry_can_describe_is_refused),
        cmocka_unit_test(test_every_flip_is_seen_and_costs_its_segment_only),
        cmocka_unit_test(test_a_cut_spill_keeps_the_segments_in_front_of_the_cut),
        cmocka_unit_test(test_places_outside_of_the_spill),
        cmocka_unit_test(test_headers_must_fit),
        cmocka_unit_test(test_a_check_is_interrupted_between_pieces),
        cmocka_unit_test(test_what_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, support_set_up, tear_down);
}
