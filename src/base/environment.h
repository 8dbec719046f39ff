/* dhatu: the environment of a program that is started. */
#ifndef DH_BASE_ENVIRONMENT_H
#define DH_BASE_ENVIRONMENT_H

#include "base/status.h"

#include <stddef.h>

/* Beginnings of "NAME=value". */
typedef struct dh_environment_names {
    const char *const *begin;
    size_t count;
} dh_environment_names;

/* This program's environment less what begins with one of `dropped` and not with one of `kept`, for execve
 * and posix_spawn: *out is freed by the caller, the strings are those of the environment. Errors:
 * DH_NO_MEMORY. */
dh_status dh_environment_less(dh_environment_names dropped, dh_environment_names kept, char ***out);

#endif
