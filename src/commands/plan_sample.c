#include "commands/plan_sample.h"

#include "base/divisor.h"
#include "base/file.h"
#include "base/log.h"
#include "commands/plan_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE = 256 << 10,
    STEP = 64 << 10, /* what is read at a time to find the end of a line */
    OPEN_MAX = 16,   /* compressed sources that are read from in turn */
    GUESSED_RATIO = 4
};

#define GOLDEN 0.6180339887498949

typedef enum source_class {
    PLAIN_RECORDS = 0, /* JSONL, read anywhere */
    PACKED_RECORDS,    /* compressed JSONL: read from the start */
    TEXTS,             /* one document a file */
    CLASSES
} source_class;

/* Members of a class in an order that is spread over all of them: 0, stride, 2 stride, ... modulo count. */
typedef struct spread {
    uint64_t count, stride, next, visited;
} spread;

typedef struct packed_source {
    dh_stream *stream;
    dh_buffer rest; /* behind the last line that was taken */
    uint64_t file_bytes;
} packed_source;

/* Sources of a class. */
typedef struct class_members {
    uint32_t *source;
    size_t count;
    double file_bytes;
    spread order;                           /* of pieces for PLAIN_RECORDS, else of sources */
    double taken_content, taken_file_bytes; /* also of what was left out */
} class_members;

struct dh_sampler {
    dh_sampler_options options;
    class_members member[CLASSES];
    uint64_t *first_piece; /* of each plain source; one more at the end */
    packed_source packed[OPEN_MAX];
    size_t packed_open, packed_next;
    dh_ratio packing;   /* content and bytes of compressed files, an entry a source that was opened */
    dh_ratio documents; /* lines and bytes of pieces */
    double plain_seconds, plain_read, packed_seconds;
    bool left_out;  /* a text that is too long to be part of the sample */
    double longest; /* file bytes; of packed sources in front of plain ones */
    bool longest_packed;
    dh_buffer records_path, list_argument;
    int records, list;
    dh_sample_mark size; /* of the sample */
    dh_buffer piece;
};

/* ---- orders ------------------------------------------------------------------------------------------ */

static spread make_spread(uint64_t count)
{
    spread made = {.count = count, .stride = (uint64_t)((double)count * GOLDEN)};
    made.stride = made.stride > 0 ? made.stride : 1;
    while (count > 1 && dh_common_divisor(made.stride, count) != 1) {
        made.stride++;
    }
    return made;
}

static uint64_t spread_next(spread *order)
{
    const uint64_t taken = order->next;
    order->next = (order->next + order->stride) % order->count;
    order->visited++;
    return taken;
}

/* ---- what there is ----------------------------------------------------------------------------------- */

static const char *source_path(const dh_sampler *sampler, uint32_t source)
{
    const dh_plan *plan = sampler->options.plan;
    return dh_plan_string(plan, dh_plan_source(plan, source)->path);
}

/* Large sources were opened by the plan; small ones are known by their names. */
static source_class class_of(const dh_sampler *sampler, uint32_t source, dh_work_kind kind)
{
    const dh_format asked = sampler->options.records->format;
    const dh_format format =
        asked == DH_FORMAT_AUTO ? dh_format_of_name(dh_plan_name(sampler->options.plan, source)) : asked;
    if (format == DH_FORMAT_TEXT) {
        return TEXTS;
    }
    const char *path = source_path(sampler, source);
    const bool suffixed = dh_name_without_compression(path) != strlen(path);
    return kind == DH_WORK_STREAM || (kind == DH_WORK_RUN && suffixed) ? PACKED_RECORDS : PLAIN_RECORDS;
}

static void note_longest(dh_sampler *sampler, uint64_t size, dh_work_kind kind, source_class class)
{
    const bool alone = kind == DH_WORK_STREAM || kind == DH_WORK_WHOLE;
    const double weight = (double)size * (class == PACKED_RECORDS ? GUESSED_RATIO : 1);
    const double known = sampler->longest * (sampler->longest_packed ? GUESSED_RATIO : 1);
    if (alone && weight > known) {
        sampler->longest = (double)size;
        sampler->longest_packed = class == PACKED_RECORDS;
    }
}

