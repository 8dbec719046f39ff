#include "reference.h"

#include "kernels/math_core.h"
#include "kernels/sha256_core.h"

#include <string.h>

const output_kind output_kinds[OUTPUTS] = {
    [OUTPUT_SHA256] = {"sha256", 'c', 1, 64, COUNT_FIXED},
    [OUTPUT_RAW] = {"digest.raw", 'u', 2, DH_DHATUS, COUNT_FIXED},
    [OUTPUT_DIGEST_PRIME] = {"digest.prime", 'f', 8, DH_DIGEST_PRIMES, COUNT_FIXED},
    [OUTPUT_ENTROPY] = {"digest.entropy", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_DIGEST_VARIANCE] = {"digest.variance", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_SCORE] = {"digest.score", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_COUNTS] = {"profile.counts", 'u', 4, 2, COUNT_CATEGORIES},
    [OUTPUT_PROFILE] = {"profile.profile", 'f', 4, 1, COUNT_CATEGORIES},
    [OUTPUT_PRIME] = {"profile.prime", 'f', 8, DH_PRIMES, COUNT_FIXED},
    [OUTPUT_MATCHED] = {"profile.matched", 'u', 4, 1, COUNT_FIXED},
    [OUTPUT_COVERAGE] = {"profile.coverage", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_AMBIGUITY] = {"profile.ambiguity", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_VARIANCE] = {"profile.variance", 'f', 8, 1, COUNT_FIXED},
    [OUTPUT_CODE2] = {"profile.code2", 'u', 8, 1, COUNT_FIXED},
    [OUTPUT_CODE3] = {"profile.code3", 'u', 8, 1, COUNT_FIXED},
    [OUTPUT_CODE5] = {"profile.code5", 'u', 8, 1, COUNT_FIXED},
    [OUTPUT_NGRAMS] = {"ngrams", 'u', 4, 1, COUNT_LENGTHS},
    [OUTPUT_SIGNATURE] = {"minhash.signature", 'u', 4, 1, COUNT_PERMUTATIONS},
    [OUTPUT_SHINGLES] = {"minhash.shingles", 'u', 4, 1, COUNT_FIXED},
    [OUTPUT_SPELLING] = {"sha256_spelling", 'u', 1, 32, COUNT_FIXED},
};

uint32_t output_width(uint32_t output, const reference_request *request)
{
    const output_kind *kind = &output_kinds[output];
    switch (kind->count) {
    case COUNT_CATEGORIES:
        return kind->width * request->categories;
    case COUNT_LENGTHS:
        return request->range.most - request->range.least + 1;
    case COUNT_PERMUTATIONS:
        return request->minhash.permutations;
    default:
        return kind->width;
    }
}

uint64_t output_rows(uint32_t output, const dh_batch *batch)
{
    const uint32_t documents = batch->document_count;
    return output_kinds[output].count == COUNT_LENGTHS
               ? batch->token_offset[documents] - batch->token_offset[0]
               : documents;
}

static const uint32_t primes[DH_PRIMES] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};

/* ---- SHA-256 ----------------------------------------------------------------------------------------- */

static uint32_t rotate(uint32_t x, uint32_t count)
{
    return (x >> count) | (x << (32 - count));
}

