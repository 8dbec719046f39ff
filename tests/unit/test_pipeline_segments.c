/* Tests of run/pipeline.h: the chunks of a segment are the same bytes, whatever was computed before it. */
#include "pipeline_runs.h"

#include <zlib.h>
#include <zstd.h>

enum { SEGMENT = DH_CONTENT_BLOCK, SEGMENTS_MAX = 64 };

/* ---- spilled bytes ----------------------------------------------------------------------------------- */

/* What would be spilled of one segment. */
typedef struct spilled {
    dh_buffer bytes;
    uint32_t chunks;
    uint64_t documents, bad;
} spilled;

static dh_status spill_chunk(void *context, dh_chunk *chunk)
{
    spilled *all = context;
    dh_chunk_header header;
    dh_file_part part[DH_CHUNK_PARTS_MAX];
    dh_chunk_describe(chunk, 0, 0, all->chunks++, &header);
    const size_t count = dh_chunk_parts(chunk, &header, part);
    assert_true(count <= COUNT(part));
    const size_t before = all->bytes.size;
    for (size_t i = 0; i < count; i++) {
        assert_ok(dh_buffer_append(&all->bytes, part[i].data, part[i].size));
    }
    assert_int_equal(all->bytes.size - before, header.size);
    all->documents += chunk->rows;
    all->bad += chunk->bad_count;
    return DH_OK;
}

/* One segment, by going on or by opening the source at it. Takes the pipeline's hook to be at *out. */
static bool run_segment(dh_pipeline *pipeline, const char *path, size_t number, bool go_on, spilled *out)
{
    const uint64_t begin = number * SEGMENT;
    out->bytes.size = 0;
    out->chunks = 0;
    out->documents = 0;
    out->bad = 0;
    if (go_on) {
        assert_ok(dh_pipeline_go_on(pipeline, begin, begin + SEGMENT));
    } else {
        assert_ok(dh_pipeline_source(pipeline, 3, path, "x.jsonl", begin, begin + SEGMENT));
    }
    const bool ended = dh_pipeline_source_ended(pipeline);
    assert_ok(dh_pipeline_finish_segment(pipeline));
    return ended;
}

static void expect_same_bytes(const spilled *a, const spilled *b)
{
    assert_int_equal(a->chunks, b->chunks);
    assert_int_equal(a->bytes.size, b->bytes.size);
    assert_memory_equal(a->bytes.data, b->bytes.data, a->bytes.size);
}

/* ---- sources ----------------------------------------------------------------------------------------- */

static void pack_as_gzip(const dh_buffer *text, dh_buffer *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_ok(dh_buffer_reserve(out, text->size + 4096));
    z.next_in = text->data;
    z.avail_in = (uInt)text->size;
    z.next_out = out->data;
    z.avail_out = (uInt)out->capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->size = z.total_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
}

static void pack_as_zstd(const dh_buffer *text, dh_buffer *out)
{
    assert_ok(dh_buffer_reserve(out, ZSTD_compressBound(text->size)));
    out->size = ZSTD_compress(out->data, out->capacity, text->data, text->size, 1);
    assert_false(ZSTD_isError(out->size));
}

static const char *write_source(int how, const dh_buffer *text)
{
    if (how == 0) {
        return support_write("source", text->data, text->size);
    }
    dh_buffer packed = {0};
    (how == 1 ? pack_as_gzip : pack_as_zstd)(text, &packed);
    const char *path = support_write("source", packed.data, packed.size - (how == 1 ? 5 : 0)); /* truncated */
    dh_buffer_free(&packed);
    return path;
}

/* Documents of all sorts, giants, many short lines and bad ones in one segment. */
static dh_buffer make_text(void)
{
    dh_buffer text = random_corpus(800, 100000);
    while (text.size % SEGMENT !=
           1) { /* more rows than a chunk has cannot be: 64 KiB have 5,000 such lines */
        assert_ok(dh_buffer_append(&text, "\n", 1));
    }
    for (int i = 0; i < 12000; i++) {
        assert_ok(dh_buffer_printf(&text, "%d\n", i % 10));
    }
    dh_buffer more = random_corpus(300, 200000);
    assert_ok(dh_buffer_append(&text, more.data, more.size));
    dh_buffer_free(&more);
    return text;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

typedef struct fixture {
    dh_options options;
    dh_settings settings;
} fixture;

static void set_up_settings(fixture *with)
{
    assert_ok(resolve(LIST("-j", "profile,digest,null", "-l", lexicon_path(), "--max-tokens", "5000",
                           "--batch-size", "16K", "in"),
                      &with->options, &with->settings));
}

static void tear_down_settings(fixture *with)
{
    dh_settings_free(&with->settings);
    dh_options_free(&with->options);
}

static size_t spill_all(dh_pipeline *pipeline, const char *path, spilled *current, spilled *segment)
{
    size_t count = 0;
    bool ended = false;
    for (; !ended; count++) {
        assert_true(count < SEGMENTS_MAX);
        ended = run_segment(pipeline, path, count, count > 0, current);
        segment[count] = *current;
        current->bytes = (dh_buffer){0};
    }
    return count;
}

static void expect_segments_of_source(const dh_settings *settings, const char *path)
{
    spilled current = {.chunks = 0};
    static spilled segment[SEGMENTS_MAX];
    dh_pipeline *used = NULL;
    assert_ok(create(settings, spill_chunk, &current, &used));
    const size_t count = spill_all(used, path, &current, segment);
    assert_true(count > 10);
    const dh_pipeline_stats stats = dh_pipeline_statistics(used);
    struct stat facts;
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(stats.file_bytes, facts.st_size);
    uint64_t documents = 0;
    uint64_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        documents += segment[i].documents;
        bad += segment[i].bad;
        dh_pipeline *fresh = NULL;
        spilled alone = {.chunks = 0};
        assert_ok(create(settings, spill_chunk, &alone, &fresh));
        assert_int_equal(run_segment(fresh, path, i, false, &alone), i + 1 == count);
        expect_same_bytes(&segment[i], &alone);
        dh_pipeline_free(fresh);
        dh_buffer_free(&alone.bytes);
    }
    assert_int_equal(stats.documents, documents);
    assert_int_equal(stats.bad, bad);
    for (size_t turn = 0; turn < 2 * count; turn++) { /* one that has done much else, in any order */
        const size_t i = (size_t)support_random_below(count);
        assert_int_equal(run_segment(used, path, i, false, &current), i + 1 == count);
        expect_same_bytes(&segment[i], &current);
        for (size_t next = i + 1 + (size_t)support_random_below(3); next < count && turn % 2 == 0;
             next += 2) {
            assert_int_equal(run_segment(used, path, next, true, &current), next + 1 == count);
            expect_same_bytes(&segment[next], &current);
        }
    }
    for (size_t i = 0; i < count; i++) {
        dh_buffer_free(&segment[i].bytes);
    }
    dh_buffer_free(&current.bytes);
    dh_pipeline_free(used);
}

