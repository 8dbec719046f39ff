/* Tests of checkpoint/survey.h: what `dhatu status` tells of a folder. */
#include "support.h"

#include "base/file.h"
#include "checkpoint/survey.h"

enum { SEGMENT = 1 << 20 };
static const dh_run_id run = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const dh_run_id other_run = {{9}};

static char *fresh_folder(void)
{
    static unsigned number;
    char name[32];
    static char folder[4400];
    (void)snprintf(name, sizeof name, "ckpt%u", number++);
    (void)snprintf(folder, sizeof folder, "%s", support_make_folder(name));
    return folder;
}

/* Source 0 in ranges of 10 segments, source 1 a stream of 8 MiB. */
static void write_manifest(const char *folder, uint32_t first_epoch)
{
    struct {
        dh_plan plan;
        dh_source source[2];
        dh_work_group group[2];
        char names[8];
    } block;
    memset(&block, 0, sizeof block);
    const uint64_t names = (uint64_t)((char *)block.names - (char *)&block);
    block.plan = (dh_plan){.block_size = sizeof block,
                           .source_count = 2,
                           .group_count = 2,
                           .item_count = 11,
                           .sources = (uint64_t)((char *)block.source - (char *)&block),
                           .groups = (uint64_t)((char *)block.group - (char *)&block),
                           .segment_size = SEGMENT,
                           .file_bytes = 18 * SEGMENT};
    block.source[0] = (dh_source){.name = names, .path = names, .size = 10 * SEGMENT, .name_size = 1};
    block.source[1] = (dh_source){.name = names + 2, .path = names + 2, .size = 8 * SEGMENT, .name_size = 1};
    block.group[0] = (dh_work_group){.source_count = 1, .kind = DH_WORK_RANGES};
    block.group[1] =
        (dh_work_group){.first_item = 10, .first_source = 1, .source_count = 1, .kind = DH_WORK_STREAM};
    memcpy(block.names, "a\0b", 4);
    const dh_fingerprint prints[2] = {{1, 1}, {2, 2}};
    const dh_manifest manifest = {
        .run = run, .first_epoch = first_epoch, .options = "", .plan = &block.plan, .fingerprint = prints};
    assert_ok(dh_manifest_write(folder, &manifest));
}

/* A journal that is being written. */
typedef struct journal {
    const dh_run_id *id;
    uint32_t epoch, rank;
    uint64_t start;
    dh_buffer bytes;
    uint64_t count;
} journal;

static journal journal_begin(const dh_run_id *id, uint32_t epoch, uint32_t rank, uint64_t start)
{
    journal begun = {.id = id, .epoch = epoch, .rank = rank, .start = start};
    dh_journal_header header = {.version = DH_JOURNAL_VERSION,
                                .entry_size = sizeof(dh_journal_entry),
                                .run = *id,
                                .epoch = epoch,
                                .rank = rank,
                                .start = start};
    dh_journal_header_seal(&header);
    assert_ok(dh_buffer_append(&begun.bytes, &header, sizeof header));
    return begun;
}

/* A segment of 1 document in 10 bytes of text a source segment number, 1 bad record. */
static void journal_add(journal *to, uint32_t source, uint64_t begin, uint32_t flags, uint64_t file_bytes,
                        uint64_t time)
{
    dh_journal_entry entry = {.flags = flags,
                              .epoch = to->epoch,
                              .rank = to->rank,
                              .sequence = to->count++,
                              .first_source = source,
                              .begin = begin,
                              .documents = 100,
                              .text_bytes = 1000,
                              .file_bytes = file_bytes,
                              .bad = 2,
                              .time = time};
    memcpy(&entry.run, to->id->byte, sizeof entry.run);
    dh_journal_entry_seal(&entry);
    assert_ok(dh_buffer_append(&to->bytes, &entry, sizeof entry));
}

static void journal_end(journal *done, const char *folder)
{
    char name[4500];
    (void)snprintf(name, sizeof name, "%s/journal-%06u-%06u", strrchr(folder, '/') + 1, done->epoch,
                   done->rank);
    (void)support_write(name, done->bytes.data, done->bytes.size);
    dh_buffer_free(&done->bytes);
}

static void test_no_folder_and_an_empty_one(void **state)
{
    (void)state;
    dh_survey survey;
    support_capture_begin();
    const dh_status status = dh_survey_make(support_path("missing"), &survey);
    assert_says(support_capture_end(), "missing");
    assert_int_equal(status, DH_IO);
    const char *folder = fresh_folder();
    assert_ok(dh_survey_make(folder, &survey));
    const dh_survey nothing = {0};
    assert_memory_equal(&survey, &nothing, sizeof survey);
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 4, false, &attempt));
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.state, DH_HOLDER_ALIVE);
    assert_int_equal(survey.holder.ranks, 4);
    assert_false(survey.has_manifest);
    assert_int_equal(survey.files, 1);
    assert_int_equal(survey.segments_open, 0);
}