/* FIPS 180-4, 6.2.2, word by word as it stands there. */
static void sha256_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64];
    for (int t = 0; t < 16; t++) {
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    }
    for (int t = 16; t < 64; t++) {
        const uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ (w[t - 15] >> 3);
        const uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ (w[t - 2] >> 10);
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        const uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + dh_sha256_core_k[t] + w[t];
        const uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
        const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const uint32_t v[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

static void sha256(const char *prefix, const uint8_t *text, uint64_t text_size, uint8_t digest[32])
{
    const uint64_t prefix_size = strlen(prefix);
    const uint64_t size = prefix_size + text_size;
    uint32_t state[8];
    uint8_t block[64];
    memcpy(state, dh_sha256_core_initial, sizeof state);
    for (uint64_t first = 0; first < size + 9; first += 64) {
        if (first >= prefix_size && first + 64 <= size) { /* else a text of 64 MiB takes a minute */
            sha256_block(state, text + (first - prefix_size));
            continue;
        }
        for (uint64_t i = 0; i < 64; i++) {
            const uint64_t at = first + i;
            block[i] = (uint8_t)(at < prefix_size ? prefix[at]
                                 : at < size      ? text[at - prefix_size]
                                 : at == size     ? 0x80
                                                  : 0);
        }
        for (int i = 0; first + 64 >= size + 9 && i < 8; i++) {
            block[56 + i] = (uint8_t)(8 * size >> (56 - 8 * i));
        }
        sha256_block(state, block);
    }
    for (int i = 0; i < 32; i++) {
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void reference_sha256(const dh_batch *batch, const reference_rows *rows)
{
    char *hex = rows->at[OUTPUT_SHA256];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        uint8_t digest[32];
        const uint64_t from = batch->text_offset[d];
        sha256("", batch->text + from, batch->text_offset[d + 1] - from, digest);
        for (int i = 0; i < 32; i++) {
            *hex++ = "0123456789abcdef"[digest[i] / 16];
            *hex++ = "0123456789abcdef"[digest[i] % 16];
        }
    }
}

/* ---- digest ------------------------------------------------------------------------------------------ */

static void digest_activations(const uint16_t *raw, double *prime)
{
    uint64_t total = 0;
    for (int d = 0; d < DH_DHATUS; d++) {
        total += raw[d];
    }
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        uint64_t sum = 0;
        for (uint32_t d = 0; d < DH_DHATUS; d++) {
            uint64_t power = 1;
            for (uint32_t e = 0; e < d % primes[i]; e++) {
                power *= primes[i];
            }
            sum += raw[d] * power;
        }
        prime[i] = total > 0 ? (double)sum / (double)total : 0.0;
    }
}

static double digest_entropy(const double *prime)
{
    double sum = 0.0;
    double entropy = 0.0;
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        sum += prime[i];
    }
    for (int i = 0; i < DH_DIGEST_PRIMES; i++) {
        const double share = prime[i] / (sum + 1e-8);
        entropy -= share * dh_ln(share + 1e-8);
    }
    return entropy;
}

static double variance_of(const double *value, uint32_t count)
{
    double sum = 0.0;
    double squares = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        sum += value[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        squares += (value[i] - sum / count) * (value[i] - sum / count);
    }
    return squares / count;
}

void reference_digest(const dh_batch *batch, const reference_rows *rows)
{
    static const char *const name[DH_DHATUS] = {
        "RELATE::", "MODAL::", "EXIST::", "EVAL::", "COMM::", "CAUSE::", "ITER::", "DECIDE::", "FEEL::"};
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t from = batch->text_offset[d];
        uint16_t *raw = (uint16_t *)rows->at[OUTPUT_RAW] + (size_t)d * DH_DHATUS;
        for (int n = 0; n < DH_DHATUS; n++) {
            uint8_t digest[32];
            sha256(name[n], batch->text + from, batch->text_offset[d + 1] - from, digest);
            raw[n] = (uint16_t)(digest[0] + digest[5] + digest[13] + digest[21] + digest[29]);
        }
        double *prime = (double *)rows->at[OUTPUT_DIGEST_PRIME] + (size_t)d * DH_DIGEST_PRIMES;
        digest_activations(raw, prime);
        const double entropy = digest_entropy(prime);
        const double variance = variance_of(prime, DH_DIGEST_PRIMES);
        ((double *)rows->at[OUTPUT_ENTROPY])[d] = entropy;
        ((double *)rows->at[OUTPUT_DIGEST_VARIANCE])[d] = variance;
        ((double *)rows->at[OUTPUT_SCORE])[d] = 0.7 * entropy + 0.3 * variance;
    }
}

/* ---- profile: matches -------------------------------------------------------------------------------- */

typedef struct document {
    const uint64_t *token;
    uint64_t token_count;
    const dh_prefix_hit *hit; /* from the first that can concern the token that is looked at */
    const dh_prefix_hit *hit_end;
    uint32_t lexicon;
} document;

