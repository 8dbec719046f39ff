/* dhatu: --help and man pages, from the table of options. */
#include "dhatu_config.h"
#include "options/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { HELP_INDENT = 26, HELP_WIDTH = 96 };

static const char *const exit_codes[][2] = {
    {"0", "done"},
    {"1", "failed"},
    {"2", "the command line, configuration or a lexicon is wrong"},
    {"65", "more bad records than --max-bad or --strict allow"},
    {"69", "another run holds the checkpoint folder, or another export the folder that it writes to"},
    {"70", "internal error: a known answer is wrong"},
    {"74", "I/O error: disk full, no permission, unreadable source"},
    {"75", "all that is done is kept: run the same command again"},
    {"78", "input, options or result are not what they should be (run: since the checkpoint; verify)"},
};

/* Appends words of text, broken at HELP_WIDTH and indented. */
static dh_status append_wrapped(dh_buffer *out, const char *text, size_t indent, size_t column)
{
    while (*text != '\0') {
        const size_t size = strcspn(text, " \n");
        if (column + size + 1 > HELP_WIDTH && column > indent) {
            DH_TRY(dh_buffer_printf(out, "\n%*s", (int)indent, ""));
            column = indent;
        }
        DH_TRY(dh_buffer_printf(out, "%s%.*s", column > indent ? " " : "", (int)size, text));
        column += size + (column > indent);
        text += size;
        if (strncmp(text, "\n\n", 2) == 0) {
            DH_TRY(dh_buffer_printf(out, "\n\n%*s", (int)indent, ""));
            column = indent;
        }
        text += strspn(text, " \n");
    }
    return dh_buffer_append(out, "\n", 1);
}

static void option_usage(const dh_option *option, char *out, size_t size)
{
    char letter[8] = "    ";
    if (option->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    }
    (void)snprintf(out, size, "%s--%s%s%s", letter, option->name, option->value_name != NULL ? " " : "",
                   option->value_name != NULL ? option->value_name : "");
}

static dh_status append_option(dh_buffer *out, const dh_option *option)
{
    char usage[80];
    char help[1024];
    option_usage(option, usage, sizeof usage);
    const bool show_default = option->default_value != NULL && option->kind != DH_KIND_FLAG;
    (void)snprintf(help, sizeof help, "%s%s%s%s%s%s%s", option->help, option->choices != NULL ? " (" : "",
                   option->choices != NULL ? option->choices : "", option->choices != NULL ? ")" : "",
                   show_default ? " [" : "", show_default ? option->default_value : "",
                   show_default ? "]" : "");
    DH_TRY(dh_buffer_printf(out, "  %-*s", HELP_INDENT - 2, usage));
    size_t column = 2 + strlen(usage);
    if (column >= HELP_INDENT) {
        DH_TRY(dh_buffer_printf(out, "\n%*s", HELP_INDENT, ""));
    }
    column = HELP_INDENT;
    return append_wrapped(out, help, HELP_INDENT, column);
}

static dh_status program_help(dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(
        out,
        "dhatu %s: turns a text corpus into vectors and corpus statistics, in one HDF5 file\n\n"
        "Usage: dhatu COMMAND [OPTIONS] ARGUMENTS\n"
        "       mpirun -n RANKS dhatu run [OPTIONS] INPUT...\n\nCommands:\n",
        DHATU_VERSION));
    for (int c = 0; c < DH_COMMAND_COUNT; c++) {
        DH_TRY(dh_buffer_printf(out, "  %-10s%s\n", dh_command_table[c].name, dh_command_table[c].summary));
    }
    return dh_buffer_printf(
        out, "\ndhatu COMMAND --help shows the options of a command; dhatu --version the version.\n");
}

static dh_status append_examples(dh_buffer *out, const char *examples, const char *before)
{
    while (*examples != '\0') {
        const size_t size = strcspn(examples, "\n");
        DH_TRY(dh_buffer_printf(out, "%s%.*s\n", before, (int)size, examples));
        examples += size + (examples[size] == '\n');
    }
    return DH_OK;
}

dh_status dh_help_text(dh_command command, dh_buffer *out)
{
    if (command == DH_COMMAND_COUNT) {
        return program_help(out);
    }
    const dh_command_facts *facts = &dh_command_table[command];
    DH_TRY(dh_buffer_printf(out, "dhatu %s: %s\n\nUsage: dhatu %s [OPTIONS]%s%s\n\n", facts->name,
                            facts->summary, facts->name, facts->arguments[0] != '\0' ? " " : "",
                            facts->arguments));
    DH_TRY(append_wrapped(out, facts->description, 0, 0));
    DH_TRY(dh_buffer_printf(out, "\nOptions (also as DHATU_NAME in the environment%s):\n",
                            (dh_option_table[DH_OPTION_CONFIG].commands >> command & 1U) != 0
                                ? ", or in the file of --config"
                                : ""));
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        if ((dh_option_table[id].commands >> command & 1U) != 0) {
            DH_TRY(append_option(out, &dh_option_table[id]));
        }
    }
    DH_TRY(dh_buffer_printf(out, "\nExamples:\n"));
    DH_TRY(append_examples(out, facts->examples, "  "));
    DH_TRY(dh_buffer_printf(out, "\nExit codes:\n"));
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        DH_TRY(dh_buffer_printf(out, "  %-4s%s\n", exit_codes[i][0], exit_codes[i][1]));
    }
    return DH_OK;
}

