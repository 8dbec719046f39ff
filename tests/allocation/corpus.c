#include "corpus.h"

#include "dhatu_config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#if DHATU_HAVE_BZIP2
#include <bzlib.h>
#endif

enum { PATH_SIZE = 4400, TEXT_MAX = 1 << 18 };

typedef struct text {
    char bytes[TEXT_MAX];
    size_t size;
} text;

static uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);

static uint64_t random_number(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(0x2545F4914F6CDD1D);
}

static void add(text *out, const char *part)
{
    const size_t size = strlen(part);
    if (out->size + size < sizeof out->bytes) {
        memcpy(out->bytes + out->size, part, size);
        out->size += size;
    }
}

static void add_words(text *out, int count)
{
    static const char *const word[] = {"the ",
                                       "light ",
                                       "dark ",
                                       "not ",
                                       "never ",
                                       "caf\xC3\xA9 ",
                                       "\xEF\xAC\x81sh ",
                                       "hoping ",
                                       "hope ",
                                       "l'\xC3\xA9t\xC3\xA9 ",
                                       "of ",
                                       "and ",
                                       "dusk "};
    for (int i = 0; i < count; i++) {
        char made[16];
        (void)snprintf(made, sizeof made, "w%x ", (unsigned)(random_number() & 0xFFFFF));
        add(out, random_number() % 3 == 0 ? made : word[random_number() % (sizeof word / sizeof word[0])]);
    }
}

/* Lines of JSON, good ones and others, up to about `size` bytes. */
static void make_lines(text *out, size_t size)
{
    out->size = 0;
    for (int i = 0; out->size < size; i++) {
        char id[64];
        (void)snprintf(id, sizeof id, "{\"id\": \"document-%d\", ", i);
        add(out, id);
        add(out, i % 5 == 0 ? "\"lang\": \"en\", \"text\": \"" : "\"text\": \"");
        add_words(out, 40 + (int)(random_number() % 80));
        add(out, i % 7 == 0 ? "\\u00e9\\n\\ud83d\\ude00 \xFF\xC3\"}\n" : "end\"}\n");
        switch (i % 16) {
        case 3:
            add(out, "this is no JSON\n");
            break;
        case 5:
            add(out, "[1, 2]\n\n{\"text\": 4}\n{\"id\": \"none\"}\n");
            break;
        case 9: /* an id longer than --max-id */
            add(out, "{\"id\": \"");
            for (int n = 0; n < 60; n++) {
                add(out, "long-id-");
            }
            add(out, "\", \"text\": \"short\"}\n");
            break;
        case 13:
            add(out, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n");
            break;
        default:
            break;
        }
    }
}

static bool write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    bool right = file != NULL && fwrite(bytes, 1, size, file) == size;
    right &= file != NULL && fclose(file) == 0;
    if (!right) {
        (void)printf("%s: cannot be written: %s\n", path, strerror(errno));
    }
    return right;
}

static bool write_text(const char *folder, const char *name, const char *content)
{
    return write_file(folder, name, content, strlen(content));
}

static bool write_gzip(const char *folder, const char *name, const text *content)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile file = gzopen(path, "wb6");
    bool right = file != NULL && gzwrite(file, content->bytes, (unsigned)content->size) == (int)content->size;
    right &= file != NULL && gzclose(file) == Z_OK;
    return right;
}

static bool write_zstd(const char *folder, const char *name, const text *content)
{
    static uint8_t coded[TEXT_MAX + 4096];
    const size_t size = ZSTD_compress(coded, sizeof coded, content->bytes, content->size, 3);
    return !ZSTD_isError(size) && write_file(folder, name, coded, size);
}

static bool write_bzip2(const char *folder, const char *name, text *content)
{
#if DHATU_HAVE_BZIP2
    static char coded[TEXT_MAX + 4096];
    unsigned size = sizeof coded;
    return BZ2_bzBuffToBuffCompress(coded, &size, content->bytes, (unsigned)content->size, 1, 0, 0) ==
               BZ_OK &&
           write_file(folder, name, coded, size);
#else
    (void)folder;
    (void)name;
    (void)content;
    return true;
#endif
}

static const char words_tsv[] =
    "@format\tdhatu-lexicon 1\n@language\ten\n@name\tTwo categories\n"
    "@categories\tLIGHT HOPE\n@negators\tnot never\n@function\tthe of and\n"
    "light\tLIGHT\t+\ndark\tLIGHT\t-\t0.5\nhop*\tHOPE\t+\nfish dark\tLIGHT,HOPE\t-\n";

static const char words_dic[] = "%\n1\tLIGHT\n2\tHOPE\n%\ndusk\t1\nhop*\t2\nend\t1 2\n";

static bool write_lists(const char *folder)
{
    char list[2 * PATH_SIZE];
    (void)snprintf(list, sizeof list, "%s/corpus/a.jsonl\n%s/corpus/note.txt\n", folder, folder);
    char settings[3 * PATH_SIZE];
    (void)snprintf(settings, sizeof settings,
                   "# read with --config\nquiet = no\n[run]\nlexicon = %s/words.tsv\nlexicon = %s/words.dic\n"
                   "max-id = 64\n",
                   folder, folder);
    return write_text(folder, "list", list) && write_text(folder, "words.tsv", words_tsv) &&
           write_text(folder, "words.dic", words_dic) && write_text(folder, "settings.ini", settings);
}

static bool make_folder(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return mkdir(path, 0777) == 0;
}

/* So many that sorting them takes memory. */
static bool write_small_files(const char *folder)
{
    bool right = true;
    for (int i = 0; i < 70; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "corpus/below/small-%d.txt", i);
        right = right && write_text(folder, name, "The hope of the light.\n");
    }
    return right;
}

bool corpus_write(const char *folder)
{
    static text content;
    bool right = make_folder(folder, "corpus") && make_folder(folder, "corpus/below");
    make_lines(&content, 150000);
    right = right && write_file(folder, "corpus/a.jsonl", content.bytes, content.size);
    right = right && write_gzip(folder, "corpus/b.jsonl.gz", &content);
    make_lines(&content, 90000);
    right = right && write_zstd(folder, "corpus/below/c.jsonl.zst", &content);
    make_lines(&content, 20000);
    right = right && write_bzip2(folder, "corpus/below/d.jsonl.bz2", &content);
    right = right && write_file(folder, "corpus/below/cut.jsonl", content.bytes, 12345);
    right = right && write_text(folder, "corpus/note.txt", "Not a light thing, \xFF never the dark.\n");
    return right && write_small_files(folder) && write_lists(folder);
}
