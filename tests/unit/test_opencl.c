/* Tests of the OpenCL backend and of kernels/device.c on the first OpenCL device: known answers, the CPU's
 * bits, lanes, views of batches, memory that is short. Skipped where there is no device. */
#include "lanes.h"

#include "kernels/device_core.h"
#include "lexicon/lexicon.h"
#include "text/tokens.h"

enum { DOCUMENTS = 300, CATEGORIES = 9, LANES = 3, SENTINEL = 0xA5 };
static const uint64_t LANE_BYTES = UINT64_C(4) << 20;

static const dh_backend_kind *const opencl = &dh_backend_opencl;

/* ---- a batch of English, and results ------------------------------------------------------------------ */

typedef struct corpus {
    dh_buffer text;
    dh_token_sink sink;
    uint64_t text_offset[DOCUMENTS + 1], token_offset[DOCUMENTS + 1], hit_offset[DOCUMENTS + 1];
    uint16_t lexicon[DOCUMENTS];
    dh_lexicons *lexicons;
    const dh_profile_tables *tables;
} corpus;

static corpus made;

/* The last document of each output is followed by one more, which must stay as it was. */
typedef struct results {
    char hex[DOCUMENTS + 1][64];
    uint16_t raw[DOCUMENTS + 1][DH_DHATUS];
    double digest_prime[DOCUMENTS + 1][DH_DIGEST_PRIMES];
    double digest_entropy[DOCUMENTS + 1], digest_variance[DOCUMENTS + 1], digest_score[DOCUMENTS + 1];
    uint32_t counts[DOCUMENTS + 1][2 * CATEGORIES];
    float profile[DOCUMENTS + 1][CATEGORIES];
    double prime[DOCUMENTS + 1][DH_PRIMES];
    uint32_t matched[DOCUMENTS + 1];
    double coverage[DOCUMENTS + 1], ambiguity[DOCUMENTS + 1], variance[DOCUMENTS + 1];
    uint64_t code2[DOCUMENTS + 1], code3[DOCUMENTS + 1], code5[DOCUMENTS + 1];
} results;

/* Document d has 0 to 600 words, the first ones as many as their number; some have no lexicon. */
static void write_document(uint32_t d)
{
    static const char *const word[] = {"good",   "bad",     "never",      "because", "not",   "the",
                                       "no",     "doubt",   "speechless", "speech",  "happy", "possibility",
                                       "a",      "against", "table",      "decide",  "again", "unfortunately",
                                       "reason", "quartz",  "without",    "terrible"};
    const uint64_t words = d < 200 ? d : support_random_below(600);
    for (uint64_t w = 0; w < words; w++) {
        assert_ok(dh_buffer_printf(&made.text, "%s ", word[support_random_below(COUNT(word))]));
    }
    made.lexicon[d] = d % 7 == 3 ? DH_NO_LEXICON : 0;
}

static int make_corpus(void **state)
{
    (void)state;
    dh_tokenizer *tokenizer = NULL;
    made.sink.token_limit = 1000;
    assert_ok(dh_lexicons_create(DH_TOKENS_UNICODE, &made.lexicons));
    assert_ok(dh_lexicons_load(made.lexicons, DH_PROJECT_DATA "/lexicon/en.tsv"));
    assert_ok(dh_lexicons_compile(made.lexicons));
    made.tables = dh_lexicons_tables(made.lexicons);
    assert_int_equal(made.tables->category_count, CATEGORIES);
    assert_ok(dh_tokenizer_create(DH_TOKENS_UNICODE, dh_lexicons_prefixes(made.lexicons, 0), &tokenizer));
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        write_document(d);
        made.text_offset[d + 1] = made.text.size;
        assert_ok(dh_tokenize(tokenizer, made.text.data + made.text_offset[d],
                              made.text.size - made.text_offset[d], &made.sink));
        made.token_offset[d + 1] = made.sink.token_count;
        made.hit_offset[d + 1] = made.sink.prefix_hit_count;
    }
    dh_tokenizer_free(tokenizer);
    assert_true(made.sink.prefix_hit_count > 1000); /* so that prefixes are tested */
    return 0;
}

static int free_corpus(void **state)
{
    (void)state;
    dh_buffer_free(&made.text);
    dh_token_sink_free(&made.sink);
    dh_lexicons_free(made.lexicons);
    return 0;
}

