/* dhatu: hashed n-grams, as scikit-learn's HashingVectorizer counts them (docs/jobs.md, "features"). The
 * kernel hashes; the values of a document are its columns with their signed counts. Their weights need all
 * documents: they are the reduce phase's (src/reduce/features.h). */
#include "jobs/features.h"
#include "jobs/job.h"

#include "base/buffer.h"
#include "base/leb128.h"
#include "base/log.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMN_HASHES = 0,
    LOCAL_MAX = 4096,   /* n-grams that are sorted without memory of their own */
    INSERTION_MAX = 24, /* so few are sorted by insertion */
    DIGIT_BITS_MAX = 11,
    DIGITS_MAX = 1 << DIGIT_BITS_MAX,
    PASSES_MAX = 4,
    KEY_COST = 2,         /* values of a digit that take as long as a key, in a pass */
    VALUE_BYTES_MAX = 10, /* two numbers of 32 bits, LEB128 */
    COLUMN_BITS_MAX = 31
};

typedef struct features_job {
    const dh_job_options *options;
    unsigned column_bits;
} features_job;

static dh_status features_create(const dh_job_setup *setup, void **state)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(features_job), "the features job", &memory));
    features_job *job = memory;
    job->options = setup->options;
    while (job->column_bits < COLUMN_BITS_MAX &&
           (UINT32_C(1) << job->column_bits) < setup->options->features) {
        job->column_bits++;
    }
    *state = job;
    return DH_OK;
}

static uint32_t features_columns(const void *state, dh_column column[DH_JOB_COLUMNS_MAX])
{
    const features_job *job = state;
    column[COLUMN_HASHES] =
        (dh_column){.place = DH_TOKEN,
                    .name = "hashes",
                    .type = DH_U32,
                    .width = dh_ngram_lengths(job->options->ngrams),
                    .description = "MurmurHash3 of the n-grams that begin with the token, by length",
                    .unit = "1"};
    return 1;
}

static dh_backend_status features_vectorise(const void *state, dh_lane *lane, void *const *column)
{
    const features_job *job = state;
    return lane->backend->kind->ngrams(lane, job->options->ngrams, column[COLUMN_HASHES]);
}

/* ---- the values of a document ------------------------------------------------------------------------ */

/* An n-gram is column * 2, + 1 where it counts as -1: columns take 31 bits. */

static void sort_few(uint32_t *key, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t one = key[i];
        uint32_t at = i;
        for (; at > 0 && key[at - 1] > one; at--) {
            key[at] = key[at - 1];
        }
        key[at] = one;
    }
}

/* How many digits a column is cut into. Few keys want small digits. */
static unsigned digits_of(uint32_t count, unsigned column_bits)
{
    unsigned best = PASSES_MAX;
    uint64_t least = UINT64_MAX;
    for (unsigned passes = 1; passes <= PASSES_MAX; passes++) {
        const unsigned bits = (column_bits + passes - 1) / passes;
        const uint64_t cost = passes * (KEY_COST * (uint64_t)count + (UINT64_C(1) << bits));
        if (bits <= DIGIT_BITS_MAX && cost < least) {
            least = cost;
            best = passes;
        }
    }
    return best;
}

/* `passes` is a constant where this is called. */
__attribute__((always_inline)) static inline void
count_digits(const uint32_t *key, uint32_t count, unsigned passes, unsigned bits, uint32_t *place)
{
    const uint32_t mask = (UINT32_C(1) << bits) - 1;
    memset(place, 0, (passes * sizeof *place) << bits);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rest = key[i] >> 1;
        for (unsigned p = 0; p < passes; p++, rest >>= bits) {
            place[(p << bits) + (rest & mask)]++;
        }
    }
}

/* By column; within one the order does not matter. The result is in key or in other: returned. */
static uint32_t *sort_by_column(uint32_t *key, uint32_t *other, uint32_t count, unsigned column_bits)
{
    if (count <= INSERTION_MAX) {
        sort_few(key, count);
        return key;
    }
    uint32_t place[PASSES_MAX * DIGITS_MAX];
    const unsigned passes = digits_of(count, column_bits);
    const unsigned bits = (column_bits + passes - 1) / passes;
    const uint32_t digits = UINT32_C(1) << bits;
    switch (passes) {
    case 1:
        count_digits(key, count, 1, bits, place);
        break;
    case 2:
        count_digits(key, count, 2, bits, place);
        break;
    case 3:
        count_digits(key, count, 3, bits, place);
        break;
    default:
        count_digits(key, count, PASSES_MAX, bits, place);
        break;
    }
    uint32_t *here = place;
    for (unsigned shift = 1; shift <= passes * bits; shift += bits, here += digits) {
        uint32_t sum = 0;
        for (uint32_t d = 0; d < digits; d++) {
            const uint32_t of_digit = here[d];
            here[d] = sum;
            sum += of_digit;
        }
        for (uint32_t i = 0; i < count; i++) {
            other[here[key[i] >> shift & (digits - 1)]++] = key[i];
        }
        uint32_t *sorted = other;
        other = key;
        key = sorted;
    }
    return key;
}

