/* dhatu: the backends, one table for each kind of place that kernels can run on.
 *
 * A backend is one open device. It has lanes; a lane takes one batch at a time. begin gives a lane its batch,
 * the kernels are queued on it, and poll tells when all of them are done: until then the batch and the
 * outputs belong to the backend. Where a device works on its own, several lanes keep its link and its
 * processors busy at the same time; the CPU has done everything when a kernel's call returns.
 *
 * A backend knows nothing of files, ranks or jobs. All backends give the same bits. One thread uses a backend
 * at a time. Kinds that this build does not have stand in the table too, so that asking for one gives a clear
 * message. */
#ifndef DH_KERNELS_BACKEND_H
#define DH_KERNELS_BACKEND_H

#include "kernels/batch.h"
#include "kernels/digest.h"
#include "kernels/minhash.h"
#include "kernels/ngrams.h"
#include "kernels/profile.h"
#include "kernels/sha256.h"

#include <stdbool.h>
#include <stddef.h>

/* On anything but OK and BUSY the outputs of the lane's batch are undefined. */
typedef enum dh_backend_status {
    DH_BACKEND_OK = 0,
    DH_BACKEND_BUSY,      /* of poll alone: not done yet */
    DH_BACKEND_NO_MEMORY, /* the batch does not fit: try a smaller one, once poll says OK */
    DH_BACKEND_LOST       /* the device failed (error tells why): only close may follow */
} dh_backend_status;

enum { DH_LANES_MAX = 8, DH_BACKEND_TEXT = 256 /* bytes of what is written for people */ };

/* What is known of a device before it is opened. Empty text and 0: not known. */
typedef struct dh_device_facts {
    char name[DH_BACKEND_TEXT];
    char driver[DH_BACKEND_TEXT];
    char level[64]; /* instruction sets, compute capability, or version of OpenCL C */
    char id[64];    /* the same for ranks of a node that see the same device (PCI address or UUID) */
    uint64_t memory, memory_free;
    uint32_t units;      /* cores, multiprocessors, compute units */
    uint32_t clock_mhz;  /* at most */
    bool is_accelerator; /* false: it computes on the host's processors; --backend auto passes it over */
} dh_device_facts;

/* Features of the processor that kernels have code of their own for. Which there are is found out at run
 * time (dh_cpu_features, kernels/cpu.h). */
enum { DH_CPU_AVX2 = 1, DH_CPU_AVX512 = 2, DH_CPU_SHA = 4 };

typedef struct dh_backend_options {
    uint32_t device;      /* number, below devices() */
    uint32_t lanes;       /* 1 to DH_LANES_MAX */
    uint64_t lane_bytes;  /* of the inputs and outputs of the largest batch that is worth having room for */
    uint64_t memory_max;  /* of the device; 0: what is free less a margin */
    uint32_t cpu_without; /* DH_CPU_* that the CPU backend is not to use, or'ed: for tests and benchmarks */
} dh_backend_options;

typedef struct dh_backend dh_backend;
typedef struct dh_lane dh_lane;

typedef struct dh_backend_kind {
    const char *name;      /* as in --backend */
    const char *not_built; /* NULL, or why this build does not have it; then all below is NULL */

    /* How many devices there are. Where something is missing (driver, permission), why says what; else it
     * is "". */
    uint32_t (*devices)(char why[DH_BACKEND_TEXT]);
    dh_backend_status (*facts)(uint32_t device, dh_device_facts *out);

    /* After an error *out is NULL and why tells the reason. */
    dh_backend_status (*open)(const dh_backend_options *options, dh_backend **out, char why[DH_BACKEND_TEXT]);
    void (*close)(dh_backend *backend); /* lanes may be busy; NULL is fine */

    /* A line for people: the device and what of it is used. Lives as long as the backend. */
    const char *(*describe)(const dh_backend *backend);
    /* What failed last, "" when nothing did. */
    const char *(*error)(const dh_backend *backend);

    /* Host memory from which copies are to be fast (page-locked). Failing to do so is no error: copies are
     * only slower. unpin before the memory goes. */
    void (*pin)(dh_backend *backend, void *memory, size_t size);
    void (*unpin)(dh_backend *backend, void *memory);

    /* Lexicons for the profile kernel, copied to where it reads them; NULL: none. They must live until the
     * next call or close. No lane may be busy. OK, NO_MEMORY or LOST. */
    dh_backend_status (*load)(dh_backend *backend, const dh_profile_tables *tables);

    /* The batch and what it points to must stay until poll says OK. The lane must not be busy. */
    dh_backend_status (*begin)(dh_lane *lane, const dh_batch *batch);

    /* Kernels over the lane's batch, queued in this order of calls. Outputs are host memory. */

    /* hex[d * 64 ...]: SHA-256 of each text, in lower-case hexadecimal, no NUL. */
    dh_backend_status (*sha256)(dh_lane *lane, char *hex);
    dh_backend_status (*digest)(dh_lane *lane, const dh_digest_out *out);
    dh_backend_status (*profile)(dh_lane *lane, const dh_profile_out *out); /* with the loaded tables */
    /* hash: lengths of the range for each token of the batch (kernels/ngrams.h). The batch has spelling. */
    dh_backend_status (*ngrams)(dh_lane *lane, dh_ngram_range range, uint32_t *hash);
    dh_backend_status (*minhash)(dh_lane *lane, const dh_minhash_options *options, const dh_minhash_out *out);
    /* digest[d * 32 ...]: SHA-256 of the spelling of each document, without its last space. */
    dh_backend_status (*sha256_spelling)(dh_lane *lane, uint8_t *digest);

    /* OK: all that was queued is done and the lane is free. BUSY: ask again; never blocks. */
    dh_backend_status (*poll)(dh_lane *lane);
} dh_backend_kind;

struct dh_lane {
    dh_backend *backend;
    uint32_t number;
    const dh_batch *batch; /* of begin */
};

/* An open backend: what every kind begins with. The kind's open fills it (dh_backend_prepare). */
struct dh_backend {
    const dh_backend_kind *kind;
    uint32_t lane_count;
    dh_lane lane[DH_LANES_MAX];
    const dh_profile_tables *tables;
};

void dh_backend_prepare(dh_backend *backend, const dh_backend_kind *kind, uint32_t lanes);

/* Waits for the lane. OK, NO_MEMORY or LOST. */
dh_backend_status dh_lane_wait(dh_lane *lane);

/* All kinds, NULL at the end: cpu first, then in the order in which --backend auto prefers them. */
extern const dh_backend_kind *const dh_backend_kinds[];

/* NULL when no backend has this name. */
const dh_backend_kind *dh_backend_kind_find(const char *name);

extern const dh_backend_kind dh_backend_cpu, dh_backend_cuda, dh_backend_opencl;

#endif