/* A view of the documents from `first` on: the offsets do not begin at 0. */
static dh_batch view(uint32_t first, uint32_t count)
{
    return (dh_batch){.document_count = count,
                      .text = made.text.data,
                      .text_offset = made.text_offset + first,
                      .token = made.sink.token,
                      .token_offset = made.token_offset + first,
                      .prefix_hit = made.sink.prefix_hit,
                      .prefix_hit_offset = made.hit_offset + first,
                      .lexicon = made.lexicon + first};
}

static dh_digest_out digest_out(results *to)
{
    return (dh_digest_out){.raw = &to->raw[0][0],
                           .prime = &to->digest_prime[0][0],
                           .entropy = to->digest_entropy,
                           .variance = to->digest_variance,
                           .score = to->digest_score};
}

static dh_profile_out profile_out(results *to, bool with_codes)
{
    return (dh_profile_out){.counts = &to->counts[0][0],
                            .profile = &to->profile[0][0],
                            .prime = &to->prime[0][0],
                            .matched = to->matched,
                            .coverage = to->coverage,
                            .ambiguity = to->ambiguity,
                            .variance = to->variance,
                            .code2 = with_codes ? to->code2 : NULL,
                            .code3 = with_codes ? to->code3 : NULL,
                            .code5 = with_codes ? to->code5 : NULL};
}

/* Queues all kernels on a lane; the outputs are poisoned before. */
static void queue_all(dh_lane *lane, const dh_batch *batch, results *to, bool with_codes)
{
    const dh_backend_kind *kind = lane->backend->kind;
    const dh_digest_out digest = digest_out(to);
    const dh_profile_out profile = profile_out(to, with_codes);
    memset(to, SENTINEL, sizeof *to);
    assert_int_equal(kind->begin(lane, batch), DH_BACKEND_OK);
    assert_int_equal(kind->profile(lane, &profile), DH_BACKEND_OK);
    assert_int_equal(kind->digest(lane, &digest), DH_BACKEND_OK);
    assert_int_equal(kind->sha256(lane, &to->hex[0][0]), DH_BACKEND_OK);
}

static const results *expected(uint32_t first, uint32_t count, bool with_codes)
{
    static results by_cpu;
    const dh_batch batch = view(first, count);
    dh_backend *cpu = open_cpu();
    assert_int_equal(cpu->kind->load(cpu, made.tables), DH_BACKEND_OK);
    queue_all(&cpu->lane[0], &batch, &by_cpu, with_codes);
    assert_int_equal(dh_lane_wait(&cpu->lane[0]), DH_BACKEND_OK);
    cpu->kind->close(cpu);
    return &by_cpu;
}

/* Bit for bit, with what stands behind the outputs. */
static void assert_same(const results *got, const results *wanted)
{
    assert_memory_equal(got->hex, wanted->hex, sizeof got->hex);
    assert_memory_equal(got->raw, wanted->raw, sizeof got->raw);
    assert_memory_equal(got->digest_prime, wanted->digest_prime, sizeof got->digest_prime);
    assert_memory_equal(got->digest_entropy, wanted->digest_entropy, sizeof got->digest_entropy);
    assert_memory_equal(got->digest_variance, wanted->digest_variance, sizeof got->digest_variance);
    assert_memory_equal(got->digest_score, wanted->digest_score, sizeof got->digest_score);
    assert_memory_equal(got->counts, wanted->counts, sizeof got->counts);
    assert_memory_equal(got->profile, wanted->profile, sizeof got->profile);
    assert_memory_equal(got->prime, wanted->prime, sizeof got->prime);
    assert_memory_equal(got->matched, wanted->matched, sizeof got->matched);
    assert_memory_equal(got->coverage, wanted->coverage, sizeof got->coverage);
    assert_memory_equal(got->ambiguity, wanted->ambiguity, sizeof got->ambiguity);
    assert_memory_equal(got->variance, wanted->variance, sizeof got->variance);
    assert_memory_equal(got->code2, wanted->code2, sizeof got->code2);
    assert_memory_equal(got->code3, wanted->code3, sizeof got->code3);
    assert_memory_equal(got->code5, wanted->code5, sizeof got->code5);
}

