/* Which builds of the kernels this processor can run. The set-up script
   defines FASTDROP_X86 where it builds the three of them. */
#include "masks.h"

#include <stddef.h>
#include <unistd.h>

typedef struct {
    const char *name;
    const fd_kernels *kernels;
    int runs;
} isa;

extern const fd_kernels fd_kernels_baseline;
#ifdef FASTDROP_X86
extern const fd_kernels fd_kernels_avx2, fd_kernels_avx512;
#endif

static const isa *isa_at(int i) {
    static isa all[] = {
#ifdef FASTDROP_X86
        {"avx512", &fd_kernels_avx512, 0},
        {"avx2", &fd_kernels_avx2, 0},
#endif
        {"baseline", &fd_kernels_baseline, 1},
    };
    const int count = (int)(sizeof all / sizeof all[0]);
#ifdef FASTDROP_X86
    /* These ask the operating system too, whether it saves the registers. */
    __builtin_cpu_init();
    all[0].runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    all[1].runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
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
    return found ? found->kernels : NULL;
}

int64_t fd_cache_bytes(void) {
#ifdef _SC_LEVEL3_CACHE_SIZE
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes > 0) return bytes;
#endif
    return INT64_C(32) << 20;
}
