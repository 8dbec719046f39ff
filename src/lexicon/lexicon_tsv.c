/* dhatu: the project's own lexicon format (docs/formats.md, "Lexicon"). */
#include "base/log.h"
#include "lexicon/language.h"
#include "lexicon/lexicon_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct tsv_parser {
    dh_lexicons *lexicons;
    dh_lexicon_line at;
    bool has_format, begun;
    char *name, *language, *category[DH_CATEGORIES_MAX];
    uint32_t category_count;
} tsv_parser;

static dh_status wrong(const tsv_parser *parser, const char *reason, const char *what)
{
    return dh_error(DH_USAGE, "%s:%llu: %s%s%s", parser->at.path, (unsigned long long)parser->at.number,
                    reason, what != NULL ? ": " : "", what != NULL ? what : "");
}

static dh_status parse_categories(tsv_parser *parser, char *value)
{
    char *rest = NULL;
    for (char *name = strtok_r(value, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest)) {
        if (parser->category_count == DH_CATEGORIES_MAX) {
            return wrong(parser, "more than 128 categories", NULL);
        }
        if (strlen(name) > DH_CATEGORY_NAME_MAX) {
            return wrong(parser, "a category's name is longer than 63 bytes", name);
        }
        for (uint32_t c = 0; c < parser->category_count; c++) {
            if (strcmp(parser->category[c], name) == 0) {
                return wrong(parser, "the category is named twice", name);
            }
        }
        parser->category[parser->category_count++] = name;
    }
    return DH_OK;
}

/* The first term, negator or function word needs all of the head. */
static dh_status begin_once(tsv_parser *parser)
{
    if (parser->begun) {
        return DH_OK;
    }
    if (!parser->has_format || parser->language == NULL || parser->category_count == 0) {
        return wrong(parser, "@format, @language and @categories must stand before the first entry", NULL);
    }
    uint16_t language = DH_LANGUAGE_UNKNOWN;
    if (strcmp(parser->language, "*") != 0) {
        language = dh_language_parse(parser->language, strlen(parser->language));
        if (language == DH_LANGUAGE_UNKNOWN) {
            return wrong(parser, "@language must be an ISO 639 code or *", parser->language);
        }
    }
    parser->begun = true;
    return dh_lexicon_begin(parser->lexicons, &parser->at,
                            parser->name != NULL ? parser->name : parser->language, language,
                            (const char *const *)parser->category, parser->category_count);
}

typedef dh_status add_word(dh_lexicons *lexicons, const dh_lexicon_line *at, const char *text, size_t size);