static void add_sources(dh_sampler *sampler)
{
    const dh_plan *plan = sampler->options.plan;
    for (uint64_t i = 0; i < plan->item_count;) {
        const dh_work_item item = dh_plan_item(plan, i);
        for (uint32_t s = item.first_source; s < item.first_source + item.source_count; s++) {
            const uint64_t size = dh_plan_source(plan, s)->size;
            const source_class class = class_of(sampler, s, item.kind);
            class_members *members = &sampler->member[class];
            members->source[members->count++] = s;
            members->file_bytes += (double)size;
            note_longest(sampler, size, item.kind, class);
        }
        const uint64_t size = dh_plan_source(plan, item.first_source)->size;
        i += item.kind == DH_WORK_RANGES ? (size + plan->segment_size - 1) / plan->segment_size : 1;
    }
}

static void set_orders(dh_sampler *sampler)
{
    class_members *plain = &sampler->member[PLAIN_RECORDS];
    uint64_t pieces = 0;
    for (size_t s = 0; s < plain->count; s++) {
        sampler->first_piece[s] = pieces;
        pieces += (dh_plan_source(sampler->options.plan, plain->source[s])->size + PIECE - 1) / PIECE;
    }
    sampler->first_piece[plain->count] = pieces;
    plain->order = make_spread(pieces);
    for (int c = PACKED_RECORDS; c < CLASSES; c++) {
        sampler->member[c].order = make_spread(sampler->member[c].count);
    }
}

static dh_status open_files(dh_sampler *sampler)
{
    const char *folder = sampler->options.folder;
    DH_TRY(dh_buffer_printf(&sampler->records_path, "%s/records.jsonl", folder));
    DH_TRY(dh_buffer_append(&sampler->records_path, "", 1));
    DH_TRY(dh_buffer_printf(&sampler->list_argument, "@%s/texts", folder));
    DH_TRY(dh_buffer_append(&sampler->list_argument, "", 1));
    DH_TRY(dh_file_open((const char *)sampler->records_path.data, O_WRONLY | O_CREAT | O_EXCL,
                        &sampler->records));
    return dh_file_open((const char *)sampler->list_argument.data + 1, O_WRONLY | O_CREAT | O_EXCL,
                        &sampler->list);
}

dh_status dh_sampler_create(const dh_sampler_options *options, dh_sampler **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_sampler), "a sample", &memory));
    dh_sampler *sampler = memory;
    sampler->options = *options;
    sampler->records = sampler->list = -1;
    const size_t sources = options->plan->source_count;
    dh_status status = DH_OK;
    for (int c = 0; c < CLASSES && status == DH_OK; c++) {
        status = dh_allocate(sources, sizeof(uint32_t), "a sample", (void **)&sampler->member[c].source);
    }
    if (status == DH_OK) {
        status = dh_allocate(sources + 1, sizeof(uint64_t), "a sample", (void **)&sampler->first_piece);
    }
    if (status == DH_OK) {
        status = open_files(sampler);
    }
    if (status != DH_OK) {
        dh_sampler_free(sampler);
        return status;
    }
    add_sources(sampler);
    set_orders(sampler);
    *out = sampler;
    return DH_OK;
}

static void close_packed(dh_sampler *sampler, size_t place)
{
    dh_stream_close(sampler->packed[place].stream);
    dh_buffer_free(&sampler->packed[place].rest);
    sampler->packed[place] = sampler->packed[--sampler->packed_open];
}

void dh_sampler_free(dh_sampler *sampler)
{
    if (sampler == NULL) {
        return;
    }
    while (sampler->packed_open > 0) {
        close_packed(sampler, 0);
    }
    for (int c = 0; c < CLASSES; c++) {
        free(sampler->member[c].source);
    }
    free(sampler->first_piece);
    /* What is in them has been used: that they close is of no interest. */
    if (sampler->records >= 0) {
        (void)close(sampler->records);
    }
    if (sampler->list >= 0) {
        (void)close(sampler->list);
    }
    dh_buffer_free(&sampler->records_path);
    dh_buffer_free(&sampler->list_argument);
    dh_buffer_free(&sampler->piece);
    free(sampler);
}

