/* dhatu: the CUDA backend: a driver (kernels/device.h) over the CUDA runtime. The only C++ of the project,
 * and no more of it than nvcc needs. */
#include <cuda_runtime.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern "C" {
#include "kernels/device.h"
}

typedef struct cuda_device {
    dh_device base;
    int number;
    cudaStream_t stream[DH_LANES_MAX];
    cudaEvent_t done[DH_LANES_MAX];
    unsigned char *lanes;  /* the lanes' blocks, one behind the other */
    unsigned char *tables; /* NULL: none */
} cuda_device;

static cuda_device *cuda_of(dh_device *device)
{
    return (cuda_device *)device;
}

static cuda_device *cuda_of_lane(const dh_lane *lane)
{
    return (cuda_device *)lane->backend;
}

/* ---- errors ------------------------------------------------------------------------------------------ */

static void error_text(char out[DH_BACKEND_TEXT], const char *what, cudaError_t error)
{
    (void)snprintf(out, DH_BACKEND_TEXT, "%s: %s (%s)", what, cudaGetErrorString(error),
                   cudaGetErrorName(error));
}

/* Memory that is short is the one error after which a device goes on working. */
static dh_backend_status failed(cudaError_t error)
{
    (void)cudaGetLastError(); /* else the next launch would report it again */
    return error == cudaErrorMemoryAllocation ? DH_BACKEND_NO_MEMORY : DH_BACKEND_LOST;
}

static dh_backend_status checked(cuda_device *cuda, const char *what, cudaError_t error)
{
    if (error == cudaSuccess) {
        return DH_BACKEND_OK;
    }
    error_text(cuda->base.error, what, error);
    return failed(error);
}

/* The runtime's current device belongs to the thread, which may use several backends in turn. */
static dh_backend_status use(cuda_device *cuda)
{
    return checked(cuda, "cudaSetDevice", cudaSetDevice(cuda->number));
}

/* ---- which devices there are ------------------------------------------------------------------------- */

/* "CUDA 12.4" */
static void version_text(char *out, size_t size, int version)
{
    (void)snprintf(out, size, "CUDA %d.%d", version / 1000, version % 1000 / 10);
}

static void why_no_driver(char why[DH_BACKEND_TEXT])
{
    int driver = 0;
    int runtime = 0;
    char driver_text[32];
    char runtime_text[32];
    (void)cudaRuntimeGetVersion(&runtime);
    version_text(runtime_text, sizeof runtime_text, runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        (void)snprintf(why, DH_BACKEND_TEXT, "no NVIDIA driver: libcuda.so.1 was not found%s",
                       access("/dev/nvidiactl", F_OK) == 0 ? ", though there is /dev/nvidiactl" : "");
        return;
    }
    version_text(driver_text, sizeof driver_text, driver);
    (void)snprintf(why, DH_BACKEND_TEXT,
                   "the NVIDIA driver is too old: it is of %s, this build needs one of %s", driver_text,
                   runtime_text);
}

/* The driver says only that it sees no device; the reason is mostly one of these. */
static void why_no_device(cudaError_t error, char why[DH_BACKEND_TEXT])
{
    static const char *const file[] = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0"};
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        if (access(file[i], R_OK | W_OK) != 0 && (errno == EACCES || errno == EPERM)) {
            (void)snprintf(why, DH_BACKEND_TEXT, "no permission to use %s", file[i]);
            return;
        }
    }
    if (visible != NULL && error == cudaErrorNoDevice) {
        (void)snprintf(why, DH_BACKEND_TEXT, "CUDA_VISIBLE_DEVICES is \"%.64s\", which leaves no device",
                       visible);
    } else if (access(file[0], F_OK) != 0) {
        (void)snprintf(why, DH_BACKEND_TEXT, "there is a CUDA driver library, but no %s: %s", file[0],
                       cudaGetErrorString(error));
    } else {
        error_text(why, "cudaGetDeviceCount", error);
    }
}

static uint32_t cuda_devices(char why[DH_BACKEND_TEXT])
{
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    why[0] = '\0';
    if (error == cudaSuccess && count > 0) {
        return (uint32_t)count;
    }
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver) {
        why_no_driver(why);
    } else {
        why_no_device(error == cudaSuccess ? cudaErrorNoDevice : error, why);
    }
    return 0;
}

static int attribute(cudaDeviceAttr name, int device)
{
    int value = 0;
    return cudaDeviceGetAttribute(&value, name, device) == cudaSuccess ? value : 0;
}

