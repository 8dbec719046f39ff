/* The inventory of devices, with backends that are missing, wrong, lost, small or slow to answer. */
#include "support.h"

#include "commands/inventory.h"
#include "commands/sample.h"
#include "text/utf8.h"

#define SECONDS 0.002

static dh_settings settings;

static int set_up(void **state)
{
    (void)state;
    static const char *const argv[] = {"dhatu",     "run", "-j", "profile,digest,features,vocab,neardup,null",
                                       "--backend", "cpu", "in"};
    dh_options options;
    if (dh_options_resolve((int)COUNT(argv), (char **)(uintptr_t)argv, &options) != DH_OK) {
        return -1;
    }
    const dh_status status = dh_settings_resolve(&options, &settings);
    dh_options_free(&options);
    return status == DH_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dh_settings_free(&settings);
    return 0;
}

/* ---- a backend like cpu, with faults ----------------------------------------------------------------- */

enum { CALLS_NEVER = 1 << 30 };

static struct {
    uint32_t documents_max;  /* more do not fit */
    uint32_t calls_to_loss;  /* of kernels */
    uint32_t polls_to_ready; /* poll says BUSY before */
    uint32_t lanes;          /* asked for */
    bool wrong, accelerator;
    /* what was seen */
    bool lost;
    bool busy[DH_LANES_MAX];
    uint32_t polls[DH_LANES_MAX];
    uint32_t busy_now, busy_most, opened, closed, pinned, calls_when_lost;
    uint64_t most_documents;
} fake;

static dh_backend_kind fake_kind;

static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake.documents_max = UINT32_MAX;
    fake.calls_to_loss = CALLS_NEVER;
}

static dh_backend_status fake_facts(uint32_t device, dh_device_facts *out)
{
    assert_int_equal(device, 0);
    *out = (dh_device_facts){.name = "a \"fake\" device",
                             .driver = "driver 1.2",
                             .level = "level 7",
                             .memory = 17300000000,
                             .units = 1,
                             .clock_mhz = 1980,
                             .is_accelerator = fake.accelerator};
    return DH_BACKEND_OK;
}

static dh_backend_status fake_open(const dh_backend_options *options, dh_backend **out,
                                   char why[DH_BACKEND_TEXT])
{
    fake.lanes = options->lanes;
    fake.opened++;
    assert_true(options->lane_bytes > 1 << 20);
    const dh_backend_status status = dh_backend_cpu.open(options, out, why);
    (*out)->kind = &fake_kind;
    return status;
}

static void fake_close(dh_backend *backend)
{
    fake.closed++;
    dh_backend_cpu.close(backend);
}

static const char *fake_error(const dh_backend *backend)
{
    (void)backend;
    return fake.lost ? "fell off the bus" : "";
}

static void fake_pin(dh_backend *backend, void *memory, size_t size)
{
    assert_true(backend->kind == &fake_kind && memory != NULL && size > 0);
    fake.calls_when_lost += fake.lost;
    fake.pinned++;
}

static void fake_unpin(dh_backend *backend, void *memory)
{
    assert_true(backend->kind == &fake_kind && memory != NULL);
    fake.calls_when_lost += fake.lost;
    fake.pinned--;
}

static dh_backend_status fake_begin(dh_lane *lane, const dh_batch *batch)
{
    fake.calls_when_lost += fake.lost;
    assert_false(fake.busy[lane->number]);
    if (batch->document_count > fake.documents_max) {
        return DH_BACKEND_NO_MEMORY;
    }
    fake.busy[lane->number] = true;
    fake.polls[lane->number] = 0;
    fake.busy_now++;
    fake.busy_most = fake.busy_now > fake.busy_most ? fake.busy_now : fake.busy_most;
    fake.most_documents =
        batch->document_count > fake.most_documents ? batch->document_count : fake.most_documents;
    return dh_backend_cpu.begin(lane, batch);
}

static dh_backend_status fake_poll(dh_lane *lane)
{
    fake.calls_when_lost += fake.lost;
    if (fake.busy[lane->number] && fake.polls[lane->number]++ < fake.polls_to_ready) {
        return DH_BACKEND_BUSY;
    }
    fake.busy_now -= fake.busy[lane->number];
    fake.busy[lane->number] = false;
    return DH_BACKEND_OK;
}

static dh_backend_status fake_sha256(dh_lane *lane, char *hex)
{
    if (fake.calls_to_loss-- == 0) {
        fake.lost = true;
        return DH_BACKEND_LOST;
    }
    const dh_backend_status status = dh_backend_cpu.sha256(lane, hex);
    hex[0] = (char)(hex[0] ^ fake.wrong);
    return status;
}

static void fake_make(void)
{
    fake_kind = dh_backend_cpu;
    fake_kind.name = "fake";
    fake_kind.facts = fake_facts;
    fake_kind.open = fake_open;
    fake_kind.close = fake_close;
    fake_kind.error = fake_error;
    fake_kind.pin = fake_pin;
    fake_kind.unpin = fake_unpin;
    fake_kind.begin = fake_begin;
    fake_kind.poll = fake_poll;
    fake_kind.sha256 = fake_sha256;
    fake_reset();
}

