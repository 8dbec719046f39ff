/* dhatu explain: the two documents themselves: their shingles and signatures. */
#include "base/file.h"
#include "base/log.h"
#include "commands/explain.h"
#include "commands/result_corpus.h"
#include "kernels/backend.h"
#include "plan/plan.h"
#include "read/document.h"
#include "text/tokens.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A shingle, told by 128 bits of its tokens: the definition's set, not that of the kernel's 32-bit values. */
typedef struct shingle {
    XXH128_hash_t hash;
    uint64_t token; /* where it begins; of equal ones the first */
    bool is_shared;
} shingle;

typedef struct text_tokens {
    dh_buffer spelling; /* tokens, a space behind each */
    dh_buffer end;      /* uint64_t: where each token ends in spelling, its space not counted */
    dh_buffer hash;     /* uint64_t */
    uint64_t tokens;
    shingle *shingle; /* different ones, by their hash */
    uint64_t shingles;
} text_tokens;

typedef struct text_reader {
    dh_explain_pair *pair;
    dh_record_options records;
    dh_record_reader *reader;
    dh_document document;
    dh_tokenizer *tokenizer;
    dh_buffer plan;
    text_tokens text[DH_EXPLAINED];
} text_reader;

/* ---- a document --------------------------------------------------------------------------------------- */

static dh_status check_text(const text_reader *self, const dh_explain_document *document)
{
    uint8_t digest[DH_SHA256_SIZE];
    char hex[2 * DH_SHA256_SIZE];
    dh_sha256 sha;
    dh_sha256_begin(&sha);
    dh_sha256_update(&sha, self->document.text, self->document.size);
    dh_sha256_end(&sha, digest);
    dh_hex_digits(digest, sizeof digest, hex);
    return memcmp(hex, document->sha256, sizeof hex) == 0
               ? DH_OK
               : dh_error(DH_MISMATCH,
                          "%s: source %s, record %" PRIu64
                          ": its text is not the one that the result was made of",
                          self->pair->view.path, (const char *)document->source.data, document->record);
}

/* Finds the document by its offset; the record stays valid until the reader's next call. */
static dh_status find_record(text_reader *self, const dh_explain_document *document)
{
    const dh_plan *plan = (const dh_plan *)(const void *)self->plan.data;
    const char *name = (const char *)document->source.data;
    uint64_t number = 0;
    DH_TRY(dh_result_source_find(&self->pair->view, plan, name, &number));
    DH_TRY(dh_record_reader_open(self->reader, dh_plan_string(plan, dh_plan_source(plan, number)->path), name,
                                 document->offset / DH_CONTENT_BLOCK * DH_CONTENT_BLOCK, UINT64_MAX));
    dh_record record;
    dh_status status;
    while ((status = dh_record_reader_next(self->reader, &record)) == DH_OK &&
           record.offset <= document->offset) {
        if (record.offset == document->offset && record.kind == DH_RECORD_DOCUMENT) {
            DH_TRY(dh_document_take(&self->document, &record));
            return check_text(self, document);
        }
    }
    if (status != DH_OK && status != DH_END) {
        return status;
    }
    return dh_error(DH_MISMATCH, "%s: source %s has no document at byte %" PRIu64 " any more",
                    self->pair->view.path, name, document->offset);
}

static dh_status take_token(void *context, const uint8_t *token, size_t size)
{
    text_tokens *text = context;
    const uint64_t hash = XXH3_64bits(token, size);
    DH_TRY(dh_buffer_append(&text->spelling, token, size));
    const uint64_t end = text->spelling.size;
    DH_TRY(dh_buffer_append(&text->spelling, " ", 1));
    DH_TRY(dh_buffer_append(&text->end, &end, sizeof end));
    DH_TRY(dh_buffer_append(&text->hash, &hash, sizeof hash));
    text->tokens++;
    return DH_OK;
}

static int compare_shingles(const void *a, const void *b)
{
    const shingle *first = a;
    const shingle *second = b;
    const int order = XXH128_cmp(&first->hash, &second->hash);
    return order != 0 ? order : (first->token > second->token) - (first->token < second->token);
}

static int compare_places(const void *a, const void *b)
{
    const uint64_t first = ((const shingle *)a)->token;
    const uint64_t second = ((const shingle *)b)->token;
    return (first > second) - (first < second);
}

static dh_status make_shingles(text_tokens *text, uint32_t length)
{
    void *memory = NULL;
    const uint64_t count = text->tokens >= length ? text->tokens - length + 1 : 0;
    DH_TRY(dh_allocate(count + 1, sizeof(shingle), "the shingles of a document", &memory));
    text->shingle = memory;
    for (uint64_t t = 0; t < count; t++) {
        text->shingle[t] =
            (shingle){.hash = XXH3_128bits(text->hash.data + t * sizeof(uint64_t), length * sizeof(uint64_t)),
                      .token = t};
    }
    qsort(text->shingle, count, sizeof(shingle), compare_shingles);
    text->shingles = 0;
    for (uint64_t t = 0; t < count; t++) {
        const bool again =
            t > 0 && XXH128_isEqual(text->shingle[t].hash, text->shingle[text->shingles - 1].hash) != 0;
        if (!again) {
            text->shingle[text->shingles++] = text->shingle[t];
        }
    }
    return DH_OK;
}

