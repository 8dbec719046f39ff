/* Tests of run/settings.h: options to settings. */
#include "pipeline_runs.h"

static void expect_refused(const char *const *argument, const char *reason)
{
    dh_options options;
    dh_settings settings;
    support_capture_begin();
    const dh_status status = resolve(argument, &options, &settings);
    assert_says(support_capture_end(), reason);
    assert_int_equal(status, DH_USAGE);
    dh_settings_free(&settings);
    dh_options_free(&options);
}

/* ---- settings ---------------------------------------------------------------------------------------- */

static void test_bad_settings_are_told(void **state)
{
    (void)state;
    expect_refused(LIST("-j", "profil", "in"), "--jobs: there is no job \"profil\"");
    expect_refused(LIST("-j", "digest,,null", "in"), "--jobs: there is no job \"\"");
    expect_refused(LIST("-j", "digest,digest", "in"), "--jobs names digest twice");
    expect_refused(LIST("--lang", "french", "in"), "--lang: \"french\" is no language code");
    expect_refused(LIST("--text-field", "a..b", "in"), "an empty name");
    for (size_t k = 0; dh_backend_kinds[k] != NULL; k++) {
        if (dh_backend_kinds[k]->not_built != NULL) {
            expect_refused(LIST("--backend", dh_backend_kinds[k]->name, "in"),
                           dh_backend_kinds[k]->not_built);
        }
    }
    expect_refused(LIST("-l", support_write_text("bad.tsv", "x"), "in"), "bad.tsv:1: ");
}

static void test_the_schema_has_every_job_s_columns(void **state)
{
    (void)state;
    dh_options options;
    dh_settings settings;
    assert_ok(resolve(LIST("-j", "null,profile,digest", "-l", lexicon_path(), "in"), &options, &settings));
    assert_int_equal(settings.job_count, 4);
    assert_ptr_equal(settings.job[0].job, &dh_job_documents);
    assert_ptr_equal(settings.job[1].job, &dh_job_null);
    uint32_t next = DH_ENGINE_COLUMNS;
    uint32_t sums = 0;
    for (uint32_t j = 0; j < settings.job_count; j++) {
        assert_int_equal(settings.job[j].first_column, next);
        assert_int_equal(settings.job[j].first_source_sum, sums);
        next += settings.job[j].column_count;
        sums += settings.job[j].source_sum_count;
    }
    assert_int_equal(settings.schema.column_count, next);
    assert_int_equal(settings.schema.source_sum_count, sums);
    assert_int_equal(sums, 1 + 4);
    for (uint32_t c = 0; c < next; c++) {
        assert_int_equal(settings.schema.row_size[c], dh_column_row_size(&settings.schema.column[c]));
    }
    dh_settings_free(&settings);
    dh_options_free(&options);
}

/* The config has what changes the result, as JSON, and no path. */
static void test_the_config_of_the_result(void **state)
{
    (void)state;
    dh_options options;
    dh_settings settings;
    assert_ok(resolve(LIST("-j", "digest,profile", "-l", lexicon_path(), "--max-record", "2M", "-o",
                           "secret-name.h5", "--text-field", "a\\.\"b", "in"),
                      &options, &settings));
    dh_buffer config = {0};
    assert_ok(dh_settings_config(&settings, &options, &config));
    assert_ok(dh_buffer_append(&config, "", 1));
    const char *text = (const char *)config.data;
    assert_says(text, "\"jobs\":\"digest,profile\"");
    assert_says(text, "\"max-record\":2097152");
    assert_says(text, "\"text-field\":\"a\\\\.\\\"b\"");
    assert_says(text, "\"lang\":null");
    assert_says(text, "\"language\":\"en\",\"sha256\":\"");
    assert_null(strstr(text, "secret-name"));
    assert_null(strstr(text, support_folder));
    static const char *const path[] = {"jobs"};
    dh_json_paths *paths = NULL;
    dh_json_value value[1];
    size_t error_offset = 0;
    assert_ok(dh_json_paths_create(path, 1, &paths));
    assert_int_equal(dh_json_scan(paths, config.data, config.size - 1, value, &error_offset), DH_JSON_OK);
    dh_json_paths_free(paths);
    dh_buffer_free(&config);
    dh_settings_free(&settings);
    dh_options_free(&options);
}

static void test_the_default_lexicons_are_found(void **state)
{
    (void)state;
    dh_buffer list = {0};
    assert_ok(dh_default_lexicons(&list));
    assert_ok(dh_buffer_append(&list, "", 1));
    assert_says((const char *)list.data, "lexicon/en.tsv\n");
    assert_says((const char *)list.data, "lexicon/fr.tsv");
    dh_buffer_free(&list);
    collected *all =
        process_text(LIST("--tokens", "sklearn", "in"), "{\"text\":\"It is possible that they can't\"}");
    assert_int_equal(all->rows, 1);
    free_collected(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_settings_are_told),
        cmocka_unit_test(test_the_schema_has_every_job_s_columns),
        cmocka_unit_test(test_the_config_of_the_result),
        cmocka_unit_test(test_the_default_lexicons_are_found),
    };
    (void)unsetenv("DHATU_DATA");
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