static dh_backend *open_opencl(uint64_t memory_max)
{
    const dh_backend_options options = {.lanes = LANES, .lane_bytes = LANE_BYTES, .memory_max = memory_max};
    dh_backend *backend = NULL;
    char why[DH_BACKEND_TEXT];
    if (opencl->open(&options, &backend, why) != DH_BACKEND_OK) {
        fail_msg("%s", why);
    }
    assert_string_equal(why, "");
    assert_int_equal(opencl->load(backend, made.tables), DH_BACKEND_OK);
    return backend;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void test_the_device_tells_what_it_is(void **state)
{
    (void)state;
    char why[DH_BACKEND_TEXT];
    const uint32_t devices = opencl->devices(why);
    assert_true(devices > 0);
    dh_device_facts facts[2];
    assert_int_equal(opencl->facts(0, &facts[0]), DH_BACKEND_OK);
    assert_int_equal(opencl->facts(0, &facts[1]), DH_BACKEND_OK);
    assert_memory_equal(&facts[0], &facts[1], sizeof facts[0]);
    assert_true(facts[0].name[0] != '\0' && facts[0].driver[0] != '\0' && facts[0].id[0] != '\0');
    assert_says(facts[0].level, "OpenCL C");
    assert_true(facts[0].memory > LANE_BYTES && facts[0].units > 0);
    assert_int_equal(opencl->facts(devices, &facts[1]), DH_BACKEND_LOST);
    dh_backend *backend = open_opencl(0);
    assert_says(opencl->describe(backend), facts[0].name);
    assert_string_equal(opencl->error(backend), "");
    opencl->close(backend);
}

static void test_a_device_that_is_not_there_is_named(void **state)
{
    (void)state;
    const dh_backend_options options = {.device = 4711, .lanes = 1, .lane_bytes = LANE_BYTES};
    dh_backend *backend = NULL;
    char why[DH_BACKEND_TEXT];
    assert_int_equal(opencl->open(&options, &backend, why), DH_BACKEND_LOST);
    assert_null(backend);
    assert_says(why, "4711");
    opencl->close(NULL);
}

/* FIPS 180-4's examples and the empty text. */
static void test_known_answers(void **state)
{
    (void)state;
    static const char text[] = "abcabcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const uint64_t offset[] = {0, 0, 3, 59};
    static const char *const wanted[] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                                         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"};
    static const uint16_t raw_of_nothing[DH_DHATUS] = {643, 530, 493, 821, 476, 581, 650, 789, 510};
    const dh_batch batch = {.document_count = 3, .text = (const uint8_t *)text, .text_offset = offset};
    static results got;
    const dh_digest_out digest = digest_out(&got);
    dh_backend *backend = open_opencl(0);
    dh_lane *lane = begin(backend, &batch);
    assert_int_equal(opencl->sha256(lane, &got.hex[0][0]), DH_BACKEND_OK);
    assert_int_equal(opencl->digest(lane, &digest), DH_BACKEND_OK);
    assert_int_equal(dh_lane_wait(lane), DH_BACKEND_OK);
    for (int d = 0; d < 3; d++) {
        assert_memory_equal(got.hex[d], wanted[d], sizeof got.hex[d]);
    }
    assert_memory_equal(got.raw[0], raw_of_nothing, sizeof raw_of_nothing);
    opencl->close(backend);
}

/* Every length around the blocks of SHA-256 at every alignment. */
static void test_lengths_and_alignments(void **state)
{
    (void)state;
    enum { TEXTS = 140 };
    static uint8_t text[TEXTS * TEXTS];
    static uint64_t offset[TEXTS + 1];
    static char got[TEXTS + 1][64];
    static char wanted[TEXTS + 1][64];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)support_random();
    }
    dh_backend *cpu = open_cpu();
    dh_backend *backend = open_opencl(0);
    for (uint64_t start = 0; start < 16; start++) {
        for (uint64_t d = 0; d <= TEXTS; d++) {
            offset[d] = start + d * (d + 1) / 2;
        }
        const dh_batch batch = {.document_count = TEXTS, .text = text, .text_offset = offset};
        memset(got, SENTINEL, sizeof got);
        memset(wanted, SENTINEL, sizeof wanted);
        assert_int_equal(cpu->kind->sha256(begin(cpu, &batch), &wanted[0][0]), DH_BACKEND_OK);
        assert_int_equal(opencl->sha256(begin(backend, &batch), &got[0][0]), DH_BACKEND_OK);
        assert_int_equal(dh_lane_wait(&backend->lane[0]), DH_BACKEND_OK);
        assert_memory_equal(got, wanted, sizeof got);
    }
    opencl->close(backend);
    cpu->kind->close(cpu);
}

/* As many documents as make the names of one length share their work, and a few texts so long that theirs do
 * not. */
