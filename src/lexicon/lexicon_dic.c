/* dhatu: LIWC dictionaries (.dic): categories "number TAB name" between two lines of %, then terms
 * "term TAB number TAB number ...". A dictionary has no language: it is used for every document. */
#include "base/log.h"
#include "lexicon/language.h"
#include "lexicon/lexicon_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct dic_parser {
    dh_lexicons *lexicons;
    dh_lexicon_line at;
    const char *category[DH_CATEGORIES_MAX];
    long number[DH_CATEGORIES_MAX];
    uint32_t category_count;
    uint64_t skipped; /* terms without a letter or digit (emoticons) */
} dic_parser;

static dh_status wrong(const dic_parser *parser, const char *reason, const char *what)
{
    return dh_error(DH_USAGE, "%s:%llu: %s%s%s", parser->at.path, (unsigned long long)parser->at.number,
                    reason, what != NULL ? ": " : "", what != NULL ? what : "");
}

static dh_status parse_category(dic_parser *parser, char *line)
{
    char *end = NULL;
    const long number = strtol(line, &end, 10);
    end += strspn(end, " \t");
    end[strcspn(end, " \t(")] = '\0';
    if (end == line || *end == '\0') {
        return wrong(parser, "a category is a number, a tab and a name", line);
    }
    if (parser->category_count == DH_CATEGORIES_MAX) {
        return wrong(parser, "more than 128 categories", NULL);
    }
    if (strlen(end) > DH_CATEGORY_NAME_MAX) {
        return wrong(parser, "a category's name is longer than 63 bytes", end);
    }
    parser->number[parser->category_count] = number;
    parser->category[parser->category_count++] = end;
    return DH_OK;
}

static dh_status parse_term(dic_parser *parser, char *line)
{
    dh_term term = {.weight = DH_WEIGHT_SCALE};
    char *numbers = strchr(line, '\t');
    if (numbers == NULL) {
        return wrong(parser, "a term is followed by a tab and its categories' numbers", line);
    }
    *numbers++ = '\0';
    char *rest = NULL;
    for (char *field = strtok_r(numbers, "\t ", &rest); field != NULL; field = strtok_r(NULL, "\t ", &rest)) {
        /* LIWC 2007 has conditions, "(02 134)125/464": 464 is the category without the context. */
        const char *slash = strchr(field, '/');
        if (field[0] == '(' && slash == NULL) {
            continue;
        }
        const long number = strtol(slash != NULL ? slash + 1 : field, NULL, 10);
        uint32_t c = 0;
        while (c < parser->category_count && parser->number[c] != number) {
            c++;
        }
        if (c == parser->category_count) {
            return wrong(parser, "a number that the header does not have", field);
        }
        if (memchr(term.category, (int)c, term.category_count) == NULL) {
            term.category[term.category_count++] = (uint8_t)c;
        }
    }
    if (term.category_count == 0) {
        return wrong(parser, "no category", line);
    }
    uint32_t tokens = 0;
    DH_TRY(dh_lexicon_add_term(parser->lexicons, &parser->at, line, strlen(line), &term, &tokens));
    parser->skipped += tokens == 0;
    return DH_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

dh_status dh_lexicon_parse_dic(dh_lexicons *lexicons, const char *path, char *text)
{
    dic_parser parser = {.lexicons = lexicons, .at = {.path = path, .number = 0}};
    uint32_t percents = 0;
    char *rest = text;
    for (char *line = dh_lexicon_next_line(&rest); line != NULL; line = dh_lexicon_next_line(&rest)) {
        parser.at.number++;
        line += strspn(line, " \t");
        if (line[0] == '\0') {
            continue;
        }
        if (line[0] == '%') {
            if (++percents == 2) {
                DH_TRY(dh_lexicon_begin(lexicons, &parser.at, base_name(path), DH_LANGUAGE_UNKNOWN,
                                        parser.category, parser.category_count));
            }
            continue;
        }
        DH_TRY(percents < 2 ? parse_category(&parser, line) : parse_term(&parser, line));
    }
    if (percents < 2) {
        return wrong(&parser, "a .dic file has its categories between two lines of %", NULL);
    }
    if (parser.skipped > 0) {
        dh_warning("%s: %llu terms have no letter or digit and cannot match", path,
                   (unsigned long long)parser.skipped);
    }
    return DH_OK;
}
