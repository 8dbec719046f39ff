/* dhatu explain: what is known of a pair, in words and as JSON. */
#include "commands/explain.h"
#include "read/json.h"
#include "reduce/neardup.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static double estimate(const dh_explain_pair *pair)
{
    return (double)pair->equal / (double)dh_match_places(&pair->settings.match);
}

static double standard_error(const dh_explain_pair *pair)
{
    const double similarity = estimate(pair);
    return sqrt(similarity * (1.0 - similarity) / (double)dh_match_places(&pair->settings.match));
}

static double exact(const dh_explain_texts *texts)
{
    const uint64_t all = texts->both + texts->only[0] + texts->only[1];
    return all > 0 ? (double)texts->both / (double)all : 0.0;
}

/* Two empty sets have no similarity. */
static bool has_exact(const dh_explain_pair *pair)
{
    const dh_explain_texts *texts = &pair->texts;
    return pair->has_texts && texts->both + texts->only[0] + texts->only[1] > 0;
}

static double chance(const dh_explain_pair *pair, double similarity)
{
    return dh_neardup_chance(similarity, pair->settings.match.bands, pair->settings.match.band_rows);
}

/* ---- the conclusion ----------------------------------------------------------------------------------- */

typedef enum verdict {
    VERDICT_SAME = 0, /* one document, named twice */
    VERDICT_EMPTY,    /* one has no tokens */
    VERDICT_EQUAL,    /* the same tokens */
    VERDICT_TINY,     /* one has too few shingles */
    VERDICT_PAIR,     /* compared and kept */
    VERDICT_FAR,      /* they share a band, but are not similar enough */
    VERDICT_NO_BAND,  /* never compared */
    VERDICT_UNKNOWN,  /* nothing is there to tell it by */
    VERDICT_COUNT
} verdict;

static const char *const verdict_name[VERDICT_COUNT] = {"same_document",    "no_tokens", "equal",
                                                        "too_few_shingles", "pair",      "below_threshold",
                                                        "no_shared_band",   "unknown"};

static bool are_equal(const dh_explain_pair *pair)
{
    const dh_explain_document *document = pair->document;
    return (pair->has_clusters && document[0].exact >= 0 && document[0].exact == document[1].exact) ||
           (pair->has_texts && pair->texts.are_equal) ||
           memcmp(document[0].sha256, document[1].sha256, sizeof document[0].sha256) == 0;
}

/* Without shingles counted, the tokens tell only that there cannot be enough. */
static bool is_tiny(const dh_explain_pair *pair, int which)
{
    const dh_explain_document *document = &pair->document[which];
    const uint64_t length = pair->settings.shingle_tokens;
    const uint64_t most = document->tokens >= length ? document->tokens - length + 1 : 0;
    const uint64_t shingles = pair->has_shingles ? document->shingles : most;
    return shingles < pair->settings.min_shingles;
}

static verdict judge(const dh_explain_pair *pair)
{
    if (pair->document[0].row == pair->document[1].row) {
        return VERDICT_SAME;
    }
    if (pair->document[0].tokens == 0 || pair->document[1].tokens == 0) {
        return VERDICT_EMPTY;
    }
    if (are_equal(pair)) {
        return VERDICT_EQUAL;
    }
    if (is_tiny(pair, 0) || is_tiny(pair, 1)) {
        return VERDICT_TINY;
    }
    if (!pair->has_signatures) {
        return VERDICT_UNKNOWN;
    }
    if (pair->shared_bands == 0) {
        return VERDICT_NO_BAND;
    }
    return pair->equal >= pair->settings.match.least_equal ? VERDICT_PAIR : VERDICT_FAR;
}

static bool in_one_cluster(const dh_explain_pair *pair)
{
    return pair->has_clusters && pair->document[0].cluster >= 0 &&
           pair->document[0].cluster == pair->document[1].cluster;
}

