/* Tests of checkpoint/journal.h: what of a journal counts, whatever happened to its bytes. */
#include "support.h"

#include "base/file.h"
#include "checkpoint/journal.h"

enum {
    EPOCH = 3,
    RANK = 12,
    ENTRIES = 5,
    HEADER = sizeof(dh_journal_header),
    ENTRY = sizeof(dh_journal_entry)
};

static const dh_run_id run_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* Entries that were told, and how many calls take is to let pass. */
typedef struct taken {
    dh_journal_entry *entry;
    size_t count, room;
    size_t stop_at;
} taken;

static dh_status take_entry(void *context, const dh_journal_entry *entry)
{
    taken *into = context;
    if (into->count == into->stop_at) {
        return DH_AGAIN;
    }
    assert_true(into->count < into->room);
    into->entry[into->count++] = *entry;
    return DH_OK;
}

typedef struct journal {
    dh_journal_header header;
    dh_journal_entry entry[ENTRIES];
} journal;

static dh_journal_entry random_entry(uint64_t sequence)
{
    dh_journal_entry entry;
    for (size_t i = 0; i < sizeof entry; i++) {
        ((uint8_t *)&entry)[i] = (uint8_t)support_random();
    }
    memcpy(&entry.run, run_id.byte, sizeof entry.run);
    entry.epoch = EPOCH;
    entry.rank = RANK;
    entry.sequence = sequence;
    dh_journal_entry_seal(&entry);
    return entry;
}

static dh_journal_header make_header(void)
{
    dh_journal_header header = {.version = DH_JOURNAL_VERSION,
                                .entry_size = ENTRY,
                                .run = run_id,
                                .epoch = EPOCH,
                                .rank = RANK,
                                .start = 1234567890123456789};
    dh_journal_header_seal(&header);
    return header;
}

static journal make_journal(void)
{
    journal made = {.header = make_header()};
    for (uint64_t i = 0; i < ENTRIES; i++) {
        made.entry[i] = random_entry(i);
    }
    return made;
}

static void write_journal(const void *bytes, size_t size)
{
    (void)support_write("journal-000003-000012", bytes, size);
}

static dh_journal_scan_result scan(taken *into)
{
    dh_journal_scan_result result;
    memset(&result, 0xAA, sizeof result);
    into->count = 0;
    assert_ok(dh_journal_scan(support_path(""), &run_id, EPOCH, RANK, take_entry, into, &result));
    assert_int_equal(result.valid, into->count);
    return result;
}

/* Scans a file of these bytes. */
static dh_journal_scan_result scan_bytes(const void *bytes, size_t size, taken *into)
{
    write_journal(bytes, size);
    return scan(into);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    enum { MANY = 1500 }; /* more than two pieces */
    static dh_journal_entry entry[MANY];
    static dh_journal_entry got[MANY];
    static uint8_t bytes[HEADER + MANY * ENTRY];
    taken into = {.entry = got, .room = MANY, .stop_at = SIZE_MAX};
    const dh_journal_header header = make_header();
    memcpy(bytes, &header, HEADER);
    for (uint64_t i = 0; i < MANY; i++) {
        entry[i] = random_entry(i);
        memcpy(bytes + HEADER + i * ENTRY, &entry[i], ENTRY);
    }
    static const size_t counts[] = {0, 1, 511, 512, 513, 1024, MANY};
    for (size_t i = 0; i < COUNT(counts); i++) {
        const dh_journal_scan_result result = scan_bytes(bytes, HEADER + counts[i] * ENTRY, &into);
        assert_int_equal(result.valid, counts[i]);
        assert_int_equal(result.damaged, 0);
        assert_int_equal(result.start, header.start);
        assert_false(result.foreign);
        if (counts[i] > 0) {
            assert_memory_equal(got, entry, counts[i] * ENTRY);
        }
    }
}

static void test_a_missing_journal_has_no_entries(void **state)
{
    (void)state;
    (void)unlink(support_path("journal-000003-000012"));
    taken into = {.stop_at = SIZE_MAX};
    const dh_journal_scan_result result = scan(&into);
    assert_int_equal(result.valid + result.damaged + result.start, 0);
    assert_false(result.foreign);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    const journal whole = make_journal();
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = SIZE_MAX};
    for (size_t size = 0; size <= sizeof whole; size++) {
        const dh_journal_scan_result result = scan_bytes(&whole, size, &into);
        const size_t body = size > HEADER ? size - HEADER : 0;
        assert_int_equal(result.valid, body / ENTRY);
        assert_int_equal(result.damaged, body % ENTRY > 0);
        assert_int_equal(result.start, size >= HEADER ? whole.header.start : 0);
        if (result.valid > 0) {
            assert_memory_equal(got, whole.entry, result.valid * ENTRY);
        }
    }
}