/* As nvidia-smi writes it. */
static void uuid_text(const unsigned char *bytes, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "GPU-");
    for (int i = 0; i < 16 && used < size; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        used += (size_t)snprintf(out + used, size - used, "%s%02x", dash, bytes[i]);
    }
}

/* Free memory is left out: asking for it makes a context, which takes some hundred megabytes of the device
 * in each process that asks. */
static dh_backend_status cuda_facts(uint32_t device, dh_device_facts *out)
{
    const int number = (int)device;
    cudaDeviceProp properties;
    int driver = 0;
    int runtime = 0;
    memset(out, 0, sizeof *out);
    const cudaError_t error = cudaGetDeviceProperties(&properties, number);
    if (error != cudaSuccess) {
        return failed(error);
    }
    char driver_text[32] = "";
    char runtime_text[32] = "";
    if (cudaDriverGetVersion(&driver) == cudaSuccess && cudaRuntimeGetVersion(&runtime) == cudaSuccess) {
        version_text(driver_text, sizeof driver_text, driver);
        version_text(runtime_text, sizeof runtime_text, runtime);
        (void)snprintf(out->driver, sizeof out->driver, "driver of %s, runtime of %s", driver_text,
                       runtime_text);
    }
    (void)snprintf(out->name, sizeof out->name, "%s", properties.name);
    (void)snprintf(out->level, sizeof out->level, "sm_%d%d", properties.major, properties.minor);
    uuid_text((const unsigned char *)properties.uuid.bytes, out->id, sizeof out->id);
    out->memory = properties.totalGlobalMem;
    out->units = (uint32_t)properties.multiProcessorCount;
    out->clock_mhz = (uint32_t)(attribute(cudaDevAttrClockRate, number) / 1000);
    out->is_accelerator = true;
    return DH_BACKEND_OK;
}

/* ---- kernels ----------------------------------------------------------------------------------------- */

typedef struct cuda_kernel {
    const void *function;
    const char *name;
} cuda_kernel;

/* In the order of dh_device_kernel. All are compiled for blocks of DH_DEVICE_GROUP. */
static const cuda_kernel kernels[DH_KERNEL_COUNT] = {
    {(const void *)dh_kernel_sha256, "kernel sha256"},
    {(const void *)dh_kernel_digest_hash, "kernel digest_hash"},
    {(const void *)dh_kernel_digest_finish, "kernel digest_finish"},
    {(const void *)dh_kernel_profile_candidates, "kernel profile_candidates"},
    {(const void *)dh_kernel_profile_count, "kernel profile_count"},
    {(const void *)dh_kernel_ngrams, "kernel ngrams"},
    {(const void *)dh_kernel_minhash_clear, "kernel minhash_clear"},
    {(const void *)dh_kernel_minhash_shingles, "kernel minhash_shingles"},
    {(const void *)dh_kernel_minhash_minima, "kernel minhash_minima"},
    {(const void *)dh_kernel_minhash_finish, "kernel minhash_finish"},
    {(const void *)dh_kernel_sha256_spelling, "kernel sha256_spelling"},
};

/* ---- open and close ---------------------------------------------------------------------------------- */

static void cuda_close(dh_device *device)
{
    cuda_device *cuda = cuda_of(device);
    /* After a lost device all of these fail; there is nothing left to do about it. */
    (void)cudaSetDevice(cuda->number);
    for (uint32_t l = 0; l < DH_LANES_MAX; l++) {
        if (cuda->stream[l] != NULL) {
            (void)cudaStreamSynchronize(cuda->stream[l]);
            (void)cudaStreamDestroy(cuda->stream[l]);
        }
        if (cuda->done[l] != NULL) {
            (void)cudaEventDestroy(cuda->done[l]);
        }
    }
    (void)cudaFree(cuda->lanes);
    (void)cudaFree(cuda->tables);
    (void)cudaGetLastError();
    free(cuda);
}

static dh_backend_status make_queues(cuda_device *cuda, uint32_t lanes)
{
    dh_backend_status status = use(cuda);
    for (uint32_t l = 0; l < lanes && status == DH_BACKEND_OK; l++) {
        status = checked(cuda, "cudaStreamCreate",
                         cudaStreamCreateWithFlags(&cuda->stream[l], cudaStreamNonBlocking));
        if (status == DH_BACKEND_OK) {
            status = checked(cuda, "cudaEventCreate",
                             cudaEventCreateWithFlags(&cuda->done[l], cudaEventDisableTiming));
        }
    }
    return status;
}