static dh_status append_reason(const dh_explain_pair *pair, verdict found, dh_buffer *out)
{
    const dh_explain_settings *settings = &pair->settings;
    switch (found) {
    case VERDICT_SAME:
        return dh_buffer_printf(out, "both are the same document");
    case VERDICT_EMPTY:
        return dh_buffer_printf(out, "%s no tokens: such documents are joined to no other",
                                pair->document[0].tokens > 0   ? "the second has"
                                : pair->document[1].tokens > 0 ? "the first has"
                                                               : "both have");
    case VERDICT_EQUAL:
        return dh_buffer_printf(out, "they are equal: the same tokens");
    case VERDICT_TINY:
        return dh_buffer_printf(
            out,
            "%s fewer than %u different shingles: such documents are joined by equality only, "
            "and they are not equal",
            is_tiny(pair, 0) && is_tiny(pair, 1) ? "both have"
            : is_tiny(pair, 0)                   ? "the first has"
                                                 : "the second has",
            settings->min_shingles);
    case VERDICT_PAIR:
        return dh_buffer_printf(
            out,
            "they share %u of %u bands, and their estimated similarity %.3f is at least %.3g: a "
            "pair that is kept",
            pair->shared_bands, settings->match.bands, estimate(pair), settings->threshold);
    case VERDICT_FAR:
        return dh_buffer_printf(
            out,
            "they share %u of %u bands, so they can be compared, but their estimated similarity "
            "%.3f is below %.3g: no pair",
            pair->shared_bands, settings->match.bands, estimate(pair), settings->threshold);
    case VERDICT_NO_BAND:
        return dh_buffer_printf(out,
                                "they share none of %u bands, so they are not compared (at their estimated "
                                "similarity %.3f a pair is compared with a chance of %.3g)",
                                settings->match.bands, estimate(pair), chance(pair, estimate(pair)));
    case VERDICT_UNKNOWN:
    case VERDICT_COUNT:
        break;
    }
    return dh_buffer_printf(
        out, "the result has no signatures (run --minhash): --sources makes them of the texts");
}

/* What the result has of it. */
static dh_status append_outcome(const dh_explain_pair *pair, verdict found, dh_buffer *out)
{
    if (!pair->has_clusters) {
        return dh_buffer_printf(out, "; the result was made without job neardup");
    }
    const bool together = in_one_cluster(pair);
    if (found == VERDICT_SAME) {
        return DH_OK;
    }
    if (together && (found == VERDICT_EQUAL || found == VERDICT_PAIR)) {
        return dh_buffer_printf(out, "; they are in one cluster");
    }
    if (together) {
        return dh_buffer_printf(out, "; they are in one cluster%s",
                                found == VERDICT_UNKNOWN ? "" : " through others, not as a pair");
    }
    if (found == VERDICT_PAIR) {
        return dh_buffer_printf(
            out,
            "; yet they are not in one cluster: of more than %d documents that share a band "
            "only some are compared with all others",
            DH_BUCKET_PAIRS_MAX);
    }
    return dh_buffer_printf(out, "; they are not in one cluster");
}

static dh_status append_conclusion(const dh_explain_pair *pair, dh_buffer *out)
{
    const verdict found = judge(pair);
    DH_TRY(append_reason(pair, found, out));
    return append_outcome(pair, found, out);
}

/* ---- for people --------------------------------------------------------------------------------------- */

static dh_status print_document(const dh_explain_pair *pair, int which, dh_buffer *out)
{
    const dh_explain_document *document = &pair->document[which];
    DH_TRY(dh_buffer_printf(out, "%s  %s  (row %" PRIu64 ", %s, record %" PRIu64 ", %" PRIu64 " tokens",
                            which == 0 ? "first " : "second", (const char *)document->id.data, document->row,
                            (const char *)document->source.data, document->record, document->tokens));
    if (pair->has_shingles) {
        const bool more = !pair->has_texts && document->shingles == pair->settings.min_shingles;
        DH_TRY(dh_buffer_printf(out, ", %" PRIu64 "%s shingles", document->shingles, more ? " or more" : ""));
    }
    DH_TRY(dh_buffer_printf(out, ")\n"));
    if (!pair->has_clusters) {
        return DH_OK;
    }
    if (document->exact >= 0) {
        DH_TRY(dh_buffer_printf(out, "        one of several equal documents; the first is row %" PRId64 "\n",
                                document->exact));
    }
    if (document->against.size > 0) {
        DH_TRY(dh_buffer_printf(out, "        a duplicate of %s of an earlier result\n",
                                (const char *)document->against.data));
    }
    if (document->cluster < 0) {
        return dh_buffer_printf(out, "        in no cluster: %s\n", document->is_kept ? "kept" : "not kept");
    }
    return dh_buffer_printf(out, "        in the cluster of row %" PRId64 ", %" PRIu64 " documents: %s\n",
                            document->cluster, document->cluster_size,
                            document->is_kept ? "its representative, kept" : "not kept");
}

