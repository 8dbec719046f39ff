/* Tests of commands/job_facts.h: what Slurm's environment and control groups say, also when they say nothing
 * of use. */
#include "support.h"

#include "commands/job_facts.h"

static const char *const names[] = {
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
    "SLURM_RESTART_COUNT",
    "SLURM_JOB_NUM_NODES",
    "SLURM_CPUS_ON_NODE",
    "SLURM_MEM_PER_NODE",
    "SLURM_JOB_CPUS_PER_NODE",
    "SLURM_MEM_PER_CPU",
    "LOADEDMODULES",
    "SLURM_MEM_PER_GPU",
    "SLURM_HET_SIZE",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1",
    "SLURM_JOB_NUM_NODES_HET_GROUP_0",
    "SLURM_JOB_NUM_NODES_HET_GROUP_1",
    "SLURM_JOB_NODELIST_HET_GROUP_0",
    "SLURM_JOB_NODELIST_HET_GROUP_1",
};

static void clear(void)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void sums(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t sum;
    } cases[] = {
        {"64", 64},
        {"64(x2),32", 160},
        {"1(x3)", 3},
        {"2,2(x1),3(x10)", 34},
        {"0", 0},
        {"5(x0)", 0},
        {"0(x7),5", 5},
        {"1099511627776", UINT64_C(1099511627776)},
        {"1099511627777", 0},
        {"1099511627776,1", 0},
        {"1048576(x1048577)", 0},
        {"99999999999999999999999", 0},
        {"4(x99999999999999999999999)", 0},
        {"", 0},
        {"64,", 0},
        {",64", 0},
        {"64(x2", 0},
        {"64(x)", 0},
        {"64(2)", 0},
        {"64(x2)32", 0},
        {"-1", 0},
        {"+1", 0},
        {" 1", 0},
        {"1 ", 0},
        {"many", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint64_t sum = dh_job_sum(cases[i].text);
        if (sum != cases[i].sum) {
            fail_msg("\"%s\" is %llu", cases[i].text, (unsigned long long)sum);
        }
    }
}

static void no_job(void **state)
{
    (void)state;
    dh_job_facts facts;
    clear();
    dh_job_facts_read(&facts);
    assert_false(facts.is_slurm);
    assert_int_equal(dh_job_memory_here(&facts), 0);
    set("SLURM_MEM_PER_NODE", "100"); /* of a login shell, say */
    set("SLURM_JOB_ID", "");
    dh_job_facts_read(&facts);
    assert_false(facts.is_slurm);
    assert_int_equal(facts.memory_per_node, 0);
}

static void whole_job(void **state)
{
    (void)state;
    dh_job_facts facts;
    clear();
    set("SLURM_JOB_ID", "4242");
    set("SLURM_ARRAY_JOB_ID", "4240");
    set("SLURM_ARRAY_TASK_ID", "3");
    set("SLURM_CLUSTER_NAME", "lynx");
    set("SLURM_JOB_PARTITION", "cpubase");
    set("SLURM_JOB_NODELIST", "nc[10-12]");
    set("SLURM_RESTART_COUNT", "2");
    set("SLURM_JOB_NUM_NODES", "3");
    set("SLURM_JOB_CPUS_PER_NODE", "64(x2),32");
    set("SLURM_CPUS_ON_NODE", "64");
    set("SLURM_MEM_PER_CPU", "2048");
    set("LOADEDMODULES", "StdEnv/2023:gcc/12.3");
    dh_job_facts_read(&facts);
    assert_true(facts.is_slurm);
    assert_string_equal(facts.job, "4242");
    assert_string_equal(facts.array, "4240_3");
    assert_string_equal(facts.cluster, "lynx");
    assert_string_equal(facts.partition, "cpubase");
    assert_string_equal(facts.nodes, "nc[10-12]");
    assert_string_equal(facts.modules, "StdEnv/2023:gcc/12.3");
    assert_int_equal(facts.start, 3);
    assert_int_equal(facts.node_count, 3);
    assert_int_equal(facts.cpus, 160);
    assert_int_equal(facts.memory_per_node, 0);
    assert_int_equal(facts.memory_per_cpu, UINT64_C(2) << 30);
    assert_int_equal(dh_job_memory_here(&facts), UINT64_C(128) << 30);
    assert_false(facts.memory_per_gpu);
    set("SLURM_MEM_PER_GPU", "4096");
    set("SLURM_MEM_PER_NODE", "4096");
    dh_job_facts_read(&facts);
    assert_true(facts.memory_per_gpu);
    assert_int_equal(dh_job_memory_here(&facts), UINT64_C(4) << 30);
}