static void test_the_bytes_of_a_segment_depend_on_nothing_before_it(void **state)
{
    (void)state;
    fixture with;
    set_up_settings(&with);
    dh_buffer text = make_text();
    for (int how = 0; how < 3; how++) {
        expect_segments_of_source(&with.settings, write_source(how, &text));
    }
    dh_buffer_free(&text);
    tear_down_settings(&with);
}

/* A run of small sources in one segment, then other work, then the same run again. */
static void test_the_bytes_of_a_run_depend_on_nothing_before_it(void **state)
{
    (void)state;
    fixture with;
    set_up_settings(&with);
    dh_buffer text = make_text();
    const char *large = support_write("large.jsonl", text.data, text.size);
    const char *small = support_write("small.jsonl", text.data, 20000);
    const char *empty = support_write("empty.jsonl", "", 0);
    spilled current = {.chunks = 0};
    spilled first = {.chunks = 0};
    dh_pipeline *pipeline = NULL;
    assert_ok(create(&with.settings, spill_chunk, &current, &pipeline));
    for (int turn = 0; turn < 3; turn++) {
        current.bytes.size = 0;
        current.chunks = 0;
        for (uint32_t s = 0; s < 30; s++) {
            assert_ok(dh_pipeline_source(pipeline, s, s % 3 == 0 ? empty : small, "x.jsonl", 0, UINT64_MAX));
            assert_true(dh_pipeline_source_ended(pipeline));
        }
        assert_ok(dh_pipeline_finish_segment(pipeline));
        if (turn == 0) {
            assert_ok(dh_buffer_append(&first.bytes, current.bytes.data, current.bytes.size));
            first.chunks = current.chunks;
        }
        expect_same_bytes(&first, &current);
        assert_ok(dh_pipeline_source(pipeline, 99, large, "x.jsonl", 0, UINT64_MAX));
        assert_ok(dh_pipeline_finish_segment(pipeline));
    }
    dh_pipeline_free(pipeline);
    dh_buffer_free(&first.bytes);
    dh_buffer_free(&current.bytes);
    dh_buffer_free(&text);
    tear_down_settings(&with);
}

/* ---- poll -------------------------------------------------------------------------------------------- */

typedef struct polled {
    spilled spill; /* first: what the taker sees */
    unsigned calls, stop_at;
} polled;

static dh_status stop_poll(void *context)
{
    polled *poll = context;
    return ++poll->calls == poll->stop_at ? DH_AGAIN : DH_OK;
}

static void test_poll_is_called_after_batches_and_reads_and_ends_the_work(void **state)
{
    (void)state;
    fixture with;
    set_up_settings(&with);
    dh_buffer text = {0};
    for (int i = 0; i < 6000; i++) {
        assert_ok(dh_buffer_printf(&text, "{\"text\":\"good %d\"}\n", i));
    }
    const char *path = support_write("poll.jsonl", text.data, text.size);
    polled poll = {.calls = 0};
    const dh_pipeline_hooks hooks = {.take = spill_chunk, .poll = stop_poll, .context = &poll};
    dh_pipeline *pipeline = NULL;
    assert_ok(dh_pipeline_create(&with.settings, &hooks, &pipeline));
    assert_ok(dh_pipeline_source(pipeline, 0, path, path, 0, UINT64_MAX));
    const unsigned calls = poll.calls;
    assert_true(calls >= 3); /* one read, and batches of 16 KiB of text */
    assert_ok(dh_pipeline_finish_segment(pipeline));
    assert_int_equal(poll.calls, calls + 1);
    dh_pipeline_free(pipeline);
    for (unsigned stop_at = 1; stop_at <= calls; stop_at++) {
        poll.calls = 0;
        poll.stop_at = stop_at;
        assert_ok(dh_pipeline_create(&with.settings, &hooks, &pipeline));
        assert_int_equal(dh_pipeline_source(pipeline, 0, path, path, 0, UINT64_MAX), DH_AGAIN);
        assert_int_equal(poll.calls, stop_at);
        assert_false(dh_pipeline_source_ended(pipeline));
        dh_pipeline_free(pipeline);
    }
    dh_buffer_free(&poll.spill.bytes);
    dh_buffer_free(&text);
    tear_down_settings(&with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_a_segment_depend_on_nothing_before_it),
        cmocka_unit_test(test_the_bytes_of_a_run_depend_on_nothing_before_it),
        cmocka_unit_test(test_poll_is_called_after_batches_and_reads_and_ends_the_work),
    };
    (void)unsetenv("DHATU_DATA");
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
