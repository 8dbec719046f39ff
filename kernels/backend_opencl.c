/* dhatu: the OpenCL backend: a driver (kernels/device.h) over OpenCL 1.2 and the ICD loader. */
#include "kernels/device.h"
#include "kernels/opencl_text.h"

#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLATFORMS_MAX = 16, DEVICES_MAX = 64, EVENTS_FIRST = 64 };

/* A lane's queue is done in order. Every command has an event: that the last one is done does not tell that
 * none before it failed. */
typedef struct opencl_lane {
    cl_command_queue queue;
    cl_mem block;
    cl_event *event;
    size_t event_first, event_count, event_room; /* not known to be done: first up to count */
} opencl_lane;

typedef struct opencl_device {
    dh_device base;
    cl_device_id device;
    cl_context context;
    cl_program program;
    cl_kernel kernel[DH_KERNEL_COUNT];
    size_t group[DH_KERNEL_COUNT]; /* work items of a work group */
    cl_mem tables;                 /* NULL: none */
    opencl_lane lane[DH_LANES_MAX];
} opencl_device;

static opencl_device *opencl_of(dh_device *device)
{
    return (opencl_device *)device;
}

static opencl_device *opencl_of_lane(const dh_lane *lane)
{
    return (opencl_device *)lane->backend;
}

/* ---- errors ------------------------------------------------------------------------------------------ */

