/* dhatu: every option of the program, in one table. It drives the command line, the environment
 * (DHATU_<NAME>), the INI file (--config), --help, the man pages and the configuration stored in the
 * result. Precedence: command line, environment, file, default. */
#ifndef DH_OPTIONS_OPTIONS_H
#define DH_OPTIONS_OPTIONS_H

#include "base/buffer.h"

#include <stdbool.h>

typedef enum dh_command {
    DH_COMMAND_RUN = 0,
    DH_COMMAND_PLAN,
    DH_COMMAND_STATUS,
    DH_COMMAND_JOBS,
    DH_COMMAND_DEVICES,
    DH_COMMAND_INSPECT,
    DH_COMMAND_VERIFY,
    DH_COMMAND_EXPLAIN,
    DH_COMMAND_EXPORT,
    DH_COMMAND_HELP,
    DH_COMMAND_COUNT
} dh_command;

typedef enum dh_option_id {
    /* run: what is computed */
    DH_OPTION_JOBS = 0,
    DH_OPTION_FORMAT,
    DH_OPTION_TEXT_FIELD,
    DH_OPTION_ID_FIELD,
    DH_OPTION_LANG_FIELD,
    DH_OPTION_LANG,
    DH_OPTION_LEXICON,
    DH_OPTION_TOKENS,
    DH_OPTION_MAX_RECORD,
    DH_OPTION_MAX_TOKENS,
    DH_OPTION_MAX_ID,
    DH_OPTION_ZSTD_WINDOW,
    DH_OPTION_DEFLATE,
    /* run: options of jobs */
    DH_OPTION_NGRAMS,
    DH_OPTION_FEATURES,
    DH_OPTION_ALTERNATE_SIGN,
    DH_OPTION_BINARY,
    DH_OPTION_IDF,
    DH_OPTION_NORM,
    DH_OPTION_TOP,
    DH_OPTION_SHINGLE,
    DH_OPTION_BANDS,
    DH_OPTION_BAND_ROWS,
    DH_OPTION_THRESHOLD,
    DH_OPTION_MIN_SHINGLES,
    DH_OPTION_MINHASH_SEED,
    DH_OPTION_MINHASH,
    DH_OPTION_AGAINST,
    DH_OPTION_VOCAB_TSV,
    /* run: where to */
    DH_OPTION_OUTPUT,
    DH_OPTION_FORCE,
    /* run: checkpoint and restart */
    DH_OPTION_CHECKPOINT,
    DH_OPTION_COMMIT_INTERVAL,
    DH_OPTION_FRESH,
    DH_OPTION_KEEP_CHECKPOINT,
    DH_OPTION_BREAK_LOCK,
    DH_OPTION_FINGERPRINT,
    DH_OPTION_MAX_TIME,
    DH_OPTION_GRACE,
    /* run: bad input */
    DH_OPTION_MAX_BAD,
    DH_OPTION_STRICT,
    /* run: how it is computed */
    DH_OPTION_BACKEND,
    DH_OPTION_DEVICES,
    DH_OPTION_ROUTE,
    DH_OPTION_DEVICE_TIMEOUT,
    DH_OPTION_SEGMENT_SIZE,
    DH_OPTION_BATCH_SIZE,
    DH_OPTION_MEMORY,
    DH_OPTION_PROGRESS,
    DH_OPTION_WHERE,
    /* plan */
    DH_OPTION_NODES,
    DH_OPTION_RANKS_PER_NODE,
    DH_OPTION_GPUS,
    DH_OPTION_PRICE_CPU_NODE,
    DH_OPTION_PRICE_GPU_NODE,
    DH_OPTION_PRICE_SPOT_CPU_NODE,
    DH_OPTION_PRICE_SPOT_GPU_NODE,
    DH_OPTION_INTERRUPTIONS,
    DH_OPTION_RESTART_TIME,
    DH_OPTION_SAMPLE_TIME,
    DH_OPTION_SCRATCH,
    DH_OPTION_BRIEF,
    /* status */
    DH_OPTION_RESTART_LIMIT,
    /* inspect, verify, explain, export */
    DH_OPTION_DOC,
    DH_OPTION_SOURCES,
    DH_OPTION_SAMPLE,
    /* export */
    DH_OPTION_ALL,
    DH_OPTION_COMPRESS,
    DH_OPTION_SHARD_SIZE,
    DH_OPTION_CSV,
    /* every command */
    DH_OPTION_JSON,
    DH_OPTION_CONFIG,
    DH_OPTION_QUIET,
    DH_OPTION_VERBOSE,
    DH_OPTION_HELP,
    DH_OPTION_COUNT
} dh_option_id;

