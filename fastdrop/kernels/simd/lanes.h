/* What differs between instruction sets: 64 draws at once, and 64 elements
   selected by 64 bits. Everything else is plain C, compiled once for each.

   Philox wants 32x32->64 products, so a block's four words live in the low
   halves of 64-bit lanes; what the high halves hold never matters, because the
   multiply reads low halves only. Blocks are assigned to lanes so that an
   in-lane unpack leaves the digits in natural order. */
#ifndef FASTDROP_LANES_H
#define FASTDROP_LANES_H

#include <string.h>

#include "stream.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* The bits of draws that tie with the threshold's digit, settled one by one. */
static __attribute__((noinline, cold)) uint64_t settle(const fd_stream *s, uint64_t first,
                                                       uint64_t ties, uint64_t keep,
                                                       uint32_t threshold) {
    for (; ties; ties &= ties - 1) {
        int place = __builtin_ctzll(ties);
        if (refine(s, first + (uint64_t)place) < (threshold & 0xFFFF))
            keep &= ~(UINT64_C(1) << place);
    }
    return keep;
}

#if defined(FASTDROP_AVX512)
#include <immintrin.h>

/* The digits of 8 blocks, in natural order. */
ALWAYS_INLINE void digits_8_blocks(const fd_stream *s, uint64_t block, __m512i digits[2]) {
    const __m512i m0 = _mm512_set1_epi64(PHILOX_M0), m1 = _mm512_set1_epi64(PHILOX_M1);
    __m512i x0 = _mm512_add_epi64(_mm512_set1_epi64((int64_t)block),
                                  _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0));
    __m512i x1 = _mm512_srli_epi64(x0, 32);
    __m512i x2 = _mm512_set1_epi64((int64_t)s->c2), x3 = _mm512_set1_epi64((int64_t)s->c3);
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        __m512i p0 = _mm512_mul_epu32(x0, m0), p1 = _mm512_mul_epu32(x2, m1);
        /* 0x96 is the three-way xor. */
        x0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), x1,
                                       _mm512_set1_epi64((int64_t)s->k0[round]), 0x96);
        x1 = p1;
        x2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), x3,
                                       _mm512_set1_epi64((int64_t)s->k1[round]), 0x96);
        x3 = p0;
    }
    __m512i x01 = _mm512_mask_shuffle_epi32(x0, 0xAAAA, x1, (_MM_PERM_ENUM)0xA0);
    __m512i x23 = _mm512_mask_shuffle_epi32(x2, 0xAAAA, x3, (_MM_PERM_ENUM)0xA0);
    digits[0] = _mm512_unpacklo_epi64(x01, x23);
    digits[1] = _mm512_unpackhi_epi64(x01, x23);
}

ALWAYS_INLINE void digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    __m512i digits[2];
    digits_8_blocks(s, block, digits);
    _mm512_storeu_si512(out, digits[0]);
    _mm512_storeu_si512(out + 32, digits[1]);
}

ALWAYS_INLINE uint64_t keep64(const fd_stream *s, uint64_t block, uint32_t threshold) {
    const __m512i high = _mm512_set1_epi16((int16_t)(threshold >> 16));
    __m512i digits[2];
    digits_8_blocks(s, block, digits);
    uint64_t keep = _mm512_cmpge_epu16_mask(digits[0], high) |
                    (uint64_t)_mm512_cmpge_epu16_mask(digits[1], high) << 32;
    uint64_t ties = _mm512_cmpeq_epu16_mask(digits[0], high) |
                    (uint64_t)_mm512_cmpeq_epu16_mask(digits[1], high) << 32;
    if (UNLIKELY(ties)) keep = settle(s, block * DIGITS_PER_BLOCK, ties, keep, threshold);
    return keep;
}

