#include "commands/sample.h"

#include "base/file.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LEXICON_SIZE_MAX = 16 << 20,
    MADE_UP_MAX = 16, /* bytes of a word that no lexicon has */
    TENTHS = 10,      /* of the words of a document: */
    FUNCTION_WORDS = 5,
    TERMS = 1 /* the rest is made up: about as many begin a term, and are matched, as in real texts */
};

/* Entries of a lexicon, a NUL behind each. */
typedef struct word_list {
    dh_buffer text;
    dh_buffer start; /* uint32_t: where each begins */
} word_list;

typedef struct sample_words {
    word_list term, function;
    uint64_t seed;
} sample_words;

static uint32_t random_below(sample_words *words, uint64_t limit)
{
    /* xorshift64* */
    words->seed ^= words->seed >> 12;
    words->seed ^= words->seed << 25;
    words->seed ^= words->seed >> 27;
    return (uint32_t)((words->seed * UINT64_C(0x2545F4914F6CDD1D) >> 32) % limit);
}

/* ---- words of a lexicon ------------------------------------------------------------------------------ */

static dh_status add_word(word_list *list, const char *word, size_t size)
{
    const uint32_t start = (uint32_t)list->text.size;
    DH_TRY(dh_buffer_append(&list->start, &start, sizeof start));
    DH_TRY(dh_buffer_append(&list->text, word, size));
    return dh_buffer_append(&list->text, "", 1);
}

static dh_status add_words(word_list *list, const char *line)
{
    while (*line != '\0') {
        const size_t size = strcspn(line, " ");
        if (size > 0) {
            DH_TRY(add_word(list, line, size));
        }
        line += size + (line[size] == ' ');
    }
    return DH_OK;
}

/* A line of dhatu's own format (docs/formats.md). It was checked when the lexicon was loaded. */
static dh_status add_line(sample_words *words, const char *line)
{
    static const char function[] = "@function\t";
    static const char negators[] = "@negators\t";
    if (strncmp(line, function, sizeof function - 1) == 0) {
        return add_words(&words->function, line + sizeof function - 1);
    }
    if (strncmp(line, negators, sizeof negators - 1) == 0) {
        return add_words(&words->function, line + sizeof negators - 1);
    }
    if (line[0] == '\0' || line[0] == '#' || line[0] == '@') {
        return DH_OK;
    }
    return add_word(&words->term, line, strcspn(line, "*\t"));
}

static dh_status read_words(const char *path, sample_words *words)
{
    dh_buffer file = {0};
    words->term.text.size = words->term.start.size = 0;
    words->function.text.size = words->function.start.size = 0;
    dh_status status = dh_file_read_all(path, LEXICON_SIZE_MAX, &file);
    if (status == DH_OK) {
        status = dh_buffer_append(&file, "", 1);
    }
    char *rest = NULL;
    for (char *line = status == DH_OK ? strtok_r((char *)file.data, "\r\n", &rest) : NULL;
         line != NULL && status == DH_OK; line = strtok_r(NULL, "\r\n", &rest)) {
        status = add_line(words, line);
    }
    dh_buffer_free(&file);
    return status;
}

static void free_words(sample_words *words)
{
    dh_buffer_free(&words->term.text);
    dh_buffer_free(&words->term.start);
    dh_buffer_free(&words->function.text);
    dh_buffer_free(&words->function.start);
}

/* ---- documents --------------------------------------------------------------------------------------- */

static const char *made_up_word(sample_words *words, char word[MADE_UP_MAX])
{
    static const char consonant[] = "bdfglmnprstvz";
    static const char vowel[] = "aeiou";
    const uint32_t syllables = 2 + random_below(words, 3);
    for (uint32_t s = 0; s < syllables; s++) {
        word[2 * s] = consonant[random_below(words, sizeof consonant - 1)];
        word[2 * s + 1] = vowel[random_below(words, sizeof vowel - 1)];
    }
    word[2 * syllables] = '\0';
    return word;
}