typedef enum dh_option_kind {
    DH_KIND_FLAG, /* no argument; in files and environment: yes or no */
    DH_KIND_TEXT,
    DH_KIND_LIST,  /* may be given several times; values are kept apart by newlines */
    DH_KIND_COUNT, /* a non-negative integer */
    DH_KIND_SIZE,  /* bytes, with K, M, G, T (powers of 1024) */
    DH_KIND_TIME   /* seconds; with s, m, h, d, or as Slurm writes times: [D-]HH:MM:SS, MM:SS */
} dh_option_kind;

typedef struct dh_option {
    const char *name; /* long name; the environment's is DHATU_ and the same in capitals with _ */
    char letter;      /* 0: none */
    dh_option_kind kind;
    const char *value_name;    /* in help: FILE, N, ... */
    const char *default_value; /* NULL: none */
    uint64_t minimum, maximum; /* of COUNT, SIZE and TIME */
    const char *choices;       /* TEXT: allowed values with | between, or NULL */
    unsigned commands;         /* bit 1 << dh_command */
    bool in_result;            /* it changes the result, so the result records it */
    const char *help;
} dh_option;

extern const dh_option dh_option_table[DH_OPTION_COUNT];

/* What a command is, for help and man pages. */
typedef struct dh_command_facts {
    const char *name;
    const char *arguments; /* "INPUT..." */
    const char *summary;
    const char *description; /* paragraphs with an empty line between */
    const char *examples;    /* lines */
} dh_command_facts;

extern const dh_command_facts dh_command_table[DH_COMMAND_COUNT];

typedef enum dh_origin {
    DH_ORIGIN_DEFAULT = 0,
    DH_ORIGIN_FILE,
    DH_ORIGIN_ENVIRONMENT,
    DH_ORIGIN_FLAG
} dh_origin;

/* Resolved options. Values are checked against their kind when they are set. Owner frees with
 * dh_options_free. */
typedef struct dh_options {
    dh_command command;
    char *value[DH_OPTION_COUNT]; /* NULL: not set and no default */
    dh_origin origin[DH_OPTION_COUNT];
    char **argument; /* what is no option, in order; points into argv */
    int argument_count;
} dh_options;

/* Resolves everything. argv[0] is the program, argv[1] the command. Errors: DH_USAGE, DH_IO (logged). */
dh_status dh_options_resolve(int argc, char **argv, dh_options *out);
void dh_options_free(dh_options *options);

/* Sets one value as if given by origin. A weaker origin never replaces a stronger one. */
dh_status dh_options_set(dh_options *options, dh_option_id id, const char *value, dh_origin origin,
                         const char *where);

bool dh_options_flag(const dh_options *options, dh_option_id id);
const char *dh_options_text(const dh_options *options, dh_option_id id); /* NULL when not set */
uint64_t dh_options_number(const dh_options *options, dh_option_id id);  /* COUNT, SIZE and TIME */
bool dh_options_is_set(const dh_options *options, dh_option_id id);      /* not by default */

/* Reads an INI file: [command] sections and a common first part, key = value, # and ; comments. */
dh_status dh_options_read_file(dh_options *options, const char *path);

/* Parses a size or count. Returns false when text is none or overflows. */
bool dh_parse_size(const char *text, bool with_units, uint64_t *out);

/* Parses a time (DH_KIND_TIME) to seconds. Returns false when text is none or overflows. */
bool dh_parse_time(const char *text, uint64_t *out);

/* --help of a command (DH_COMMAND_COUNT: of the program) as text, and a man page as roff. */
dh_status dh_help_text(dh_command command, dh_buffer *out);
dh_status dh_help_man(dh_command command, dh_buffer *out);

#endif
