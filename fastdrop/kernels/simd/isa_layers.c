/* The layer kernels of an instruction set, by its name. */
#include "layers.h"

#include <stddef.h>
#include <string.h>

extern const fd_layers fd_layers_baseline;
#ifdef FASTDROP_X86
extern const fd_layers fd_layers_avx2, fd_layers_avx512;
#endif

const fd_layers *fd_isa_layers(const char *name) {
#ifdef FASTDROP_X86
    if (!strcmp(name, "avx512")) return &fd_layers_avx512;
    if (!strncmp(name, "avx2", 4)) return &fd_layers_avx2;
#endif
    return strcmp(name, "baseline") ? NULL : &fd_layers_baseline;
}
