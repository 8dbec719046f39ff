#include "kernels/backend.h"

#include <stddef.h>
#include <string.h>

static const dh_backend_kind backend_cuda = {
    .name = "cuda",
    .not_built = "this build has no CUDA backend yet",
};

static const dh_backend_kind backend_opencl = {
    .name = "opencl",
    .not_built = "this build has no OpenCL backend yet",
};

const dh_backend_kind *const dh_backend_kinds[] = {&dh_backend_cpu, &backend_cuda, &backend_opencl, NULL};

const dh_backend_kind *dh_backend_kind_find(const char *name)
{
    for (size_t i = 0; dh_backend_kinds[i] != NULL; i++) {
        if (strcmp(dh_backend_kinds[i]->name, name) == 0) {
            return dh_backend_kinds[i];
        }
    }
    return NULL;
}