static void test_segments_are_counted_once(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt attempt;
    for (int i = 0; i < 4; i++) {
        assert_ok(dh_attempt_take(folder, 2, false, &attempt));
        if (i < 3) {
            assert_ok(dh_attempt_end(folder, &attempt, 75));
        }
    }
    write_manifest(folder, 2);
    const uint64_t start = attempt.start;
    /* Of before the manifest, and of another computation: nothing of it counts. */
    journal old = journal_begin(&run, 1, 0, start);
    journal_add(&old, 0, 5 * SEGMENT, 0, SEGMENT, start + UINT64_C(90000000000));
    journal_end(&old, folder);
    journal foreign = journal_begin(&other_run, 3, 1, start);
    journal_add(&foreign, 0, 6 * SEGMENT, 0, SEGMENT, start + UINT64_C(90000000000));
    journal_end(&foreign, folder);
    journal first = journal_begin(&run, 3, 0, start - 1000);
    journal_add(&first, 0, 0, 0, SEGMENT, start - 10);
    journal_add(&first, 0, 9 * SEGMENT, DH_SEGMENT_LAST, SEGMENT, start - 5);
    journal_end(&first, folder);
    journal last = journal_begin(&run, 4, 1, start);
    journal_add(&last, 0, 9 * SEGMENT, DH_SEGMENT_LAST, SEGMENT, start + UINT64_C(1000000000)); /* again */
    journal_add(&last, 1, 0, DH_SEGMENT_STREAM, SEGMENT / 2, start + UINT64_C(2000000000));
    journal_add(&last, 1, 4 * SEGMENT, DH_SEGMENT_STREAM, SEGMENT / 2, start + UINT64_C(4000000000));
    journal_end(&last, folder);
    (void)support_write_text("unrelated", "outside");
    dh_survey survey;
    assert_ok(dh_survey_make(folder, &survey));
    assert_true(survey.has_manifest && !survey.has_result);
    assert_int_equal(survey.restarts, 2);
    assert_int_equal(survey.segments_done, 4);
    /* 8 of the ranges; the stream has 7 MiB left at 0.5 MiB a segment. */
    assert_int_equal(survey.segments_open, 8 + 14);
    assert_true(survey.open_is_estimate);
    assert_int_equal(survey.documents, 400);
    assert_int_equal(survey.text_bytes, 4000);
    assert_int_equal(survey.file_bytes, 3 * SEGMENT);
    assert_int_equal(survey.bad, 8);
    assert_int_equal(survey.attempt_documents, 300);
    assert_int_equal(survey.attempt_text_bytes, 3000);
    assert_int_equal(survey.attempt_file_bytes, 2 * SEGMENT);
    assert_true(survey.attempt_seconds > 3.999 && survey.attempt_seconds < 4.001);
    assert_int_equal(survey.last_commit, start + UINT64_C(4000000000));
    assert_int_equal(survey.damaged, 0);
    assert_int_equal(survey.files, 4 + 1 + 4);
    assert_true(survey.bytes > 4 * 64 + 7 * 128);
}

static void test_open_segments_of_streams(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    write_manifest(folder, 1);
    dh_survey survey;
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.segments_open, 10 + 32); /* as if it were compressed to a quarter */
    assert_true(survey.open_is_estimate);
    assert_int_equal(survey.restarts, 0);
    assert_true(survey.attempt_seconds == 0);
    journal begun = journal_begin(&run, 1, 0, attempt.start);
    journal_add(&begun, 1, 0, DH_SEGMENT_STREAM, 8 * SEGMENT - 1, attempt.start + 1);
    journal_end(&begun, folder);
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.segments_open, 10 + 1);
    assert_true(survey.open_is_estimate);
    begun = journal_begin(&run, 1, 0, attempt.start);
    journal_add(&begun, 1, 0, DH_SEGMENT_STREAM, 8 * SEGMENT - 1, attempt.start + 1);
    journal_add(&begun, 1, SEGMENT, DH_SEGMENT_STREAM | DH_SEGMENT_LAST, 1, attempt.start + 2);
    for (uint64_t s = 0; s < 10; s++) {
        journal_add(&begun, 0, s * SEGMENT, s == 9 ? DH_SEGMENT_LAST : 0, SEGMENT, attempt.start + 3 + s);
    }
    journal_end(&begun, folder);
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.segments_open, 0);
    assert_false(survey.open_is_estimate);
    assert_int_equal(survey.segments_done, 12);
    assert_int_equal(survey.file_bytes, 18 * SEGMENT);
}