static const char *any_word(sample_words *words, char made_up[MADE_UP_MAX])
{
    const uint32_t tenth = random_below(words, TENTHS);
    const word_list *list = tenth < FUNCTION_WORDS ? &words->function : &words->term;
    const size_t count = list->start.size / sizeof(uint32_t);
    if (tenth >= FUNCTION_WORDS + TERMS || count == 0) {
        return made_up_word(words, made_up);
    }
    const uint32_t *start = (const uint32_t *)(const void *)list->start.data;
    return (const char *)list->text.data + start[random_below(words, count)];
}

/* Words with blanks between; what is left behind the last one that fits is blank, too. */
static void fill_document(sample_words *words, uint8_t text[DH_SAMPLE_DOCUMENT])
{
    char made_up[MADE_UP_MAX];
    size_t size = 0;
    const char *word = any_word(words, made_up);
    memset(text, ' ', DH_SAMPLE_DOCUMENT);
    for (size_t length = strlen(word); size + length < DH_SAMPLE_DOCUMENT; length = strlen(word)) {
        memcpy(text + size, word, length);
        size += length + 1;
        word = any_word(words, made_up);
    }
}

/* ---- texts and tokens -------------------------------------------------------------------------------- */

typedef struct draft {
    uint32_t documents;
    uint8_t *text;
    uint64_t *text_offset, *token_offset, *hit_offset, *spelling_offset;
    uint16_t *lexicon;
    dh_token_sink sink;
} draft;

static void free_draft(draft *sample)
{
    free(sample->text);
    free(sample->text_offset);
    free(sample->token_offset);
    free(sample->hit_offset);
    free(sample->spelling_offset);
    free(sample->lexicon);
    dh_token_sink_free(&sample->sink);
}

static dh_status allocate(draft *sample)
{
    const struct {
        void **memory;
        size_t count, size;
    } array[] = {
        {(void **)&sample->text, sample->documents, DH_SAMPLE_DOCUMENT},
        {(void **)&sample->text_offset, (size_t)sample->documents + 1, sizeof(uint64_t)},
        {(void **)&sample->token_offset, (size_t)sample->documents + 1, sizeof(uint64_t)},
        {(void **)&sample->hit_offset, (size_t)sample->documents + 1, sizeof(uint64_t)},
        {(void **)&sample->spelling_offset, (size_t)sample->documents + 1, sizeof(uint64_t)},
        {(void **)&sample->lexicon, sample->documents, sizeof(uint16_t)},
    };
    for (size_t a = 0; a < sizeof array / sizeof *array; a++) {
        DH_TRY(dh_allocate(array[a].count, array[a].size, "a sample of text", array[a].memory));
    }
    sample->sink.token_limit = DH_SAMPLE_DOCUMENT;
    sample->sink.keeps_spelling = true;
    return DH_OK;
}

/* The documents of one lexicon: those whose number is index modulo the lexicons. */
static dh_status write_language(const dh_settings *settings, uint32_t index, const char *path, draft *sample)
{
    sample_words words = {.seed = index + 1};
    dh_status status = read_words(path, &words);
    for (uint32_t d = index; d < sample->documents && status == DH_OK;
         d += dh_lexicons_count(settings->lexicons)) {
        sample->lexicon[d] = (uint16_t)index;
        fill_document(&words, sample->text + (size_t)d * DH_SAMPLE_DOCUMENT);
    }
    free_words(&words);
    return status;
}

static dh_status write_text(const dh_settings *settings, draft *sample)
{
    dh_buffer paths = {0};
    dh_status status = dh_default_lexicons(&paths);
    if (status == DH_OK) {
        status = dh_buffer_append(&paths, "", 1);
    }
    char *rest = NULL;
    uint32_t index = 0;
    for (char *path = status == DH_OK ? strtok_r((char *)paths.data, "\n", &rest) : NULL;
         path != NULL && status == DH_OK; path = strtok_r(NULL, "\n", &rest)) {
        status = write_language(settings, index++, path, sample);
    }
    dh_buffer_free(&paths);
    return status;
}