/* The plain variables are those of one component. */
static void heterogeneous_job(void **state)
{
    (void)state;
    dh_job_facts facts;
    clear();
    set("SLURM_JOB_ID", "7");
    set("SLURM_HET_SIZE", "2");
    set("SLURM_JOB_NUM_NODES", "3");
    set("SLURM_JOB_NODELIST", "nc[10-12]");
    set("SLURM_JOB_CPUS_PER_NODE", "8(x3)");
    set("SLURM_JOB_NUM_NODES_HET_GROUP_0", "3");
    set("SLURM_JOB_NUM_NODES_HET_GROUP_1", "1");
    set("SLURM_JOB_NODELIST_HET_GROUP_0", "nc[10-12]");
    set("SLURM_JOB_NODELIST_HET_GROUP_1", "ng4");
    set("SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0", "8(x3)");
    set("SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1", "12");
    dh_job_facts_read(&facts);
    assert_int_equal(facts.components, 2);
    assert_int_equal(facts.node_count, 4);
    assert_int_equal(facts.cpus, 36);
    assert_string_equal(facts.nodes, "nc[10-12],ng4");
    set("SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1", "many");
    assert_int_equal(unsetenv("SLURM_JOB_NUM_NODES_HET_GROUP_0"), 0);
    dh_job_facts_read(&facts);
    assert_int_equal(facts.cpus, 0); /* half a sum would be wrong */
    assert_int_equal(facts.node_count, 0);
    set("SLURM_HET_SIZE", "1");
    dh_job_facts_read(&facts);
    assert_int_equal(facts.components, 1);
    assert_int_equal(facts.cpus, 24);
    assert_string_equal(facts.nodes, "nc[10-12]");
}

static void odd_values(void **state)
{
    (void)state;
    static const char *const odd[] = {"",    "x",    "-1", "1e3",          "99999999999999999999999999",
                                      "12 ", "0x10", "\n", "1099511627777"};
    dh_job_facts facts;
    for (size_t o = 0; o < COUNT(odd); o++) {
        clear();
        for (size_t i = 0; i < COUNT(names); i++) {
            set(names[i], odd[o]);
        }
        set("SLURM_JOB_ID", "1");
        dh_job_facts_read(&facts);
        assert_true(facts.is_slurm);
        assert_int_equal(facts.start, 1);
        assert_int_equal(facts.node_count, 0);
        assert_int_equal(facts.cpus, 0);
        assert_int_equal(facts.cpus_here, 0);
        assert_int_equal(dh_job_memory_here(&facts), 0);
    }
}

/* What is printed does nothing to a terminal, and has an end. */
static void long_and_wild_texts(void **state)
{
    (void)state;
    char text[4 * DH_JOB_LONG_TEXT];
    memset(text, 'n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[1] = '\033';
    text[2] = '\n';
    text[3] = (char)0xFF;
    dh_job_facts facts;
    clear();
    for (size_t i = 0; i < COUNT(names); i++) {
        set(names[i], text);
    }
    dh_job_facts_read(&facts);
    assert_int_equal(strlen(facts.nodes), DH_JOB_LONG_TEXT - 1);
    assert_int_equal(strlen(facts.modules), DH_JOB_LONG_TEXT - 1);
    assert_int_equal(strlen(facts.cluster), DH_JOB_TEXT - 1);
    assert_memory_equal(facts.nodes, "n???nnn", 7);
    assert_string_equal(facts.nodes + DH_JOB_LONG_TEXT - 5, "n...");
    assert_true(strlen(facts.array) < DH_JOB_TEXT);
    text[DH_JOB_TEXT - 1] = '\0'; /* fits exactly */
    set("SLURM_CLUSTER_NAME", text);
    dh_job_facts_read(&facts);
    assert_int_equal(strlen(facts.cluster), DH_JOB_TEXT - 1);
    assert_int_equal(facts.cluster[DH_JOB_TEXT - 2], 'n');
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(support_path(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static uint64_t peak(const char *groups, const char *job)
{
    write_text("groups", groups);
    return dh_job_memory_peak(support_path("groups"), support_path(""), job);
}

static void memory_peak(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        static const char *const folder[] = {"memory", "memory/slurm", "memory/slurm/job_7",
                                             "scope",  "scope/job_7",  "scope/job_7/step_0"};
        (void)support_make_folder(folder[i]);
    }
    write_text("memory/slurm/job_7/memory.max_usage_in_bytes", "1234567\n");
    write_text("scope/job_7/memory.peak", "7654321\n");
    write_text("scope/job_7/step_0/memory.peak", "11\n");
    assert_int_equal(peak("9:cpu:/x\n4:memory:/slurm/job_7/step_0/task_1\n0::/\n", "7"), 1234567);
    assert_int_equal(peak("0::/scope/job_7/step_0/user/task_0\n", "7"), 7654321);
    assert_int_equal(peak("0::/scope/job_7\n", "7"), 7654321);
    assert_int_equal(peak("0::/scope/job_77/step_0\n", "7"), 0);
    assert_int_equal(peak("0::/scope/job_7/step_0\n", "8"), 0);
    assert_int_equal(peak("0::/scope/job_7/step_0\n", ""), 0);
    assert_int_equal(peak("4:cpu:/scope/job_7/step_0\n", "7"), 0);
    assert_int_equal(peak("", "7"), 0);
    assert_int_equal(peak("no colon at all\n:\n", "7"), 0);
    write_text("scope/job_7/memory.peak", "max\n");
    assert_int_equal(peak("0::/scope/job_7\n", "7"), 0);
    write_text("scope/job_7/memory.peak", "");
    assert_int_equal(peak("0::/scope/job_7\n", "7"), 0);
    assert_int_equal(dh_job_memory_peak(support_path("none"), support_path(""), "7"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),        cmocka_unit_test(no_job),
        cmocka_unit_test(whole_job),   cmocka_unit_test(heterogeneous_job),
        cmocka_unit_test(odd_values),  cmocka_unit_test(long_and_wild_texts),
        cmocka_unit_test(memory_peak),
    };
    return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
