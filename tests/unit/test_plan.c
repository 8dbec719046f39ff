/* Tests of plan/plan.h and plan/discover.h: inputs to sources, sources to work. */
#include "support.h"

#include "base/log.h"
#include "plan/discover.h"
#include "plan/plan.h"

#include <sys/types.h>

/* ---- finding ----------------------------------------------------------------------------------------- */

/* Begins a test in an empty folder of its own. */
static void enter(const char *name)
{
    assert_int_equal(chdir(support_make_folder(name)), 0);
}

/* Writes a file in the working folder, and the folders it is in. */
static void put(const char *name, const char *text)
{
    char folder[256];
    (void)snprintf(folder, sizeof folder, "%s", name);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0777);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static char *const *writable(const char *const *input)
{
    return (char *const *)(uintptr_t)input;
}

static dh_status discover(const char *const *input, const char *output, const char *left_out, dh_found *found)
{
    size_t count = 0;
    while (input[count] != NULL) {
        count++;
    }
    *found = (dh_found){0};
    return dh_discover(writable(input), count, output, left_out, found);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_names_without(const char *const *input, const char *output, const char *left_out,
                                 const char *const *name)
{
    dh_found found;
    assert_ok(discover(input, output, left_out, &found));
    size_t i = 0;
    for (; i < found.count && name[i] != NULL; i++) {
        assert_string_equal(found.file[i].name, name[i]);
        struct stat facts;
        assert_int_equal(stat(found.file[i].path, &facts), 0);
        assert_int_equal(found.file[i].size, facts.st_size);
        assert_int_equal(found.file[i].path[0], '/');
    }
    if (i < found.count || name[i] != NULL) {
        fail_msg("%zu sources, the next is %s, expected %s", found.count,
                 i < found.count ? found.file[i].name : "none", name[i] != NULL ? name[i] : "none");
    }
    dh_found_free(&found);
}

static void expect_names_beside(const char *const *input, const char *output, const char *const *name)
{
    expect_names_without(input, output, NULL, name);
}

static void expect_names(const char *const *input, const char *const *name)
{
    expect_names_beside(input, NULL, name);
}

/* Refused with each of the two parts in its message. */
static void expect_refused(const char *const *input, dh_status expected, const char *part, const char *other)
{
    dh_found found;
    support_capture_begin();
    const dh_status status = discover(input, NULL, NULL, &found);
    const char *said = support_capture_end();
    assert_says(said, part);
    assert_says(said, other);
    assert_int_equal(status, expected);
    dh_found_free(&found);
}

static void test_folders_are_read_recursively_in_the_order_of_bytes(void **state)
{
    (void)state;
    enter("order");
    put("c/b/x.txt", "1");
    put("c/B.txt", "2");
    put("c/a.txt", "3");
    put("c/a-b.txt", "4");
    put("c/a/z.txt", "5");
    put("c/\xC3\xA9.txt", "6");
    put("c/~.txt", "7");
    expect_names(LIST("c"), LIST("B.txt", "a-b.txt", "a.txt", "a/z.txt", "b/x.txt", "~.txt", "\xC3\xA9.txt"));
    expect_names(LIST("c/"),
                 LIST("B.txt", "a-b.txt", "a.txt", "a/z.txt", "b/x.txt", "~.txt", "\xC3\xA9.txt"));
    expect_names(LIST("./c/../c//a"), LIST("z.txt"));
}

static void test_hidden_names_are_left_out_of_folders_but_can_be_given(void **state)
{
    (void)state;
    enter("hidden");
    put("c/.hidden", "x");
    put("c/.git/config.txt", "x");
    put("c/seen.txt", "x");
    expect_names(LIST("c"), LIST("seen.txt"));
    expect_names(LIST("c/.hidden", "c/.git"), LIST(".hidden", "config.txt"));
}

static void test_links_are_followed_but_not_round_in_circles(void **state)
{
    (void)state;
    enter("links");
    put("c/sub/x.txt", "x");
    put("elsewhere/y.txt", "yy");
    assert_int_equal(symlink("..", "c/sub/up"), 0);
    assert_int_equal(symlink("self", "c/self"), 0);
    assert_int_equal(symlink("nowhere", "c/dangling"), 0);
    assert_int_equal(symlink("../elsewhere", "c/other"), 0);
    assert_int_equal(symlink("../elsewhere/y.txt", "c/link.txt"), 0);
    support_capture_begin();
    expect_names(LIST("c"), LIST("link.txt", "other/y.txt", "sub/x.txt"));
    const char *said = support_capture_end();
    assert_says(said, "sub/up: a link to a folder that it is in, left out");
    assert_says(said, "self: a link that leads nowhere");
    assert_says(said, "dangling: a link that leads nowhere");
    /* a folder given through a link is the folder */
    assert_int_equal(symlink("c/sub", "way"), 0);
    support_capture_begin();
    expect_names(LIST("way/x.txt"), LIST("x.txt"));
    (void)support_capture_end();
}

static void test_what_is_no_file_is_left_out_of_folders_and_refused_as_input(void **state)
{
    (void)state;
    enter("fifo");
    put("c/x.txt", "x");
    assert_int_equal(mkfifo("c/fifo", 0666), 0);
    support_capture_begin();
    expect_names(LIST("c"), LIST("x.txt"));
    assert_says(support_capture_end(), "c/fifo: neither a file nor a folder, left out");
    expect_refused(LIST("c/fifo"), DH_IO, "c/fifo: not a regular file or folder", "error");
    expect_refused(LIST("missing"), DH_IO, "missing: cannot read", "No such file");
    expect_refused(LIST(""), DH_IO, "cannot read", "No such file");
}

static void test_no_source_is_an_error(void **state)
{
    (void)state;
    enter("empty");
    assert_int_equal(mkdir("c", 0777), 0);
    expect_refused(LIST("c"), DH_USAGE, "no source", "the inputs hold no file");
    put("list", "\n\r\n");
    expect_refused(LIST("@list"), DH_USAGE, "no source", "the inputs hold no file");
    dh_found found = {0};
    support_capture_begin();
    const dh_status status = dh_discover(NULL, 0, NULL, NULL, &found);
    assert_says(support_capture_end(), "no source");
    assert_int_equal(status, DH_USAGE);
    dh_found_free(&found);
}

static void test_globs(void **state)
{
    (void)state;
    enter("globs");
    put("a1.txt", "x");
    put("a2.txt", "x");
    put("b1.txt", "x");
    put("d/a1.txt", "x");
    put("lit[1].txt", "x");
    expect_names(LIST("a?.txt"), LIST("a1.txt", "a2.txt"));
    expect_names(LIST("{b1,a2}.txt"), LIST("a2.txt", "b1.txt"));
    expect_names(LIST("[ab]1.txt"), LIST("a1.txt", "b1.txt"));
    expect_names(LIST("*"), LIST("a1.txt", "a2.txt", "b1.txt", "d/a1.txt", "lit[1].txt"));
    expect_names(LIST("lit[1].txt"), LIST("lit[1].txt")); /* there is a file of this name */
    expect_refused(LIST("z*"), DH_IO, "z*: no file matches", "error");
}

static void test_lists(void **state)
{
    (void)state;
    enter("lists");
    put("a.txt", "x");
    put("with space.txt", "x");
    put("d/b.txt", "x");
    put("list", "a.txt\r\n\nwith space.txt\nd");
    expect_names(LIST("@list"), LIST("a.txt", "b.txt", "with space.txt"));
    put("list2", "a*.txt\n"); /* a path, no glob */
    expect_refused(LIST("@list2"), DH_IO, "a*.txt: cannot read", "error");
    expect_refused(LIST("@missing"), DH_IO, "missing", "cannot open");
    put("@at.txt", "x");
    expect_names(LIST("./@at.txt"), LIST("@at.txt"));
}

static void test_a_list_with_nul_bytes_is_refused(void **state)
{
    (void)state;
    enter("nul-list");
    put("a.txt", "x");
    put("b.txt", "x");
    const int file = open("list", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(write(file, "a.txt\0b.txt\0", 12), 12);
    assert_int_equal(close(file), 0);
    expect_refused(LIST("@list"), DH_USAGE, "list: ", "NUL bytes");
}

/* ---- names ------------------------------------------------------------------------------------------- */

static void test_compression_suffixes_are_no_part_of_names(void **state)
{
    (void)state;
    enter("suffixes");
    put("c/a.jsonl.gz", "x");
    put("c/b.txt.ZST", "x");
    put("c/c.bz2", "x");
    put("c/d.gz.zst", "x");
    put("c/e.gzx", "x");
    put("c/f/.x", "x");
    put("c/f/gz", "x");
    expect_names(LIST("c"), LIST("a.jsonl", "b.txt", "c", "d.gz", "e.gzx", "f/gz"));
    expect_names(LIST("c/a.jsonl.gz"), LIST("a.jsonl"));
}

static void test_plain_and_packed_source_of_one_name_are_refused(void **state)
{
    (void)state;
    enter("twins");
    put("c/x.jsonl", "x");
    put("c/x.jsonl.gz", "x");
    put("c/y.jsonl", "x");
    expect_refused(LIST("c"), DH_USAGE, "c/x.jsonl and ", "c/x.jsonl.gz would both be source \"x.jsonl\"");
    expect_refused(LIST("c/x.jsonl.gz", "c/x.jsonl"), DH_USAGE, "would both be source",
                   "leave one of them out");
}

static void test_a_file_given_twice_is_read_once(void **state)
{
    (void)state;
    enter("twice");
    put("c/sub/x.txt", "x");
    put("c/y.txt", "x");
    expect_names(LIST("c", "c"), LIST("sub/x.txt", "y.txt"));
    expect_names(LIST("c/y.txt", "./c/../c/y.txt"), LIST("y.txt"));
    /* whatever the order of the inputs, the folder that shows more of the path names it */
    expect_names(LIST("c", "c/sub/x.txt"), LIST("sub/x.txt", "y.txt"));
    expect_names(LIST("c/sub/x.txt", "c"), LIST("sub/x.txt", "y.txt"));
    expect_names(LIST("c", "c/sub"), LIST("sub/x.txt", "y.txt"));
    expect_names(LIST("c/sub", "c"), LIST("sub/x.txt", "y.txt"));
    expect_names(LIST("c/sub", "c/sub/x.txt", "c"), LIST("sub/x.txt", "y.txt"));
}

static void test_folders_with_files_of_one_name_are_named_from_their_common_folder(void **state)
{
    (void)state;
    enter("collisions");
    put("one/x.txt", "x");
    put("one/only.txt", "x");
    put("two/x.txt", "x");
    put("third/deep/z.txt", "x");
    expect_names(LIST("one", "third"), LIST("deep/z.txt", "only.txt", "x.txt"));
    expect_names(LIST("one", "two"), LIST("one/only.txt", "one/x.txt", "two/x.txt"));
    expect_names(LIST("two", "one"), LIST("one/only.txt", "one/x.txt", "two/x.txt"));
    expect_names(LIST("two", "one", "third/deep"),
                 LIST("one/only.txt", "one/x.txt", "third/deep/z.txt", "two/x.txt"));
    expect_names(LIST("two", "one/x.txt"), LIST("one/x.txt", "two/x.txt"));
}

static void test_loose_files_are_named_from_the_folder_they_share(void **state)
{
    (void)state;
    enter("loose");
    put("a/b/x.txt", "x");
    put("a/bc/x.txt", "x");
    put("a/b/deep/y.txt", "x");
    expect_names(LIST("a/b/x.txt"), LIST("x.txt"));
    expect_names(LIST("a/b/x.txt", "a/b/deep/y.txt"), LIST("deep/y.txt", "x.txt"));
    expect_names(LIST("a/bc/x.txt", "a/b/x.txt"), LIST("b/x.txt", "bc/x.txt"));
}

static void test_names_are_valid_utf8(void **state)
{
    (void)state;
    enter("latin1");
    put("c/caf\xE9.txt", "x");
    expect_names(LIST("c"), LIST("caf\xEF\xBF\xBD.txt"));
    put("c/caf\xE8.txt", "x");
    expect_refused(LIST("c"), DH_USAGE, "would both be source", "caf\xEF\xBF\xBD.txt");
}

/* ---- the run's own files ----------------------------------------------------------------------------- */

static void test_the_run_s_own_output_is_left_out_of_folders(void **state)
{
    (void)state;
    enter("output");
    put("c/out.h5", "x");
    put("c/out.h5.partial-0123abcd-000001", "x");
    put("c/out.h5.quarantine.jsonl.partial-0123abcd-000001", "x");
    put("c/out.h5.run.json", "x");
    put("c/out.h5.quarantine.jsonl", "x");
    put("c/out.h5.ckpt/spill-000000", "x");
    put("c/x.txt", "x");
    char output[4400];
    (void)snprintf(output, sizeof output, "%s/c/out.h5", support_path("output"));
    expect_names_beside(LIST("c"), output, LIST("x.txt"));
    /* the same file by other paths */
    (void)snprintf(output, sizeof output, "%s/c/./../c/out.h5", support_path("output"));
    expect_names_beside(LIST("c"), output, LIST("x.txt"));
    assert_int_equal(symlink("c", "link"), 0);
    expect_names_beside(LIST("c"), "link/out.h5", LIST("x.txt"));
    /* what is given by itself is read */
    expect_names_beside(LIST("c/out.h5.run.json"), output, LIST("out.h5.run.json"));
}

static void test_the_checkpoint_folder_is_left_out_by_whatever_path(void **state)
{
    (void)state;
    enter("checkpoint");
    put("c/x.txt", "x");
    put("c/keep/y.txt", "x");
    put("c/keep/ckpt/journal", "x");
    put("c/keep/ckpt/deep/z.txt", "x");
    put("c/keep/ckpt2/w.txt", "x");
    assert_int_equal(symlink("keep/ckpt", "c/link"), 0);
    const char *const *rest = LIST("keep/ckpt2/w.txt", "keep/y.txt", "x.txt");
    char absolute[4400];
    (void)snprintf(absolute, sizeof absolute, "%s/c/keep/ckpt", support_path("checkpoint"));
    static const char *const path[] = {"c/keep/ckpt", "c/keep/ckpt/", "c/../c/keep/./ckpt", "c/link"};
    for (size_t i = 0; i < COUNT(path); i++) {
        expect_names_without(LIST("c"), NULL, path[i], rest);
    }
    expect_names_without(LIST("c"), NULL, absolute, rest);
    expect_names_without(LIST("c/*"), NULL, absolute, LIST("ckpt2/w.txt", "x.txt", "y.txt"));
    /* one that is not there leaves nothing out */
    expect_names_without(LIST("c/keep/ckpt2"), NULL, "c/nowhere/at/all", LIST("w.txt"));
    /* a file of it that is given by itself is read, as is a folder below it */
    expect_names_without(LIST("c/keep/ckpt/journal"), NULL, absolute, LIST("journal"));
    expect_names_without(LIST("c/keep/ckpt/deep"), NULL, absolute, LIST("z.txt"));
    dh_found found;
    support_capture_begin();
    const dh_status status = discover(LIST("c/keep/ckpt"), NULL, absolute, &found);
    assert_says(support_capture_end(), "no source");
    assert_int_equal(status, DH_USAGE);
    dh_found_free(&found);
}

/* A corpus whose name begins like the output's must not vanish. */
static void test_neighbours_with_a_similar_name_are_read(void **state)
{
    (void)state;
    enter("neighbours");
    put("corpus/a.txt", "x");
    put("corpus2.txt", "x");
    put("co.jsonl", "x");
    expect_names_beside(LIST("."), "co", LIST("co.jsonl", "corpus/a.txt", "corpus2.txt"));
    expect_names_beside(LIST("corpus"), "corp", LIST("a.txt"));
}

/* ---- work -------------------------------------------------------------------------------------------- */

enum { SOURCES = 60 };

/* What is known of a source from the work items: how many of its bytes are in them, how many times it is. */
typedef struct covered {
    uint64_t next; /* end of the ranges so far */
    unsigned whole, ranges;
} covered;

static const dh_plan *make_plan(dh_buffer *block, const char *const *input, dh_format format,
                                uint64_t segment)
{
    const dh_plan_options options = {.format = format, .segment_size = segment};
    size_t count = 0;
    while (input[count] != NULL) {
        count++;
    }
    assert_ok(dh_plan_make(&options, writable(input), count, block));
    const dh_plan *plan = (const dh_plan *)(const void *)block->data;
    assert_int_equal(plan->block_size, block->size);
    assert_string_equal(plan->magic, "dhplan1");
    assert_int_equal(plan->segment_size, segment);
    return plan;
}

static void take_ranges(const dh_plan *plan, const dh_work_item *work, covered *source)
{
    assert_int_equal(work->source_count, 1);
    assert_int_equal(work->begin % plan->segment_size, 0);
    assert_int_equal(work->begin, source->next);
    const uint64_t size = dh_plan_source(plan, work->first_source)->size;
    if (work->end == UINT64_MAX) {
        assert_true(size - work->begin <= plan->segment_size && size > work->begin);
        source->next = size;
    } else {
        assert_int_equal(work->end, work->begin + plan->segment_size);
        assert_true(work->end < size);
        source->next = work->end;
    }
    source->ranges++;
}

/* Every source is in exactly one item, or in ranges that follow one another to its end. */
static void expect_all_covered(const dh_plan *plan)
{
    covered source[SOURCES] = {{0}};
    for (uint64_t i = 0; i < plan->item_count; i++) {
        const dh_work_item work = dh_plan_item(plan, i);
        assert_true(work.source_count > 0);
        assert_true(work.first_source + work.source_count <= plan->source_count);
        if (work.begin == 0 && work.end == UINT64_MAX) {
            for (uint32_t s = 0; s < work.source_count; s++) {
                source[work.first_source + s].whole++;
            }
        } else {
            take_ranges(plan, &work, &source[work.first_source]);
        }
    }
    for (uint64_t s = 0; s < plan->source_count; s++) {
        if (source[s].whole > 0) {
            assert_int_equal(source[s].whole, 1);
            assert_int_equal(source[s].ranges, 0);
        } else {
            assert_int_equal(source[s].next, dh_plan_source(plan, s)->size);
        }
    }
}

static void make_corpus(const char *name)
{
    enter(name);
    static char bytes[400000];
    memset(bytes, 'x', sizeof bytes);
    for (unsigned s = 0; s < SOURCES; s++) {
        static const char *const suffix[] = {".jsonl", ".txt", ".jsonl.gz", ".ndjson"};
        static const uint64_t limit[] = {10, 4000, 70000, sizeof bytes};
        char file_name[64];
        (void)snprintf(file_name, sizeof file_name, "f%02u%s", s, suffix[s % 4]);
        const size_t size = (size_t)support_random_below(limit[support_random_below(4)]);
        const int file = open(file_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        memcpy(bytes, s % 4 == 2 ? "\x1F\x8B\x08" : "{}\n", 3);
        assert_int_equal(write(file, bytes, size), size);
        assert_int_equal(close(file), 0);
    }
}

static void test_work_covers_every_byte_once(void **state)
{
    (void)state;
    make_corpus("cover");
    static const dh_format format[] = {DH_FORMAT_AUTO, DH_FORMAT_JSONL, DH_FORMAT_TEXT};
    for (size_t f = 0; f < COUNT(format); f++) {
        for (uint64_t segment = DH_CONTENT_BLOCK; segment <= UINT64_C(1) << 40; segment *= 2) {
            dh_buffer block = {0};
            const dh_plan *plan = make_plan(&block, LIST("."), format[f], segment);
            assert_int_equal(plan->source_count, SOURCES);
            expect_all_covered(plan);
            dh_buffer_free(&block);
        }
    }
}

static void test_sources_of_a_plan(void **state)
{
    (void)state;
    enter("sources");
    put("c/b.txt", "12345");
    put("c/longer-name.jsonl", "");
    put("c/a.txt.gz", "123");
    dh_buffer block = {0};
    const dh_plan *plan = make_plan(&block, LIST("c"), DH_FORMAT_AUTO, DH_CONTENT_BLOCK);
    assert_int_equal(plan->source_count, 3);
    assert_int_equal(plan->file_bytes, 8);
    assert_int_equal(plan->name_width, strlen("longer-name.jsonl"));
    assert_string_equal(dh_plan_name(plan, 0), "a.txt");
    assert_string_equal(dh_plan_name(plan, 1), "b.txt");
    assert_string_equal(dh_plan_name(plan, 2), "longer-name.jsonl");
    for (uint64_t s = 0; s < 3; s++) {
        const dh_source *source = dh_plan_source(plan, s);
        assert_int_equal(source->name_size, strlen(dh_plan_name(plan, s)));
        struct stat facts;
        assert_int_equal(stat(dh_plan_string(plan, source->path), &facts), 0);
        assert_int_equal(facts.st_size, source->size);
    }
    assert_says(dh_plan_string(plan, dh_plan_source(plan, 0)->path), "/c/a.txt.gz");
    assert_int_equal(plan->item_count, 1);
    dh_buffer_free(&block);
}

static void put_size(const char *name, const char *head, size_t size)
{
    put(name, head);
    assert_int_equal(truncate(name, (off_t)size), 0);
}

static void test_kinds_of_work(void **state)
{
    (void)state;
    enter("kinds");
    const size_t segment = DH_CONTENT_BLOCK;
    put_size("a.jsonl", "{}", segment - 1);       /* small */
    put_size("b.jsonl", "{}", segment);           /* one range */
    put_size("c.jsonl", "{}", segment + 1);       /* two ranges */
    put_size("d.jsonl", "{}", 2 * segment);       /* two ranges */
    put_size("e.jsonl", "\x1F\x8B\x08", segment); /* a stream: packed, whatever its name */
    put_size("f.txt", "x", 3 * segment);          /* whole: one document */
    put_size("g.txt.gz", "\x1F\x8B\x08", 2 * segment);
    put_size("h.jsonl", "BZh91AY&SX", segment); /* text that begins like bzip2 */
    dh_buffer block = {0};
    const dh_plan *plan = make_plan(&block, LIST("."), DH_FORMAT_AUTO, segment);
    static const struct {
        uint32_t source;
        uint64_t begin, end; /* in segments; 0: no end */
        dh_work_kind kind;
    } expected[] = {{5, 0, 0, DH_WORK_WHOLE},  {6, 0, 0, DH_WORK_WHOLE},  {4, 0, 0, DH_WORK_STREAM},
                    {0, 0, 0, DH_WORK_RUN},    {1, 0, 0, DH_WORK_RANGES}, {2, 0, 1, DH_WORK_RANGES},
                    {2, 1, 0, DH_WORK_RANGES}, {3, 0, 1, DH_WORK_RANGES}, {3, 1, 0, DH_WORK_RANGES},
                    {7, 0, 0, DH_WORK_RANGES}};
    assert_int_equal(plan->item_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        const dh_work_item work = dh_plan_item(plan, i);
        assert_int_equal(work.first_source, expected[i].source);
        assert_int_equal(work.kind, expected[i].kind);
        assert_int_equal(work.source_count, 1);
        assert_int_equal(work.begin, expected[i].begin * segment);
        assert_int_equal(work.end, expected[i].end == 0 ? UINT64_MAX : expected[i].end * segment);
    }
    dh_buffer_free(&block);
}

static void test_whole_sources_come_first_the_largest_in_front(void **state)
{
    (void)state;
    enter("whole-first");
    const size_t segment = DH_CONTENT_BLOCK;
    put("a-small.txt", "x");
    put_size("b.txt", "x", 2 * segment);
    put_size("c.jsonl", "{}", 5 * segment);
    put_size("d.txt", "x", 4 * segment);
    put_size("e.txt", "x", 2 * segment);
    put_size("f.txt", "x", 3 * segment);
    dh_buffer block = {0};
    const dh_plan *plan = make_plan(&block, LIST("."), DH_FORMAT_AUTO, segment);
    static const uint32_t expected[] = {3, 5, 1, 4, 0, 2, 2, 2, 2, 2};
    assert_int_equal(plan->item_count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_int_equal(dh_plan_item(plan, i).first_source, expected[i]);
    }
    dh_buffer_free(&block);
}

/* Runs of small sources: consecutive, of about a segment, and no more items than needed. */
static void test_small_sources_go_in_runs(void **state)
{
    (void)state;
    enter("runs");
    enum { FILES = 300, SIZE = 3000 };
    static char text[SIZE + 1];
    memset(text, 'x', SIZE);
    for (int i = 0; i < FILES; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "f%03d.txt", i);
        put(name, i % 2 == 0 ? text : "");
    }
    dh_buffer block = {0};
    const dh_plan *plan = make_plan(&block, LIST("."), DH_FORMAT_AUTO, DH_CONTENT_BLOCK);
    uint32_t next = 0;
    for (uint64_t i = 0; i < plan->item_count; i++) {
        const dh_work_item work = dh_plan_item(plan, i);
        assert_int_equal(work.first_source, next);
        next += work.source_count;
        assert_true(work.source_count * (uint64_t)SIZE / 2 < 2 * DH_CONTENT_BLOCK);
        assert_true(work.source_count > 10 || next == FILES);
    }
    assert_int_equal(next, FILES);
    dh_buffer_free(&block);
}

/* Sources without a byte have a weight too: a million of them must not be one item. */
static void test_empty_sources_do_not_make_one_endless_run(void **state)
{
    (void)state;
    enter("many-empty");
    for (int i = 0; i < 200; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "f%03d.txt", i);
        put(name, "");
    }
    dh_buffer block = {0};
    const dh_plan *plan = make_plan(&block, LIST("."), DH_FORMAT_AUTO, DH_CONTENT_BLOCK);
    assert_true(plan->item_count > 1 && plan->item_count < 20);
    dh_buffer_free(&block);
}

static void test_the_plan_does_not_depend_on_where_the_corpus_is(void **state)
{
    (void)state;
    enter("here");
    put("c/a.txt", "x");
    put("c/b/d.jsonl", "{}");
    put("deep/er/c/a.txt", "x");
    put("deep/er/c/b/d.jsonl", "{}");
    dh_buffer one = {0};
    dh_buffer two = {0};
    const dh_plan *left = make_plan(&one, LIST("c"), DH_FORMAT_AUTO, DH_CONTENT_BLOCK);
    const dh_plan *right = make_plan(&two, LIST("deep/er/c"), DH_FORMAT_AUTO, DH_CONTENT_BLOCK);
    assert_int_equal(left->source_count, right->source_count);
    assert_int_equal(left->item_count, right->item_count);
    for (uint64_t s = 0; s < left->source_count; s++) {
        assert_string_equal(dh_plan_name(left, s), dh_plan_name(right, s));
    }
    dh_buffer_free(&one);
    dh_buffer_free(&two);
}

static int tear_down(void **state)
{
    return chdir("/") != 0 ? -1 : support_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_are_read_recursively_in_the_order_of_bytes),
        cmocka_unit_test(test_hidden_names_are_left_out_of_folders_but_can_be_given),
        cmocka_unit_test(test_links_are_followed_but_not_round_in_circles),
        cmocka_unit_test(test_what_is_no_file_is_left_out_of_folders_and_refused_as_input),
        cmocka_unit_test(test_no_source_is_an_error),
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_a_list_with_nul_bytes_is_refused),
        cmocka_unit_test(test_compression_suffixes_are_no_part_of_names),
        cmocka_unit_test(test_plain_and_packed_source_of_one_name_are_refused),
        cmocka_unit_test(test_a_file_given_twice_is_read_once),
        cmocka_unit_test(test_folders_with_files_of_one_name_are_named_from_their_common_folder),
        cmocka_unit_test(test_loose_files_are_named_from_the_folder_they_share),
        cmocka_unit_test(test_names_are_valid_utf8),
        cmocka_unit_test(test_the_run_s_own_output_is_left_out_of_folders),
        cmocka_unit_test(test_the_checkpoint_folder_is_left_out_by_whatever_path),
        cmocka_unit_test(test_neighbours_with_a_similar_name_are_read),
        cmocka_unit_test(test_work_covers_every_byte_once),
        cmocka_unit_test(test_sources_of_a_plan),
        cmocka_unit_test(test_kinds_of_work),
        cmocka_unit_test(test_whole_sources_come_first_the_largest_in_front),
        cmocka_unit_test(test_small_sources_go_in_runs),
        cmocka_unit_test(test_empty_sources_do_not_make_one_endless_run),
        cmocka_unit_test(test_the_plan_does_not_depend_on_where_the_corpus_is),
    };
    return cmocka_run_group_tests(tests, support_set_up, tear_down);
}