static dh_status read_document(text_reader *self, int which)
{
    text_tokens *text = &self->text[which];
    DH_TRY(find_record(self, &self->pair->document[which]));
    DH_TRY(dh_tokenize_visit(self->tokenizer, self->document.text, self->document.size, take_token, text));
    DH_TRY(make_shingles(text, self->pair->settings.shingle_tokens));
    self->pair->document[which].shingles = text->shingles;
    return DH_OK;
}

/* ---- the sets ----------------------------------------------------------------------------------------- */

static void mark_shared(text_reader *self)
{
    text_tokens *first = &self->text[0];
    text_tokens *second = &self->text[1];
    dh_explain_texts *texts = &self->pair->texts;
    for (uint64_t i = 0, j = 0; i < first->shingles && j < second->shingles;) {
        const int order = XXH128_cmp(&first->shingle[i].hash, &second->shingle[j].hash);
        if (order == 0) {
            first->shingle[i].is_shared = true;
            second->shingle[j].is_shared = true;
            texts->both++;
        }
        i += order <= 0 ? 1 : 0;
        j += order >= 0 ? 1 : 0;
    }
    texts->only[0] = first->shingles - texts->both;
    texts->only[1] = second->shingles - texts->both;
}

static dh_status append_shingle(const text_tokens *text, uint64_t token, uint32_t length, dh_buffer *out)
{
    const uint64_t *end = (const uint64_t *)(const void *)text->end.data;
    const uint64_t begin = token > 0 ? end[token - 1] + 1 : 0;
    DH_TRY(dh_buffer_append(out, text->spelling.data + begin, end[token + length - 1] - begin));
    DH_TRY(dh_buffer_append(out, "", 1));
    out->size--;
    return DH_OK;
}

/* Shingles evenly over the document, of those that are shared, or are not. */
static dh_status take_samples(const text_tokens *text, bool is_shared, uint64_t count, uint32_t length,
                              dh_buffer *sample, uint32_t *samples)
{
    const uint64_t wanted = count < DH_SHINGLE_SAMPLES ? count : DH_SHINGLE_SAMPLES;
    uint64_t seen = 0;
    *samples = 0;
    for (uint64_t s = 0; s < text->shingles && *samples < wanted; s++) {
        if (text->shingle[s].is_shared != is_shared) {
            continue;
        }
        if (seen++ >= *samples * count / wanted) {
            DH_TRY(append_shingle(text, text->shingle[s].token, length, &sample[*samples]));
            ++*samples;
        }
    }
    return DH_OK;
}

static bool have_same_tokens(const text_tokens *text)
{
    return text[0].spelling.size == text[1].spelling.size &&
           (text[0].spelling.size == 0 ||
            memcmp(text[0].spelling.data, text[1].spelling.data, text[0].spelling.size) == 0);
}

static dh_status compare_sets(text_reader *self)
{
    dh_explain_texts *texts = &self->pair->texts;
    const uint32_t length = self->pair->settings.shingle_tokens;
    mark_shared(self);
    texts->are_equal = have_same_tokens(self->text);
    for (int d = 0; d < DH_EXPLAINED; d++) {
        text_tokens *text = &self->text[d];
        qsort(text->shingle, text->shingles, sizeof(shingle), compare_places);
        DH_TRY(take_samples(text, false, texts->only[d], length, texts->only_sample[d],
                            &texts->only_samples[d]));
    }
    return take_samples(&self->text[0], true, texts->both, length, texts->both_sample, &texts->both_samples);
}

/* ---- signatures --------------------------------------------------------------------------------------- */

static dh_status run_kernel(const dh_batch *batch, const dh_minhash_options *options,
                            const dh_minhash_out *out)
{
    const dh_backend_kind *kind = &dh_backend_cpu;
    const dh_backend_options one_lane = {.lanes = 1};
    dh_backend *backend = NULL;
    char why[DH_BACKEND_TEXT];
    if (kind->open(&one_lane, &backend, why) != DH_BACKEND_OK) {
        return dh_error(DH_FAILED, "the CPU backend cannot be opened: %s", why);
    }
    dh_lane *lane = &backend->lane[0];
    const bool done = kind->begin(lane, batch) == DH_BACKEND_OK &&
                      kind->minhash(lane, options, out) == DH_BACKEND_OK &&
                      dh_lane_wait(lane) == DH_BACKEND_OK;
    kind->close(backend);
    return done ? DH_OK : dh_error(DH_FAILED, "the signatures cannot be computed");
}

