/* Flags of draws of (channels, places), turned to (places, channels): for
   arrays whose channels lie last in memory and are counted before the places. */
#ifndef FASTDROP_TURNED_H
#define FASTDROP_TURNED_H

#include "walk.h"

/* Channels that are decided together; so many flags are a vector. */
enum { SIDE = 16 };

typedef uint8_t fd_flags __attribute__((vector_size(SIDE)));

/* clang-format off */
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#if defined(__clang__)
#define MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define MIX(a, b, ...) __builtin_shuffle(a, b, (fd_flags){__VA_ARGS__})
#endif
/* clang-format on */

/* Sixteen flags of each of sixteen rows, `stride` apart, turned; rows beyond
   `rows` are the last one again. Four rounds of mixing row i with row i + 8. */
ALWAYS_INLINE void turn(const uint8_t *from, int64_t stride, int64_t rows,
                        fd_flags turned[SIDE]) {
    fd_flags other[SIDE];
    for (int i = 0; i < SIDE; i++)
        memcpy(&turned[i], from + (i < rows ? i : rows - 1) * stride, sizeof *turned);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < SIDE / 2; i++) {
            other[2 * i] = MIX(turned[i], turned[i + SIDE / 2], LOW);
            other[2 * i + 1] = MIX(turned[i], turned[i + SIDE / 2], HIGH);
        }
        for (int i = 0; i < SIDE / 2; i++) {
            turned[2 * i] = MIX(other[i], other[i + SIDE / 2], LOW);
            turned[2 * i + 1] = MIX(other[i], other[i + SIDE / 2], HIGH);
        }
    }
}

/* Flags of `n` places of each of `rows` channels, `total` places apart, from
   `draw` on: n flags for each channel, one channel behind the other. */
static void channel_flags(const fd_job *shared_job, int64_t draw, int64_t rows, int64_t n,
                          int64_t total, uint8_t *flags) {
    fd_job job = *shared_job;
    job.outer = job.shared = job.inner = 1;
    if (n == total) n *= rows, rows = 1;
    for (int64_t row = 0; row < rows; row++) {
        job.offset = shared_job->offset + (uint64_t)(draw + row * total);
        job.out = flags + row * n;
        keep_range(&job, 0, n);
    }
}

#endif
