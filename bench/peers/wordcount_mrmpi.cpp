/* dhatu: the peer of a word count: MapReduce-MPI (package libmrmpi-dev), as a user of that library would
 * write it.
 *
 *     mpirun -n N wordcount_mrmpi [-c] [-p MIB] [-s FOLDER] FILE...
 *
 * Counts the words (runs of bytes between white space) of the files; each file is one map task. -c: counts
 * are added up on each rank before they travel (compress), -p: size of the library's pages, -s: where it puts
 * what does not fit in one. Rank 0 prints a line of JSON: seconds from behind MPI_Init to the end of the
 * count, words, different words. */
#include <mapreduce.h>

/* keyvalue.h needs mapreduce.h in front of it. */
#include <keyvalue.h>
#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

using MAPREDUCE_NS::KeyValue;
using MAPREDUCE_NS::MapReduce;

namespace
{

struct Count {
    MapReduce *engine;
    uint64_t occurrences; /* of all words that this rank reduced */
};

[[noreturn]] void leave(const char *what, const char *name)
{
    std::fprintf(stderr, "wordcount_mrmpi: %s %s\n", what, name);
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    std::abort();
}

std::vector<char> read_file(const char *name)
{
    std::FILE *file = std::fopen(name, "rb");
    if (file == nullptr) {
        leave("cannot open", name);
    }
    if (std::fseek(file, 0, SEEK_END) != 0) {
        leave("cannot read", name);
    }
    const long size = std::ftell(file);
    if (size < 0 || std::fseek(file, 0, SEEK_SET) != 0) {
        leave("cannot read", name);
    }
    std::vector<char> text(static_cast<size_t>(size));
    if (std::fread(text.data(), 1, text.size(), file) != text.size()) {
        leave("cannot read", name);
    }
    std::fclose(file);
    return text;
}

bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Each word with an empty value: how many values a word has is how often it occurs. */
void map_file(int, char *name, KeyValue *out, void *)
{
    std::vector<char> text = read_file(name);
    char *at = text.data();
    char *end = at + text.size();
    while (at < end) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        char *begin = at;
        while (at < end && !is_blank(*at)) {
            at++;
        }
        if (at > begin) {
            out->add(begin, static_cast<int>(at - begin), nullptr, 0);
        }
    }
}

uint64_t sum_values(const char *values, int count, const int *sizes)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        uint64_t value = 1; /* an empty value is one occurrence */
        if (sizes[i] != 0) {
            std::memcpy(&value, values, sizeof value);
            values += sizes[i];
        }
        sum += value;
    }
    return sum;
}

/* The counts of a word become one. Values of a word that has more than fit a page come in blocks. */
void add_up(char *word, int size, char *values, int count, int *sizes, KeyValue *out, void *context)
{
    Count *state = static_cast<Count *>(context);
    uint64_t sum = 0;
    if (values != nullptr) {
        sum = sum_values(values, count, sizes);
    } else {
        int blocks = 0;
        state->engine->multivalue_blocks(blocks);
        for (int block = 0; block < blocks; block++) {
            const int in_block = state->engine->multivalue_block(block, &values, &sizes);
            sum += sum_values(values, in_block, sizes);
        }
    }
    out->add(word, size, reinterpret_cast<char *>(&sum), sizeof sum);
}

void count_occurrences(char *, int, char *value, int size, void *context)
{
    uint64_t sum = 0;
    if (size == static_cast<int>(sizeof sum)) {
        std::memcpy(&sum, value, sizeof sum);
    }
    static_cast<Count *>(context)->occurrences += sum;
}

struct Settings {
    bool combine = false;
    int page_mebibytes = 64;
    std::string scratch = ".";
    std::vector<char *> files;
};

Settings parse(int argc, char **argv)
{
    Settings settings;
    for (int option = getopt(argc, argv, "cp:s:"); option != -1; option = getopt(argc, argv, "cp:s:")) {
        if (option == 'c') {
            settings.combine = true;
        } else if (option == 'p') {
            settings.page_mebibytes = std::atoi(optarg);
        } else if (option == 's') {
            settings.scratch = optarg;
        } else {
            leave("knows no such option;", "[-c] [-p MIB] [-s FOLDER] FILE...");
        }
    }
    settings.files.assign(argv + optind, argv + argc);
    return settings;
}

void count_words(Settings &settings)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    MapReduce engine(MPI_COMM_WORLD);
    engine.memsize = settings.page_mebibytes;
    engine.verbosity = 0;
    engine.timer = 0;
    engine.set_fpath(settings.scratch.c_str());
    Count state = {&engine, 0};
    engine.map(static_cast<int>(settings.files.size()), settings.files.data(), 0, 0, 0, map_file, nullptr);
    if (settings.combine) {
        engine.compress(add_up, &state);
    }
    engine.collate(nullptr);
    const uint64_t different = engine.reduce(add_up, &state);
    const double seconds = MPI_Wtime() - begin;

    engine.scan(count_occurrences, &state);
    uint64_t occurrences = 0;
    MPI_Reduce(&state.occurrences, &occurrences, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        std::printf("{\"seconds\": %.6f, \"words\": %llu, \"different\": %llu}\n", seconds,
                    static_cast<unsigned long long>(occurrences), static_cast<unsigned long long>(different));
    }
}

} /* namespace */

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    Settings settings = parse(argc, argv);
    count_words(settings);
    MPI_Finalize();
    return EXIT_SUCCESS;
}
