#include "kernels/cpu.h"

#include "kernels/backend.h"

#include <stdio.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>

static int has_sha(void)
{
    enum { LEAF = 7, SHA_BIT = 29 };
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (b >> SHA_BIT & 1U) != 0;
}

static uint32_t ask(void)
{
    uint32_t features = 0;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt")) {
        features |= DH_CPU_AVX2;
    }
    if ((features & DH_CPU_AVX2) != 0 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") &&
        __builtin_cpu_supports("avx512vbmi2")) {
        features |= DH_CPU_AVX512;
    }
    if (has_sha() && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3")) {
        features |= DH_CPU_SHA;
    }
    return features;
}

#else

static uint32_t ask(void)
{
    return 0;
}

#endif

uint32_t dh_cpu_features(void)
{
    enum { KNOWN = 1 << 16 };
    /* 0: not asked yet. Threads that ask at the same time find the same. */
    static _Atomic uint32_t known;
    uint32_t features = known;
    if (features == 0) {
        features = ask() | KNOWN;
        known = features;
    }
    return features & ~(uint32_t)KNOWN;
}

void dh_cpu_features_text(uint32_t features, char *out, size_t size)
{
    const char *avx2 = (features & DH_CPU_AVX2) != 0 ? "AVX2 " : "";
    const char *avx512 = (features & DH_CPU_AVX512) != 0 ? "AVX-512 " : "";
    const char *sha = (features & DH_CPU_SHA) != 0 ? "SHA " : "";
    const int length = snprintf(out, size, "%s%s%s", avx2, avx512, sha);
    if (length <= 0) {
        (void)snprintf(out, size, "none");
    } else if ((size_t)length <= size) {
        out[length - 1] = '\0';
    }
}
