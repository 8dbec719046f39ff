/* Runs files, and all files of folders, through a fuzz target: for finds, and for compilers without a fuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size + (size == 0));
    const int failed = file == NULL || data == NULL || fread(data, 1, size, file) != size;
    if (failed) {
        perror(path);
    } else {
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
    if (file != NULL) {
        (void)fclose(file);
    }
    return failed;
}

static int run_path(const char *path, unsigned long *count)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        perror(path);
        return 1;
    }
    if (!S_ISDIR(facts.st_mode)) {
        (*count)++;
        return run_file(path, (size_t)facts.st_size);
    }
    DIR *folder = opendir(path);
    if (folder == NULL) {
        perror(path);
        return 1;
    }
    int failed = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char inside[4096];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if ((size_t)snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) >= sizeof inside) {
            continue;
        }
        failed |= run_path(inside, count);
    }
    closedir(folder);
    return failed;
}

int main(int count, char **argument)
{
    unsigned long files = 0;
    int failed = 0;
    for (int i = 1; i < count; i++) {
        failed |= run_path(argument[i], &files);
    }
    printf("%lu files\n", files);
    return failed || files == 0;
}