static void test_damage_is_counted(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    dh_attempt attempt;
    assert_ok(dh_attempt_take(folder, 1, false, &attempt));
    write_manifest(folder, 1);
    journal begun = journal_begin(&run, 1, 0, attempt.start);
    for (uint64_t s = 0; s < 5; s++) {
        journal_add(&begun, 0, s * SEGMENT, 0, SEGMENT, attempt.start + UINT64_C(1000000000) * (s + 1));
    }
    begun.bytes.data[sizeof(dh_journal_header) + 2 * sizeof(dh_journal_entry) + 50] ^= 1;
    begun.bytes.size -= 3;
    journal_end(&begun, folder);
    dh_survey survey;
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.segments_done, 3);
    assert_int_equal(survey.damaged, 2);
    assert_int_equal(survey.last_commit, attempt.start + UINT64_C(4000000000));
    /* With the attempt's own file damaged, the journals tell when it began. */
    char name[4500];
    (void)snprintf(name, sizeof name, "%s/attempt-000001", strrchr(folder, '/') + 1);
    (void)support_write_text(name, "{");
    (void)snprintf(name, sizeof name, "%s/result", strrchr(folder, '/') + 1);
    (void)support_write_text(name, "x");
    assert_ok(dh_survey_make(folder, &survey));
    assert_int_equal(survey.state, DH_HOLDER_UNKNOWN);
    assert_true(survey.attempt_seconds > 3.999 && survey.attempt_seconds < 4.001);
    assert_true(survey.has_result);
    (void)snprintf(name, sizeof name, "%s/manifest", strrchr(folder, '/') + 1);
    (void)support_write_text(name, "x");
    support_capture_begin();
    const dh_status status = dh_survey_make(folder, &survey);
    assert_says(support_capture_end(), "manifest: damaged");
    assert_int_equal(status, DH_MISMATCH);
}

static uint32_t idle(const char *folder)
{
    dh_survey survey;
    assert_ok(dh_survey_make(folder, &survey));
    return survey.idle_attempts;
}

static void test_attempts_without_progress(void **state)
{
    (void)state;
    const char *folder = fresh_folder();
    const char *name = strrchr(folder, '/') + 1;
    dh_attempt attempt;
    for (int i = 0; i < 7; i++) {
        assert_ok(dh_attempt_take(folder, 2, false, &attempt));
        assert_ok(dh_attempt_end(folder, &attempt, 75));
    }
    assert_int_equal(idle(folder), 7); /* none came to write what it computes */
    write_manifest(folder, 3);
    assert_int_equal(idle(folder), 5);
    /* Of before the manifest: thrown away. */
    journal old = journal_begin(&run, 2, 0, attempt.start);
    journal_add(&old, 0, 0, 0, SEGMENT, attempt.start);
    journal_end(&old, folder);
    assert_int_equal(idle(folder), 5);
    journal first = journal_begin(&run, 4, 1, attempt.start);
    journal_add(&first, 0, 0, 0, SEGMENT, attempt.start);
    journal_end(&first, folder);
    journal empty = journal_begin(&run, 6, 1, attempt.start); /* began, and committed nothing */
    journal_end(&empty, folder);
    assert_int_equal(idle(folder), 3);
    /* Parts count when their stage is complete. */
    char path[4500];
    (void)snprintf(path, sizeof path, "%s/part-000005-000001-terms", name);
    (void)support_write_text(path, "x");
    assert_int_equal(idle(folder), 3);
    (void)snprintf(path, sizeof path, "%s/stage-termsandmore", name);
    (void)support_write_text(path, "x");
    assert_int_equal(idle(folder), 3);
    (void)snprintf(path, sizeof path, "%s/stage-terms", name);
    (void)support_write_text(path, "x");
    assert_int_equal(idle(folder), 2);
    (void)snprintf(path, sizeof path, "%s/part-000007-000000-edges", name);
    (void)support_write_text(path, "x");
    (void)snprintf(path, sizeof path, "%s/stage-edges", name);
    (void)support_write_text(path, "x");
    assert_int_equal(idle(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_folder_and_an_empty_one), cmocka_unit_test(test_segments_are_counted_once),
        cmocka_unit_test(test_open_segments_of_streams),   cmocka_unit_test(test_damage_is_counted),
        cmocka_unit_test(test_attempts_without_progress),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