static inline uint32_t key_of(uint32_t hash, uint32_t columns, uint32_t sign)
{
    return dh_feature_column(hash, columns) << 1 | (hash >> DH_FEATURE_SIGN_BIT & sign);
}

static uint32_t make_keys(const dh_job_options *options, const uint32_t *hash, uint64_t tokens, uint32_t *key)
{
    const uint32_t lengths = dh_ngram_lengths(options->ngrams);
    const uint32_t columns = options->features;
    const uint32_t sign = options->alternate_sign ? 1 : 0;
    const uint64_t whole = tokens >= options->ngrams.most ? tokens - options->ngrams.most + 1 : 0;
    uint32_t count = 0;
    for (; count < whole * lengths; count++) {
        key[count] = key_of(hash[count], columns, sign);
    }
    for (uint64_t t = whole; t < tokens; t++) { /* the document ends before the longest n-gram does */
        for (uint32_t i = 0; t + options->ngrams.least + i <= tokens; i++) {
            key[count++] = key_of(hash[t * lengths + i], columns, sign);
        }
    }
    return count;
}

/* Adds up the counts of each column, of count keys in the order of columns: the columns go over the keys, the
 * sums to value. Whether a key has the column of the one before is guessed wrong often, so there is no branch
 * on it. *made: how many. False when a sum does not fit. */
static bool add_up(uint32_t *key, uint32_t count, int32_t *value, uint32_t *made)
{
    uint32_t places = 0; /* of columns so far */
    uint32_t before = UINT32_MAX;
    int64_t sum = 0;
    bool fits = true;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t column = key[i] >> 1;
        const int64_t one = 1 - 2 * (int64_t)(key[i] & 1);
        const bool is_new = column != before;
        places += is_new;
        sum = (is_new ? 0 : sum) + one;
        fits &= sum == (int32_t)sum;
        key[places - 1] = column;
        value[places - 1] = (int32_t)sum;
        before = column;
    }
    *made = places;
    return fits;
}

/* Sums of zero stay, as scikit-learn's do: the document has the column. */
static dh_status put_values(const dh_job_options *options, uint32_t *key, uint32_t count, int32_t *value,
                            dh_buffer *out, uint32_t *values)
{
    DH_TRY(dh_buffer_reserve(out, (size_t)count * VALUE_BYTES_MAX));
    uint32_t made = 0;
    if (!add_up(key, count, value, &made) && !options->binary) {
        return dh_error(DH_FAILED, "job features: a document has more than 2^31 n-grams of one column");
    }
    uint8_t *put = out->data + out->size;
    uint32_t before = 0;
    for (uint32_t i = 0; i < made; i++) {
        const uint32_t step = key[i] - before;
        const uint64_t coded = dh_zigzag(options->binary ? 1 : value[i]);
        before = key[i];
        put = step >> DH_LEB128_SHORT_BITS == 0 ? dh_leb128_put_short(put, step) : dh_leb128_put(put, step);
        put = dh_leb128_put(put, coded);
    }
    out->size = (size_t)(put - out->data);
    *values = made;
    return DH_OK;
}

static dh_status features_values(const void *state, const dh_batch *batch, void *const *column, uint32_t d,
                                 dh_buffer *out, uint32_t *count)
{
    const features_job *job = state;
    const uint32_t lengths = dh_ngram_lengths(job->options->ngrams);
    const uint64_t first = batch->token_offset[d] - batch->token_offset[0];
    const uint64_t tokens = batch->token_offset[d + 1] - batch->token_offset[d];
    const uint64_t most = tokens * lengths;
    if (most > UINT32_MAX) {
        return dh_error(DH_FAILED, "job features: a document has more than 2^32 n-grams");
    }
    uint32_t local[2 * LOCAL_MAX];
    void *memory = NULL;
    if (most > LOCAL_MAX) {
        DH_TRY(dh_allocate(2 * most, sizeof(uint32_t), "the n-grams of a document", &memory));
    }
    uint32_t *key = memory != NULL ? memory : local;
    const uint32_t *hash = (const uint32_t *)column[COLUMN_HASHES] + first * lengths;
    const uint32_t made = make_keys(job->options, hash, tokens, key);
    uint32_t *sorted = sort_by_column(key, key + most, made, job->column_bits);
    int32_t *value = (int32_t *)(sorted == key ? key + most : key);
    const dh_status status = put_values(job->options, sorted, made, value, out, count);
    free(memory);
    return status;
}