/* The inventory of one kind, and what was said on stderr. */
static const char *take_inventory(const dh_backend_kind *kind, dh_inventory *out)
{
    const dh_backend_kind *const kinds[] = {kind, NULL};
    support_capture_begin();
    const dh_status status = dh_inventory_make(&settings, kinds, SECONDS, NULL, out);
    const char *said = support_capture_end();
    assert_int_equal(status, DH_OK);
    assert_int_equal(out->kind_count, 1);
    return said;
}

static char *printed(const dh_inventory *inventory, bool json)
{
    static char text[1 << 14];
    dh_buffer out = {0};
    assert_ok(json ? dh_inventory_append_json(inventory, &out) : dh_inventory_append_text(inventory, &out));
    assert_true(out.size < sizeof text);
    memcpy(text, out.data, out.size);
    text[out.size] = '\0';
    dh_buffer_free(&out);
    return text;
}

/* ---- tests ------------------------------------------------------------------------------------------- */

static void test_sample(void **state)
{
    (void)state;
    enum { DOCUMENTS = 301 };
    dh_sample sample = {0};
    dh_sample again = {0};
    assert_ok(dh_sample_make(&settings, DOCUMENTS, &sample));
    assert_ok(dh_sample_make(&settings, DOCUMENTS, &again));
    const dh_batch *batch = &sample.batch;
    assert_int_equal(batch->document_count, DOCUMENTS);
    assert_int_equal((uintptr_t)sample.block % 4096, 0);
    assert_memory_equal(batch->text, again.batch.text, (size_t)DOCUMENTS * DH_SAMPLE_DOCUMENT);
    assert_int_equal(sample.size, again.size);
    assert_true(batch->prefix_hit_offset[DOCUMENTS] > 0);
    const uint8_t *block = sample.block;
    assert_true((const uint8_t *)(batch->lexicon + DOCUMENTS) <= block + sample.size);
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        const uint8_t *text = batch->text + batch->text_offset[d];
        assert_int_equal(batch->text_offset[d + 1] - batch->text_offset[d], DH_SAMPLE_DOCUMENT);
        assert_int_equal(dh_utf8_valid_prefix(text, DH_SAMPLE_DOCUMENT), DH_SAMPLE_DOCUMENT);
        assert_int_equal(batch->lexicon[d], d % dh_lexicons_count(settings.lexicons));
        const uint64_t tokens = batch->token_offset[d + 1] - batch->token_offset[d];
        assert_true(tokens > 100 && tokens < 300);
        const uint16_t language =
            dh_lexicons_vote(settings.lexicons, batch->token + batch->token_offset[d], tokens);
        assert_int_equal(dh_lexicons_find(settings.lexicons, language), batch->lexicon[d]);
    }
    dh_sample_free(&sample);
    dh_sample_free(&again);
}