/* Loads the kernels now: a device that this build has no code for is found here, not in a run. */
static dh_backend_status load_kernels(cuda_device *cuda)
{
    dh_backend_status status = DH_BACKEND_OK;
    for (size_t k = 0; k < DH_KERNEL_COUNT && status == DH_BACKEND_OK; k++) {
        cudaFuncAttributes attributes;
        status =
            checked(cuda, "cudaFuncGetAttributes", cudaFuncGetAttributes(&attributes, kernels[k].function));
    }
    return status;
}

static dh_backend_status describe(cuda_device *cuda, uint64_t *free_memory)
{
    dh_device_facts facts;
    size_t free_bytes = 0;
    size_t all_bytes = 0;
    const dh_backend_status status = checked(cuda, "cudaMemGetInfo", cudaMemGetInfo(&free_bytes, &all_bytes));
    if (status != DH_BACKEND_OK) {
        return status;
    }
    if (cuda_facts((uint32_t)cuda->number, &facts) != DH_BACKEND_OK) {
        (void)snprintf(cuda->base.error, sizeof cuda->base.error, "device %d cannot be asked for its name",
                       cuda->number);
        return DH_BACKEND_LOST;
    }
    (void)snprintf(cuda->base.description, sizeof cuda->base.description, "CUDA device %d: %.128s, %s",
                   cuda->number, facts.name, facts.level);
    *free_memory = free_bytes;
    return DH_BACKEND_OK;
}

static dh_backend_status cuda_open(const dh_backend_options *options, dh_device **out, uint64_t *free_memory,
                                   char why[DH_BACKEND_TEXT])
{
    cuda_device *cuda = (cuda_device *)calloc(1, sizeof *cuda);
    *out = NULL;
    if (cuda == NULL) {
        (void)snprintf(why, DH_BACKEND_TEXT, "out of memory");
        return DH_BACKEND_NO_MEMORY;
    }
    dh_backend_prepare(&cuda->base.base, &dh_backend_cuda, options->lanes);
    cuda->number = (int)options->device;
    uint64_t bytes = 0;
    dh_backend_status status = make_queues(cuda, options->lanes);
    status = status == DH_BACKEND_OK ? load_kernels(cuda) : status;
    status = status == DH_BACKEND_OK ? describe(cuda, &bytes) : status;
    if (status != DH_BACKEND_OK) {
        (void)snprintf(why, DH_BACKEND_TEXT, "%s", cuda->base.error);
        cuda_close(&cuda->base);
        return status;
    }
    *out = &cuda->base;
    *free_memory = bytes;
    return DH_BACKEND_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static dh_backend_status cuda_allocate(dh_device *device, uint64_t lane_bytes)
{
    cuda_device *cuda = cuda_of(device);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    void *memory = NULL;
    const dh_backend_status taken =
        checked(cuda, "cudaMalloc", cudaMalloc(&memory, (size_t)(lane_bytes * device->base.lane_count)));
    cuda->lanes = (unsigned char *)memory;
    return taken;
}

static dh_backend_status cuda_load(dh_device *device, const void *bytes, uint64_t size)
{
    cuda_device *cuda = cuda_of(device);
    dh_backend_status status = use(cuda);
    if (status == DH_BACKEND_OK) {
        status = checked(cuda, "cudaFree", cudaFree(cuda->tables));
        cuda->tables = NULL;
    }
    if (status != DH_BACKEND_OK || size == 0) {
        return status;
    }
    void *memory = NULL;
    status = checked(cuda, "cudaMalloc", cudaMalloc(&memory, (size_t)size));
    if (status == DH_BACKEND_OK) {
        cuda->tables = (unsigned char *)memory;
        status = checked(cuda, "cudaMemcpy", cudaMemcpy(memory, bytes, (size_t)size, cudaMemcpyHostToDevice));
    }
    if (status == DH_BACKEND_OK) { /* the lanes do not wait for the default stream */
        status = checked(cuda, "cudaDeviceSynchronize", cudaDeviceSynchronize());
    }
    return status;
}

/* Memory that cannot be pinned (a limit of the system, a kind of memory) is copied from all the same. */
static void cuda_pin(dh_device *device, void *memory, size_t size)
{
    if (use(cuda_of(device)) == DH_BACKEND_OK &&
        cudaHostRegister(memory, size, cudaHostRegisterPortable) != cudaSuccess) {
        (void)cudaGetLastError();
    }
}

static void cuda_unpin(dh_device *device, void *memory)
{
    if (use(cuda_of(device)) == DH_BACKEND_OK && cudaHostUnregister(memory) != cudaSuccess) {
        (void)cudaGetLastError();
    }
}

/* ---- commands ---------------------------------------------------------------------------------------- */

static unsigned char *block_of(const dh_lane *lane)
{
    const cuda_device *cuda = cuda_of_lane(lane);
    return cuda->lanes + lane->number * cuda->base.lane_bytes;
}

static dh_backend_status cuda_copy_in(dh_lane *lane, uint64_t offset, const void *bytes, uint64_t size)
{
    cuda_device *cuda = cuda_of_lane(lane);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    return checked(cuda, "copying to the device",
                   cudaMemcpyAsync(block_of(lane) + offset, bytes, (size_t)size, cudaMemcpyHostToDevice,
                                   cuda->stream[lane->number]));
}

static dh_backend_status cuda_copy_out(dh_lane *lane, void *bytes, uint64_t offset, uint64_t size)
{
    cuda_device *cuda = cuda_of_lane(lane);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    return checked(cuda, "copying from the device",
                   cudaMemcpyAsync(bytes, block_of(lane) + offset, (size_t)size, cudaMemcpyDeviceToHost,
                                   cuda->stream[lane->number]));
}

static dh_backend_status cuda_launch(dh_lane *lane, dh_device_kernel kernel, uint64_t items,
                                     const dh_device_arguments *arguments)
{
    cuda_device *cuda = cuda_of_lane(lane);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK || items == 0) {
        return status;
    }
    const uint64_t blocks = (items + DH_DEVICE_GROUP - 1) / DH_DEVICE_GROUP;
    unsigned char *block = block_of(lane);
    dh_device_arguments by_value = *arguments;
    void *values[] = {&block, &cuda->tables, &by_value};
    return checked(cuda, kernels[kernel].name,
                   cudaLaunchKernel(kernels[kernel].function, dim3((unsigned)blocks), dim3(DH_DEVICE_GROUP),
                                    values, 0, cuda->stream[lane->number]));
}