/* Cut entries with a whole one behind them, as when a file system lost a page: the others count. */
static void test_lost_bytes_cost_their_entries_only(void **state)
{
    (void)state;
    const journal whole = make_journal();
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = SIZE_MAX};
    for (unsigned turn = 0; turn < support_turns(1000); turn++) {
        journal damaged = whole;
        const size_t from = support_random_below(sizeof whole.entry);
        const size_t to = from + 1 + support_random_below(sizeof whole.entry - from);
        memset((uint8_t *)damaged.entry + from, 0, to - from);
        const dh_journal_scan_result result = scan_bytes(&damaged, sizeof damaged, &into);
        size_t expected = 0;
        for (size_t i = 0; i < ENTRIES; i++) {
            if (memcmp(&damaged.entry[i], &whole.entry[i], ENTRY) == 0) {
                assert_memory_equal(&got[expected], &whole.entry[i], ENTRY);
                expected++;
            }
        }
        assert_int_equal(result.valid, expected);
        assert_int_equal(result.damaged, ENTRIES - expected);
    }
}

static void test_every_bit_flipped(void **state)
{
    (void)state;
    const journal whole = make_journal();
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = SIZE_MAX};
    for (size_t bit = 0; bit < 8 * sizeof whole; bit++) {
        journal damaged = whole;
        ((uint8_t *)&damaged)[bit / 8] ^= (uint8_t)(1U << bit % 8);
        const dh_journal_scan_result result = scan_bytes(&damaged, sizeof damaged, &into);
        if (bit < 8 * HEADER) {
            assert_int_equal(result.valid, 0);
            assert_int_equal(result.damaged, ENTRIES);
            assert_int_equal(result.start, 0);
            assert_false(result.foreign);
            continue;
        }
        const size_t hit = (bit / 8 - HEADER) / ENTRY;
        assert_int_equal(result.valid, ENTRIES - 1);
        assert_int_equal(result.damaged, 1);
        for (size_t i = 0; i < ENTRIES - 1; i++) {
            assert_memory_equal(&got[i], &whole.entry[i < hit ? i : i + 1], ENTRY);
        }
    }
}

static void test_garbage_has_no_entries(void **state)
{
    (void)state;
    taken into = {.stop_at = SIZE_MAX};
    uint8_t bytes[HEADER + 20 * ENTRY];
    for (unsigned turn = 0; turn < support_turns(2000); turn++) {
        const size_t size = support_random_below(sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)(turn % 4 > 0 ? support_random() : 0);
        }
        const bool good_header = turn % 2 > 0 && size >= HEADER;
        if (good_header) {
            const dh_journal_header header = make_header();
            memcpy(bytes, &header, HEADER);
        }
        const dh_journal_scan_result result = scan_bytes(bytes, size, &into);
        assert_int_equal(result.valid, 0);
        assert_int_equal(result.damaged, size > HEADER ? (size - HEADER + ENTRY - 1) / ENTRY : 0);
        assert_int_equal(result.start != 0, good_header);
    }
}

/* Entries that check, but speak of something else than the file does, or stand elsewhere. */
static void test_entries_of_others_do_not_count(void **state)
{
    (void)state;
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = SIZE_MAX};
    for (int turn = 0; turn < 5; turn++) {
        journal mixed = make_journal();
        dh_journal_entry *entry = &mixed.entry[2];
        entry->run ^= turn == 0;
        entry->epoch += turn == 1;
        entry->rank -= turn == 2;
        entry->sequence += turn == 3;
        dh_journal_entry_seal(entry);
        const dh_journal_scan_result result = scan_bytes(&mixed, sizeof mixed, &into);
        assert_int_equal(result.valid, turn == 4 ? ENTRIES : ENTRIES - 1);
        assert_int_equal(result.damaged, turn == 4 ? 0 : 1);
        assert_memory_equal(&got[1], &mixed.entry[1], ENTRY);
        assert_memory_equal(&got[ENTRIES - 1 - (turn < 4)], &mixed.entry[ENTRIES - 1], ENTRY);
    }
}