static dh_status parse_words(tsv_parser *parser, char *value, add_word *add)
{
    DH_TRY(begin_once(parser));
    char *rest = NULL;
    for (char *word = strtok_r(value, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        DH_TRY(add(parser->lexicons, &parser->at, word, strlen(word)));
    }
    return DH_OK;
}

static dh_status parse_directive(tsv_parser *parser, char *line)
{
    char *value = strchr(line, '\t');
    if (value == NULL) {
        return wrong(parser, "a directive is @key, a tab and a value", line);
    }
    *value++ = '\0';
    if (strcmp(line, "@format") == 0) {
        if (strcmp(value, "dhatu-lexicon 1") != 0) {
            return wrong(parser, "this dhatu reads format \"dhatu-lexicon 1\", not", value);
        }
        parser->has_format = true;
        return DH_OK;
    }
    if (strcmp(line, "@negators") == 0) {
        return parse_words(parser, value, dh_lexicon_add_negator);
    }
    if (strcmp(line, "@function") == 0) {
        return parse_words(parser, value, dh_lexicon_add_function_word);
    }
    if (parser->begun) {
        return wrong(parser, "this directive must stand before the first entry", line);
    }
    if (strcmp(line, "@language") == 0) {
        parser->language = value;
        return DH_OK;
    }
    if (strcmp(line, "@name") == 0) {
        parser->name = value;
        return DH_OK;
    }
    if (strcmp(line, "@categories") == 0) {
        return parse_categories(parser, value);
    }
    return wrong(parser, "unknown directive", line);
}

static dh_status parse_term_categories(tsv_parser *parser, char *value, dh_term *term)
{
    char *rest = NULL;
    for (char *name = strtok_r(value, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        uint32_t c = 0;
        while (c < parser->category_count && strcmp(parser->category[c], name) != 0) {
            c++;
        }
        if (c == parser->category_count) {
            return wrong(parser, "unknown category", name);
        }
        for (uint8_t i = 0; i < term->category_count; i++) {
            if (term->category[i] == c) {
                return wrong(parser, "the category is named twice", name);
            }
        }
        term->category[term->category_count++] = (uint8_t)c;
    }
    return term->category_count > 0 ? DH_OK : wrong(parser, "no category", NULL);
}

/* A positive decimal with at most four digits after the point, in 1/DH_WEIGHT_SCALE. */
static dh_status parse_weight(tsv_parser *parser, const char *value, uint32_t *weight)
{
    uint64_t scaled = 0;
    uint32_t unit = DH_WEIGHT_SCALE;
    const char *c = value;
    for (; *c >= '0' && *c <= '9' && scaled < 1000000; c++) {
        scaled = scaled * 10 + (uint64_t)(*c - '0') * DH_WEIGHT_SCALE;
    }
    const bool has_digits = c > value;
    if (has_digits && *c == '.') {
        for (c++; *c >= '0' && *c <= '9' && unit > 1; c++) {
            unit /= 10;
            scaled += (uint64_t)(*c - '0') * unit;
        }
    }
    if (!has_digits || *c != '\0' || scaled == 0 || scaled > (uint64_t)DH_UNITS_MAX * DH_WEIGHT_SCALE) {
        return wrong(parser, "a weight is a decimal above 0 and at most 255, with at most four decimals",
                     value);
    }
    *weight = (uint32_t)scaled;
    return DH_OK;
}

static dh_status parse_term(tsv_parser *parser, char *line)
{
    DH_TRY(begin_once(parser));
    char *field[5] = {line, NULL, NULL, NULL, NULL};
    uint32_t fields = 1;
    for (char *tab = strchr(line, '\t'); tab != NULL && fields < 5; tab = strchr(tab + 1, '\t')) {
        *tab = '\0';
        field[fields++] = tab + 1;
    }
    if (fields < 3 || fields > 4) {
        return wrong(parser, "an entry is term, categories, polarity and maybe a weight, with tabs between",
                     line);
    }
    dh_term term = {.weight = DH_WEIGHT_SCALE};
    DH_TRY(parse_term_categories(parser, field[1], &term));
    if (strcmp(field[2], "+") != 0 && strcmp(field[2], "-") != 0) {
        return wrong(parser, "a polarity is + or -, not", field[2]);
    }
    term.negative = field[2][0] == '-';
    if (fields == 4) {
        DH_TRY(parse_weight(parser, field[3], &term.weight));
    }
    uint32_t tokens = 0;
    DH_TRY(dh_lexicon_add_term(parser->lexicons, &parser->at, field[0], strlen(field[0]), &term, &tokens));
    return tokens > 0 ? DH_OK : wrong(parser, "the term has no letter or digit", field[0]);
}

dh_status dh_lexicon_parse_tsv(dh_lexicons *lexicons, const char *path, char *text)
{
    tsv_parser parser = {.lexicons = lexicons, .at = {.path = path, .number = 0}};
    char *rest = text;
    for (char *line = dh_lexicon_next_line(&rest); line != NULL; line = dh_lexicon_next_line(&rest)) {
        parser.at.number++;
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        DH_TRY(line[0] == '@' ? parse_directive(&parser, line) : parse_term(&parser, line));
    }
    return parser.begun ? DH_OK : wrong(&parser, "the lexicon has no entry", NULL);
}
