/* The mask kernels as C sees them: one job, and for every instruction set a
   table of functions that do the elements [begin, end) of a job. The meaning
   of each is stated in kernels/__init__.py. */
#ifndef FASTDROP_MASKS_H
#define FASTDROP_MASKS_H

#include <stdint.h>

typedef struct {
    const void *x, *y;
    void *out;
    int64_t outer, shared, inner;
    uint64_t key, stream, offset;
    uint32_t threshold;
    double a, b, c;
    /* One entry a rate: thresholds, and a, b, c (or a standard deviation in a)
       in the type of x; b and c may be the same for all rates. */
    int64_t rates;
    const uint64_t *thresholds;
    const uint16_t *highs; /* their upper digits, unless they are too many */
    const uint16_t *ordered; /* the same as lanes compare them, of whole sixty-fours */
    int ties; /* whether a draw whose upper digit is its threshold's is not decided by it */
    const void *as, *bs, *cs;
    int bc_vary;
    int streams; /* out is not read soon: written past the caches */
} fd_job;

typedef void fd_range(const fd_job *job, int64_t begin, int64_t end);

enum { FD_FLOAT, FD_DOUBLE, FD_REALS };

/* Places in a tile of apply_turned. */
enum { FD_PLACES = 1024 };

typedef struct {
    int (*high_digits)(const uint64_t *thresholds, int64_t n, uint16_t *highs);
    void (*ordered_highs)(const uint16_t *highs, int64_t n, uint16_t *ordered);
    fd_range *keep, *keep_rates;
    fd_range *apply[FD_REALS], *apply_rates[FD_REALS];
    fd_range *blend[FD_REALS], *blend_rates[FD_REALS];
    fd_range *uniforms[FD_REALS], *normals[FD_REALS], *multiply_normals[FD_REALS];
    fd_range *apply_turned[FD_REALS]; /* of tiles, not of elements */
    fd_range *scaled_copy[FD_REALS];
} fd_kernels;

/* The instruction sets that were built and that this processor has, the best
   first: name of the i-th, and its kernels, to be used from now on, or NULL
   behind the last. */
const char *fd_isa_name(int i);
const fd_kernels *fd_isa_kernels(int i);

/* Whether AVX2's kernels take lower halves of products by vpmulld, or shuffle. */
extern int fd_multiplies;

/* Bytes of the processor's last cache, or a guess. */
int64_t fd_cache_bytes(void);

#endif
