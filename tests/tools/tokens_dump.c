/* Prints the tokens of a file, one a line, for tests/oracle/tokens.py:
 *     tokens_dump unicode|sklearn [FILE]
 * HASH TAB TOKEN, where HASH has 16 hexadecimal digits. The hash comes from dh_tokenize and the token from
 * dh_tokenize_visit, so that both are seen. Ill-formed UTF-8 is repaired first. */
#include "base/buffer.h"
#include "text/tokens.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct print_context {
    const dh_token_sink *sink;
    size_t next;
} print_context;

static dh_status print_token(void *context, const uint8_t *token, size_t size)
{
    print_context *print = context;
    if (print->next == print->sink->token_count) {
        return DH_INTERNAL;
    }
    (void)printf("%016" PRIx64 "\t", print->sink->token[print->next++]);
    (void)fwrite(token, 1, size, stdout);
    (void)putchar('\n');
    return DH_OK;
}

static dh_status read_all(FILE *file, dh_buffer *out)
{
    size_t got = 0;
    do {
        DH_TRY(dh_buffer_reserve(out, 1 << 16));
        got = fread(out->data + out->size, 1, 1 << 16, file);
        out->size += got;
    } while (got > 0);
    return ferror(file) != 0 ? DH_IO : DH_OK;
}

static dh_status dump(dh_token_mode mode, FILE *file)
{
    dh_buffer raw = {0};
    dh_buffer text = {0};
    dh_token_sink sink = {.token_limit = UINT64_MAX};
    dh_tokenizer *tokenizer = NULL;
    uint64_t replaced = 0;
    dh_status status = read_all(file, &raw);
    if (status == DH_OK) {
        status = dh_utf8_repair(raw.data, raw.size, &text, &replaced);
    }
    if (status == DH_OK) {
        status = dh_tokenizer_create(mode, NULL, &tokenizer);
    }
    if (status == DH_OK) {
        status = dh_tokenize(tokenizer, text.data, text.size, &sink);
    }
    print_context print = {&sink, 0};
    if (status == DH_OK) {
        status = dh_tokenize_visit(tokenizer, text.data, text.size, print_token, &print);
    }
    if (status == DH_OK && print.next != sink.token_count) {
        status = DH_INTERNAL;
    }
    dh_tokenizer_free(tokenizer);
    dh_token_sink_free(&sink);
    dh_buffer_free(&text);
    dh_buffer_free(&raw);
    return status;
}

int main(int argument_count, char **argument)
{
    const int known = argument_count < 2                    ? -1
                      : strcmp(argument[1], "unicode") == 0 ? DH_TOKENS_UNICODE
                      : strcmp(argument[1], "sklearn") == 0 ? DH_TOKENS_SKLEARN
                                                            : -1;
    if (known < 0 || argument_count > 3) {
        (void)fprintf(stderr, "usage: tokens_dump unicode|sklearn [FILE]\n");
        return dh_status_exit_code(DH_USAGE);
    }
    FILE *file = argument_count == 3 ? fopen(argument[2], "rb") : stdin;
    if (file == NULL) {
        perror(argument[2]);
        return dh_status_exit_code(DH_IO);
    }
    const dh_status status = dump((dh_token_mode)known, file);
    if (file != stdin) {
        (void)fclose(file);
    }
    if (status != DH_OK) {
        (void)fprintf(stderr, "tokens_dump: %s\n", dh_status_name(status));
    }
    return dh_status_exit_code(status);
}
