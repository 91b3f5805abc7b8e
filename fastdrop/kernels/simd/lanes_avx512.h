/* lanes.h for AVX-512 (F, BW, DQ, VL). */
#ifndef FASTDROP_LANES_AVX512_H
#define FASTDROP_LANES_AVX512_H

#include <immintrin.h>

/* The digits of 64 draws in natural order, and their keep bits. Bits stay in
   mask registers, and as there are only seven of those, digits are compared
   when their bits are needed (this and the folded rounds, in the first cache
   on Zen 5: 26.6 to 21.4 cycles for 64 elements). */
typedef struct {
    __m512i half[2];
} fd_digits;
typedef struct {
    __mmask32 half[2];
} fd_keep;

ALWAYS_INLINE fd_keep keep_of(uint64_t word) {
    return (fd_keep){{(__mmask32)word, (__mmask32)(word >> 32)}};
}
ALWAYS_INLINE uint64_t word_of(fd_keep keep) {
    return _cvtmask32_u32(keep.half[0]) | (uint64_t)_cvtmask32_u32(keep.half[1]) << 32;
}
/* Steps of 16 or 8 lanes, written out: the shift takes a literal. */
#define STEPS16(STEP) STEP(0) STEP(16) STEP(32) STEP(48)
#define STEPS8(STEP) STEP(0) STEP(8) STEP(16) STEP(24) STEP(32) STEP(40) STEP(48) STEP(56)
#define KEEP16(keep, j) ((__mmask16)_kshiftri_mask32((keep).half[(j) / 32], (j) % 32))
#define KEEP8(keep, j) ((__mmask8)_kshiftri_mask32((keep).half[(j) / 32], (j) % 32))

/* Words that are decided at once. Philox is a chain of ten dependent rounds;
   with six chains side by side the multipliers are never idle (measured on
   Zen 5: 46 cycles for 64 draws alone, 25 in sixes; eight no longer fit in the
   registers). */
enum { GROUP = 6 };

ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    const __m512i m0 = _mm512_set1_epi64(PHILOX_M0), m1 = _mm512_set1_epi64(PHILOX_M1);
    const __m512i lane = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    __m512i x0[GROUP], x1[GROUP], x2[GROUP], x3[GROUP];
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) {
        __m512i counter = _mm512_set1_epi64((int64_t)(block + 8 * (uint64_t)g));
        __m512i p0 = _mm512_mul_epu32(_mm512_add_epi64(counter, lane), m0);
        x2[g] = _mm512_xor_si512(_mm512_srli_epi64(p0, 32), _mm512_set1_epi64((int64_t)s->fold2));
        __m512i p1 = _mm512_mul_epu32(x2[g], m1);
        x0[g] = _mm512_xor_si512(_mm512_srli_epi64(p1, 32), _mm512_set1_epi64((int64_t)s->fold0));
        x1[g] = p1;
        x2[g] = _mm512_xor_si512(p0, _mm512_set1_epi64((int64_t)s->fold2b));
        x3[g] = _mm512_set1_epi64((int64_t)s->fold3);
    }
#pragma GCC unroll 10
    for (int round = 2; round < PHILOX_ROUNDS; round++) {
#pragma GCC unroll 8
        for (int g = 0; g < n; g++) {
            __m512i p0 = _mm512_mul_epu32(x0[g], m0), p1 = _mm512_mul_epu32(x2[g], m1);
            /* 0x96 is the three-way xor. */
            x0[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x1[g],
                                              _mm512_set1_epi64((int64_t)s->k0[round]), 0x96);
            x1[g] = p1;
            x2[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x3[g],
                                              _mm512_set1_epi64((int64_t)s->k1[round]), 0x96);
            x3[g] = p0;
        }
    }
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) {
        __m512i x01 = _mm512_mask_shuffle_epi32(x0[g], 0xAAAA, x1[g], (_MM_PERM_ENUM)0xA0);
        __m512i x23 = _mm512_mask_shuffle_epi32(x2[g], 0xAAAA, x3[g], (_MM_PERM_ENUM)0xA0);
        digits[g].half[0] = _mm512_unpacklo_epi64(x01, x23);
        digits[g].half[1] = _mm512_unpackhi_epi64(x01, x23);
    }
}

ALWAYS_INLINE void store_digits(const fd_digits *digits, uint16_t out[64]) {
    _mm512_storeu_si512(out, digits->half[0]);
    _mm512_storeu_si512(out + 32, digits->half[1]);
}

ALWAYS_INLINE int any_ties(const fd_digits *digits, const int n, uint32_t high) {
    const __m512i highs = _mm512_set1_epi16((int16_t)high);
    __mmask32 ties = 0;
#pragma GCC unroll 8
    for (int g = 0; g < n; g++)
        ties |= _mm512_cmpeq_epu16_mask(digits[g].half[0], highs) |
                _mm512_cmpeq_epu16_mask(digits[g].half[1], highs);
    return ties != 0;
}

ALWAYS_INLINE fd_keep compare(fd_digits digits, uint32_t high) {
    const __m512i highs = _mm512_set1_epi16((int16_t)high);
    return (fd_keep){{_mm512_cmpge_epu16_mask(digits.half[0], highs),
                      _mm512_cmpge_epu16_mask(digits.half[1], highs)}};
}

