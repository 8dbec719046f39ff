/* dhatu: the kernels of devices, one text for CUDA C and OpenCL C (and C, for what host and device share).
 *
 * A kernel gets the lane's block, the tables' block, and by value where in them things stand. Offsets are
 * bytes and multiples of 16. */
#ifndef DH_KERNELS_DEVICE_CORE_H
#define DH_KERNELS_DEVICE_CORE_H

#include "kernels/core.h"

/* The lexicons in the tables' block, all offsets; see dh_profile_tables. */
typedef struct dh_device_tables {
    dh_u64 slot, term, category, first_filter, negator_filter, next_filter;
    dh_u32 lexicon_count, category_count, denominator, slot_mask, term_count, reserved;
} dh_device_tables;

/* The kernels of a driver's launch. A job may need several, one behind the other. */
typedef enum dh_device_kernel {
    DH_KERNEL_SHA256 = 0,
    DH_KERNEL_DIGEST_HASH,
    DH_KERNEL_DIGEST_FINISH,
    DH_KERNEL_PROFILE_CANDIDATES,
    DH_KERNEL_PROFILE_COUNT,
    DH_KERNEL_COUNT
} dh_device_kernel;

/* A batch and the outputs in the lane's block. An output that is not wanted has the offset 0, where nothing
 * stands. */
typedef struct dh_device_arguments {
    dh_u64 text, text_offset, token, token_offset, hit, hit_offset, lexicon;
    dh_u64 work; /* memory between the kernels of a job */
    dh_u64 output[12];
    dh_u32 document_count, reserved;
    dh_u64 text_base, token_base, hit_base; /* what the batch's first offsets are: those of the block begin at 0 */
    dh_u64 token_count;
    dh_device_tables tables;
} dh_device_arguments;

#endif
