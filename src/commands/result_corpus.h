/* dhatu: from a result back to the corpus: the options that it was made with, and its sources. */
#ifndef DH_COMMANDS_RESULT_CORPUS_H
#define DH_COMMANDS_RESULT_CORPUS_H

#include "commands/result_view.h"
#include "options/options.h"
#include "plan/plan.h"

/* As many arguments as wanted? needs: "export needs one result". Errors: DH_USAGE (logged, with a hint where
 * the shell made several arguments of one --sources). */
dh_status dh_result_check_arguments(const dh_options *options, int wanted, const char *needs);

/* The options of the run, as the result records them; the lexicons are the default ones. Owner frees with
 * dh_options_free. Errors: DH_MISMATCH, DH_USAGE, DH_NO_MEMORY (logged). */
dh_status dh_result_run_options(const dh_result_view *view, dh_options *out);

/* How the records were read. Owner frees out->paths. */
dh_status dh_result_record_options(const dh_options *run_options, dh_record_options *out);

/* Lists the sources of --sources (inputs with newlines between). Appends the block of a plan. */
dh_status dh_result_list_sources(const char *inputs, const dh_record_options *records, dh_buffer *block);

/* A source of the result. */
typedef struct dh_result_source {
    uint64_t documents, bytes;
    dh_buffer name, hash; /* with a NUL behind size */
} dh_result_source;

/* *source is zeroed or of an earlier call; owner frees with dh_result_source_free. */
dh_status dh_result_source_read(dh_result_view *view, uint64_t number, dh_result_source *source);
void dh_result_source_free(dh_result_source *source);

/* The number of a source in a plan, by its name. Errors: DH_MISMATCH (it has none; logged). */
dh_status dh_result_source_find(const dh_result_view *view, const dh_plan *plan, const char *name,
                                uint64_t *number);

#endif
