/* dhatu: the table of options and commands. To add an option: an enumerator in options.h, a row here. */
#include "options/options.h"

#define RUN (1U << DH_COMMAND_RUN)
#define JOBS (1U << DH_COMMAND_JOBS)
#define DEVICES (1U << DH_COMMAND_DEVICES)
#define INSPECT (1U << DH_COMMAND_INSPECT)
#define VERIFY (1U << DH_COMMAND_VERIFY)
#define EXPLAIN (1U << DH_COMMAND_EXPLAIN)
#define EXPORT (1U << DH_COMMAND_EXPORT)
#define PLAN (1U << DH_COMMAND_PLAN)
#define STATUS (1U << DH_COMMAND_STATUS)
#define ALL                                                                                                  \
    (RUN | PLAN | STATUS | JOBS | DEVICES | INSPECT | VERIFY | EXPLAIN | EXPORT | 1U << DH_COMMAND_HELP)

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)

const dh_option dh_option_table[DH_OPTION_COUNT] = {
    [DH_OPTION_JOBS] = {"jobs", 'j', DH_KIND_TEXT, "NAMES", "profile", 0, 0, NULL, RUN | PLAN, true,
                        "jobs to run in one pass, with commas between (dhatu jobs lists them)"},
    [DH_OPTION_FORMAT] =
        {"format", 0, DH_KIND_TEXT, "FORMAT", "auto", 0, 0, "auto|jsonl|text", RUN | PLAN, true,
         "what the sources are; auto goes by the name less its compression suffix: .jsonl .ndjson "
         ".json are JSONL, all else is one document a file"},
    [DH_OPTION_TEXT_FIELD] = {"text-field", 0, DH_KIND_TEXT, "PATH", "text", 0, 0, NULL, RUN | PLAN, true,
                              "JSONL: field with the text; dots go into objects (body.text)"},
    [DH_OPTION_ID_FIELD] = {"id-field", 0, DH_KIND_TEXT, "PATH", "id", 0, 0, NULL, RUN | PLAN, true,
                            "JSONL: field with the document's id; without it the id is SOURCE#RECORD"},
    [DH_OPTION_LANG_FIELD] = {"lang-field", 0, DH_KIND_TEXT, "PATH", "lang", 0, 0, NULL, RUN | PLAN, true,
                              "JSONL: field with the language (BCP 47: fr, en-GB)"},
    [DH_OPTION_LANG] = {"lang", 0, DH_KIND_TEXT, "CODE", NULL, 0, 0, NULL, RUN | PLAN, true,
                        "language of records that name none; without it the lexicons' function words vote"},
    [DH_OPTION_LEXICON] =
        {"lexicon", 'l', DH_KIND_LIST, "FILE", NULL, 0, 0, NULL, RUN | PLAN | VERIFY, true,
         "lexicon of job profile (own format or LIWC .dic), one a language; may be given several times; "
         "default: the English and French lexicons of the nine dhatus"},
    [DH_OPTION_TOKENS] =
        {"tokens", 0, DH_KIND_TEXT, "RULE", "unicode", 0, 0, "unicode|sklearn", RUN | PLAN, true,
         "how text becomes tokens: unicode (NFKC, case folding, runs of letters, marks and numbers) or "
         "as scikit-learn's vectorisers do"},
    [DH_OPTION_MAX_RECORD] = {"max-record", 0, DH_KIND_SIZE, "SIZE", "300M", 1, 2 * GIB - 1, NULL, RUN | PLAN,
                              true, "longest record; longer ones are quarantined"},
    [DH_OPTION_MAX_TOKENS] = {"max-tokens", 0, DH_KIND_COUNT, "N", "8388608", 1, 1U << 24, NULL, RUN | PLAN,
                              true, "most tokens of a document; documents with more are quarantined"},
    [DH_OPTION_MAX_ID] = {"max-id", 0, DH_KIND_COUNT, "N", "256", 64, 4096, NULL, RUN | PLAN, true,
                          "longest id in bytes; longer ones are cut and end in a hash"},
    [DH_OPTION_ZSTD_WINDOW] = {"zstd-window", 0, DH_KIND_SIZE, "SIZE", "128M", KIB, 2 * GIB, NULL, RUN | PLAN,
                               true, "largest window of a zstd frame that is decoded"},
    [DH_OPTION_DEFLATE] = {"deflate", 0, DH_KIND_COUNT, "LEVEL", "0", 0, 9, NULL, RUN | PLAN, true,
                           "compress the result's columns; 0: contiguous, fastest to write and to map"},
    [DH_OPTION_NGRAMS] = {"ngrams", 0, DH_KIND_TEXT, "N|M-N", "1", 0, 0, NULL, RUN | PLAN, true,
                          "features, vocab: how many tokens an n-gram has (1: single tokens; 1-3: one to "
                          "three)"},
    [DH_OPTION_FEATURES] = {"features", 0, DH_KIND_COUNT, "N", "262144", 1, 1U << 24, NULL, RUN | PLAN, true,
                            "features: columns that n-grams are hashed to"},
    [DH_OPTION_ALTERNATE_SIGN] = {"alternate-sign", 0, DH_KIND_TEXT, "yes|no", "yes", 0, 0, "yes|no",
                                  RUN | PLAN, true,
                                  "features: count an n-gram as +1 or -1, as its hash says, so that n-grams "
                                  "that share a column cancel out on average"},
    [DH_OPTION_BINARY] = {"binary", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, true,
                          "features: 1 for every column that a document has, whatever its count"},
    [DH_OPTION_IDF] = {"idf", 0, DH_KIND_TEXT, "yes|no", "yes", 0, 0, "yes|no", RUN | PLAN, true,
                       "features: weigh columns by their inverse document frequency"},
    [DH_OPTION_NORM] = {"norm", 0, DH_KIND_TEXT, "NORM", "l2", 0, 0, "l1|l2|none", RUN | PLAN, true,
                        "features: the norm that rows are divided by"},
    [DH_OPTION_TOP] = {"top", 0, DH_KIND_COUNT, "K", "1000", 0, 1000000, NULL, RUN | PLAN, true,
                       "vocab: how many of the commonest terms the result has"},
    [DH_OPTION_SHINGLE] = {"shingle", 0, DH_KIND_COUNT, "N", "5", 1, 32, NULL, RUN | PLAN, true,
                           "neardup: tokens of a shingle; documents are compared as sets of shingles"},
    [DH_OPTION_BANDS] = {"bands", 0, DH_KIND_COUNT, "N", "14", 1, 256, NULL, RUN | PLAN, true,
                         "neardup: bands of a MinHash signature; documents that agree on a whole band are "
                         "compared"},
    [DH_OPTION_BAND_ROWS] = {"band-rows", 0, DH_KIND_COUNT, "N", "8", 1, 64, NULL, RUN | PLAN, true,
                             "neardup: MinHash values of a band"},
    [DH_OPTION_THRESHOLD] = {"threshold", 0, DH_KIND_TEXT, "J", "0.75", 0, 0, NULL, RUN | PLAN, true,
                             "neardup: estimated Jaccard similarity from which two documents are "
                             "near-duplicates, above 0 and at most 1"},
    [DH_OPTION_MIN_SHINGLES] = {"min-shingles", 0, DH_KIND_COUNT, "N", "5", 1, 64, NULL, RUN | PLAN, true,
                                "neardup: documents with fewer different shingles are duplicates of equal "
                                "documents only"},
    [DH_OPTION_MINHASH_SEED] = {"minhash-seed", 0, DH_KIND_COUNT, "N", "1", 0, UINT64_MAX / 2, NULL,
                                RUN | PLAN, true, "neardup: seed of the permutations"},
    [DH_OPTION_MINHASH] = {"minhash", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, true,
                           "neardup: keep the signatures in the result (obsm/minhash), for explain and for "
                           "--against of a later corpus"},
    [DH_OPTION_AGAINST] = {"against", 0, DH_KIND_TEXT, "OLD.h5", NULL, 0, 0, NULL, RUN | PLAN, false,
                           "neardup: mark documents that duplicate one of an earlier result (made with "
                           "--minhash)"},
    [DH_OPTION_VOCAB_TSV] = {"vocab-tsv", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, false,
                             "vocab: write all terms to OUTPUT.vocab.tsv, commonest first"},
    [DH_OPTION_OUTPUT] =
        {"output", 'o', DH_KIND_TEXT, "FILE", "dhatu.h5", 0, 0, NULL, RUN | PLAN | EXPORT, false,
         "the result; FILE.run.json and FILE.quarantine.jsonl are written beside it. Of "
         "export, which has no default: the folder of the shards, or with --csv the file (-: "
         "standard output)"},
    [DH_OPTION_FORCE] = {"force", 'f', DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN | EXPORT, false,
                         "replace a result that exists (export: a file of --csv)"},
    [DH_OPTION_CHECKPOINT] =
        {"checkpoint", 'c', DH_KIND_TEXT, "DIR", NULL, 0, 0, NULL, RUN | PLAN, false,
         "checkpoint folder, on a file system that all ranks share: it holds what is done, and the same "
         "command "
         "line again goes on from it; default: OUTPUT.ckpt; removed when the result is complete"},
    [DH_OPTION_COMMIT_INTERVAL] = {"commit-interval", 0, DH_KIND_TIME, "TIME", "10", 0, 86400, NULL,
                                   RUN | PLAN, false,
                                   "how often what is done is made durable, so how much work a crash costs "
                                   "at most; 0: never, a run that "
                                   "is killed starts over"},
    [DH_OPTION_FRESH] = {"fresh", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, false,
                         "throw the checkpoint away and start over"},
    [DH_OPTION_KEEP_CHECKPOINT] = {"keep-checkpoint", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN,
                                   false, "keep the checkpoint folder when the result is complete"},
    [DH_OPTION_BREAK_LOCK] = {"break-lock", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, false,
                              "take the checkpoint folder over from a run that you know to be dead"},
    [DH_OPTION_FINGERPRINT] = {"fingerprint", 0, DH_KIND_TEXT, "KIND", "ends", 0, 0, "ends|all", RUN | PLAN,
                               false,
                               "how a rerun knows the sources again: ends (size, time of change, first and "
                               "last 64 KiB) or all (size and "
                               "every byte, so that copies with new times pass)"},
    [DH_OPTION_MAX_TIME] =
        {"max-time", 0, DH_KIND_TIME, "TIME", NULL, 1, UINT64_C(366) * 86400, NULL, RUN | PLAN, false,
         "be gone, with exit code 75 and all that is done kept, this long after the start"},
    [DH_OPTION_GRACE] = {"grace", 0, DH_KIND_TIME, "TIME", "30", 1, 86400, NULL, RUN | PLAN, false,
                         "time to leave after SIGUSR1 or SIGUSR2, and before the end of --max-time"},
    [DH_OPTION_MAX_BAD] =
        {"max-bad", 0, DH_KIND_COUNT, "N", NULL, 0, UINT64_MAX / 2, NULL, RUN | PLAN, false,
         "end with exit code 65 when more than N records or sources are bad; default: no limit"},
    [DH_OPTION_STRICT] = {"strict", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN, false,
                          "end with exit code 65 at the first bad record (--max-bad 0)"},
    [DH_OPTION_BACKEND] = {"backend", 0, DH_KIND_TEXT, "NAME", "auto", 0, 0, "auto|cpu|cuda|opencl",
                           RUN | PLAN, false,
                           "devices that kernels run on besides the CPU, which always takes part: any "
                           "accelerator (auto), none (cpu), or those of one kind; the result is the same"},
    [DH_OPTION_DEVICES] = {"devices", 0, DH_KIND_TEXT, "N|none", NULL, 0, 0, NULL, RUN | PLAN, false,
                           "how many devices of each node to use; default: all that its ranks see, each by "
                           "one rank"},
    [DH_OPTION_ROUTE] = {"route", 0, DH_KIND_TEXT, "WAY", "auto", 0, 0, "auto|self|device", RUN | PLAN, false,
                         "who computes a batch of documents: whoever has it done first (auto), the rank that "
                         "read it (self), a device as long as there is one (device); the result is the same"},
    [DH_OPTION_DEVICE_TIMEOUT] = {"device-timeout", 0, DH_KIND_TIME, "TIME", "60", 1, 86400, NULL, RUN | PLAN,
                                  false,
                                  "how long a device may take to finish anything before its work is done "
                                  "elsewhere and it is left alone"},
    [DH_OPTION_SEGMENT_SIZE] = {"segment-size", 0, DH_KIND_SIZE, "SIZE", "16M", 64 * KIB, 1024 * GIB, NULL,
                                RUN | PLAN, false,
                                "unit of work of a rank, a multiple of 64K; the result is the same"},
    [DH_OPTION_BATCH_SIZE] = {"batch-size", 0, DH_KIND_SIZE, "SIZE", "1M", KIB, 256 * MIB, NULL, RUN | PLAN,
                              false, "text that a kernel is given at a time; the result is the same"},
    [DH_OPTION_MEMORY] = {"memory", 0, DH_KIND_SIZE, "SIZE", "512M", 16 * MIB, 1024 * GIB, NULL, RUN | PLAN,
                          false,
                          "of each rank, for what vocab, features and neardup bring together; what does not "
                          "fit goes to the checkpoint folder. A rank takes at most 128M besides; the result "
                          "is the same"},
    [DH_OPTION_PROGRESS] = {"progress", 0, DH_KIND_COUNT, "SECONDS", "30", 1, 86400, NULL, RUN | PLAN, false,
                            "time between progress lines where stderr is no terminal"},
    [DH_OPTION_WHERE] =
        {"where", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN, false,
         "print where the result and the checkpoint are and whether they are done, and run nothing"},
    [DH_OPTION_NODES] = {"nodes", 0, DH_KIND_COUNT, "N", "1", 1, 100000, NULL, PLAN, false,
                         "nodes of the job that is planned"},
    [DH_OPTION_RANKS_PER_NODE] = {"ranks-per-node", 0, DH_KIND_COUNT, "N", NULL, 1, 4096, NULL, PLAN, false,
                                  "ranks on each node; default: the cores of this machine"},
    [DH_OPTION_GPUS] =
        {"gpus", 0, DH_KIND_TEXT, "[TYPE:]N", "1", 0, 0, NULL, PLAN, false,
         "GPUs of each node in the variant with GPUs, as Slurm writes them (h100:1); 0: no such variant"},
    [DH_OPTION_PRICE_CPU_NODE] = {"price-cpu-node", 0, DH_KIND_TEXT, "PRICE", NULL, 0, 0, NULL, PLAN, false,
                                  "price of a node without GPUs for an hour"},
    [DH_OPTION_PRICE_GPU_NODE] = {"price-gpu-node", 0, DH_KIND_TEXT, "PRICE", NULL, 0, 0, NULL, PLAN, false,
                                  "price of a node with GPUs for an hour"},
    [DH_OPTION_PRICE_SPOT_CPU_NODE] =
        {"price-spot-cpu-node", 0, DH_KIND_TEXT, "PRICE", NULL, 0, 0, NULL, PLAN, false,
         "price of a node without GPUs for an hour where it may be taken away at any time"},
    [DH_OPTION_PRICE_SPOT_GPU_NODE] =
        {"price-spot-gpu-node", 0, DH_KIND_TEXT, "PRICE", NULL, 0, 0, NULL, PLAN, false,
         "price of a node with GPUs for an hour where it may be taken away at any time"},
    [DH_OPTION_INTERRUPTIONS] = {"interruptions", 0, DH_KIND_TEXT, "RATE", "0.05", 0, 0, NULL, PLAN, false,
                                 "how often a spot node is taken away, in times an hour"},
    [DH_OPTION_RESTART_TIME] =
        {"restart-time", 0, DH_KIND_TIME, "TIME", "2m", 0, 604800, NULL, PLAN, false,
         "how long it takes from the loss of a spot node until the job runs again, paid for"},
    [DH_OPTION_SAMPLE_TIME] =
        {"sample-time", 0, DH_KIND_TIME, "TIME", "5", 1, 3600, NULL, PLAN, false,
         "how long the sample may take, about; a corpus that is done by then is read whole"},
    [DH_OPTION_SCRATCH] = {"scratch", 0, DH_KIND_TEXT, "DIR", NULL, 0, 0, NULL, RUN | PLAN, false,
                           "folder on each node's own disk for what may be lost (runs of shuffles; plan: its "
                           "sample); it is removed "
                           "at the end. Default of run: the checkpoint folder; of plan: $SLURM_TMPDIR, else "
                           "$TMPDIR, else /tmp"},
    [DH_OPTION_BRIEF] = {"brief", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, PLAN, false,
                         "print two or three lines, for the log of a job"},
    [DH_OPTION_RESTART_LIMIT] = {"restart-limit", 0, DH_KIND_COUNT, "N", NULL, 1, 1000000, NULL, STATUS,
                                 false,
                                 "exit with 0 only when work is left and one of the last N attempts made "
                                 "progress, for scripts that start a run again"},
    [DH_OPTION_DOC] = {"doc", 'd', DH_KIND_TEXT, "ID", NULL, 0, 0, NULL, INSPECT, false,
                       "show one document, by its id or as #ROW"},
    [DH_OPTION_SOURCES] = {"sources", 's', DH_KIND_LIST, "INPUT", NULL, 0, 0, NULL, VERIFY | EXPLAIN | EXPORT,
                           false,
                           "the corpus, given as to run: verify computes a sample of its documents again, "
                           "explain reads the two "
                           "documents, export copies those that are kept; may be given several times"},
    [DH_OPTION_SAMPLE] = {"sample", 0, DH_KIND_COUNT, "N", "200", 1, UINT64_MAX / 2, NULL, VERIFY, false,
                          "documents to compute again"},
    [DH_OPTION_ALL] = {"all", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL, EXPORT, false,
                       "all documents, not only those with dup_keep"},
    [DH_OPTION_COMPRESS] = {"compress", 0, DH_KIND_TEXT, "KIND", "none", 0, 0, "none|gz|zst", EXPORT, false,
                            "how the shards are compressed"},
    [DH_OPTION_SHARD_SIZE] = {"shard-size", 0, DH_KIND_SIZE, "SIZE", "256M", 1, 1024 * GIB, NULL, EXPORT,
                              false,
                              "records of a shard, bytes as they are in the sources, uncompressed; "
                              "annotations come on top"},
    [DH_OPTION_CSV] = {"csv", 0, DH_KIND_TEXT, "TABLE", NULL, 0, 0, "profiles|clusters|vocabulary|documents",
                       EXPORT, false, "write a table of the result as CSV; needs no sources"},
    [DH_OPTION_JSON] = {"json", 0, DH_KIND_FLAG, NULL, "no", 0, 0, NULL,
                        PLAN | STATUS | JOBS | DEVICES | INSPECT | VERIFY | EXPLAIN, false,
                        "print JSON, for scripts"},
    [DH_OPTION_CONFIG] = {"config", 0, DH_KIND_TEXT, "FILE", NULL, 0, 0, NULL, RUN | PLAN, false,
                          "INI file with options (name = value); flags and environment go before it"},
    [DH_OPTION_QUIET] = {"quiet", 'q', DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN | VERIFY | EXPORT,
                         false, "print errors and warnings only"},
    [DH_OPTION_VERBOSE] = {"verbose", 'v', DH_KIND_FLAG, NULL, "no", 0, 0, NULL, RUN | PLAN | VERIFY | EXPORT,
                           false, "print details"},
    [DH_OPTION_HELP] = {"help", 'h', DH_KIND_FLAG, NULL, "no", 0, 0, NULL, ALL, false, "print this help"},
};