/* How long a prefix of this token the hash is: the longest has 3. 0: it is none. */
static uint32_t prefix_rank(const document *one, uint64_t at, uint64_t hash)
{
    uint32_t rank = SAMPLE_PREFIXES_MAX;
    for (const dh_prefix_hit *hit = one->hit; hit < one->hit_end && hit->token <= at; hit++) {
        if (hit->token == at && hit->lexicon == one->lexicon) {
            if (hit->hash == hash) {
                return rank;
            }
            rank--;
        }
    }
    return 0;
}

/* How well a term matches at a token: 0 not; more tokens, then exactness, then longer prefixes are better. */
static uint32_t match_rank(const document *one, const sample_term *term, uint64_t at)
{
    if (at + term->tokens > one->token_count) {
        return 0;
    }
    for (uint32_t i = 0; i < term->tokens; i++) {
        const bool is_last = i + 1 == term->tokens;
        if (!(is_last && term->is_prefix) && one->token[at + i] != term->symbol[i]) {
            return 0;
        }
    }
    if (!term->is_prefix) {
        return 8 * term->tokens + 4;
    }
    const uint32_t rank = prefix_rank(one, at + term->tokens - 1, term->symbol[term->tokens - 1]);
    return rank > 0 ? 8 * term->tokens + rank : 0;
}

static const sample_term *best_term(const document *one, const sample_lexicon *lexicon, uint64_t at)
{
    const sample_term *best = NULL;
    uint32_t best_rank = 0;
    for (uint32_t t = 0; t < lexicon->term_count; t++) {
        const uint32_t rank = match_rank(one, &lexicon->term[t], at);
        if (rank > best_rank) {
            best_rank = rank;
            best = &lexicon->term[t];
        }
    }
    return best;
}

static void count_term(const document *one, const sample_lexicon *lexicon, const sample_term *term,
                       uint64_t at, uint32_t categories, uint32_t *counts)
{
    bool is_negated = false;
    for (uint64_t i = at > DH_NEGATOR_REACH ? at - DH_NEGATOR_REACH : 0; i < at; i++) {
        is_negated = is_negated || sample_is_negator(lexicon, one->token[i]);
    }
    const bool is_negative = term->is_negative != (is_negated && !term->is_fixed);
    for (uint32_t c = 0; c < term->category_count; c++) {
        counts[term->category[c] + (is_negative ? categories : 0)] += term->units;
    }
}

static uint32_t count_document(document one, const sample_set *set, uint32_t *counts)
{
    uint32_t matched = 0;
    for (uint64_t at = 0; one.lexicon < set->options.lexicons && at < one.token_count;) {
        const sample_lexicon *lexicon = &set->lexicon[one.lexicon];
        while (one.hit < one.hit_end && one.hit->token < at) {
            one.hit++;
        }
        const sample_term *term = best_term(&one, lexicon, at);
        if (term != NULL) {
            count_term(&one, lexicon, term, at, set->options.categories, counts);
            matched += term->tokens;
        }
        at += term != NULL ? term->tokens : 1;
    }
    return matched;
}

/* ---- profile: values --------------------------------------------------------------------------------- */

static double ambiguity_of(const double *share, uint32_t categories)
{
    double entropy = 0.0;
    for (uint32_t c = 0; c < categories; c++) {
        if (share[c] > 0.0) {
            entropy -= share[c] * dh_ln(share[c]);
        }
    }
    if (categories == 1 || entropy <= 0.0) {
        return 0.0;
    }
    entropy /= dh_ln(categories);
    return entropy > 1.0 ? 1.0 : entropy;
}

static double activation(const double *share, uint32_t categories, uint32_t prime)
{
    double sum = 0.0;
    for (uint32_t c = 0; c < categories; c++) {
        double power = 1.0;
        for (uint32_t e = 0; e < c % prime; e++) {
            power *= prime;
        }
        sum += share[c] * power;
    }
    return sum;
}

/* Density in thousandths: below 5, 10, 20 and from there on, one less where negatives prevail. */
static uint32_t intensity(uint64_t positive, uint64_t negative, uint64_t tokens, uint64_t denominator)
{
    const uint64_t units = positive + negative;
    if (units == 0) {
        return 0;
    }
    uint32_t digit = 1;
    for (uint64_t limit = 5; limit <= 20; limit *= 2) {
        digit += units * 1000 >= limit * tokens * denominator;
    }
    return digit - (negative > positive);
}