/* ---- pieces ------------------------------------------------------------------------------------------ */

static uint64_t count_lines(const uint8_t *text, size_t size)
{
    uint64_t lines = 0;
    for (const uint8_t *c = text; size > 0; lines++) {
        const uint8_t *end = memchr(c, '\n', size);
        if (end == NULL) {
            return lines + 1;
        }
        size -= (size_t)(end + 1 - c);
        c = end + 1;
    }
    return lines;
}

static dh_status take_records(dh_sampler *sampler, source_class class, const uint8_t *text, size_t size)
{
    if (size == 0) {
        return DH_OK;
    }
    const char *path = (const char *)sampler->records_path.data;
    DH_TRY(dh_file_write_at(sampler->records, path, text, size, sampler->size.records_size));
    sampler->size.records_size += size;
    if (text[size - 1] != '\n') { /* the last line of a source */
        DH_TRY(dh_file_write_at(sampler->records, path, "\n", 1, sampler->size.records_size++));
    }
    sampler->size.content += (double)size;
    sampler->member[class].taken_content += (double)size;
    dh_ratio_add(&sampler->documents, (double)count_lines(text, size), (double)size);
    return DH_OK;
}

/* Appends up to size bytes. *end: there are no more. */
static dh_status read_more(dh_stream *stream, size_t size, dh_buffer *out, bool *end)
{
    size_t got = 0;
    DH_TRY(dh_buffer_reserve(out, size));
    const dh_status status = dh_stream_read(stream, out->data + out->size, size, &got);
    *end = status == DH_END || got < size;
    out->size += got;
    return status == DH_END ? DH_OK : status;
}

/* Reads on to the end of a line. A record that is longer than allowed is not waited for. */
static dh_status read_to_line_end(const dh_sampler *sampler, dh_stream *stream, dh_buffer *out)
{
    bool end = false;
    while (!end && out->size < sampler->options.records->record_max && out->data[out->size - 1] != '\n') {
        const size_t before = out->size;
        DH_TRY(sampler->options.poll(NULL));
        DH_TRY(read_more(stream, STEP, out, &end));
        const uint8_t *line_end = memchr(out->data + before, '\n', out->size - before);
        if (line_end != NULL) {
            out->size = (size_t)(line_end + 1 - out->data);
        }
    }
    return DH_OK;
}

/* The lines that begin in a piece of a plain source. The byte in front of it tells whether one begins at
 * once. */
static dh_status read_plain_piece(dh_sampler *sampler, dh_stream *stream, uint64_t offset, size_t *start)
{
    dh_buffer *piece = &sampler->piece;
    bool end = false;
    piece->size = 0;
    *start = 0;
    DH_TRY(read_more(stream, offset > 0 ? PIECE + 1 : PIECE, piece, &end));
    if (offset > 0 && piece->size > 0) {
        const uint8_t *before = memchr(piece->data, '\n', piece->size - (end ? 0 : 1));
        *start = before != NULL ? (size_t)(before + 1 - piece->data) : piece->size;
    }
    if (*start < piece->size && !end) {
        DH_TRY(read_to_line_end(sampler, stream, piece));
    }
    return DH_OK;
}