/* Of both documents, as a run makes them. */
static dh_status compute_signatures(const text_reader *self, const dh_minhash_options *options,
                                    const dh_minhash_out *out)
{
    const text_tokens *text = self->text;
    const uint64_t token_offset[DH_EXPLAINED + 1] = {0, text[0].tokens, text[0].tokens + text[1].tokens};
    const uint64_t nothing[DH_EXPLAINED + 1] = {0};
    const uint16_t lexicon[DH_EXPLAINED] = {DH_NO_LEXICON, DH_NO_LEXICON};
    dh_buffer tokens = {0};
    dh_status status = dh_buffer_append(&tokens, text[0].hash.data, text[0].hash.size);
    if (status == DH_OK) {
        status = dh_buffer_append(&tokens, text[1].hash.data, text[1].hash.size);
    }
    if (status == DH_OK) {
        const dh_batch batch = {.document_count = DH_EXPLAINED,
                                .text_offset = nothing,
                                .token = (const uint64_t *)(const void *)tokens.data,
                                .token_offset = token_offset,
                                .prefix_hit_offset = nothing,
                                .lexicon = lexicon};
        status = run_kernel(&batch, options, out);
    }
    dh_buffer_free(&tokens);
    return status;
}

static dh_status take_signatures(const text_reader *self, const uint32_t *signature, uint32_t places)
{
    dh_explain_pair *pair = self->pair;
    for (int d = 0; d < DH_EXPLAINED; d++) {
        const size_t size = places * sizeof *signature;
        if (pair->has_signatures) {
            if (memcmp(pair->signature[d], signature + (size_t)d * places, size) != 0) {
                return dh_error(DH_MISMATCH,
                                "%s: obsm/minhash of row %" PRIu64 " is not what its document gives",
                                pair->view.path, pair->document[d].row);
            }
            continue;
        }
        void *memory = NULL;
        DH_TRY(dh_allocate(places, sizeof *signature, "a signature", &memory));
        memcpy(memory, signature + (size_t)d * places, size);
        pair->signature[d] = memory;
    }
    pair->has_signatures = true;
    return DH_OK;
}

static dh_status make_signatures(const text_reader *self)
{
    const dh_explain_settings *settings = &self->pair->settings;
    const uint32_t places = dh_match_places(&settings->match);
    void *memory = NULL;
    DH_TRY(dh_allocate((size_t)places * (2 + DH_EXPLAINED), sizeof(uint32_t), "signatures", &memory));
    uint32_t *flip = memory;
    uint32_t *factor = flip + places;
    uint32_t *signature = factor + places;
    dh_minhash_permutations(settings->seed, places, flip, factor);
    const dh_minhash_options options = {.shingle_tokens = settings->shingle_tokens,
                                        .permutations = places,
                                        .counted = settings->min_shingles,
                                        .flip = flip,
                                        .factor = factor};
    uint32_t shingles[DH_EXPLAINED];
    const dh_minhash_out out = {.signature = signature, .shingles = shingles};
    dh_status status = compute_signatures(self, &options, &out);
    if (status == DH_OK) {
        status = take_signatures(self, signature, places);
    }
    free(memory);
    return status;
}

/* ---- all ---------------------------------------------------------------------------------------------- */

static dh_status open_reader(text_reader *self, const char *sources)
{
    const dh_options *options = &self->pair->run_options;
    const bool sklearn = strcmp(dh_options_text(options, DH_OPTION_TOKENS), "sklearn") == 0;
    DH_TRY(dh_result_record_options(options, &self->records));
    DH_TRY(dh_result_list_sources(sources, &self->records, &self->plan));
    DH_TRY(dh_tokenizer_create(sklearn ? DH_TOKENS_SKLEARN : DH_TOKENS_UNICODE, NULL, &self->tokenizer));
    return dh_record_reader_create(&self->records, &self->reader);
}

static void close_reader(text_reader *self)
{
    for (int d = 0; d < DH_EXPLAINED; d++) {
        dh_buffer_free(&self->text[d].spelling);
        dh_buffer_free(&self->text[d].end);
        dh_buffer_free(&self->text[d].hash);
        free(self->text[d].shingle);
    }
    dh_document_free(&self->document);
    dh_record_reader_free(self->reader);
    dh_tokenizer_free(self->tokenizer);
    dh_buffer_free(&self->plan);
    dh_json_paths_free((dh_json_paths *)self->records.paths);
}

dh_status dh_explain_read_texts(dh_explain_pair *pair, const char *sources)
{
    text_reader self = {.pair = pair};
    dh_status status = open_reader(&self, sources);
    for (int d = 0; d < DH_EXPLAINED && status == DH_OK; d++) {
        status = read_document(&self, d);
    }
    if (status == DH_OK) {
        status = compare_sets(&self);
    }
    if (status == DH_OK) {
        status = make_signatures(&self);
    }
    if (status == DH_OK) {
        pair->has_shingles = true;
        pair->has_texts = true;
    }
    close_reader(&self);
    return status;
}

void dh_explain_texts_free(dh_explain_texts *texts)
{
    for (int s = 0; s < DH_SHINGLE_SAMPLES; s++) {
        dh_buffer_free(&texts->both_sample[s]);
        for (int d = 0; d < DH_EXPLAINED; d++) {
            dh_buffer_free(&texts->only_sample[d][s]);
        }
    }
}