static void codes(const uint32_t *counts, uint32_t categories, uint64_t tokens, uint64_t denominator,
                  uint64_t code[3])
{
    memset(code, 0, 3 * sizeof *code);
    for (uint32_t c = categories; c-- > 0;) {
        const uint64_t positive = counts[c];
        const uint64_t negative = counts[categories + c];
        code[0] = code[0] * 2 + (positive > 0 || negative > 0);
        code[1] = code[1] * 3 + (positive > negative ? 1 : 0) + (negative > positive ? 2 : 0);
        code[2] = code[2] * 5 + intensity(positive, negative, tokens, denominator);
    }
}

static void profile_values(const sample_set *set, const uint32_t *counts, uint64_t tokens, uint32_t matched,
                           uint32_t d, const reference_rows *rows)
{
    const uint32_t categories = set->options.categories;
    double share[DH_CATEGORIES_MAX];
    uint64_t code[3];
    uint64_t total = 0;
    for (uint32_t c = 0; c < 2 * categories; c++) {
        total += counts[c];
    }
    for (uint32_t c = 0; c < categories; c++) {
        const uint64_t units = (uint64_t)counts[c] + counts[categories + c];
        share[c] = total > 0 ? (double)units / (double)total : 0.0;
        ((float *)rows->at[OUTPUT_PROFILE])[(size_t)d * categories + c] = (float)share[c];
    }
    for (int i = 0; i < DH_PRIMES; i++) {
        ((double *)rows->at[OUTPUT_PRIME])[(size_t)d * DH_PRIMES + (size_t)i] =
            activation(share, categories, primes[i]);
    }
    ((uint32_t *)rows->at[OUTPUT_MATCHED])[d] = matched;
    ((double *)rows->at[OUTPUT_COVERAGE])[d] = tokens > 0 ? (double)matched / (double)tokens : 0.0;
    ((double *)rows->at[OUTPUT_AMBIGUITY])[d] = ambiguity_of(share, categories);
    ((double *)rows->at[OUTPUT_VARIANCE])[d] = variance_of(share, categories);
    codes(counts, categories, tokens, set->tables.denominator, code);
    for (int i = 0; i < 3; i++) {
        if (rows->at[OUTPUT_CODE2 + i] != NULL) {
            ((uint64_t *)rows->at[OUTPUT_CODE2 + i])[d] = code[i];
        }
    }
}

void reference_profile(const dh_batch *batch, const sample_set *set, const reference_rows *rows)
{
    const uint32_t width = 2 * set->options.categories;
    for (uint32_t d = 0; d < batch->document_count; d++) {
        uint32_t *counts = (uint32_t *)rows->at[OUTPUT_COUNTS] + (size_t)d * width;
        const document one = {.token = batch->token + batch->token_offset[d],
                              .token_count = batch->token_offset[d + 1] - batch->token_offset[d],
                              .hit = batch->prefix_hit + batch->prefix_hit_offset[d],
                              .hit_end = batch->prefix_hit + batch->prefix_hit_offset[d + 1],
                              .lexicon = batch->lexicon[d]};
        memset(counts, 0, width * sizeof *counts);
        const uint32_t matched = count_document(one, set, counts);
        profile_values(set, counts, one.token_count, matched, d, rows);
    }
}

/* ---- n-grams ----------------------------------------------------------------------------------------- */

/* MurmurHash3, 32 bits, of bytes that come one after the other. */
typedef struct murmur {
    uint32_t state, word, size;
} murmur;

static uint32_t murmur_mixed(uint32_t word)
{
    return rotate(word * 0xCC9E2D51, 32 - 15) * 0x1B873593;
}

static void murmur_byte(murmur *one, uint8_t byte)
{
    one->word |= (uint32_t)byte << (8 * (one->size % 4));
    one->size++;
    if (one->size % 4 == 0) {
        one->state = rotate(one->state ^ murmur_mixed(one->word), 32 - 13) * 5 + 0xE6546B64;
        one->word = 0;
    }
}

