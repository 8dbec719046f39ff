/* dhatu: the datasets with a row a source, the quality counts and the quarantine. A rank has blocks of
 * sources; it reads the source parts and bad records of the chunks that concern them. */
#include "base/file.h"
#include "base/log.h"
#include "output/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct source_writer {
    dh_writer *writer;
    dh_share share;        /* of source blocks */
    uint64_t first, count; /* the block's sources */
    dh_buffer parts;       /* of the block: dh_source_part and sums, a place a source */
    dh_buffer raw;         /* as read of a chunk */
    dh_buffer *digests;    /* of the source datasets */
    dh_buffer quarantine;  /* text of this rank that is not written yet */
    int quarantine_file;
    uint64_t quarantine_size; /* counted in the first pass, then written from quarantine_offset */
    uint64_t quarantine_offset;
    bool counting;
} source_writer;

static dh_source_part *part_at(const source_writer *sources, const dh_buffer *parts, uint64_t index)
{
    return (dh_source_part *)(void *)(parts->data + index * dh_part_size(&sources->writer->settings->schema));
}

/* The first chunk of the work item that has source, or of the first one behind it. */
static uint64_t first_chunk_of(const dh_chunk_table *table, uint64_t source)
{
    uint64_t low = 0;
    uint64_t high = table->count;
    while (low < high) { /* the first entry whose first_source is above source */
        const uint64_t middle = low + (high - low) / 2;
        if (table->entry[middle].first_source <= source) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* The item in front may reach up to source: go back to its first chunk. */
    while (low > 1 && table->entry[low - 2].first_source == table->entry[low - 1].first_source) {
        low--;
    }
    return low > 0 ? low - 1 : 0;
}

/* ---- parts ------------------------------------------------------------------------------------------- */

static void add_part(const source_writer *sources, const dh_source_part *part)
{
    dh_source_part *sum = part_at(sources, &sources->parts, part->source - sources->first);
    const uint64_t *their_sums = (const uint64_t *)(part + 1);
    uint64_t *sums = (uint64_t *)(sum + 1);
    sum->bytes += part->bytes;
    sum->lines += part->lines;
    sum->blank_lines += part->blank_lines;
    sum->blank_bytes += part->blank_bytes;
    sum->unchecked += part->unchecked;
    sum->failed_bytes += part->failed_bytes;
    sum->documents += part->documents;
    sum->bad += part->bad;
    sum->replaced += part->replaced;
    dh_content_hash hash = {sum->hash_low, sum->hash_high};
    dh_content_hash_add(&hash, (dh_content_hash){part->hash_low, part->hash_high});
    sum->hash_low = hash.low;
    sum->hash_high = hash.high;
    for (uint32_t i = 0; i < sources->writer->settings->schema.source_sum_count; i++) {
        sums[i] += their_sums[i];
    }
}

static dh_status read_parts(source_writer *sources)
{
    const dh_chunk_table *table = sources->writer->table;
    const size_t size = sources->count * dh_part_size(&sources->writer->settings->schema);
    sources->parts.size = 0;
    DH_TRY(dh_buffer_reserve(&sources->parts, size));
    memset(sources->parts.data, 0, size);
    const uint64_t end = sources->first + sources->count;
    for (uint64_t c = first_chunk_of(table, sources->first);
         c < table->count && table->entry[c].first_source < end; c++) {
        sources->raw.size = 0;
        DH_TRY(dh_row_reader_parts(sources->writer->reader, &table->entry[c], &sources->raw));
        for (uint32_t p = 0; p < table->entry[c].part_count; p++) {
            const dh_source_part *part = part_at(sources, &sources->raw, p);
            if (part->source >= sources->first && part->source < end) {
                add_part(sources, part);
            }
        }
    }
    return DH_OK;
}

static void count_quality(source_writer *sources)
{
    dh_quality *quality = &sources->writer->quality;
    for (uint64_t i = 0; i < sources->count; i++) {
        const dh_source_part *part = part_at(sources, &sources->parts, i);
        quality->documents += part->documents;
        quality->blank += part->blank_lines;
        quality->blank_bytes += part->blank_bytes;
        quality->replaced += part->replaced;
        quality->unchecked_sources += part->unchecked > 0;
        quality->source_bytes += part->bytes;
        quality->reason_bytes[DH_REASON_SOURCE_UTF16] += part->failed_bytes;
    }
}

/* ---- datasets ---------------------------------------------------------------------------------------- */

static uint64_t fact_of(const dh_source_part *part, uint32_t fact)
{
    switch ((dh_source_fact)fact) {
    case DH_FACT_DOCUMENTS:
        return part->documents;
    case DH_FACT_RECORDS:
        return part->lines;
    case DH_FACT_BYTES:
        return part->bytes;
    case DH_FACT_BAD:
    case DH_FACT_COUNT:
        break;
    }
    return part->bad;
}

static void fill_row(const source_writer *sources, const dh_bulk_dataset *dataset, uint64_t index,
                     uint8_t *row)
{
    const dh_writer *writer = sources->writer;
    const dh_source_part *part = part_at(sources, &sources->parts, index);
    if (dataset->kind == DH_BULK_SOURCE_NAME) {
        const dh_source *source = dh_plan_source(writer->plan, sources->first + index);
        memcpy(row, dh_plan_string(writer->plan, source->name), source->name_size);
    } else if (dataset->kind == DH_BULK_SOURCE_FACT) {
        const uint64_t value = fact_of(part, dataset->index);
        memcpy(row, &value, sizeof value);
    } else if (dataset->kind == DH_BULK_SOURCE_HASH) {
        char hex[40];
        (void)snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, part->hash_high, part->hash_low);
        memcpy(row, hex, 32);
    } else {
        const dh_active_job *active = &writer->settings->job[dataset->index];
        memcpy(row, (const uint64_t *)(part + 1) + active->first_source_sum,
               active->source_sum_count * sizeof(uint64_t));
    }
}

