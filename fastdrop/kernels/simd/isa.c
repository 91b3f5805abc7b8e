/* Which builds of the kernels this processor can run. The set-up script
   defines FASTDROP_X86 where it builds the three of them; that for AVX2 has
   two ways to multiply. */
#include "masks.h"

#include <stddef.h>
#include <unistd.h>

#ifdef FASTDROP_X86
#include <cpuid.h>
#endif

typedef struct {
    const char *name;
    const fd_kernels *kernels;
    int runs, multiplies;
} isa;

int fd_multiplies;

extern const fd_kernels fd_kernels_baseline;
#ifdef FASTDROP_X86
extern const fd_kernels fd_kernels_avx2, fd_kernels_avx512;

/* Whether vpmulld is as quick as other products, as in Zen 3, where it was measured. Intel's
   processors make two operations of it, older ones of AMD's were not tried: with shuffles
   these lose nothing to a word a lane. */
static int multiplies_at_once(void) {
    unsigned a, b, c, d;
    if (!__builtin_cpu_is("amd") || !__get_cpuid(1, &a, &b, &c, &d)) return 0;
    return (a >> 8 & 0xF) + (a >> 20 & 0xFF) >= 0x19;
}
#endif

static const isa *isa_at(int i) {
    static isa all[] = {
#ifdef FASTDROP_X86
        {"avx512", &fd_kernels_avx512, 0, 0},
        {"avx2", &fd_kernels_avx2, 0, 0},
        {"avx2-other", &fd_kernels_avx2, 0, 0}, /* as for other processors, for tests */
#endif
        {"baseline", &fd_kernels_baseline, 1, 0},
    };
    const int count = (int)(sizeof all / sizeof all[0]);
#ifdef FASTDROP_X86
    /* These ask the operating system too, whether it saves the registers. */
    __builtin_cpu_init();
    all[0].runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    all[1].runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    all[1].multiplies = multiplies_at_once();
    all[2].runs = all[1].runs;
    all[2].multiplies = !all[1].multiplies;
#endif
    for (int j = 0; j < count; j++)
        if (all[j].runs && i-- == 0) return &all[j];
    return NULL;
}

const char *fd_isa_name(int i) {
    const isa *found = isa_at(i);
    return found ? found->name : NULL;
}

const fd_kernels *fd_isa_kernels(int i) {
    const isa *found = isa_at(i);
    if (!found) return NULL;
    fd_multiplies = found->multiplies;
    return found->kernels;
}

int64_t fd_cache_bytes(void) {
#ifdef _SC_LEVEL3_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes > 0) return bytes;
#endif
    return INT64_C(32) << 20;
}