/* Text for roff: backslashes, and dots and quotes at the start of a line, are protected. */
static dh_status append_roff(dh_buffer *out, const char *text)
{
    bool line_start = true;
    for (; *text != '\0'; text++) {
        if (strncmp(text, "\n\n", 2) == 0) {
            DH_TRY(dh_buffer_printf(out, "\n.PP\n"));
            text++;
            line_start = true;
            continue;
        }
        if (line_start && (*text == '.' || *text == '\'')) {
            DH_TRY(dh_buffer_append(out, "\\&", 2));
        }
        if (*text == '\\') {
            DH_TRY(dh_buffer_append(out, "\\e", 2));
        } else if (*text == '-') {
            DH_TRY(dh_buffer_append(out, "\\-", 2));
        } else {
            DH_TRY(dh_buffer_append(out, text, 1));
        }
        line_start = *text == '\n';
    }
    return dh_buffer_append(out, "\n", 1);
}

static dh_status man_option(dh_buffer *out, const dh_option *option)
{
    DH_TRY(dh_buffer_printf(out, ".TP\n"));
    if (option->letter != 0) {
        DH_TRY(dh_buffer_printf(out, "\\fB\\-%c\\fR, ", option->letter));
    }
    DH_TRY(dh_buffer_printf(out, "\\fB\\-\\-%s\\fR", option->name));
    if (option->value_name != NULL) {
        DH_TRY(dh_buffer_printf(out, " \\fI%s\\fR", option->value_name));
    }
    DH_TRY(dh_buffer_append(out, "\n", 1));
    char sentence[1024];
    (void)snprintf(sentence, sizeof sentence, "%s.", option->help);
    DH_TRY(append_roff(out, sentence));
    if (option->choices != NULL) {
        DH_TRY(dh_buffer_printf(out, "One of %s.\n", option->choices));
    }
    if (option->default_value != NULL && option->kind != DH_KIND_FLAG) {
        DH_TRY(dh_buffer_printf(out, "Default: %s.\n", option->default_value));
    }
    return DH_OK;
}

static dh_status man_tail(dh_buffer *out)
{
    DH_TRY(dh_buffer_printf(out, ".SH EXIT STATUS\n"));
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++) {
        DH_TRY(dh_buffer_printf(out, ".TP\n%s\n", exit_codes[i][0]));
        DH_TRY(append_roff(out, exit_codes[i][1]));
    }
    DH_TRY(dh_buffer_printf(out, ".SH SEE ALSO\n"));
    return dh_buffer_printf(out,
                            "\\fBdhatu\\fR(1), \\fBdhatu\\-run\\fR(1), \\fBdhatu\\-inspect\\fR(1), "
                            "\\fBdhatu\\-verify\\fR(1), \\fBdhatu\\-jobs\\fR(1), \\fBdhatu\\-devices\\fR(1), "
                            "\\fBdhatu\\-status\\fR(1)\n");
}

dh_status dh_help_man(dh_command command, dh_buffer *out)
{
    if (command == DH_COMMAND_COUNT) {
        DH_TRY(dh_buffer_printf(
            out,
            ".TH DHATU 1 \"\" \"dhatu %s\" \"dhatu\"\n.SH NAME\ndhatu \\- turn a text corpus into "
            "vectors and corpus statistics\n.SH SYNOPSIS\n\\fBdhatu\\fR \\fICOMMAND\\fR [OPTIONS] "
            "ARGUMENTS\n.SH COMMANDS\n",
            DHATU_VERSION));
        for (int c = 0; c < DH_COMMAND_COUNT; c++) {
            DH_TRY(dh_buffer_printf(out, ".TP\n\\fB%s\\fR\n", dh_command_table[c].name));
            DH_TRY(append_roff(out, dh_command_table[c].summary));
        }
        return man_tail(out);
    }
    const dh_command_facts *facts = &dh_command_table[command];
    DH_TRY(dh_buffer_printf(
        out,
        ".TH DHATU-%s 1 \"\" \"dhatu %s\" \"dhatu\"\n.SH NAME\ndhatu\\-%s \\- %s\n.SH SYNOPSIS\n"
        "\\fBdhatu %s\\fR [OPTIONS] %s\n.SH DESCRIPTION\n",
        facts->name, DHATU_VERSION, facts->name, facts->summary, facts->name, facts->arguments));
    DH_TRY(append_roff(out, facts->description));
    DH_TRY(dh_buffer_printf(out, ".SH OPTIONS\n"));
    for (int id = 0; id < DH_OPTION_COUNT; id++) {
        if ((dh_option_table[id].commands >> command & 1U) != 0) {
            DH_TRY(man_option(out, &dh_option_table[id]));
        }
    }
    DH_TRY(dh_buffer_printf(out, ".SH EXAMPLES\n.EX\n"));
    DH_TRY(append_examples(out, facts->examples, ""));
    DH_TRY(dh_buffer_printf(out, ".EE\n"));
    return man_tail(out);
}
