/* dhatu: the backends, one table for each place a kernel can run on.
 *
 * A backend computes kernels over a batch; it knows nothing of files, ranks or jobs. All backends give
 * the same bits. Those that this build does not have stand in the list too, so that asking for one
 * gives a clear message. */
#ifndef DH_KERNELS_BACKEND_H
#define DH_KERNELS_BACKEND_H

#include "kernels/batch.h"
#include "kernels/digest.h"
#include "kernels/profile.h"
#include "kernels/sha256.h"

/* 0 is success. On anything else the outputs are undefined and dh_backend_kind.error tells why. */
typedef enum dh_backend_status {
    DH_BACKEND_OK = 0,
    DH_BACKEND_NO_MEMORY, /* the batch does not fit: try a smaller one */
    DH_BACKEND_LOST       /* the device failed: do not use this backend again */
} dh_backend_status;

typedef struct dh_backend dh_backend;

/* What a backend of one kind can do. */
typedef struct dh_backend_kind {
    const char *name;      /* as in --backend */
    const char *not_built; /* NULL, or why this build does not have it */

    /* Opens device number `device` (0 for the CPU). NULL where not built. */
    dh_backend_status (*open)(int device, dh_backend **out);
    void (*close)(dh_backend *backend);

    /* A line for people: the device and what of it is used. Lives as long as the backend. */
    const char *(*describe)(const dh_backend *backend);

    /* digest[(d * prefix_count + p) * 32] as of dh_sha256_batch. */
    dh_backend_status (*sha256)(dh_backend *backend, const dh_batch *batch, const dh_sha256_prefix *prefix,
                                uint32_t prefix_count, uint8_t *digest);
    dh_backend_status (*digest)(dh_backend *backend, const dh_batch *batch, const dh_digest_out *out);
    dh_backend_status (*profile)(dh_backend *backend, const dh_batch *batch, const dh_profile_tables *tables,
                                 const dh_profile_out *out);
} dh_backend_kind;

/* An open backend: what every kind begins with. */
struct dh_backend {
    const dh_backend_kind *kind;
};

/* All kinds, NULL at the end: cpu first. */
extern const dh_backend_kind *const dh_backend_kinds[];

/* NULL when no backend has this name. */
const dh_backend_kind *dh_backend_kind_find(const char *name);

extern const dh_backend_kind dh_backend_cpu;

#endif