static dh_status print_signatures(const dh_explain_pair *pair, dh_buffer *out)
{
    const dh_match *match = &pair->settings.match;
    const uint32_t places = dh_match_places(match);
    if (!pair->has_signatures) {
        return DH_OK;
    }
    if (!pair->has_estimate) {
        return dh_buffer_printf(out,
                                "\n%s no shingles of %u tokens: there is no similarity to estimate, and no "
                                "band to share\n",
                                pair->is_bare[0] && pair->is_bare[1] ? "both have"
                                : pair->is_bare[0]                   ? "the first has"
                                                                     : "the second has",
                                pair->settings.shingle_tokens);
    }
    DH_TRY(dh_buffer_printf(out,
                            "\nestimated similarity  %.4f (%u of %u MinHash values; standard error %.4f)\n",
                            estimate(pair), pair->equal, places, standard_error(pair)));
    DH_TRY(dh_buffer_printf(out, "threshold             %.4g (%u of %u values)\n", pair->settings.threshold,
                            match->least_equal, places));
    DH_TRY(dh_buffer_printf(out, "shared bands          %u of %u", pair->shared_bands, match->bands));
    for (uint32_t b = 0, shown = 0; b < match->bands; b++) {
        if (dh_explain_shares_band(pair, b)) {
            DH_TRY(dh_buffer_printf(out, "%s%u", shown++ > 0 ? " " : ": ", b));
        }
    }
    const double similarity = pair->has_texts ? exact(&pair->texts) : estimate(pair);
    return dh_buffer_printf(out, "\nchance of sharing one %.4g at a similarity of %.4f\n",
                            chance(pair, similarity), similarity);
}

static dh_status print_samples(const char *title, const dh_buffer *sample, uint32_t count, uint64_t of,
                               dh_buffer *out)
{
    if (count > 0) {
        DH_TRY(dh_buffer_printf(out, "\n%s (%u of %" PRIu64 "):\n", title, count, of));
    }
    for (uint32_t s = 0; s < count; s++) {
        DH_TRY(dh_buffer_printf(out, "  %s\n", (const char *)sample[s].data));
    }
    return DH_OK;
}

static dh_status print_texts(const dh_explain_pair *pair, dh_buffer *out)
{
    const dh_explain_texts *texts = &pair->texts;
    if (!has_exact(pair)) {
        return DH_OK;
    }
    DH_TRY(dh_buffer_printf(out,
                            "exact similarity      %.4f (%" PRIu64 " of %" PRIu64 " different shingles of %u "
                            "tokens)\n",
                            exact(texts), texts->both, texts->both + texts->only[0] + texts->only[1],
                            pair->settings.shingle_tokens));
    DH_TRY(print_samples("shingles of both", texts->both_sample, texts->both_samples, texts->both, out));
    DH_TRY(print_samples("only in the first", texts->only_sample[0], texts->only_samples[0], texts->only[0],
                         out));
    return print_samples("only in the second", texts->only_sample[1], texts->only_samples[1], texts->only[1],
                         out);
}

static dh_status print_text(const dh_explain_pair *pair, dh_buffer *out)
{
    for (int d = 0; d < DH_EXPLAINED; d++) {
        DH_TRY(print_document(pair, d, out));
    }
    DH_TRY(print_signatures(pair, out));
    DH_TRY(print_texts(pair, out));
    DH_TRY(dh_buffer_printf(out, "\n"));
    DH_TRY(append_conclusion(pair, out));
    return dh_buffer_printf(out, "\n");
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static dh_status append_text(const char *name, const dh_buffer *text, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, "\"%s\":", name));
    return dh_json_append_string(out, text->data, strlen((const char *)text->data));
}

static dh_status append_document(const dh_explain_pair *pair, int which, dh_buffer *out)
{
    const dh_explain_document *document = &pair->document[which];
    DH_TRY(dh_buffer_printf(out, "{\"row\":%" PRIu64 ",", document->row));
    DH_TRY(append_text("id", &document->id, out));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_text("source", &document->source, out));
    DH_TRY(dh_buffer_printf(out, ",\"record\":%" PRIu64 ",\"tokens\":%" PRIu64, document->record,
                            document->tokens));
    if (pair->has_texts) { /* all of them are counted */
        DH_TRY(dh_buffer_printf(out, ",\"shingles\":%" PRIu64, document->shingles));
    }
    if (pair->has_clusters) {
        DH_TRY(dh_buffer_printf(out,
                                ",\"dup_exact\":%" PRId64 ",\"dup_cluster\":%" PRId64 ",\"dup_size\":%" PRIu64
                                ",\"dup_keep\":%s",
                                document->exact, document->cluster, document->cluster_size,
                                document->is_kept ? "true" : "false"));
    }
    if (document->against.size > 0) {
        DH_TRY(dh_buffer_printf(out, ","));
        DH_TRY(append_text("dup_against", &document->against, out));
    }
    return dh_buffer_printf(out, "}");
}