static dh_status write_dataset(source_writer *sources, uint32_t index)
{
    dh_writer *writer = sources->writer;
    const dh_bulk_dataset *dataset = &writer->bulk->dataset[index];
    const uint64_t row_size = dh_h5_row_size(&dataset->array);
    writer->scratch.size = 0;
    DH_TRY(dh_buffer_reserve(&writer->scratch, sources->count * row_size));
    memset(writer->scratch.data, 0, sources->count * row_size);
    for (uint64_t i = 0; i < sources->count; i++) {
        fill_row(sources, dataset, i, writer->scratch.data + i * row_size);
    }
    uint8_t digest[DH_SHA256_SIZE];
    dh_content_block(writer->scratch.data, sources->count * row_size, digest);
    DH_TRY(
        dh_buffer_append(&sources->digests[index - writer->bulk->row_dataset_count], digest, sizeof digest));
    return dh_file_write_at(writer->file, writer->options->partial, writer->scratch.data,
                            sources->count * row_size, dataset->offset + sources->first * row_size);
}

/* ---- quarantine -------------------------------------------------------------------------------------- */

static dh_status flush_quarantine(source_writer *sources)
{
    const size_t size = sources->quarantine.size;
    if (!sources->counting && size > 0) {
        DH_TRY(dh_file_write_at(sources->quarantine_file, sources->writer->options->quarantine_partial,
                                sources->quarantine.data, size, sources->quarantine_offset));
        sources->quarantine_offset += size;
    }
    sources->quarantine_size += sources->counting ? size : 0;
    sources->quarantine.size = 0;
    return DH_OK;
}

static dh_status append_bad(source_writer *sources, const dh_chunk_entry *entry, const dh_bad_record *bad)
{
    enum { FLUSH_SIZE = 1 << 20 };
    dh_buffer *out = &sources->quarantine;
    const dh_reason reason = (dh_reason)bad->reason;
    const char *name = dh_plan_name(sources->writer->plan, bad->source);
    DH_TRY(dh_buffer_printf(out, "{\"source\":"));
    DH_TRY(dh_json_append_string(out, name, strlen(name)));
    if (dh_reason_is_of_source(reason)) {
        DH_TRY(dh_buffer_printf(out, ",\"record\":null"));
    } else {
        DH_TRY(dh_buffer_printf(out, ",\"record\":%" PRIu64, entry->first_line + bad->record + 1));
    }
    DH_TRY(dh_buffer_printf(
        out, ",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"reason\":\"%s\",\"description\":\"%s\"}\n",
        bad->offset, bad->size, dh_reason_name(reason), dh_reason_description(reason)));
    if (sources->counting) {
        sources->writer->quality.reason[reason]++;
        sources->writer->quality.reason_bytes[reason] += bad->size;
    }
    return out->size >= FLUSH_SIZE ? flush_quarantine(sources) : DH_OK;
}

static dh_status read_bad(source_writer *sources)
{
    const dh_chunk_table *table = sources->writer->table;
    const uint64_t end = sources->first + sources->count;
    for (uint64_t c = first_chunk_of(table, sources->first);
         c < table->count && table->entry[c].first_source < end; c++) {
        if (table->entry[c].bad_count == 0) {
            continue;
        }
        sources->raw.size = 0;
        DH_TRY(dh_row_reader_bad(sources->writer->reader, &table->entry[c], &sources->raw));
        const dh_bad_record *bad = (const dh_bad_record *)(const void *)sources->raw.data;
        for (uint32_t i = 0; i < table->entry[c].bad_count; i++) {
            if (bad[i].source >= sources->first && bad[i].source < end) {
                DH_TRY(append_bad(sources, &table->entry[c], &bad[i]));
            }
        }
    }
    return DH_OK;
}