static dh_status take_plain(dh_sampler *sampler)
{
    class_members *plain = &sampler->member[PLAIN_RECORDS];
    const uint64_t number = spread_next(&plain->order);
    size_t low = 0;
    size_t high = plain->count;
    while (high - low > 1) { /* the last source that begins at or before this piece */
        const size_t middle = low + (high - low) / 2;
        if (sampler->first_piece[middle] <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const uint64_t offset = (number - sampler->first_piece[low]) * PIECE;
    const double begin = dh_working_seconds();
    dh_stream *stream = NULL;
    size_t start = 0;
    DH_TRY(
        dh_stream_open(source_path(sampler, plain->source[low]), offset > 0 ? offset - 1 : 0, NULL, &stream));
    const dh_status status = read_plain_piece(sampler, stream, offset, &start);
    dh_stream_close(stream);
    DH_TRY(status);
    sampler->plain_seconds += dh_working_seconds() - begin;
    plain->taken_file_bytes += (double)sampler->piece.size;
    sampler->plain_read += (double)sampler->piece.size;
    return take_records(sampler, PLAIN_RECORDS, sampler->piece.data + start, sampler->piece.size - start);
}

static dh_status open_packed(dh_sampler *sampler)
{
    class_members *members = &sampler->member[PACKED_RECORDS];
    while (sampler->packed_open < OPEN_MAX && members->order.visited < members->count) {
        const uint32_t source = members->source[spread_next(&members->order)];
        packed_source *place = &sampler->packed[sampler->packed_open];
        *place = (packed_source){.file_bytes = dh_plan_source(sampler->options.plan, source)->size};
        DH_TRY(dh_stream_open(source_path(sampler, source), 0, &sampler->options.records->limits,
                              &place->stream));
        sampler->packed_open++;
    }
    return DH_OK;
}

/* The next lines of a compressed source. The first pieces of a source count its compressed bytes, too. */
static dh_status take_packed(dh_sampler *sampler)
{
    if (sampler->packed_open < OPEN_MAX) {
        DH_TRY(open_packed(sampler));
    }
    const size_t at = sampler->packed_next++ % sampler->packed_open;
    packed_source *packed = &sampler->packed[at];
    const uint64_t in = dh_stream_bytes_in(packed->stream);
    const uint64_t out = dh_stream_bytes_out(packed->stream);
    const double begin = dh_working_seconds();
    bool end = false;
    DH_TRY(read_more(packed->stream, PIECE, &packed->rest, &end));
    sampler->packed_seconds += dh_working_seconds() - begin;
    const uint64_t made = dh_stream_bytes_out(packed->stream) - out;
    class_members *members = &sampler->member[PACKED_RECORDS];
    /* At the end the whole file counts: what it was made of is known. */
    const uint64_t taken = (end ? packed->file_bytes : dh_stream_bytes_in(packed->stream)) - in;
    members->taken_file_bytes += (double)taken;
    if (made > 0 && taken > 0) {
        dh_ratio_add(&sampler->packing, (double)made, (double)taken);
    }
    size_t size = packed->rest.size;
    while (!end && size > 0 && packed->rest.data[size - 1] != '\n') {
        size--;
    }
    if (packed->rest.size - size > sampler->options.records->record_max) {
        end = true; /* no line in sight */
    }
    DH_TRY(take_records(sampler, PACKED_RECORDS, packed->rest.data, size));
    if (end) {
        close_packed(sampler, at);
        return DH_OK;
    }
    memmove(packed->rest.data, packed->rest.data + size, packed->rest.size - size);
    packed->rest.size -= size;
    return DH_OK;
}

/* Reads a text to its end, while there is time and it may still be a record. */
static dh_status read_text(dh_sampler *sampler, dh_stream *stream, uint64_t size, double deadline, bool *end)
{
    const uint64_t most = sampler->options.records->record_max;
    bool goes_on = true;
    *end = false;
    while (goes_on) {
        DH_TRY(sampler->options.poll(NULL));
        sampler->piece.size = 0;
        DH_TRY(read_more(stream, PIECE, &sampler->piece, end));
        const bool too_long = dh_stream_compression(stream) == DH_COMPRESSION_NONE
                                  ? size > most
                                  : dh_stream_bytes_out(stream) > most;
        goes_on = !*end && !too_long && dh_working_seconds() < deadline;
    }
    return DH_OK;
}

/* The bytes of a text of which some were read. */
static double text_content(const dh_stream *stream, uint64_t size, bool end)
{
    const double out = (double)dh_stream_bytes_out(stream);
    const double in = (double)dh_stream_bytes_in(stream);
    if (end) {
        return out;
    }
    const bool plain = dh_stream_compression(stream) == DH_COMPRESSION_NONE;
    return plain || !(in > 0) ? (double)size : out / in * (double)size;
}

static dh_status add_to_list(dh_sampler *sampler, const char *path, double content)
{
    const char *list = (const char *)sampler->list_argument.data + 1;
    const size_t size = strlen(path);
    DH_TRY(dh_file_write_at(sampler->list, list, path, size, sampler->size.list_size));
    DH_TRY(dh_file_write_at(sampler->list, list, "\n", 1, sampler->size.list_size + size));
    sampler->size.list_size += size + 1;
    sampler->size.content += content;
    return DH_OK;
}

/* A text is not copied: the trial reads it where it is. It is read here too, so that its size is known, and
 * so that trials find all of their files in the page cache. */
static dh_status take_text(dh_sampler *sampler, double deadline)
{
    class_members *texts = &sampler->member[TEXTS];
    const uint32_t source = texts->source[spread_next(&texts->order)];
    const uint64_t size = dh_plan_source(sampler->options.plan, source)->size;
    const char *path = source_path(sampler, source);
    if (strchr(path, '\n') != NULL) {
        return DH_OK; /* a list cannot name it */
    }
    const double begin = dh_working_seconds();
    dh_stream *stream = NULL;
    bool end = false;
    DH_TRY(dh_stream_open(path, 0, &sampler->options.records->limits, &stream));
    const dh_status status = read_text(sampler, stream, size, deadline, &end);
    const double content = text_content(stream, size, end);
    if (dh_stream_compression(stream) == DH_COMPRESSION_NONE) {
        sampler->plain_seconds += dh_working_seconds() - begin;
        sampler->plain_read += (double)dh_stream_bytes_out(stream);
    }
    dh_stream_close(stream);
    DH_TRY(status);
    texts->taken_content += content;
    texts->taken_file_bytes += (double)size;
    if (!end && content > (double)sampler->options.records->record_max) {
        sampler->left_out = true; /* a trial would read all of it to find out that it is no record */
        return DH_OK;
    }
    return add_to_list(sampler, path, content);
}

/* ---- growing ----------------------------------------------------------------------------------------- */

static bool class_is_done(const dh_sampler *sampler, int class)
{
    const class_members *members = &sampler->member[class];
    return members->order.visited >= members->order.count &&
           (class != PACKED_RECORDS || sampler->packed_open == 0);
}

static double class_content(const dh_sampler *sampler, int class)
{
    const class_members *members = &sampler->member[class];
    if (class == PLAIN_RECORDS) {
        return members->file_bytes;
    }
    if (class_is_done(sampler, class)) {
        return members->taken_content;
    }
    const double guess = class == PACKED_RECORDS ? GUESSED_RATIO : 1;
    const double made = class == PACKED_RECORDS ? sampler->packing.a : members->taken_content;
    const double ratio = members->taken_file_bytes > 0 && made > 0 ? made / members->taken_file_bytes : guess;
    return members->file_bytes * ratio;
}

/* The class of which the sample has the least, measured by what there is. CLASSES: all is taken. */
static int next_class(const dh_sampler *sampler)
{
    int next = CLASSES;
    double least = 0;
    for (int c = 0; c < CLASSES; c++) {
        const double all = class_content(sampler, c);
        const double share = all > 0 ? sampler->member[c].taken_content / all : 0;
        if (!class_is_done(sampler, c) && (next == CLASSES || share < least)) {
            next = c;
            least = share;
        }
    }
    return next;
}

dh_status dh_sampler_grow(dh_sampler *sampler, double content, double deadline)
{
    while (dh_sampler_content(sampler) < content && dh_working_seconds() < deadline) {
        DH_TRY(sampler->options.poll(NULL));
        const int class = next_class(sampler);
        if (class == CLASSES) {
            break;
        }
        DH_TRY(class == TEXTS ? take_text(sampler, deadline)
                              : (class == PACKED_RECORDS ? take_packed(sampler) : take_plain(sampler)));
    }
    return DH_OK;
}

double dh_sampler_content(const dh_sampler *sampler)
{
    return sampler->size.content;
}

double dh_sampler_corpus_content(const dh_sampler *sampler)
{
    double sum = 0;
    for (int c = 0; c < CLASSES; c++) {
        sum += class_content(sampler, c);
    }
    return sum;
}

bool dh_sampler_has_ended(const dh_sampler *sampler)
{
    return next_class(sampler) == CLASSES;
}

bool dh_sampler_has_all(const dh_sampler *sampler)
{
    return dh_sampler_has_ended(sampler) && !sampler->left_out;
}

dh_sample_mark dh_sampler_mark(const dh_sampler *sampler)
{
    return sampler->size;
}

static dh_status shorten(int file, const char *path, uint64_t size)
{
    return ftruncate(file, (off_t)size) == 0
               ? DH_OK
               : dh_error(DH_IO, "%s: cannot be shortened: %s", path, strerror(errno));
}

dh_status dh_sampler_go_back(dh_sampler *sampler, const dh_sample_mark *mark)
{
    DH_TRY(shorten(sampler->records, (const char *)sampler->records_path.data, mark->records_size));
    DH_TRY(shorten(sampler->list, (const char *)sampler->list_argument.data + 1, mark->list_size));
    sampler->size = *mark;
    return DH_OK;
}

size_t dh_sampler_inputs(const dh_sampler *sampler, const char *input[DH_SAMPLE_INPUTS])
{
    size_t count = 0;
    if (sampler->size.records_size > 0) {
        input[count++] = (const char *)sampler->records_path.data;
    }
    if (sampler->size.list_size > 0) {
        input[count++] = (const char *)sampler->list_argument.data;
    }
    return count;
}

/* Relative errors, weighed by what they are of. */
static double content_error(const dh_sampler *sampler, double content)
{
    const class_members *packed = &sampler->member[PACKED_RECORDS];
    if (class_is_done(sampler, PACKED_RECORDS) || !(content > 0)) {
        return 0;
    }
    const double pieces = class_content(sampler, PACKED_RECORDS) / PIECE;
    /* Pieces of one beginning say little of the rest. */
    const double error = packed->count > 1 ? dh_ratio_error(&sampler->packing, pieces) : -1;
    return error < 0 ? -1 : error * class_content(sampler, PACKED_RECORDS) / content;
}

void dh_sampler_facts(const dh_sampler *sampler, dh_corpus_facts *out)
{
    const dh_plan *plan = sampler->options.plan;
    const class_members *plain = &sampler->member[PLAIN_RECORDS];
    const class_members *packed = &sampler->member[PACKED_RECORDS];
    const class_members *texts = &sampler->member[TEXTS];
    const double content = dh_sampler_corpus_content(sampler);
    const double packed_content = class_content(sampler, PACKED_RECORDS);
    *out = (dh_corpus_facts){
        .sources = plan->source_count,
        .file_bytes = plan->file_bytes,
        .content = content,
        .compressed_content = packed_content,
        .compressed_sources = packed->count,
        .longest = sampler->longest,
        .longest_compressed = sampler->longest_packed,
        .text_documents = plain->count + packed->count == 0 ? texts->count : 0,
        .items = plan->item_count,
        .content_error = content_error(sampler, content),
    };
    if (sampler->longest_packed && packed->file_bytes > 0) {
        out->longest = sampler->longest * packed_content / packed->file_bytes;
    }
    const double pieces = content / PIECE;
    out->document_error = dh_sampler_has_all(sampler) ? 0 : dh_ratio_error(&sampler->documents, pieces);
    if (sampler->packing.a > 0) {
        out->decode_seconds = sampler->packed_seconds / sampler->packing.a;
    }
    if (sampler->plain_read > 0) {
        out->storage_seconds = sampler->plain_seconds / sampler->plain_read;
    }
}