static dh_status append_signatures(const dh_explain_pair *pair, dh_buffer *out)
{
    const dh_match *match = &pair->settings.match;
    if (!pair->has_signatures) {
        return DH_OK;
    }
    if (!pair->has_estimate) {
        return dh_buffer_printf(out, ",\"estimated_similarity\":null,\"standard_error\":null,"
                                     "\"equal_values\":null,\"chance_to_share_a_band\":null,"
                                     "\"shared_bands\":null");
    }
    DH_TRY(dh_buffer_printf(out,
                            ",\"estimated_similarity\":%.17g,\"standard_error\":%.17g,\"equal_values\":%u,"
                            "\"chance_to_share_a_band\":%.17g,\"shared_bands\":[",
                            estimate(pair), standard_error(pair), pair->equal,
                            chance(pair, pair->has_texts ? exact(&pair->texts) : estimate(pair))));
    for (uint32_t b = 0, shown = 0; b < match->bands; b++) {
        if (dh_explain_shares_band(pair, b)) {
            DH_TRY(dh_buffer_printf(out, "%s%u", shown++ > 0 ? "," : "", b));
        }
    }
    return dh_buffer_printf(out, "]");
}

static dh_status append_samples(const char *name, const dh_buffer *sample, uint32_t count, dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, ",\"%s\":[", name));
    for (uint32_t s = 0; s < count; s++) {
        DH_TRY(dh_buffer_printf(out, "%s", s > 0 ? "," : ""));
        DH_TRY(dh_json_append_string(out, sample[s].data, sample[s].size));
    }
    return dh_buffer_printf(out, "]");
}

static dh_status append_texts(const dh_explain_pair *pair, dh_buffer *out)
{
    const dh_explain_texts *texts = &pair->texts;
    if (!pair->has_texts) {
        return DH_OK;
    }
    DH_TRY(has_exact(pair) ? dh_buffer_printf(out, ",\"exact_similarity\":%.17g", exact(texts))
                           : dh_buffer_printf(out, ",\"exact_similarity\":null"));
    DH_TRY(dh_buffer_printf(
        out, ",\"shingles_of_both\":%" PRIu64 ",\"only_first\":%" PRIu64 ",\"only_second\":%" PRIu64,
        texts->both, texts->only[0], texts->only[1]));
    DH_TRY(append_samples("sample_of_both", texts->both_sample, texts->both_samples, out));
    DH_TRY(append_samples("sample_only_first", texts->only_sample[0], texts->only_samples[0], out));
    return append_samples("sample_only_second", texts->only_sample[1], texts->only_samples[1], out);
}

static dh_status append_settings(const dh_explain_settings *settings, dh_buffer *out)
{
    return dh_buffer_printf(
        out,
        "],\"settings\":{\"shingle\":%u,\"bands\":%u,\"band_rows\":%u,\"threshold\":%.17g,"
        "\"least_equal_values\":%u,\"min_shingles\":%u,\"minhash_seed\":%" PRIu64 "}",
        settings->shingle_tokens, settings->match.bands, settings->match.band_rows, settings->threshold,
        settings->match.least_equal, settings->min_shingles, settings->seed);
}

static dh_status print_json(const dh_explain_pair *pair, dh_buffer *out)
{
    dh_buffer conclusion = {0};
    DH_TRY(dh_buffer_printf(out, "{\"documents\":["));
    DH_TRY(append_document(pair, 0, out));
    DH_TRY(dh_buffer_printf(out, ","));
    DH_TRY(append_document(pair, 1, out));
    DH_TRY(append_settings(&pair->settings, out));
    DH_TRY(append_signatures(pair, out));
    DH_TRY(append_texts(pair, out));
    DH_TRY(dh_buffer_printf(out, ",\"same_cluster\":%s,\"verdict\":\"%s\",\"conclusion\":",
                            in_one_cluster(pair) ? "true" : "false", verdict_name[judge(pair)]));
    dh_status status = append_conclusion(pair, &conclusion);
    if (status == DH_OK) {
        status = dh_json_append_string(out, conclusion.data, conclusion.size);
    }
    dh_buffer_free(&conclusion);
    return status == DH_OK ? dh_buffer_printf(out, "}\n") : status;
}

dh_status dh_explain_print(const dh_explain_pair *pair, bool json, dh_buffer *out)
{
    return json ? print_json(pair, out) : print_text(pair, out);
}
