/* dhatu: the words that let one kernel text compile as C17, as CUDA C and as OpenCL C 1.2.
 *
 * Texts named kernels/[name]_core.h use these names only, call nothing of the C library, and keep the C
 * subset that all three accept: no recursion, no function pointers, no variable-length arrays, and no
 * conversion between pointers into different address spaces.
 *
 * DH_FN              a function of the kernel text
 * DH_GLOBAL          pointer into the memory of a batch
 * DH_CONSTANT        pointer into small read-only tables that the host uploads
 * DH_CONSTANT_TABLE  a table that is part of the kernel text itself
 * DH_UNROLL          before a loop of at most 16 turns: unroll it, so that the arrays it indexes can
 *                    live in registers
 * DH_ROLLED          before a loop: leave it a loop, so that the code stays in the instruction cache
 * DH_LOWEST_BIT(x)   number of the lowest bit that is set in a 64-bit word (not 0)
 * DH_PREFETCH(p)     asks for the memory at p early; nothing on devices, which hide latency by threads
 * DH_BIG_ENDIAN_WORD(low, high, byte)
 *                    four of the eight bytes of two little-endian words, from `byte` (0 to 3) on, as a
 *                    big-endian word */
#ifndef DH_KERNELS_CORE_H
#define DH_KERNELS_CORE_H

#if defined(__FAST_MATH__)
#error "dhatu's results must be the same to the last bit on every backend: do not use -ffast-math"
#endif

#if defined(__OPENCL_C_VERSION__)

typedef uchar dh_u8;
typedef ushort dh_u16;
typedef uint dh_u32;
typedef ulong dh_u64;
typedef int dh_i32;
typedef long dh_i64;

/* The names of stdint.h that headers shared with the host use. */
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;
#define UINT32_C(value) value##U
#define UINT64_C(value) value##UL

#define DH_FN static inline
#define DH_GLOBAL __global
#define DH_CONSTANT __constant
#define DH_CONSTANT_TABLE __constant

#pragma OPENCL FP_CONTRACT OFF

#else

#include <stdint.h>
#include <string.h>

typedef uint8_t dh_u8;
typedef uint16_t dh_u16;
typedef uint32_t dh_u32;
typedef uint64_t dh_u64;
typedef int32_t dh_i32;
typedef int64_t dh_i64;

#define DH_GLOBAL
#define DH_CONSTANT

#if defined(__CUDACC__)
#define DH_FN static __device__ __forceinline__
#define DH_CONSTANT_TABLE static __device__ __constant__ const
#else
#define DH_FN static inline
#define DH_CONSTANT_TABLE static const
#endif

#endif /* not OpenCL */

#if defined(__CUDACC__) || defined(__OPENCL_C_VERSION__) || defined(__clang__)
#define DH_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define DH_UNROLL _Pragma("GCC unroll 16")
#else
#define DH_UNROLL
#endif

#if defined(__CUDACC__) || defined(__OPENCL_C_VERSION__) || defined(__clang__)
#define DH_ROLLED _Pragma("unroll 1")
#elif defined(__GNUC__)
#define DH_ROLLED _Pragma("GCC unroll 1")
#else
#define DH_ROLLED
#endif

#if !defined(__OPENCL_C_VERSION__) && !defined(__CUDACC__) && defined(__GNUC__)
#define DH_PREFETCH(pointer) __builtin_prefetch(pointer)
#else
#define DH_PREFETCH(pointer) ((void)(pointer))
#endif

#if defined(__OPENCL_C_VERSION__)
#define DH_LOWEST_BIT(word) ((dh_u32)popcount(((word) & (0 - (word))) - 1))
#elif defined(__CUDACC__)
#define DH_LOWEST_BIT(word) ((dh_u32)(__ffsll((long long)(word)) - 1))
#else
#define DH_LOWEST_BIT(word) ((dh_u32)__builtin_ctzll(word))
#endif

#if defined(__CUDACC__)
#define DH_BIG_ENDIAN_WORD(low, high, byte) __byte_perm(low, high, 0x0123U + 0x1111U * (byte))
#elif defined(__OPENCL_C_VERSION__)
#define DH_BIG_ENDIAN_WORD(low, high, byte)                                                                  \
    as_uint(as_uchar4((uint)((((ulong)(high) << 32) | (low)) >> (8U * (byte)))).wzyx)
#endif

/* Doubles are optional in OpenCL C 1.2. */
#if !defined(__OPENCL_C_VERSION__)
#define DH_HAS_DOUBLE 1
#elif defined(cl_khr_fp64)
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define DH_HAS_DOUBLE 1
#else
#define DH_HAS_DOUBLE 0
#endif

#if DH_HAS_DOUBLE

/* The bits of a double, and back. */
DH_FN dh_u64 dh_f64_bits(double value)
{
#if defined(__OPENCL_C_VERSION__)
    return as_ulong(value);
#elif defined(__CUDACC__)
    return (dh_u64)__double_as_longlong(value);
#else
    dh_u64 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
#endif
}

DH_FN double dh_f64_from_bits(dh_u64 bits)
{
#if defined(__OPENCL_C_VERSION__)
    return as_double(bits);
#elif defined(__CUDACC__)
    return __longlong_as_double((long long)bits);
#else
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
#endif
}

#endif /* DH_HAS_DOUBLE */

#endif
