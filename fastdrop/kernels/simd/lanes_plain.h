/* lanes.h for any processor, in plain C. */
#ifndef FASTDROP_LANES_PLAIN_H
#define FASTDROP_LANES_PLAIN_H

typedef struct {
    uint16_t digit[64];
} fd_digits;
typedef uint64_t fd_keep;

ALWAYS_INLINE fd_keep keep_of(uint64_t word) { return word; }
ALWAYS_INLINE uint64_t word_of(fd_keep keep) { return keep; }

enum { GROUP = 1 };

ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    for (int g = 0; g < n; g++) plain_digits64(s, block + 8 * (uint64_t)g, digits[g].digit);
}

ALWAYS_INLINE void store_digits(const fd_digits *digits, uint16_t out[64]) {
    memcpy(out, digits->digit, sizeof digits->digit);
}

ALWAYS_INLINE int any_ties(const fd_digits *digits, const int n, uint32_t high) {
    int ties = 0;
    for (int j = 0; j < 64 * n; j++) ties |= digits[j / 64].digit[j % 64] == high;
    return ties;
}

ALWAYS_INLINE fd_keep compare(fd_digits digits, uint32_t high) {
    uint64_t keep = 0;
    for (int j = 0; j < 64; j++) keep |= (uint64_t)(digits.digit[j] >= high) << j;
    return keep;
}

ALWAYS_INLINE void order_highs(const uint16_t *highs, uint16_t ordered[64]) {
    memcpy(ordered, highs, 64 * sizeof *highs);
}

ALWAYS_INLINE int any_ties_each(const fd_digits *digits, const uint16_t *highs) {
    int ties = 0;
    for (int j = 0; j < 64; j++) ties |= digits->digit[j] == highs[j];
    return ties;
}

ALWAYS_INLINE fd_keep compare_each(fd_digits digits, const uint16_t *highs) {
    uint64_t keep = 0;
    for (int j = 0; j < 64; j++) keep |= (uint64_t)(digits.digit[j] >= highs[j]) << j;
    return keep;
}

/* Selected by masks of whole words: gcc makes a branch of a condition on a bit,
   ten times slower. */
#define PLAIN64(REAL, WORD)                                                                        \
    ALWAYS_INLINE REAL choose_##REAL(uint64_t keep, int j, REAL kept, REAL dropped) {              \
        WORD k, d, mask = -(WORD)(keep >> j & 1);                                                  \
        memcpy(&k, &kept, sizeof k);                                                               \
        memcpy(&d, &dropped, sizeof d);                                                            \
        k = (k & mask) | (d & ~mask);                                                              \
        memcpy(&kept, &k, sizeof k);                                                               \
        return kept;                                                                               \
    }                                                                                              \
    ALWAYS_INLINE void scale64_##REAL(const REAL *x, REAL *out, uint64_t keep, REAL a) {           \
        for (int j = 0; j < 64; j++) out[j] = choose_##REAL(keep, j, a * x[j], 0);                 \
    }                                                                                              \
    ALWAYS_INLINE void scale64_each_##REAL(const REAL *x, REAL *out, uint64_t keep,                \
                                           const REAL *a) {                                        \
        for (int j = 0; j < 64; j++) out[j] = choose_##REAL(keep, j, a[j] * x[j], 0);              \
    }                                                                                              \
    ALWAYS_INLINE void affine64_##REAL(const REAL *x, REAL *out, uint64_t keep, REAL a, REAL b,    \
                                       REAL c) {                                                   \
        for (int j = 0; j < 64; j++) out[j] = choose_##REAL(keep, j, a * x[j] + b, c);             \
    }                                                                                              \
    ALWAYS_INLINE void blend64_##REAL(const REAL *x, const REAL *y, REAL *out, uint64_t keep) {    \
        for (int j = 0; j < 64; j++) out[j] = choose_##REAL(keep, j, x[j], y[j]);                  \
    }
PLAIN64(float, uint32_t)
PLAIN64(double, uint64_t)
#define stream64_float scale64_float
#define stream64_double scale64_double
#define arrange(stream) ((void)(stream))
#define stream_fence() ((void)0)

#endif
