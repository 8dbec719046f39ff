#include "shuffle/runs.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"

#include <stdlib.h>
#include <string.h>

dh_status dh_runs_path(const dh_runs *runs, uint64_t number, dh_buffer *out)
{
    const dh_checkpoint_name name = {.file = DH_CHECKPOINT_SHUFFLE,
                                     .epoch = runs->epoch,
                                     .rank = runs->rank,
                                     .name = runs->name,
                                     .number = number};
    return dh_checkpoint_named_path(runs->folder, &name, out);
}

void dh_runs_abandon(dh_run_writer *writer)
{
    dh_block_writer_free(&writer->blocks);
    /* An error was told of already; removing says another one itself. */
    (void)dh_file_remove((const char *)writer->path.data);
    dh_buffer_free(&writer->path);
}

dh_status dh_runs_begin(dh_runs *runs, dh_run_writer *out)
{
    dh_run_writer writer = {.number = runs->made};
    if (runs->poll != NULL) { /* before a file is made: does the attempt hold the folder? */
        DH_TRY(runs->poll(runs->poll_context));
    }
    DH_TRY(dh_runs_path(runs, writer.number, &writer.path));
    writer.blocks = (dh_block_writer){.path = (const char *)writer.path.data,
                                      .count = runs->count,
                                      .poll = runs->poll,
                                      .poll_context = runs->poll_context};
    const dh_status status = dh_block_writer_open(&writer.blocks);
    if (status != DH_OK) {
        dh_block_writer_free(&writer.blocks);
        dh_buffer_free(&writer.path);
        return status;
    }
    runs->made++;
    *out = writer;
    return DH_OK;
}

static dh_status list_run(dh_runs *runs, const dh_run_writer *writer)
{
    if (runs->run_count == runs->run_capacity) {
        const size_t grown = runs->run_capacity == 0 ? 16 : 2 * runs->run_capacity;
        void *memory = runs->run;
        DH_TRY(dh_reallocate(grown, sizeof *runs->run, "the list of runs", &memory));
        runs->run = memory;
        runs->run_capacity = grown;
    }
    runs->run[runs->run_count++] = (dh_run){
        .number = writer->number, .bytes = writer->blocks.bytes, .block_max = writer->blocks.block_max};
    runs->bytes_spilled += writer->blocks.bytes;
    return DH_OK;
}

dh_status dh_runs_end(dh_runs *runs, dh_run_writer *writer)
{
    dh_status status = dh_block_writer_flush(&writer->blocks);
    if (status == DH_OK) {
        status = dh_block_writer_close(&writer->blocks);
    }
    if (status == DH_OK) {
        status = list_run(runs, writer);
    }
    if (status != DH_OK) {
        dh_runs_abandon(writer);
        return status;
    }
    dh_fault_place("shuffle");
    dh_block_writer_free(&writer->blocks);
    dh_buffer_free(&writer->path);
    return DH_OK;
}

/* All of them are tried. */
static dh_status remove_files(const dh_runs *runs, size_t count)
{
    dh_status first = DH_OK;
    dh_buffer path = {0};
    for (size_t r = 0; r < count; r++) {
        dh_status status = dh_runs_path(runs, runs->run[r].number, &path);
        if (status == DH_OK) {
            status = dh_file_remove((const char *)path.data);
        }
        first = first != DH_OK ? first : status;
    }
    dh_buffer_free(&path);
    return first;
}

dh_status dh_runs_remove(dh_runs *runs, size_t count)
{
    const dh_status status = remove_files(runs, count);
    runs->run_count -= count;
    memmove(runs->run, runs->run + count, runs->run_count * sizeof *runs->run);
    return status;
}

void dh_runs_free(dh_runs *runs)
{
    (void)remove_files(runs, runs->run_count);
    free(runs->run);
    runs->run = NULL;
    runs->run_count = runs->run_capacity = 0;
}