ALWAYS_INLINE void order_highs(const uint16_t *highs, uint16_t ordered[64]) {
    memcpy(ordered, highs, 64 * sizeof *highs);
}

ALWAYS_INLINE int any_ties_each(const fd_digits *digits, const uint16_t *highs) {
    return (_mm512_cmpeq_epu16_mask(digits->half[0], _mm512_loadu_si512(highs)) |
            _mm512_cmpeq_epu16_mask(digits->half[1], _mm512_loadu_si512(highs + 32))) != 0;
}

ALWAYS_INLINE fd_keep compare_each(fd_digits digits, const uint16_t *highs) {
    return (fd_keep){{_mm512_cmpge_epu16_mask(digits.half[0], _mm512_loadu_si512(highs)),
                      _mm512_cmpge_epu16_mask(digits.half[1], _mm512_loadu_si512(highs + 32))}};
}

/* a * x where kept, 0 where dropped. What is read next is fetched ahead: while
   the draws are computed the processor does not look far enough by itself
   (measured: 0.65 of the copy without, 0.72 with, in the third cache). */
enum { AHEAD = 3072 };

#define SCALE16(j)                                                                                 \
    _mm_prefetch((const char *)(x + (j)) + AHEAD, _MM_HINT_T0);                                    \
    STORE(out + (j), _mm512_maskz_mul_ps(KEEP16(keep, j), _mm512_loadu_ps(x + (j)), as));
#define SCALE8(j)                                                                                  \
    _mm_prefetch((const char *)(x + (j)) + AHEAD, _MM_HINT_T0);                                    \
    STORE(out + (j), _mm512_maskz_mul_pd(KEEP8(keep, j), _mm512_loadu_pd(x + (j)), as));

ALWAYS_INLINE void scale64_float(const float *x, float *out, fd_keep keep, float a) {
    const __m512 as = _mm512_set1_ps(a);
#define STORE _mm512_storeu_ps
    STEPS16(SCALE16)
#undef STORE
}

ALWAYS_INLINE void stream64_float(const float *x, float *out, fd_keep keep, float a) {
    const __m512 as = _mm512_set1_ps(a);
#define STORE _mm512_stream_ps
    STEPS16(SCALE16)
#undef STORE
}

ALWAYS_INLINE void scale64_double(const double *x, double *out, fd_keep keep, double a) {
    const __m512d as = _mm512_set1_pd(a);
#define STORE _mm512_storeu_pd
    STEPS8(SCALE8)
#undef STORE
}

ALWAYS_INLINE void stream64_double(const double *x, double *out, fd_keep keep, double a) {
    const __m512d as = _mm512_set1_pd(a);
#define STORE _mm512_stream_pd
    STEPS8(SCALE8)
#undef STORE
}

#define EACH16(j)                                                                                  \
    _mm512_storeu_ps(out + (j), _mm512_maskz_mul_ps(KEEP16(keep, j), _mm512_loadu_ps(x + (j)),     \
                                                    _mm512_loadu_ps(a + (j))));
#define EACH8(j)                                                                                   \
    _mm512_storeu_pd(out + (j), _mm512_maskz_mul_pd(KEEP8(keep, j), _mm512_loadu_pd(x + (j)),      \
                                                    _mm512_loadu_pd(a + (j))));

ALWAYS_INLINE void scale64_each_float(const float *x, float *out, fd_keep keep, const float *a) {
    STEPS16(EACH16)
}

ALWAYS_INLINE void scale64_each_double(const double *x, double *out, fd_keep keep,
                                       const double *a) {
    STEPS8(EACH8)
}

#define AFFINE16(j)                                                                                \
    kept = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x + (j)), as), bs);                         \
    _mm512_storeu_ps(out + (j), _mm512_mask_mov_ps(cs, KEEP16(keep, j), kept));
#define AFFINE8(j)                                                                                 \
    kept = _mm512_add_pd(_mm512_mul_pd(_mm512_loadu_pd(x + (j)), as), bs);                         \
    _mm512_storeu_pd(out + (j), _mm512_mask_mov_pd(cs, KEEP8(keep, j), kept));

ALWAYS_INLINE void affine64_float(const float *x, float *out, fd_keep keep, float a, float b,
                                  float c) {
    const __m512 as = _mm512_set1_ps(a), bs = _mm512_set1_ps(b), cs = _mm512_set1_ps(c);
    __m512 kept;
    STEPS16(AFFINE16)
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, fd_keep keep, double a, double b,
                                   double c) {
    const __m512d as = _mm512_set1_pd(a), bs = _mm512_set1_pd(b), cs = _mm512_set1_pd(c);
    __m512d kept;
    STEPS8(AFFINE8)
}

#define BLEND16(j)                                                                                 \
    _mm512_storeu_ps(out + (j), _mm512_mask_blend_ps(KEEP16(keep, j), _mm512_loadu_ps(y + (j)),    \
                                                     _mm512_loadu_ps(x + (j))));
#define BLEND8(j)                                                                                  \
    _mm512_storeu_pd(out + (j), _mm512_mask_blend_pd(KEEP8(keep, j), _mm512_loadu_pd(y + (j)),     \
                                                     _mm512_loadu_pd(x + (j))));

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, fd_keep keep) {
    STEPS16(BLEND16)
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, fd_keep keep) {
    STEPS8(BLEND8)
}

#define arrange(stream) ((void)(stream))
#define stream_fence _mm_sfence

#endif