static void test_displaced_entries_do_not_count(void **state)
{
    (void)state;
    const journal whole = make_journal();
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = SIZE_MAX};
    journal swapped = whole;
    swapped.entry[1] = whole.entry[3];
    swapped.entry[3] = whole.entry[1];
    dh_journal_scan_result result = scan_bytes(&swapped, sizeof swapped, &into);
    assert_int_equal(result.valid, ENTRIES - 2);
    assert_int_equal(result.damaged, 2);
    assert_memory_equal(&got[0], &whole.entry[0], ENTRY);
    assert_memory_equal(&got[1], &whole.entry[2], ENTRY);
    assert_memory_equal(&got[2], &whole.entry[4], ENTRY);
    journal doubled = whole;
    doubled.entry[4] = whole.entry[0];
    result = scan_bytes(&doubled, sizeof doubled, &into);
    assert_int_equal(result.valid, ENTRIES - 1);
    assert_int_equal(result.damaged, 1);
    assert_memory_equal(got, whole.entry, (ENTRIES - 1) * ENTRY);
    uint8_t shifted[sizeof whole + 1] = {0}; /* a byte was put in front of the entries */
    memcpy(shifted, &whole.header, HEADER);
    memcpy(shifted + HEADER + 1, whole.entry, sizeof whole.entry);
    result = scan_bytes(shifted, sizeof shifted, &into);
    assert_int_equal(result.valid, 0);
    assert_int_equal(result.damaged, ENTRIES + 1);
}

static void test_a_journal_of_another_run_is_foreign(void **state)
{
    (void)state;
    taken into = {.stop_at = SIZE_MAX};
    for (size_t byte = 0; byte < DH_RUN_ID_SIZE; byte++) { /* entries know only the first half */
        journal foreign = make_journal();
        foreign.header.run.byte[byte] ^= 0x40;
        dh_journal_header_seal(&foreign.header);
        const dh_journal_scan_result result = scan_bytes(&foreign, sizeof foreign, &into);
        assert_true(result.foreign);
        assert_int_equal(result.valid, 0);
        assert_int_equal(result.damaged, 0);
    }
}

static void test_a_journal_under_another_name_does_not_count(void **state)
{
    (void)state;
    taken into = {.stop_at = SIZE_MAX};
    for (int turn = 0; turn < 2; turn++) {
        journal copied = make_journal();
        copied.header.epoch += turn == 0;
        copied.header.rank += turn == 1;
        dh_journal_header_seal(&copied.header);
        const dh_journal_scan_result result = scan_bytes(&copied, sizeof copied, &into);
        assert_int_equal(result.valid, 0);
        assert_int_equal(result.damaged, ENTRIES);
        assert_int_equal(result.start, 0);
    }
}

static void test_a_later_version_is_refused(void **state)
{
    (void)state;
    taken into = {.stop_at = SIZE_MAX};
    for (int turn = 0; turn < 2; turn++) {
        journal later = make_journal();
        later.header.version += turn == 0;
        later.header.entry_size += turn == 1 ? 8 : 0;
        dh_journal_header_seal(&later.header);
        write_journal(&later, sizeof later);
        dh_journal_scan_result result = {.valid = 77};
        support_capture_begin();
        const dh_status status =
            dh_journal_scan(support_path(""), &run_id, EPOCH, RANK, take_entry, &into, &result);
        const char *said = support_capture_end();
        assert_int_equal(status, DH_MISMATCH);
        assert_says(said, "journal-000003-000012: version ");
        assert_says(said, "--fresh");
        assert_int_equal(result.valid, 77);
    }
}

static void test_take_ends_the_scan(void **state)
{
    (void)state;
    const journal whole = make_journal();
    write_journal(&whole, sizeof whole);
    dh_journal_entry got[ENTRIES];
    taken into = {.entry = got, .room = ENTRIES, .stop_at = 2};
    dh_journal_scan_result result = {.valid = 77};
    assert_int_equal(dh_journal_scan(support_path(""), &run_id, EPOCH, RANK, take_entry, &into, &result),
                     DH_AGAIN);
    assert_int_equal(into.count, 2);
    assert_int_equal(result.valid, 77);
}

static void test_what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    (void)unlink(support_path("journal-000003-000012"));
    (void)support_make_folder("journal-000003-000012");
    taken into = {.stop_at = SIZE_MAX};
    dh_journal_scan_result result = {.valid = 77};
    support_capture_begin();
    const dh_status status =
        dh_journal_scan(support_path(""), &run_id, EPOCH, RANK, take_entry, &into, &result);
    assert_says(support_capture_end(), "journal-000003-000012: not a regular file");
    assert_int_equal(status, DH_IO);
    assert_int_equal(result.valid, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_a_missing_journal_has_no_entries),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_lost_bytes_cost_their_entries_only),
        cmocka_unit_test(test_every_bit_flipped),
        cmocka_unit_test(test_garbage_has_no_entries),
        cmocka_unit_test(test_entries_of_others_do_not_count),
        cmocka_unit_test(test_displaced_entries_do_not_count),
        cmocka_unit_test(test_a_journal_of_another_run_is_foreign),
        cmocka_unit_test(test_a_journal_under_another_name_does_not_count),
        cmocka_unit_test(test_a_later_version_is_refused),
        cmocka_unit_test(test_take_ends_the_scan),
        cmocka_unit_test(test_what_cannot_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