static dh_status tokenize(const dh_settings *settings, draft *sample)
{
    dh_tokenizer *tokenizer = NULL;
    DH_TRY(dh_tokenizer_create(settings->token_mode, NULL, &tokenizer));
    dh_status status = DH_OK;
    for (uint32_t d = 0; d < sample->documents && status == DH_OK; d++) {
        dh_tokenizer_set_prefixes(tokenizer, dh_lexicons_prefixes(settings->lexicons, sample->lexicon[d]));
        status = dh_tokenize(tokenizer, sample->text + (size_t)d * DH_SAMPLE_DOCUMENT, DH_SAMPLE_DOCUMENT,
                             &sample->sink);
        sample->text_offset[d + 1] = (uint64_t)(d + 1) * DH_SAMPLE_DOCUMENT;
        sample->token_offset[d + 1] = sample->sink.token_count;
        sample->spelling_offset[d + 1] = sample->sink.spelling_size;
        sample->hit_offset[d + 1] = sample->sink.prefix_hit_count;
    }
    dh_tokenizer_free(tokenizer);
    return status;
}

/* ---- the batch --------------------------------------------------------------------------------------- */

dh_status dh_allocate_pages(uint64_t size, const char *what, void **out)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t rounded = (size + page - 1) / page * page;
    void *memory = aligned_alloc(page, rounded > 0 ? rounded : page);
    if (memory == NULL) {
        return dh_error(DH_NO_MEMORY, "out of memory: %" PRIu64 " bytes for %s", rounded, what);
    }
    *out = memory;
    return DH_OK;
}

static uint64_t on_cache_line(uint64_t size)
{
    return (size + 63) / 64 * 64;
}

/* Copies the draft into one block. */
static dh_status pack(const draft *from, dh_sample *out)
{
    dh_sample sample = {.documents = from->documents, .batch = {.document_count = from->documents}};
    dh_batch *batch = &sample.batch;
    const uint64_t offsets = ((uint64_t)from->documents + 1) * sizeof(uint64_t);
    const struct {
        const void *from, **to;
        uint64_t size;
    } array[] = {
        {from->text, (const void **)&batch->text, (uint64_t)from->documents * DH_SAMPLE_DOCUMENT},
        {from->text_offset, (const void **)&batch->text_offset, offsets},
        {from->sink.token, (const void **)&batch->token, from->sink.token_count * sizeof(uint64_t)},
        {from->token_offset, (const void **)&batch->token_offset, offsets},
        {from->sink.prefix_hit, (const void **)&batch->prefix_hit,
         from->sink.prefix_hit_count * sizeof(dh_prefix_hit)},
        {from->hit_offset, (const void **)&batch->prefix_hit_offset, offsets},
        {from->lexicon, (const void **)&batch->lexicon, from->documents * sizeof(uint16_t)},
        {from->sink.spelling, (const void **)&batch->spelling, from->sink.spelling_size},
        {from->spelling_offset, (const void **)&batch->spelling_offset, offsets},
        {from->sink.token_end, (const void **)&batch->token_end, from->sink.token_count * sizeof(uint32_t)},
    };
    for (size_t a = 0; a < sizeof array / sizeof *array; a++) {
        sample.size += on_cache_line(array[a].size);
    }
    DH_TRY(dh_allocate_pages(sample.size, "a sample of text", &sample.block));
    uint8_t *place = sample.block;
    for (size_t a = 0; a < sizeof array / sizeof *array; a++) {
        if (array[a].size > 0) {
            memcpy(place, array[a].from, array[a].size);
        }
        *array[a].to = place;
        place += on_cache_line(array[a].size);
    }
    *out = sample;
    return DH_OK;
}

dh_status dh_sample_make(const dh_settings *settings, uint32_t documents, dh_sample *out)
{
    draft made = {.documents = documents};
    dh_status status = allocate(&made);
    if (status == DH_OK) {
        status = write_text(settings, &made);
    }
    if (status == DH_OK) {
        status = tokenize(settings, &made);
    }
    if (status == DH_OK) {
        status = pack(&made, out);
    }
    free_draft(&made);
    return status;
}

void dh_sample_free(dh_sample *sample)
{
    free(sample->block);
    *sample = (dh_sample){0};
}