static void test_cpu(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    assert_string_equal(take_inventory(&dh_backend_cpu, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_int_equal(inventory.kind[0].device_count, 1);
    const dh_inventory_device *device = &inventory.kind[0].device[0];
    assert_int_equal(device->state, DH_DEVICE_GOOD);
    assert_int_equal(device->rate_count, 5); /* vocab and null are not measured */
    const char *const job[] = {"documents", "profile", "digest", "features", "neardup"};
    for (size_t r = 0; r < COUNT(job); r++) {
        assert_string_equal(device->rate[r].job, job[r]);
        assert_true(device->rate[r].documents > 100);
        assert_true(device->rate[r].text == device->rate[r].documents * DH_SAMPLE_DOCUMENT);
    }
    assert_says(printed(&inventory, false), "self-test   passed");
    assert_says(printed(&inventory, false), "documents/s, one core");
    dh_inventory_free(&inventory);
}

static uint32_t no_devices(char why[DH_BACKEND_TEXT])
{
    (void)snprintf(why, DH_BACKEND_TEXT, "no driver is installed");
    return 0;
}

static uint32_t no_devices_no_reason(char why[DH_BACKEND_TEXT])
{
    why[0] = '\0';
    return 0;
}

static uint32_t one_of_two(char why[DH_BACKEND_TEXT])
{
    (void)snprintf(why, DH_BACKEND_TEXT, "device X has no double precision");
    return 1;
}

static void test_missing(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    const dh_backend_kind not_built = {.name = "fake", .not_built = "its compiler was not found"};
    assert_string_equal(take_inventory(&not_built, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_says(printed(&inventory, false), "  fake        none: its compiler was not found\n");
    assert_says(
        printed(&inventory, true),
        "{\"name\":\"fake\",\"built\":false,\"missing\":\"its compiler was not found\",\"devices\":[]}");
    dh_inventory_free(&inventory);

    fake_make();
    fake_kind.devices = no_devices;
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_says(printed(&inventory, false), "  fake        none: no driver is installed\n");
    assert_says(printed(&inventory, true), "\"built\":true,\"missing\":\"no driver is installed\"");
    dh_inventory_free(&inventory);

    fake_kind.devices = no_devices_no_reason;
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_says(printed(&inventory, false), "  fake        none: there is no device\n");
    dh_inventory_free(&inventory);

    fake_kind.devices = one_of_two;
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_says(printed(&inventory, false), "  fake        also: device X has no double precision\n");
    assert_says(printed(&inventory, false), "self-test   passed");
    dh_inventory_free(&inventory);
}

static dh_backend_status cannot_open(const dh_backend_options *options, dh_backend **out,
                                     char why[DH_BACKEND_TEXT])
{
    (void)options;
    *out = NULL;
    (void)snprintf(why, DH_BACKEND_TEXT, "permission denied: /dev/fake0");
    return DH_BACKEND_LOST;
}

static dh_backend_status no_facts(uint32_t device, dh_device_facts *out)
{
    (void)device;
    (void)out;
    return DH_BACKEND_LOST;
}

static void test_closed(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    fake_make();
    fake_kind.open = cannot_open;
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_int_equal(inventory.kind[0].device[0].state, DH_DEVICE_CLOSED);
    assert_says(printed(&inventory, false), "  fake 0      a \"fake\" device\n");
    assert_says(printed(&inventory, false),
                "has         1 compute unit, up to 1,980 MHz, 17.3 GB of memory\n");
    assert_says(printed(&inventory, false), "driver      driver 1.2\n");
    assert_says(printed(&inventory, false),
                "self-test   not run: it cannot be used: permission denied: /dev/fake0\n");
    assert_says(printed(&inventory, true), "\"name\":\"a \\\"fake\\\" device\",\"level\":\"level 7\"");
    assert_says(printed(&inventory, true), "\"self_test\":\"not run\",\"reason\":\"permission denied");
    dh_inventory_free(&inventory);

    fake_kind.facts = no_facts;
    (void)take_inventory(&fake_kind, &inventory);
    assert_int_equal(inventory.kind[0].device[0].state, DH_DEVICE_CLOSED);
    assert_says(printed(&inventory, false), "a device without a name\n");
    dh_inventory_free(&inventory);
}

static void test_wrong(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    fake_make();
    fake.wrong = true;
    assert_says(take_inventory(&fake_kind, &inventory), "known answer");
    assert_int_equal(inventory.found, DH_INTERNAL);
    assert_int_equal(inventory.kind[0].device[0].state, DH_DEVICE_WRONG);
    assert_int_equal(inventory.kind[0].device[0].rate_count, 0);
    assert_says(printed(&inventory, false), "self-test   FAILED: do not use it for a run\n");
    assert_says(printed(&inventory, true), "\"self_test\":\"failed\"");
    assert_int_equal(fake.opened, fake.closed);
    dh_inventory_free(&inventory);
}

static void test_lost(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    fake_make();
    fake.calls_to_loss = 2; /* behind the self-test and the warm-up */
    assert_says(take_inventory(&fake_kind, &inventory),
                "backend fake, device 0: job documents: fell off the bus");
    assert_int_equal(inventory.found, DH_FAILED);
    assert_int_equal(inventory.kind[0].device[0].state, DH_DEVICE_FAILED);
    assert_says(printed(&inventory, false),
                "self-test   FAILED: it broke down under work: fell off the bus\n");
    assert_int_equal(fake.calls_when_lost, 0);
    assert_int_equal(fake.opened, 1);
    assert_int_equal(fake.closed, 1);
    dh_inventory_free(&inventory);
}

static void test_small(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    fake_make();
    fake.documents_max = 100; /* 1,024 halved four times: 64 */
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_int_equal(inventory.kind[0].device[0].rate_count, 5);
    assert_int_equal(fake.most_documents, 64);
    assert_int_equal(fake.pinned, 0);
    dh_inventory_free(&inventory);
}

static void test_accelerator(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    fake_make();
    fake.accelerator = true;
    fake.polls_to_ready = 2;
    assert_string_equal(take_inventory(&fake_kind, &inventory), "");
    assert_int_equal(inventory.found, DH_OK);
    assert_int_equal(inventory.kind[0].device[0].rate_count, 5);
    assert_true(fake.lanes > 1);
    assert_int_equal(fake.busy_most, fake.lanes);
    assert_int_equal(fake.busy_now, 0);
    assert_true(fake.most_documents > 10000);
    assert_int_equal(fake.pinned, 0);
    dh_inventory_free(&inventory);
}

static void test_many_ranks(void **state)
{
    (void)state;
    dh_inventory inventory = {0};
    const dh_backend_kind not_built = {.name = "fake", .not_built = "not here"};
    (void)take_inventory(&not_built, &inventory);
    inventory.rank = 4;
    inventory.ranks = 2;
    assert_says(printed(&inventory, false), ": 2 ranks, rank 4 sees\n");
    assert_says(printed(&inventory, true), "\"rank\":4,\"ranks\":2,");
    dh_inventory_free(&inventory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample), cmocka_unit_test(test_cpu),         cmocka_unit_test(test_missing),
        cmocka_unit_test(test_closed), cmocka_unit_test(test_wrong),       cmocka_unit_test(test_lost),
        cmocka_unit_test(test_small),  cmocka_unit_test(test_accelerator), cmocka_unit_test(test_many_ranks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