static dh_status open_quarantine(source_writer *sources, int flags)
{
    return dh_file_open(sources->writer->options->quarantine_partial, flags | O_WRONLY,
                        &sources->quarantine_file);
}

/* ---- all blocks -------------------------------------------------------------------------------------- */

typedef dh_status block_work(source_writer *sources);

static dh_status for_blocks(source_writer *sources, block_work *work)
{
    for (uint64_t k = 0; k < dh_share_count(&sources->share); k++) {
        const uint64_t total = sources->writer->plan->source_count;
        DH_TRY(dh_progress_poll(sources->writer->options->progress));
        sources->first = dh_share_block(&sources->share, k) * DH_BLOCK_ROWS;
        sources->count = total - sources->first < DH_BLOCK_ROWS ? total - sources->first : DH_BLOCK_ROWS;
        DH_TRY(work(sources));
    }
    return DH_OK;
}

static dh_status write_block(source_writer *sources)
{
    DH_TRY(read_parts(sources));
    count_quality(sources);
    for (uint32_t d = sources->writer->bulk->row_dataset_count;
         d < sources->writer->bulk->source_datasets_end; d++) {
        DH_TRY(write_dataset(sources, d));
    }
    return read_bad(sources);
}

/* The lines of all ranks stand one behind the other, so each must know how much comes before: a pass
 * that counts, with the datasets, and a pass that writes. */
static dh_status write_quarantine(source_writer *sources)
{
    dh_writer *writer = sources->writer;
    DH_TRY(dh_comm_prefix_sum(writer->comm, sources->quarantine_size, &sources->quarantine_offset));
    dh_status status = DH_OK;
    if (dh_comm_rank(writer->comm) == 0) {
        status = open_quarantine(sources, O_CREAT | O_TRUNC);
    }
    DH_TRY(dh_comm_agree(writer->comm, status));
    if (dh_comm_rank(writer->comm) != 0) {
        status = open_quarantine(sources, 0);
    }
    sources->counting = false;
    if (status == DH_OK && sources->quarantine_size > 0) {
        status = for_blocks(sources, read_bad);
    }
    if (status == DH_OK) {
        status = flush_quarantine(sources);
    }
    if (status == DH_OK) {
        status = dh_file_sync(sources->quarantine_file, writer->options->quarantine_partial);
    }
    if (sources->quarantine_file >= 0) {
        const dh_status closed = dh_file_close(sources->quarantine_file, writer->options->quarantine_partial);
        status = status != DH_OK ? status : closed;
    }
    return dh_writer_agree(writer, status);
}

static dh_status write_all(source_writer *sources)
{
    dh_writer *writer = sources->writer;
    dh_progress_step(writer->options->progress, DH_STEP_SOURCES, 0);
    dh_status status = for_blocks(sources, write_block);
    if (status == DH_OK) {
        status = flush_quarantine(sources);
    }
    DH_TRY(dh_writer_agree(writer, status));
    for (uint32_t d = writer->bulk->row_dataset_count; d < writer->bulk->source_datasets_end; d++) {
        DH_TRY(dh_writer_collect_digest(writer, &writer->bulk->dataset[d],
                                        &sources->digests[d - writer->bulk->row_dataset_count]));
    }
    return write_quarantine(sources);
}

dh_status dh_writer_sources(dh_writer *writer)
{
    source_writer sources = {
        .writer = writer,
        .share = {.kind = DH_SHARE_RANGES,
                  .blocks = (writer->plan->source_count + DH_BLOCK_ROWS - 1) / DH_BLOCK_ROWS,
                  .rank = (uint32_t)dh_comm_rank(writer->comm),
                  .ranks = (uint32_t)dh_comm_size(writer->comm)},
        .quarantine_file = -1,
        .counting = true,
    };
    const uint32_t datasets = writer->bulk->source_datasets_end - writer->bulk->row_dataset_count;
    void *digests = NULL;
    dh_status status =
        dh_comm_agree(writer->comm, dh_allocate(datasets, sizeof(dh_buffer), "digests", &digests));
    sources.digests = digests;
    if (status == DH_OK) {
        status = write_all(&sources);
    }
    for (uint32_t d = 0; sources.digests != NULL && d < datasets; d++) {
        dh_buffer_free(&sources.digests[d]);
    }
    free(digests);
    dh_buffer_free(&sources.parts);
    dh_buffer_free(&sources.raw);
    dh_buffer_free(&sources.quarantine);
    return status;
}