static void test_digest_of_many_documents(void **state)
{
    (void)state;
    enum {
        MANY = DH_DEVICE_ITEMS_FEW / DH_DEVICE_NAME_LENGTHS + 100,
        ROOM = MANY * 130 + 50 * DH_DEVICE_LONG_TEXT
    };
    static uint8_t text[ROOM];
    static uint64_t offset[MANY + 1];
    static uint16_t raw[2][MANY + 1][DH_DHATUS];
    static double prime[MANY][DH_DIGEST_PRIMES], entropy[MANY], variance[MANY], score[MANY];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)support_random();
    }
    for (uint32_t d = 0; d < MANY; d++) {
        const uint64_t size =
            d % 500 == 7 ? DH_DEVICE_LONG_TEXT - 1 + d / 500 % 3 : support_random_below(130);
        offset[d + 1] = offset[d] + size;
    }
    assert_true(offset[MANY] <= ROOM);
    const dh_batch batch = {.document_count = MANY, .text = text, .text_offset = offset};
    dh_backend *backend[2] = {open_cpu(), open_opencl(0)};
    memset(raw, SENTINEL, sizeof raw);
    for (int b = 0; b < 2; b++) {
        const dh_digest_out out = {&raw[b][0][0], &prime[0][0], entropy, variance, score};
        assert_int_equal(backend[b]->kind->digest(begin(backend[b], &batch), &out), DH_BACKEND_OK);
        assert_int_equal(dh_lane_wait(&backend[b]->lane[0]), DH_BACKEND_OK);
        backend[b]->kind->close(backend[b]);
    }
    assert_memory_equal(raw[0], raw[1], sizeof raw[0]);
}

static void test_views_have_the_bits_of_the_cpu(void **state)
{
    (void)state;
    static const uint32_t at[][2] = {{0, DOCUMENTS}, {1, DOCUMENTS - 1}, {0, 1},   {0, 2},    {3, 1},
                                     {64, 1},        {100, 150},         {299, 1}, {190, 63}, {37, 128}};
    static results got;
    dh_backend *backend = open_opencl(0);
    for (size_t v = 0; v < COUNT(at); v++) {
        const dh_batch batch = view(at[v][0], at[v][1]);
        const bool with_codes = v % 2 == 0;
        queue_all(&backend->lane[v % LANES], &batch, &got, with_codes);
        assert_int_equal(dh_lane_wait(&backend->lane[v % LANES]), DH_BACKEND_OK);
        assert_same(&got, expected(at[v][0], at[v][1], with_codes));
    }
    opencl->close(backend);
}

static void test_several_lanes_at_once(void **state)
{
    (void)state;
    static results got[LANES];
    dh_batch batch[LANES];
    dh_backend *backend = open_opencl(0);
    for (unsigned turn = 0; turn < support_turns(10); turn++) {
        uint32_t first[LANES];
        for (uint32_t l = 0; l < LANES; l++) {
            first[l] = (uint32_t)support_random_below(DOCUMENTS);
            batch[l] = view(first[l], DOCUMENTS - first[l]);
            queue_all(&backend->lane[l], &batch[l], &got[l], true);
        }
        for (uint32_t l = 0; l < LANES; l++) {
            assert_int_equal(dh_lane_wait(&backend->lane[LANES - 1 - l]), DH_BACKEND_OK);
        }
        for (uint32_t l = 0; l < LANES; l++) {
            assert_same(&got[l], expected(first[l], DOCUMENTS - first[l], true));
        }
    }
    opencl->close(backend);
}

static void test_closing_with_busy_lanes(void **state)
{
    (void)state;
    static results got[LANES];
    const dh_batch batch = view(0, DOCUMENTS);
    dh_backend *backend = open_opencl(0);
    for (uint32_t l = 0; l < LANES; l++) {
        queue_all(&backend->lane[l], &batch, &got[l], true);
    }
    opencl->close(backend);
}

static void test_an_empty_batch_writes_nothing(void **state)
{
    (void)state;
    static results got;
    static results poisoned;
    const dh_batch batch = view(5, 0);
    dh_backend *backend = open_opencl(0);
    queue_all(&backend->lane[0], &batch, &got, true);
    assert_int_equal(opencl->poll(&backend->lane[0]), DH_BACKEND_OK);
    memset(&poisoned, SENTINEL, sizeof poisoned);
    assert_memory_equal(&got, &poisoned, sizeof got);
    opencl->close(backend);
}

