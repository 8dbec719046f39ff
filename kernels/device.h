/* dhatu: what the backends on devices (CUDA, OpenCL) share: kernels/device.c turns batches and kernels into
 * copies and launches, a driver carries them out. Not for callers, who use kernels/backend.h.
 *
 * Each lane has one block of device memory and one queue (stream) of commands that are done in order. The
 * block is laid out anew for each batch; kernels find its parts by byte offsets (dh_device_arguments). Inputs
 * are copied when the first kernel that reads them is queued: the text for sha256 and digest, token hashes
 * for profile and minhash, spelling for ngrams and sha256_spelling. The compiled lexicons have a block of
 * their own. All memory is taken once, when the backend is opened, and the tables' when they are loaded. */
#ifndef DH_KERNELS_DEVICE_H
#define DH_KERNELS_DEVICE_H

#include "kernels/backend.h"
#include "kernels/device_core.h"

/* An open device as the driver sees it; the driver's own struct begins with it. */
typedef struct dh_device {
    dh_backend base;
    const struct dh_device_driver *driver;
    uint64_t lane_bytes; /* of each lane's block */
    char description[DH_BACKEND_TEXT];
    char error[DH_BACKEND_TEXT]; /* set where a call fails */
    /* of device.c */
    bool is_lost;
    struct dh_device_lane *lane_state; /* base.lane_count of them */
    dh_device_tables tables;           /* where the lexicons stand in the tables' block */
} dh_device;

/* Calls of a driver: OK, NO_MEMORY or LOST (error is set). None waits for the device but free and load. */
typedef struct dh_device_driver {
    const dh_backend_kind *kind;
    /* Opens device `number`: makes *out with a queue for each of options->lanes and sets its description, but
     * takes no memory of the device yet; device.c fills the rest. *free: bytes of the device's memory that
     * may be taken. */
    dh_backend_status (*open)(const dh_backend_options *options, dh_device **out, uint64_t *free,
                              char why[DH_BACKEND_TEXT]);
    /* Gives everything back, also where open, allocate or load has failed. Waits for running commands. */
    void (*close)(dh_device *device);

    /* The block of each lane, behind open. After NO_MEMORY nothing is taken and it may be called again for
     * less. */
    dh_backend_status (*allocate)(dh_device *device, uint64_t lane_bytes);
    /* Replaces the tables' block by these bytes; size 0: there is none. */
    dh_backend_status (*load)(dh_device *device, const void *bytes, uint64_t size);

    /* Queued on the lane, done in order. Host memory must stay until query says OK. */
    dh_backend_status (*copy_in)(dh_lane *lane, uint64_t offset, const void *bytes, uint64_t size);
    dh_backend_status (*copy_out)(dh_lane *lane, void *bytes, uint64_t offset, uint64_t size);
    /* Kernel over at least `items` work items; those at items and above do nothing. */
    dh_backend_status (*launch)(dh_lane *lane, dh_device_kernel kernel, uint64_t items,
                                const dh_device_arguments *arguments);
    /* Behind the commands of a kernel: hands the queue to the device. */
    dh_backend_status (*flush)(dh_lane *lane);
    /* OK: all is done. BUSY. Never blocks. */
    dh_backend_status (*query)(dh_lane *lane);

    void (*pin)(dh_device *device, void *memory, size_t size);
    void (*unpin)(dh_device *device, void *memory);
} dh_device_driver;

/* The entries of a dh_backend_kind that do not depend on the driver; open and close call its own. */
dh_backend_status dh_device_open(const dh_device_driver *driver, const dh_backend_options *options,
                                 dh_backend **out, char why[DH_BACKEND_TEXT]);
void dh_device_close(dh_backend *backend);
const char *dh_device_describe(const dh_backend *backend);
const char *dh_device_error(const dh_backend *backend);
void dh_device_pin(dh_backend *backend, void *memory, size_t size);
void dh_device_unpin(dh_backend *backend, void *memory);
dh_backend_status dh_device_load(dh_backend *backend, const dh_profile_tables *tables);
dh_backend_status dh_device_begin(dh_lane *lane, const dh_batch *batch);
dh_backend_status dh_device_sha256(dh_lane *lane, char *hex);
dh_backend_status dh_device_digest(dh_lane *lane, const dh_digest_out *out);
dh_backend_status dh_device_profile(dh_lane *lane, const dh_profile_out *out);
dh_backend_status dh_device_ngrams(dh_lane *lane, dh_ngram_range range, uint32_t *hash);
dh_backend_status dh_device_minhash(dh_lane *lane, const dh_minhash_options *options,
                                    const dh_minhash_out *out);
dh_backend_status dh_device_sha256_spelling(dh_lane *lane, uint8_t *digest);
dh_backend_status dh_device_poll(dh_lane *lane);

#endif
