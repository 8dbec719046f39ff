#include "kernels/backend.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#if !defined(DHATU_HAVE_CUDA)
const dh_backend_kind dh_backend_cuda = {
    .name = "cuda",
    .not_built = "this build has no CUDA backend: nvcc was not found, or DHATU_CUDA is OFF",
};
#endif

#if !defined(DHATU_HAVE_OPENCL)
const dh_backend_kind dh_backend_opencl = {
    .name = "opencl",
    .not_built = "this build has no OpenCL backend: its headers or the ICD loader were not found, or "
                 "DHATU_OPENCL is OFF",
};
#endif

const dh_backend_kind *const dh_backend_kinds[] = {&dh_backend_cpu, &dh_backend_cuda, &dh_backend_opencl,
                                                   NULL};

const dh_backend_kind *dh_backend_kind_find(const char *name)
{
    for (size_t i = 0; dh_backend_kinds[i] != NULL; i++) {
        if (strcmp(dh_backend_kinds[i]->name, name) == 0) {
            return dh_backend_kinds[i];
        }
    }
    return NULL;
}

void dh_backend_prepare(dh_backend *backend, const dh_backend_kind *kind, uint32_t lanes)
{
    backend->kind = kind;
    backend->lane_count = lanes;
    backend->tables = NULL;
    for (uint32_t l = 0; l < lanes; l++) {
        backend->lane[l] = (dh_lane){.backend = backend, .number = l};
    }
}

dh_backend_status dh_lane_wait(dh_lane *lane)
{
    const struct timespec pause = {.tv_nsec = 20000};
    dh_backend_status status = DH_BACKEND_OK;
    while ((status = lane->backend->kind->poll(lane)) == DH_BACKEND_BUSY) {
        (void)nanosleep(&pause, NULL);
    }
    return status;
}