/* Commands go to the device as they are queued; the event marks their end. */
static dh_backend_status cuda_flush(dh_lane *lane)
{
    cuda_device *cuda = cuda_of_lane(lane);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    return checked(cuda, "cudaEventRecord",
                   cudaEventRecord(cuda->done[lane->number], cuda->stream[lane->number]));
}

static dh_backend_status cuda_query(dh_lane *lane)
{
    cuda_device *cuda = cuda_of_lane(lane);
    const dh_backend_status status = use(cuda);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    const cudaError_t error = cudaEventQuery(cuda->done[lane->number]);
    if (error == cudaErrorNotReady) {
        (void)cudaGetLastError(); /* it is kept like an error */
        return DH_BACKEND_BUSY;
    }
    return checked(cuda, "a batch on the device", error);
}

static const dh_device_driver cuda_driver = {
    .kind = &dh_backend_cuda,
    .open = cuda_open,
    .close = cuda_close,
    .allocate = cuda_allocate,
    .load = cuda_load,
    .copy_in = cuda_copy_in,
    .copy_out = cuda_copy_out,
    .launch = cuda_launch,
    .flush = cuda_flush,
    .query = cuda_query,
    .pin = cuda_pin,
    .unpin = cuda_unpin,
};

static dh_backend_status cuda_open_backend(const dh_backend_options *options, dh_backend **out,
                                           char why[DH_BACKEND_TEXT])
{
    return dh_device_open(&cuda_driver, options, out, why);
}

extern "C" const dh_backend_kind dh_backend_cuda = {
    .name = "cuda",
    .not_built = NULL,
    .devices = cuda_devices,
    .facts = cuda_facts,
    .open = cuda_open_backend,
    .close = dh_device_close,
    .describe = dh_device_describe,
    .error = dh_device_error,
    .pin = dh_device_pin,
    .unpin = dh_device_unpin,
    .load = dh_device_load,
    .begin = dh_device_begin,
    .sha256 = dh_device_sha256,
    .digest = dh_device_digest,
    .profile = dh_device_profile,
    .ngrams = dh_device_ngrams,
    .minhash = dh_device_minhash,
    .sha256_spelling = dh_device_sha256_spelling,
    .poll = dh_device_poll,
};