static uint32_t murmur_value(const murmur *one)
{
    uint32_t value = one->state ^ murmur_mixed(one->word) ^ one->size;
    value ^= value >> 16;
    value *= 0x85EBCA6B;
    value ^= value >> 13;
    value *= 0xC2B2AE35;
    return value ^ (value >> 16);
}

/* Token by token, with a space between. */
static uint32_t ngram_hash(const uint8_t *spelling, const uint32_t *token_end, uint64_t first,
                           uint64_t tokens)
{
    murmur one = {0, 0, 0};
    for (uint64_t t = first; t < first + tokens; t++) {
        if (t > first) {
            murmur_byte(&one, ' ');
        }
        for (uint32_t at = t > 0 ? token_end[t - 1] + 1 : 0; at < token_end[t]; at++) {
            murmur_byte(&one, spelling[at]);
        }
    }
    return murmur_value(&one);
}

void reference_ngrams(const dh_batch *batch, dh_ngram_range range, const reference_rows *rows)
{
    uint32_t *hash = rows->at[OUTPUT_NGRAMS];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t count = batch->token_offset[d + 1] - batch->token_offset[d];
        for (uint64_t t = 0; t < count; t++) {
            for (uint64_t n = range.least; n <= range.most; n++) {
                *hash++ = t + n <= count ? ngram_hash(batch->spelling + batch->spelling_offset[d],
                                                      batch->token_end + batch->token_offset[d], t, n)
                                         : 0;
            }
        }
    }
}

/* ---- minhash ----------------------------------------------------------------------------------------- */

/* The sum of token[i] * factor^(n - 1 - i), mixed. */
static uint32_t shingle_number(const uint64_t *token, uint32_t n)
{
    uint64_t power = 1;
    uint64_t sum = 0;
    for (uint32_t i = n; i-- > 0; power *= DH_SHINGLE_FACTOR) {
        sum += token[i] * power;
    }
    sum ^= sum >> 30;
    sum *= UINT64_C(0xBF58476D1CE4E5B9);
    sum ^= sum >> 27;
    sum *= UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(sum >> 32);
}

static void minhash_document(const uint64_t *token, uint64_t count, const dh_minhash_options *options,
                             uint32_t *signature, uint32_t *shingles)
{
    const uint32_t n = options->shingle_tokens;
    uint32_t seen[DH_SHINGLES_COUNTED_MAX];
    uint32_t different = 0;
    memset(signature, 0xFF, options->permutations * sizeof *signature);
    for (uint64_t t = 0; t + n <= count; t++) {
        const uint32_t x = shingle_number(token + t, n);
        for (uint32_t p = 0; p < options->permutations; p++) {
            const uint32_t value = (x ^ options->flip[p]) * options->factor[p];
            signature[p] = value < signature[p] ? value : signature[p];
        }
        bool is_new = different < options->counted;
        for (uint32_t i = 0; i < different && is_new; i++) {
            is_new = seen[i] != x;
        }
        if (is_new) {
            seen[different++] = x;
        }
    }
    *shingles = different;
}

void reference_minhash(const dh_batch *batch, const dh_minhash_options *options, const reference_rows *rows)
{
    for (uint32_t d = 0; d < batch->document_count; d++) {
        minhash_document(batch->token + batch->token_offset[d],
                         batch->token_offset[d + 1] - batch->token_offset[d], options,
                         (uint32_t *)rows->at[OUTPUT_SIGNATURE] + (size_t)d * options->permutations,
                         (uint32_t *)rows->at[OUTPUT_SHINGLES] + d);
    }
}

void reference_sha256_spelling(const dh_batch *batch, const reference_rows *rows)
{
    uint8_t *digest = rows->at[OUTPUT_SPELLING];
    for (uint32_t d = 0; d < batch->document_count; d++) {
        const uint64_t from = batch->spelling_offset[d];
        const uint64_t size = batch->spelling_offset[d + 1] - from;
        sha256("", batch->spelling + from, size > 0 ? size - 1 : 0, digest + (size_t)d * 32);
    }
}