/* Documents without a token, a hit or a byte. */
static void test_a_batch_of_empty_documents(void **state)
{
    (void)state;
    static const uint64_t zero[4];
    static const uint16_t lexicon[3];
    static results got;
    const dh_batch batch = {.document_count = 3,
                            .text_offset = zero,
                            .token_offset = zero,
                            .prefix_hit_offset = zero,
                            .lexicon = lexicon};
    dh_backend *backend = open_opencl(0);
    queue_all(&backend->lane[0], &batch, &got, true);
    assert_int_equal(dh_lane_wait(&backend->lane[0]), DH_BACKEND_OK);
    for (int d = 0; d < 3; d++) {
        assert_memory_equal(got.hex[d], "e3b0c44298fc1c14", 16);
        assert_int_equal(got.matched[d], 0);
        assert_true(got.coverage[d] == 0.0 && got.ambiguity[d] == 0.0 && got.code5[d] == 0);
        assert_true(got.counts[d][0] == 0 && got.counts[d][2 * CATEGORIES - 1] == 0);
    }
    opencl->close(backend);
}

/* What does not fit is refused; the lane goes on with what does, which may be a part of what did not. */
static void test_a_batch_that_does_not_fit(void **state)
{
    (void)state;
    static results got;
    static results few;
    const dh_batch large = view(0, DOCUMENTS);
    const dh_batch small = view(40, 10);
    const dh_profile_out profile = profile_out(&got, true);
    const dh_digest_out digest = digest_out(&got);
    dh_backend *backend = open_opencl(UINT64_C(32) * 1024 * LANES);
    dh_lane *lane = begin(backend, &large);
    assert_int_equal(opencl->sha256(lane, &got.hex[0][0]), DH_BACKEND_NO_MEMORY);
    assert_int_equal(opencl->digest(lane, &digest), DH_BACKEND_NO_MEMORY);
    assert_int_equal(opencl->profile(lane, &profile), DH_BACKEND_NO_MEMORY);
    assert_says(opencl->error(backend), "bytes of device memory");
    assert_int_equal(dh_lane_wait(lane), DH_BACKEND_OK);
    queue_all(lane, &small, &few, true);
    assert_int_equal(dh_lane_wait(lane), DH_BACKEND_OK);
    assert_same(&few, expected(40, 10, true));
    opencl->close(backend);
}

static void test_too_little_memory_for_any_batch(void **state)
{
    (void)state;
    const dh_backend_options options = {.lanes = 1, .lane_bytes = LANE_BYTES, .memory_max = 1000};
    dh_backend *backend = NULL;
    char why[DH_BACKEND_TEXT];
    assert_int_equal(opencl->open(&options, &backend, why), DH_BACKEND_NO_MEMORY);
    assert_null(backend);
    assert_says(why, "too little memory");
}

/* Tables come and go; two backends do not disturb each other. */
static void test_loading_again_and_two_backends(void **state)
{
    (void)state;
    static results got[2];
    const dh_batch batch = view(10, 100);
    dh_backend *backend[2] = {open_opencl(0), open_opencl(0)};
    assert_int_equal(opencl->load(backend[0], NULL), DH_BACKEND_OK);
    assert_int_equal(opencl->load(backend[0], made.tables), DH_BACKEND_OK);
    for (int b = 0; b < 2; b++) {
        queue_all(&backend[b]->lane[0], &batch, &got[b], true);
    }
    for (int b = 0; b < 2; b++) {
        assert_int_equal(dh_lane_wait(&backend[b]->lane[0]), DH_BACKEND_OK);
        assert_same(&got[b], expected(10, 100, true));
        opencl->close(backend[b]);
    }
}

static int set_up(void **state)
{
    return support_set_up(state) != 0 ? -1 : make_corpus(state);
}

static int tear_down(void **state)
{
    (void)free_corpus(state);
    return support_tear_down(state);
}

int main(void)
{
    char why[DH_BACKEND_TEXT] = "";
    if (opencl->not_built != NULL || opencl->devices(why) == 0) {
        (void)fprintf(stderr, "skipped: %s\n", opencl->not_built != NULL ? opencl->not_built : why);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_device_tells_what_it_is),
        cmocka_unit_test(test_a_device_that_is_not_there_is_named),
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_lengths_and_alignments),
        cmocka_unit_test(test_digest_of_many_documents),
        cmocka_unit_test(test_views_have_the_bits_of_the_cpu),
        cmocka_unit_test(test_several_lanes_at_once),
        cmocka_unit_test(test_closing_with_busy_lanes),
        cmocka_unit_test(test_an_empty_batch_writes_nothing),
        cmocka_unit_test(test_a_batch_of_empty_documents),
        cmocka_unit_test(test_a_batch_that_does_not_fit),
        cmocka_unit_test(test_too_little_memory_for_any_batch),
        cmocka_unit_test(test_loading_again_and_two_backends),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