const dh_command_facts dh_command_table[DH_COMMAND_COUNT] = {
    [DH_COMMAND_RUN] =
        {"run", "INPUT...", "turn a corpus into one HDF5 file",
         "Reads the corpus once, with all ranks, runs the jobs over every document and writes one HDF5 file "
         "that "
         "is a valid AnnData file. The same corpus gives the same bytes for any number of ranks, any "
         "backend, "
         "plain or compressed sources.\n\n"
         "INPUT is a file, a folder (read recursively; names that begin with a dot are left out), a glob in "
         "quotes, or @LIST, a file with one path a line. "
         "Sources are plain, gzip, zstd or bzip2, told by content. What cannot be used is "
         "counted by reason, listed in OUTPUT.quarantine.jsonl, and never ends the run unless --strict or "
         "--max-bad say so.\n\n"
         "What is done is kept in the checkpoint folder. After a crash, a kill, a full disk or exit code 75 "
         "the same "
         "command line goes on where it stopped, also with another number of ranks. SIGUSR1, SIGUSR2, "
         "SIGTERM and a "
         "file named stop in the folder make the run commit and leave with 75.",
         "dhatu run -j profile,digest -o out.h5 corpus/\n"
         "mpirun -n 8 dhatu run -j profile,digest -o out.h5 corpus/*.jsonl.gz\n"
         "dhatu run --text-field body.text --lang fr -o out.h5 @files.txt"},
    [DH_COMMAND_PLAN] =
        {"plan", "INPUT...", "say what a run would take: time, memory, space, cost",
         "Finds the sources as run does, runs the jobs over a sample of them and prints what the whole run "
         "would take: time, memory, scratch space and files, and the size of the result, on nodes without "
         "and with GPUs; whether a GPU pays for these jobs; the cost, where prices are given; and #SBATCH "
         "lines for Slurm. It takes the same options and settings as the run.\n\nThe sample is read here, so "
         "the rates are those of this machine, its storage and its page cache: run it where the job will "
         "run, as a short job. Waiting for processors that other programs have is left out. A sample never "
         "shows everything: the times have a margin, and the lines for Slurm more of it. The time with GPUs "
         "is the best that could be, were all the work that kernels can take free of charge.\n\nNo result is "
         "written. The sample and what the jobs make of it lie in a folder of their own in --scratch and are "
         "removed at the end.",
         "dhatu plan -j profile,digest corpus/\ndhatu plan -j neardup --nodes 4 --ranks-per-node 64 --gpus "
         "h100:1 corpus/\ndhatu plan --brief -j vocab @files.txt\ndhatu plan --nodes 2 --price-cpu-node 1.92 "
         "--price-spot-cpu-node 0.61 --interruptions 0.1 corpus/"},
    [DH_COMMAND_STATUS] = {"status", "DIR", "show how far a run is, from its checkpoint folder",
                           "Reads a checkpoint folder and prints what is done and what is left: segments, "
                           "documents, bytes, rate, time "
                           "left, the age of the last commit, restarts, bad records; and whether the run "
                           "that holds it is alive. Works "
                           "beside a running job and after it died; needs no MPI.",
                           "dhatu status out.h5.ckpt\ndhatu status out.h5.ckpt --json"},
    [DH_COMMAND_JOBS] = {"jobs", "", "list the jobs and their columns",
                         "Prints each job with what it computes and the columns that it adds to the result.",
                         "dhatu jobs\ndhatu jobs --json"},
    [DH_COMMAND_DEVICES] =
        {"devices", "", "list what kernels can run on, with known answers checked and rates measured",
         "Prints for each node its processor and its accelerators: what they are, which driver they have, "
         "whether every job computes its known answers on them, and how fast it is there, on made-up "
         "documents of 1 KB. The rate of the backend cpu is that of one core, which is what a rank has. "
         "Where something is missing (a driver, a permission, a part of this build) a line says what; that "
         "is no error. A known answer that is wrong ends with exit code 70, a device that breaks down with "
         "1.\n\n"
         "Under mpirun each node is listed once, as its first rank sees it; another rank adds what only it "
         "sees.",
         "dhatu devices\nmpirun -n 2 -N 1 dhatu devices\ndhatu devices --json"},
    [DH_COMMAND_INSPECT] =
        {"inspect", "OUT.h5", "show what a result holds",
         "Prints a summary of a result: documents, languages, sources, quality, totals. With --doc the "
         "columns of one document.",
         "dhatu inspect out.h5\ndhatu inspect out.h5 --doc man:fr:ls.1\ndhatu inspect out.h5 --doc '#17' "
         "--json"},
    [DH_COMMAND_VERIFY] = {"verify", "OUT.h5", "check a result, and compute a sample of it again",
                           "Reads all of a result, checks its schema and its content digest. With --sources "
                           "a sample of the documents is read "
                           "and computed again and compared bit for bit.",
                           "dhatu verify out.h5\ndhatu verify out.h5 --sources corpus/ --sample 1000"},
    [DH_COMMAND_EXPLAIN] =
        {"explain", "OUT.h5 ID1 ID2", "show why two documents are duplicates, or are not",
         "Prints what job neardup made of two documents, given by their ids or as #ROW: their clusters, the "
         "estimated similarity with its standard error and the bands that they share (where the result has "
         "obsm/minhash), what the settings make of such a pair, and the conclusion.\n\n"
         "With --sources both documents are read again: the exact Jaccard similarity, fresh signatures, and "
         "a sample of shingles that both have and that only one has.",
         "dhatu explain out.h5 man:fr:ls.1 man:fr:dir.1\n"
         "dhatu explain out.h5 '#17' '#4711' --sources corpus/ --json"},
    [DH_COMMAND_EXPORT] =
        {"export", "OUT.h5", "write the kept documents as JSONL, or a table as CSV",
         "Copies the documents that job neardup keeps (all, with --all or where there was no such job) from "
         "the sources to JSONL shards of about --shard-size: each record as it is, with a member \"dhatu\" "
         "added that has its columns of the result. Records and sources must be those that the result was "
         "made of.\n\n"
         "The same result gives the same shards for any number of ranks. What has its final name is "
         "complete: "
         "after a crash or a kill the same command line goes on behind it. The list of the shards, with "
         "their "
         "digests, is FOLDER/export.json.\n\n"
         "With --csv a table of the result is written instead: profiles, clusters (documents that duplicate "
         "another one), vocabulary, or documents (all columns with one value a document).",
         "dhatu export out.h5 --sources corpus/ --compress zst -o kept/\n"
         "mpirun -n 8 dhatu export out.h5 --sources @files.txt --all -o all/\n"
         "dhatu export out.h5 --csv clusters -o clusters.csv"},
    [DH_COMMAND_HELP] = {"help", "[COMMAND]", "show help for a command",
                         "Prints the help of a command, or its man page with --man.", "dhatu help run"},
};