/* ---- the known answer: computed with scikit-learn's murmurhash3_32 ----------------------------------- */

enum { KNOWN_TOKENS = 10, KNOWN_FIRST = 9 /* tokens of the first document */ };

static const char known_spelling[] = "one deux τρία четыре 五 ستة seven 8 nine solo ";

/* Of the n-grams of 1 to 8 tokens that begin with each token. */
static const uint32_t known_hash[KNOWN_TOKENS][DH_NGRAM_TOKENS_MAX] = {
    {0x869186CC, 0xC7F220E2, 0x2BB2ED48, 0x6EB42A5E, 0xC4CE3D75, 0x9899FB6B, 0x52649737, 0x4AABFE8C},
    {0x87CDF294, 0x45BFFCD6, 0xE58C4F42, 0x10AA5B07, 0xC7DE9625, 0x761CCAEA, 0x53E4F513, 0x219CD029},
    {0x769E40DF, 0x84E99B71, 0x3A529D4F, 0x2B9C7595, 0x6A913609, 0x1AB9F820, 0x77833409},
    {0x0D1ABF34, 0xD372D7AC, 0xE7DA1929, 0xB076A6B7, 0x49AEBB7E, 0x6DFD2EDF},
    {0x04522DF9, 0xC64F2D80, 0x5E7C4828, 0x92E7035A, 0x0275154B},
    {0xC76EEE29, 0x647F8ED3, 0x32B283E9, 0x18F17943},
    {0x9F1FE9DA, 0x3035CFBF, 0xE0F70605},
    {0xBD920017, 0x6D88481F},
    {0xD22E5554},
    {0xF82CA8DA},
};

static dh_status features_self_test(void *state, dh_backend *backend)
{
    const features_job *job = state;
    const dh_ngram_range range = job->options->ngrams;
    const uint32_t lengths = dh_ngram_lengths(range);
    uint32_t token_end[KNOWN_TOKENS];
    uint64_t token[KNOWN_TOKENS] = {0};
    uint64_t spelling_offset[] = {0, 0, sizeof known_spelling - 1};
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < sizeof known_spelling - 1; i++) {
        if (known_spelling[i] == ' ') {
            token_end[tokens++] = i - (uint32_t)spelling_offset[1];
            spelling_offset[1] = tokens == KNOWN_FIRST ? i + 1 : spelling_offset[1];
        }
    }
    const uint64_t token_offset[] = {0, KNOWN_FIRST, KNOWN_TOKENS};
    const uint64_t text_offset[] = {0, 0, 0};
    const uint64_t hit_offset[] = {0, 0, 0};
    const uint16_t lexicon[] = {DH_NO_LEXICON, DH_NO_LEXICON};
    const dh_batch batch = {.document_count = 2,
                            .text = (const uint8_t *)"",
                            .text_offset = text_offset,
                            .token = token,
                            .token_offset = token_offset,
                            .prefix_hit_offset = hit_offset,
                            .lexicon = lexicon,
                            .spelling = (const uint8_t *)known_spelling,
                            .spelling_offset = spelling_offset,
                            .token_end = token_end};
    uint32_t hash[KNOWN_TOKENS * DH_NGRAM_TOKENS_MAX];
    memset(hash, UCHAR_MAX, sizeof hash);
    void *const column[] = {hash};
    if (dh_job_compute(&dh_job_features, state, backend, &batch, column) != DH_BACKEND_OK) {
        return dh_error(DH_INTERNAL, "job features: backend %s failed on its known answer",
                        backend->kind->name);
    }
    for (uint32_t t = 0; t < KNOWN_TOKENS; t++) {
        for (uint32_t i = 0; i < lengths; i++) {
            const uint32_t expected = known_hash[t][range.least - 1 + i];
            if (hash[t * lengths + i] != expected) {
                return dh_error(
                    DH_INTERNAL,
                    "job features: on backend %s n-gram %u of token %u has hash %08x, expected %08x",
                    backend->kind->name, range.least + i, t, hash[t * lengths + i], expected);
            }
        }
    }
    return DH_OK;
}

const dh_job dh_job_features = {
    .name = "features",
    .summary = "hashed n-grams with tf-idf weights, as scikit-learn's HashingVectorizer and TfidfTransformer",
    .adds = "    X                    float32     compressed rows: signed counts of hashed n-grams, "
            "weighted, normalised\n"
            "    var/document_frequency uint64    documents that have the column\n"
            "    var/idf              float64     weight of the column\n"
            "    var/terms            text    64  its commonest n-grams\n",
    .uses_spelling = true,
    .uses_terms = true,
    .create = features_create,
    .free = free,
    .columns = features_columns,
    .self_test = features_self_test,
    .vectorise = features_vectorise,
    .values = features_values,
};