ALWAYS_INLINE void affine64_float(const float *x, float *out, uint64_t keep, float a, float b,
                                  float c) {
    const __m512 va = _mm512_set1_ps(a), vb = _mm512_set1_ps(b), vc = _mm512_set1_ps(c);
#pragma GCC unroll 4
    for (int j = 0; j < 64; j += 16) {
        __m512 kept = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x + j), va), vb);
        _mm512_storeu_ps(out + j, _mm512_mask_mov_ps(vc, (__mmask16)(keep >> j), kept));
    }
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, uint64_t keep, double a, double b,
                                   double c) {
    const __m512d va = _mm512_set1_pd(a), vb = _mm512_set1_pd(b), vc = _mm512_set1_pd(c);
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8) {
        __m512d kept = _mm512_add_pd(_mm512_mul_pd(_mm512_loadu_pd(x + j), va), vb);
        _mm512_storeu_pd(out + j, _mm512_mask_mov_pd(vc, (__mmask8)(keep >> j), kept));
    }
}

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, uint64_t keep) {
#pragma GCC unroll 4
    for (int j = 0; j < 64; j += 16)
        _mm512_storeu_ps(out + j, _mm512_mask_blend_ps((__mmask16)(keep >> j), _mm512_loadu_ps(y + j),
                                                       _mm512_loadu_ps(x + j)));
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, uint64_t keep) {
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8)
        _mm512_storeu_pd(out + j, _mm512_mask_blend_pd((__mmask8)(keep >> j), _mm512_loadu_pd(y + j),
                                                       _mm512_loadu_pd(x + j)));
}

#elif defined(FASTDROP_AVX2)
#include <immintrin.h>

/* The digits of 4 blocks; packing the two by bytes gives the natural order. */
ALWAYS_INLINE void digits_4_blocks(const fd_stream *s, uint64_t block, __m256i digits[2]) {
    const __m256i m0 = _mm256_set1_epi64x(PHILOX_M0), m1 = _mm256_set1_epi64x(PHILOX_M1);
    __m256i x0 = _mm256_add_epi64(_mm256_set1_epi64x((int64_t)block), _mm256_set_epi64x(3, 2, 1, 0));
    __m256i x1 = _mm256_srli_epi64(x0, 32);
    __m256i x2 = _mm256_set1_epi64x((int64_t)s->c2), x3 = _mm256_set1_epi64x((int64_t)s->c3);
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        __m256i p0 = _mm256_mul_epu32(x0, m0), p1 = _mm256_mul_epu32(x2, m1);
        x0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), x1),
                              _mm256_set1_epi64x((int64_t)s->k0[round]));
        x1 = p1;
        x2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), x3),
                              _mm256_set1_epi64x((int64_t)s->k1[round]));
        x3 = p0;
    }
    __m256i x01 = _mm256_blend_epi32(x0, _mm256_slli_epi64(x1, 32), 0xAA);
    __m256i x23 = _mm256_blend_epi32(x2, _mm256_slli_epi64(x3, 32), 0xAA);
    digits[0] = _mm256_unpacklo_epi64(x01, x23);
    digits[1] = _mm256_unpackhi_epi64(x01, x23);
}

ALWAYS_INLINE void digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    for (int j = 0; j < 2; j++) {
        __m256i digits[2];
        digits_4_blocks(s, block + 4 * (uint64_t)j, digits);
        __m256i low = _mm256_permute2x128_si256(digits[0], digits[1], 0x20);
        __m256i high = _mm256_permute2x128_si256(digits[0], digits[1], 0x31);
        _mm256_storeu_si256((__m256i *)(out + 32 * j), low);
        _mm256_storeu_si256((__m256i *)(out + 32 * j + 16), high);
    }
}