static const char *error_name(cl_int error)
{
    static const struct {
        cl_int error;
        const char *name;
    } names[] = {
        {CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND"},
        {CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE"},
        {CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE"},
        {CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
        {CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES"},
        {CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY"},
        {CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE"},
        {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
        {CL_INVALID_VALUE, "CL_INVALID_VALUE"},
        {CL_INVALID_PLATFORM, "CL_INVALID_PLATFORM"},
        {CL_INVALID_DEVICE, "CL_INVALID_DEVICE"},
        {CL_INVALID_CONTEXT, "CL_INVALID_CONTEXT"},
        {CL_INVALID_COMMAND_QUEUE, "CL_INVALID_COMMAND_QUEUE"},
        {CL_INVALID_MEM_OBJECT, "CL_INVALID_MEM_OBJECT"},
        {CL_INVALID_BUILD_OPTIONS, "CL_INVALID_BUILD_OPTIONS"},
        {CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME"},
        {CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS"},
        {CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE"},
        {CL_INVALID_EVENT, "CL_INVALID_EVENT"},
        {CL_INVALID_OPERATION, "CL_INVALID_OPERATION"},
        {CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE"},
        {CL_PLATFORM_NOT_FOUND_KHR, "CL_PLATFORM_NOT_FOUND_KHR"},
    };
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        if (names[n].error == error) {
            return names[n].name;
        }
    }
    return "unknown error";
}

static void error_text(char out[DH_BACKEND_TEXT], const char *what, cl_int error)
{
    (void)snprintf(out, DH_BACKEND_TEXT, "%s: %s (%d)", what, error_name(error), error);
}

/* Of calls that take no memory of their own. Some drivers take a buffer's memory when it is first used. */
static dh_backend_status checked(opencl_device *opencl, const char *what, cl_int error)
{
    if (error == CL_SUCCESS) {
        return DH_BACKEND_OK;
    }
    error_text(opencl->base.error, what, error);
    return error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY ? DH_BACKEND_NO_MEMORY
                                                                                       : DH_BACKEND_LOST;
}

/* Of calls that take memory. */
static dh_backend_status checked_memory(opencl_device *opencl, const char *what, cl_int error)
{
    const dh_backend_status status = checked(opencl, what, error);
    return error == CL_OUT_OF_RESOURCES || error == CL_INVALID_BUFFER_SIZE ? DH_BACKEND_NO_MEMORY : status;
}

/* ---- which devices there are ------------------------------------------------------------------------- */

typedef struct found_platform {
    cl_platform_id platform;
    char name[DH_BACKEND_TEXT];
} found_platform;

typedef struct found_device {
    cl_device_id device;
    cl_platform_id platform;
    uint32_t index; /* in its platform */
} found_device;

static void platform_text(cl_platform_id platform, cl_platform_info what, char out[DH_BACKEND_TEXT])
{
    if (clGetPlatformInfo(platform, what, DH_BACKEND_TEXT, out, NULL) != CL_SUCCESS) {
        out[0] = '\0';
    }
}

static void device_text(cl_device_id device, cl_device_info what, char *out, size_t size)
{
    char whole[1024];
    if (clGetDeviceInfo(device, what, sizeof whole, whole, NULL) != CL_SUCCESS) {
        whole[0] = '\0';
    }
    whole[sizeof whole - 1] = '\0';
    const char *text = whole + strspn(whole, " ");
    (void)snprintf(out, size, "%.*s", (int)size - 1, text);
}

static cl_ulong device_number(cl_device_id device, cl_device_info what)
{
    cl_ulong number = 0; /* little-endian: also right where the device gives 4 bytes */
    return clGetDeviceInfo(device, what, sizeof number, &number, NULL) == CL_SUCCESS ? number : 0;
}

/* Sorted by name: the order of the loader is the order of a folder. */
static uint32_t find_platforms(found_platform *out, char why[DH_BACKEND_TEXT])
{
    cl_platform_id platform[PLATFORMS_MAX];
    cl_uint count = 0;
    const cl_int error = clGetPlatformIDs(PLATFORMS_MAX, platform, &count);
    if (error != CL_SUCCESS && error != CL_PLATFORM_NOT_FOUND_KHR) {
        error_text(why, "clGetPlatformIDs", error);
        return 0;
    }
    if (error != CL_SUCCESS || count == 0) {
        (void)snprintf(
            why, DH_BACKEND_TEXT,
            "no OpenCL platform: the device's driver brings one, or pocl-opencl-icd for the CPU; each "
            "is a file in /etc/OpenCL/vendors");
        return 0;
    }
    count = count < PLATFORMS_MAX ? count : PLATFORMS_MAX;
    for (cl_uint p = 0; p < count; p++) {
        found_platform one = {.platform = platform[p]};
        platform_text(platform[p], CL_PLATFORM_NAME, one.name);
        cl_uint at = p;
        for (; at > 0 && strcmp(out[at - 1].name, one.name) > 0; at--) {
            out[at] = out[at - 1];
        }
        out[at] = one;
    }
    return count;
}

static uint32_t find_devices(found_device *out, char why[DH_BACKEND_TEXT])
{
    found_platform platform[PLATFORMS_MAX];
    why[0] = '\0';
    const uint32_t platforms = find_platforms(platform, why);
    uint32_t count = 0;
    for (uint32_t p = 0; p < platforms; p++) {
        cl_device_id device[DEVICES_MAX];
        cl_uint here = 0;
        const cl_int error =
            clGetDeviceIDs(platform[p].platform, CL_DEVICE_TYPE_ALL, DEVICES_MAX, device, &here);
        if (error != CL_SUCCESS && error != CL_DEVICE_NOT_FOUND) {
            error_text(why, platform[p].name, error);
        }
        here = error == CL_SUCCESS ? here : 0;
        for (cl_uint d = 0; d < here && d < DEVICES_MAX && count < DEVICES_MAX; d++) {
            out[count++] = (found_device){.device = device[d], .platform = platform[p].platform, .index = d};
        }
    }
    if (count == 0 && why[0] == '\0') {
        (void)snprintf(why, DH_BACKEND_TEXT, "no OpenCL device: %.200s has none", platform[0].name);
    }
    return count;
}

static uint32_t opencl_devices(char why[DH_BACKEND_TEXT])
{
    found_device found[DEVICES_MAX];
    return find_devices(found, why);
}

/* The address on the PCI bus where the device tells it; else number and names. */
static void find_id(const found_device *found, const dh_device_facts *facts, char *out, size_t size)
{
#if defined(CL_DEVICE_PCI_BUS_INFO_KHR)
    cl_device_pci_bus_info_khr bus;
    if (clGetDeviceInfo(found->device, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof bus, &bus, NULL) == CL_SUCCESS) {
        (void)snprintf(out, size, "%04x:%02x:%02x.%x", bus.pci_domain, bus.pci_bus, bus.pci_device,
                       bus.pci_function);
        return;
    }
#endif
    char platform[DH_BACKEND_TEXT];
    platform_text(found->platform, CL_PLATFORM_NAME, platform);
    (void)snprintf(out, size, "%u %.24s %.24s", found->index, platform, facts->name);
}

static dh_backend_status opencl_facts(uint32_t device, dh_device_facts *out)
{
    found_device all[DEVICES_MAX];
    char why[DH_BACKEND_TEXT];
    if (device >= find_devices(all, why)) {
        return DH_BACKEND_LOST;
    }
    const found_device *found = &all[device];
    dh_device_facts facts = {.memory = device_number(found->device, CL_DEVICE_GLOBAL_MEM_SIZE)};
    device_text(found->device, CL_DEVICE_NAME, facts.name, sizeof facts.name);
    device_text(found->device, CL_DEVICE_OPENCL_C_VERSION, facts.level, sizeof facts.level);
    char platform[DH_BACKEND_TEXT];
    char version[128];
    platform_text(found->platform, CL_PLATFORM_NAME, platform);
    device_text(found->device, CL_DRIVER_VERSION, version, sizeof version);
    (void)snprintf(facts.driver, sizeof facts.driver, "%.120s %s", platform, version);
    find_id(found, &facts, facts.id, sizeof facts.id);
    facts.units = (uint32_t)device_number(found->device, CL_DEVICE_MAX_COMPUTE_UNITS);
    facts.clock_mhz = (uint32_t)device_number(found->device, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    facts.is_accelerator = (device_number(found->device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) == 0;
    *out = facts;
    return DH_BACKEND_OK;
}

/* ---- open and close ---------------------------------------------------------------------------------- */

/* "" or why the device cannot give the same bits as the others. */
static const char *refusal(cl_device_id device)
{
    if (device_number(device, CL_DEVICE_AVAILABLE) == 0) {
        return "is not available";
    }
    if (device_number(device, CL_DEVICE_COMPILER_AVAILABLE) == 0) {
        return "has no compiler";
    }
    if (device_number(device, CL_DEVICE_ENDIAN_LITTLE) == 0) {
        return "is big-endian";
    }
    if (device_number(device, CL_DEVICE_DOUBLE_FP_CONFIG) == 0) {
        return "has no double precision (cl_khr_fp64)";
    }
    return "";
}

/* The line of the compiler's first error, or the log's beginning. */
static void build_log(cl_program program, cl_device_id device, char why[DH_BACKEND_TEXT])
{
    size_t size = 0;
    (void)clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *text = calloc(size + 1, 1);
    if (text == NULL || clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, text, NULL) != 0) {
        free(text);
        (void)snprintf(why, DH_BACKEND_TEXT, "the kernels do not compile, and there is no log");
        return;
    }
    const char *line = text;
    const char *error = strstr(text, "error");
    for (const char *at = text; error != NULL && at < error; at++) {
        line = *at == '\n' ? at + 1 : line;
    }
    (void)snprintf(why, DH_BACKEND_TEXT, "the kernels do not compile: %.*s", (int)strcspn(line, "\n"), line);
    free(text);
}

static cl_int build(opencl_device *opencl)
{
    const char *text = dh_opencl_text;
    cl_int error = CL_SUCCESS;
    opencl->program = clCreateProgramWithSource(opencl->context, 1, &text, NULL, &error);
    if (error != CL_SUCCESS) {
        error_text(opencl->base.error, "clCreateProgramWithSource", error);
        return error;
    }
    /* Some compilers write warnings to stderr, and nobody who reads them there can do something about them.
     */
    error = clBuildProgram(opencl->program, 1, &opencl->device, "-cl-std=CL1.2 -w", NULL, NULL);
    if (error != CL_SUCCESS) {
        build_log(opencl->program, opencl->device, opencl->base.error);
    }
    return error;
}

static cl_int make_kernels(opencl_device *opencl)
{
    static const char *const name[DH_KERNEL_COUNT] = {
        [DH_KERNEL_SHA256] = "dh_kernel_sha256",
        [DH_KERNEL_DIGEST_HASH] = "dh_kernel_digest_hash",
        [DH_KERNEL_DIGEST_FINISH] = "dh_kernel_digest_finish",
        [DH_KERNEL_PROFILE_CANDIDATES] = "dh_kernel_profile_candidates",
        [DH_KERNEL_PROFILE_COUNT] = "dh_kernel_profile_count",
        [DH_KERNEL_NGRAMS] = "dh_kernel_ngrams",
        [DH_KERNEL_MINHASH_CLEAR] = "dh_kernel_minhash_clear",
        [DH_KERNEL_MINHASH_SHINGLES] = "dh_kernel_minhash_shingles",
        [DH_KERNEL_MINHASH_MINIMA] = "dh_kernel_minhash_minima",
        [DH_KERNEL_MINHASH_FINISH] = "dh_kernel_minhash_finish",
        [DH_KERNEL_SHA256_SPELLING] = "dh_kernel_sha256_spelling",
    };
    cl_int error = CL_SUCCESS;
    for (int k = 0; k < DH_KERNEL_COUNT && error == CL_SUCCESS; k++) {
        size_t most = 0;
        opencl->kernel[k] = clCreateKernel(opencl->program, name[k], &error);
        if (error == CL_SUCCESS) {
            error = clGetKernelWorkGroupInfo(opencl->kernel[k], opencl->device, CL_KERNEL_WORK_GROUP_SIZE,
                                             sizeof most, &most, NULL);
        }
        opencl->group[k] = most > DH_DEVICE_GROUP ? DH_DEVICE_GROUP : most;
        if (error != CL_SUCCESS) {
            error_text(opencl->base.error, name[k], error);
        }
    }
    return error;
}

static cl_int make_queues(opencl_device *opencl)
{
    cl_int error = CL_SUCCESS;
    for (uint32_t l = 0; l < opencl->base.base.lane_count && error == CL_SUCCESS; l++) {
        opencl->lane[l].queue = clCreateCommandQueue(opencl->context, opencl->device, 0, &error);
        if (error != CL_SUCCESS) {
            error_text(opencl->base.error, "clCreateCommandQueue", error);
        }
    }
    return error;
}

static cl_int set_up(opencl_device *opencl, const found_device *found)
{
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)found->platform,
                                                0};
    cl_int error = CL_SUCCESS;
    opencl->device = found->device;
    opencl->context = clCreateContext(properties, 1, &opencl->device, NULL, NULL, &error);
    if (error != CL_SUCCESS) {
        error_text(opencl->base.error, "clCreateContext", error);
        return error;
    }
    error = build(opencl);
    if (error == CL_SUCCESS) {
        error = make_kernels(opencl);
    }
    return error == CL_SUCCESS ? make_queues(opencl) : error;
}

static void release_block(cl_mem *memory)
{
    if (*memory != NULL) {
        (void)clReleaseMemObject(*memory);
        *memory = NULL;
    }
}

static void close_lane(opencl_lane *lane)
{
    if (lane->queue != NULL) {
        (void)clFinish(lane->queue);
    }
    for (size_t e = lane->event_first; e < lane->event_count; e++) {
        (void)clReleaseEvent(lane->event[e]);
    }
    free(lane->event);
    release_block(&lane->block);
    if (lane->queue != NULL) {
        (void)clReleaseCommandQueue(lane->queue);
    }
}

static void driver_close(dh_device *device)
{
    opencl_device *opencl = opencl_of(device);
    for (uint32_t l = 0; l < device->base.lane_count; l++) {
        close_lane(&opencl->lane[l]);
    }
    release_block(&opencl->tables);
    for (int k = 0; k < DH_KERNEL_COUNT; k++) {
        if (opencl->kernel[k] != NULL) {
            (void)clReleaseKernel(opencl->kernel[k]);
        }
    }
    if (opencl->program != NULL) {
        (void)clReleaseProgram(opencl->program);
    }
    if (opencl->context != NULL) {
        (void)clReleaseContext(opencl->context);
    }
    free(opencl);
}

static void describe(opencl_device *opencl)
{
    char name[120];
    char version[80];
    device_text(opencl->device, CL_DEVICE_NAME, name, sizeof name);
    device_text(opencl->device, CL_DEVICE_OPENCL_C_VERSION, version, sizeof version);
    (void)snprintf(opencl->base.description, sizeof opencl->base.description, "%s, %s", name, version);
}

static dh_backend_status driver_open(const dh_backend_options *options, dh_device **out,
                                     uint64_t *memory_free, char why[DH_BACKEND_TEXT])
{
    found_device found[DEVICES_MAX];
    const uint32_t count = find_devices(found, why);
    if (options->device >= count) {
        if (count != 0) {
            (void)snprintf(why, DH_BACKEND_TEXT, "no OpenCL device %u: there are %u", options->device, count);
        }
        return DH_BACKEND_LOST;
    }
    const found_device *chosen = &found[options->device];
    const char *refused = refusal(chosen->device);
    if (refused[0] != '\0') {
        char name[120];
        device_text(chosen->device, CL_DEVICE_NAME, name, sizeof name);
        (void)snprintf(why, DH_BACKEND_TEXT, "the OpenCL device %s %s", name, refused);
        return DH_BACKEND_LOST;
    }
    opencl_device *opencl = calloc(1, sizeof *opencl);
    if (opencl == NULL) {
        (void)snprintf(why, DH_BACKEND_TEXT, "out of memory on the host");
        return DH_BACKEND_NO_MEMORY;
    }
    dh_backend_prepare(&opencl->base.base, &dh_backend_opencl, options->lanes);
    if (set_up(opencl, chosen) != CL_SUCCESS) {
        (void)snprintf(why, DH_BACKEND_TEXT, "%s", opencl->base.error);
        driver_close(&opencl->base);
        return DH_BACKEND_LOST;
    }
    describe(opencl);
    /* What is free OpenCL does not tell; no buffer may be larger than this. */
    const uint64_t memory = device_number(chosen->device, CL_DEVICE_GLOBAL_MEM_SIZE);
    const uint64_t most = device_number(chosen->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE) * options->lanes;
    *memory_free = memory < most ? memory : most;
    *out = &opencl->base;
    why[0] = '\0';
    return DH_BACKEND_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

/* Writes a little of the block, since some drivers take its memory when it is first used. */
static cl_int touch(cl_command_queue queue, cl_mem block)
{
    const cl_uint zero = 0;
    const cl_int error = clEnqueueFillBuffer(queue, block, &zero, sizeof zero, 0, sizeof zero, 0, NULL, NULL);
    return error == CL_SUCCESS ? clFinish(queue) : error;
}

static cl_int set_arguments(cl_kernel kernel, const cl_mem *block, const cl_mem *tables,
                            const dh_device_arguments *arguments)
{
    cl_int error = clSetKernelArg(kernel, 0, sizeof(cl_mem), block);
    if (error == CL_SUCCESS) {
        error = clSetKernelArg(kernel, 1, sizeof(cl_mem), tables);
    }
    return error == CL_SUCCESS ? clSetKernelArg(kernel, 2, sizeof *arguments, arguments) : error;
}

/* Runs each kernel over nothing, once with a small grid and once with a large one. PoCL compiles a kernel
 * when it is used first, and again for large grids; two lanes that do so at the same time made it abort
 * (3.1). */
static cl_int warm_up(opencl_device *opencl)
{
    enum { LARGE_GRID = 1 << 17 };
    const dh_device_arguments nothing = {.document_count = 0};
    cl_command_queue queue = opencl->lane[0].queue;
    cl_int error = CL_SUCCESS;
    for (int i = 0; i < 2 * DH_KERNEL_COUNT && error == CL_SUCCESS; i++) {
        cl_kernel kernel = opencl->kernel[i / 2];
        const size_t group = opencl->group[i / 2];
        const size_t all = i % 2 == 0 ? group : (LARGE_GRID + group - 1) / group * group;
        error = set_arguments(kernel, &opencl->lane[0].block, &opencl->tables, &nothing);
        if (error == CL_SUCCESS) {
            error = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &all, &group, 0, NULL, NULL);
        }
        if (error == CL_SUCCESS) {
            error = clFinish(queue);
        }
    }
    return error;
}

static void release_blocks(opencl_device *opencl)
{
    for (uint32_t l = 0; l < opencl->base.base.lane_count; l++) {
        release_block(&opencl->lane[l].block);
    }
}

static dh_backend_status driver_allocate(dh_device *device, uint64_t lane_bytes)
{
    opencl_device *opencl = opencl_of(device);
    cl_int error = CL_SUCCESS;
    for (uint32_t l = 0; l < device->base.lane_count && error == CL_SUCCESS; l++) {
        opencl_lane *lane = &opencl->lane[l];
        lane->block = clCreateBuffer(opencl->context, CL_MEM_READ_WRITE, lane_bytes, NULL, &error);
        if (error == CL_SUCCESS) {
            error = touch(lane->queue, lane->block);
        }
    }
    if (error != CL_SUCCESS) {
        release_blocks(opencl);
    }
    const dh_backend_status status = checked_memory(opencl, "clCreateBuffer", error);
    if (status != DH_BACKEND_OK) {
        return status;
    }
    error = warm_up(opencl);
    if (error != CL_SUCCESS) {
        release_blocks(opencl);
    }
    return checked_memory(opencl, "clEnqueueNDRangeKernel", error);
}

static dh_backend_status driver_load(dh_device *device, const void *bytes, uint64_t size)
{
    opencl_device *opencl = opencl_of(device);
    release_block(&opencl->tables);
    if (size == 0) {
        return DH_BACKEND_OK;
    }
    cl_int error = CL_SUCCESS;
    opencl->tables = clCreateBuffer(opencl->context, CL_MEM_READ_ONLY, size, NULL, &error);
    if (error == CL_SUCCESS) {
        error = clEnqueueWriteBuffer(opencl->lane[0].queue, opencl->tables, CL_TRUE, 0, size, bytes, 0, NULL,
                                     NULL);
    }
    if (error != CL_SUCCESS) {
        release_block(&opencl->tables);
    }
    return checked_memory(opencl, "copying the lexicons", error);
}

/* Page-locked memory is had in OpenCL by mapping a buffer of the driver's own, not by naming memory that is
 * there already (CL_MEM_USE_HOST_PTR makes no promise of it). */
static void driver_pin(dh_device *device, void *memory, size_t size)
{
    (void)device;
    (void)memory;
    (void)size;
}

static void driver_unpin(dh_device *device, void *memory)
{
    (void)device;
    (void)memory;
}

/* ---- commands ---------------------------------------------------------------------------------------- */

/* Where the event of the lane's next command goes; NULL: out of memory. */
static cl_event *next_event(opencl_lane *lane)
{
    if (lane->event_count == lane->event_room) {
        const size_t room = lane->event_room != 0 ? 2 * lane->event_room : EVENTS_FIRST;
        cl_event *event = realloc(lane->event, room * sizeof(cl_event));
        if (event == NULL) {
            return NULL;
        }
        lane->event = event;
        lane->event_room = room;
    }
    return &lane->event[lane->event_count];
}

static dh_backend_status queued(opencl_device *opencl, opencl_lane *lane, const char *what, cl_int error)
{
    lane->event_count += error == CL_SUCCESS ? 1 : 0;
    return checked(opencl, what, error);
}

static dh_backend_status driver_copy_in(dh_lane *lane, uint64_t offset, const void *bytes, uint64_t size)
{
    opencl_device *opencl = opencl_of_lane(lane);
    opencl_lane *own = &opencl->lane[lane->number];
    cl_event *event = next_event(own);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    if (event != NULL) {
        error = clEnqueueWriteBuffer(own->queue, own->block, CL_FALSE, offset, size, bytes, 0, NULL, event);
    }
    return queued(opencl, own, "clEnqueueWriteBuffer", error);
}

static dh_backend_status driver_copy_out(dh_lane *lane, void *bytes, uint64_t offset, uint64_t size)
{
    opencl_device *opencl = opencl_of_lane(lane);
    opencl_lane *own = &opencl->lane[lane->number];
    cl_event *event = next_event(own);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    if (event != NULL) {
        error = clEnqueueReadBuffer(own->queue, own->block, CL_FALSE, offset, size, bytes, 0, NULL, event);
    }
    return queued(opencl, own, "clEnqueueReadBuffer", error);
}

static dh_backend_status driver_launch(dh_lane *lane, dh_device_kernel kernel, uint64_t items,
                                       const dh_device_arguments *arguments)
{
    opencl_device *opencl = opencl_of_lane(lane);
    opencl_lane *own = &opencl->lane[lane->number];
    cl_event *event = next_event(own);
    cl_int error = CL_OUT_OF_HOST_MEMORY;
    if (event != NULL) {
        error = set_arguments(opencl->kernel[kernel], &own->block, &opencl->tables, arguments);
    }
    if (error == CL_SUCCESS) {
        const size_t group = opencl->group[kernel];
        const size_t all = (items + group - 1) / group * group;
        error =
            clEnqueueNDRangeKernel(own->queue, opencl->kernel[kernel], 1, NULL, &all, &group, 0, NULL, event);
    }
    return queued(opencl, own, "clEnqueueNDRangeKernel", error);
}

static dh_backend_status driver_flush(dh_lane *lane)
{
    opencl_device *opencl = opencl_of_lane(lane);
    return checked(opencl, "clFlush", clFlush(opencl->lane[lane->number].queue));
}

static dh_backend_status driver_query(dh_lane *lane)
{
    opencl_device *opencl = opencl_of_lane(lane);
    opencl_lane *own = &opencl->lane[lane->number];
    for (; own->event_first < own->event_count; own->event_first++) {
        cl_int state = CL_COMPLETE;
        cl_int error = clGetEventInfo(own->event[own->event_first], CL_EVENT_COMMAND_EXECUTION_STATUS,
                                      sizeof state, &state, NULL);
        error = error == CL_SUCCESS && state < 0 ? state : error;
        if (error != CL_SUCCESS) {
            error_text(opencl->base.error, "a command on the device", error);
            return DH_BACKEND_LOST;
        }
        if (state != CL_COMPLETE) {
            return DH_BACKEND_BUSY;
        }
        (void)clReleaseEvent(own->event[own->event_first]);
    }
    own->event_first = 0;
    own->event_count = 0;
    return DH_BACKEND_OK;
}

static const dh_device_driver opencl_driver = {
    .kind = &dh_backend_opencl,
    .open = driver_open,
    .close = driver_close,
    .allocate = driver_allocate,
    .load = driver_load,
    .copy_in = driver_copy_in,
    .copy_out = driver_copy_out,
    .launch = driver_launch,
    .flush = driver_flush,
    .query = driver_query,
    .pin = driver_pin,
    .unpin = driver_unpin,
};

static dh_backend_status opencl_open(const dh_backend_options *options, dh_backend **out,
                                     char why[DH_BACKEND_TEXT])
{
    return dh_device_open(&opencl_driver, options, out, why);
}

const dh_backend_kind dh_backend_opencl = {
    .name = "opencl",
    .devices = opencl_devices,
    .facts = opencl_facts,
    .open = opencl_open,
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
