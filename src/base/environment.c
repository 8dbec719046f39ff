#include "base/environment.h"

#include "base/buffer.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool begins_with_one(const char *text, dh_environment_names names)
{
    for (size_t n = 0; n < names.count; n++) {
        if (strncmp(text, names.begin[n], strlen(names.begin[n])) == 0) {
            return true;
        }
    }
    return false;
}

dh_status dh_environment_less(dh_environment_names dropped, dh_environment_names kept, char ***out)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    void *memory = NULL;
    DH_TRY(dh_allocate(count + 1, sizeof(char *), "an environment", &memory));
    char **less = memory;
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!begins_with_one(environ[i], dropped) || begins_with_one(environ[i], kept)) {
            less[left++] = environ[i];
        }
    }
    *out = less;
    return DH_OK;
}