ALWAYS_INLINE uint64_t keep64(const fd_stream *s, uint64_t block, uint32_t threshold) {
    const __m256i high = _mm256_set1_epi16((int16_t)(threshold >> 16));
    uint64_t keep = 0, ties = 0;
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m256i d[2];
        digits_4_blocks(s, block + 4 * (uint64_t)j, d);
        __m256i kept = _mm256_packs_epi16(_mm256_cmpeq_epi16(_mm256_max_epu16(d[0], high), d[0]),
                                          _mm256_cmpeq_epi16(_mm256_max_epu16(d[1], high), d[1]));
        __m256i tied = _mm256_packs_epi16(_mm256_cmpeq_epi16(d[0], high),
                                          _mm256_cmpeq_epi16(d[1], high));
        keep |= (uint64_t)(uint32_t)_mm256_movemask_epi8(kept) << (32 * j);
        ties |= (uint64_t)(uint32_t)_mm256_movemask_epi8(tied) << (32 * j);
    }
    if (UNLIKELY(ties)) keep = settle(s, block * DIGITS_PER_BLOCK, ties, keep, threshold);
    return keep;
}

/* Lanes of all ones where the low bits are set. */
ALWAYS_INLINE __m256 lanes8(uint64_t bits) {
    const __m256i bit = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)(uint32_t)bits), bit);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bit));
}

ALWAYS_INLINE __m256d lanes4(uint64_t bits) {
    const __m256i bit = _mm256_set_epi64x(8, 4, 2, 1);
    __m256i set = _mm256_and_si256(_mm256_set1_epi64x((int64_t)bits), bit);
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(set, bit));
}

ALWAYS_INLINE void affine64_float(const float *x, float *out, uint64_t keep, float a, float b,
                                  float c) {
    const __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b), vc = _mm256_set1_ps(c);
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8) {
        __m256 kept = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + j), va), vb);
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(vc, kept, lanes8(keep >> j)));
    }
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, uint64_t keep, double a, double b,
                                   double c) {
    const __m256d va = _mm256_set1_pd(a), vb = _mm256_set1_pd(b), vc = _mm256_set1_pd(c);
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4) {
        __m256d kept = _mm256_add_pd(_mm256_mul_pd(_mm256_loadu_pd(x + j), va), vb);
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(vc, kept, lanes4(keep >> j)));
    }
}

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, uint64_t keep) {
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8)
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(_mm256_loadu_ps(y + j), _mm256_loadu_ps(x + j),
                                                   lanes8(keep >> j)));
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, uint64_t keep) {
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4)
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(_mm256_loadu_pd(y + j), _mm256_loadu_pd(x + j),
                                                   lanes4(keep >> j)));
}

#else

ALWAYS_INLINE void digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    uint32_t words[32];
    for (int j = 0; j < 8; j++) philox_block(s, block + (uint64_t)j, words + 4 * j);
    for (int j = 0; j < 32; j++) {
        out[2 * j] = (uint16_t)words[j];
        out[2 * j + 1] = (uint16_t)(words[j] >> 16);
    }
}

ALWAYS_INLINE uint64_t keep64(const fd_stream *s, uint64_t block, uint32_t threshold) {
    const uint32_t high = threshold >> 16;
    uint16_t digits[64];
    uint64_t keep = 0, ties = 0;
    digits64(s, block, digits);
    for (int j = 0; j < 64; j++) {
        keep |= (uint64_t)(digits[j] >= high) << j;
        ties |= (uint64_t)(digits[j] == high) << j;
    }
    if (UNLIKELY(ties)) keep = settle(s, block * DIGITS_PER_BLOCK, ties, keep, threshold);
    return keep;
}

#define PLAIN64(REAL)                                                                              \
    ALWAYS_INLINE void affine64_##REAL(const REAL *x, REAL *out, uint64_t keep, REAL a, REAL b,    \
                                       REAL c) {                                                   \
        for (int j = 0; j < 64; j++) {                                                             \
            REAL kept = a * x[j] + b;                                                              \
            out[j] = keep >> j & 1 ? kept : c;                                                     \
        }                                                                                          \
    }                                                                                              \
    ALWAYS_INLINE void blend64_##REAL(const REAL *x, const REAL *y, REAL *out, uint64_t keep) {    \
        for (int j = 0; j < 64; j++) out[j] = keep >> j & 1 ? x[j] : y[j];                         \
    }
PLAIN64(float)
PLAIN64(double)

#endif
#endif
