/* lanes.h for AVX2. */
#ifndef FASTDROP_LANES_AVX2_H
#define FASTDROP_LANES_AVX2_H

#include <immintrin.h>

/* Sixteen draws a vector, in the order that in-lane unpacking to 32 bits makes
   natural: draws 0-3 and 8-11, then 4-7 and 12-15. Digits have their highest
   bit flipped, because 16-bit comparisons are signed. */
typedef struct {
    __m256i part[4];
} fd_digits;
/* All ones for each element dropped. */
typedef struct {
    __m256i dropped[4];
} fd_keep;

#define SIGNS UINT64_C(0x80008000)
static const uint64_t wide_m0[4] = {PHILOX_M0, PHILOX_M0, PHILOX_M0, PHILOX_M0};
static const uint64_t wide_m1[4] = {PHILOX_M1, PHILOX_M1, PHILOX_M1, PHILOX_M1};

ALWAYS_INLINE fd_keep keep_of(uint64_t word) {
    const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 4,
                                          1 << 5, 1 << 6, 1 << 7, 1 << 12, 1 << 13, 1 << 14,
                                          (int16_t)(1 << 15));
    fd_keep keep;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        __m256i set = _mm256_and_si256(_mm256_set1_epi16((int16_t)(word >> (16 * q))), bit);
        keep.dropped[q] = _mm256_cmpeq_epi16(set, _mm256_setzero_si256());
    }
    return keep;
}

ALWAYS_INLINE uint64_t word_of(fd_keep keep) {
    const __m256i natural = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    uint64_t dropped = 0;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i bytes = _mm256_packs_epi16(keep.dropped[2 * h], keep.dropped[2 * h + 1]);
        bytes = _mm256_permutevar8x32_epi32(bytes, natural);
        dropped |= (uint64_t)(uint32_t)_mm256_movemask_epi8(bytes) << (32 * h);
    }
    return ~dropped;
}

enum { GROUP = 3, CHAINS = 3 };

/* One round of three chains, in place: x0 x1 x2 x3 come out as x1 x2 x3 x0.
   Written out because a chain waits for its products, three side by side keep the
   processor busy, and three need all registers but one: gcc's allocation of four
   chains stores and reloads sixty times (Zen 3, 64 elements of dropout in the first
   cache: 81 cycles by gcc, 63 so; all operations over four pipes are 47). */
#define PRODUCTS(g)                                                                                \
    "vpmuludq %[m0], %[a" g "], %[a" g "]\n\tvpmuludq %[m1], %[c" g "], %[c" g "]\n\t"
#define KEYS(g)                                                                                    \
    "vpxor %[k0], %[b" g "], %[b" g "]\n\tvpxor %[k1], %[d" g "], %[d" g "]\n\t"
#define HIGH_WORDS(g)                                                                              \
    "vpsrlq $32, %[c" g "], %[high]\n\tvpxor %[high], %[b" g "], %[b" g "]\n\t"                    \
    "vpsrlq $32, %[a" g "], %[high]\n\tvpxor %[high], %[d" g "], %[d" g "]\n\t"
#define STATE(g)                                                                                   \
    [a##g] "+x"(x0[g]), [b##g] "+x"(x1[g]), [c##g] "+x"(x2[g]), [d##g] "+x"(x3[g])

ALWAYS_INLINE void philox_round(const fd_stream *s, int round, __m256i x0[CHAINS],
                                __m256i x1[CHAINS], __m256i x2[CHAINS], __m256i x3[CHAINS]) {
    __m256i high;
    __asm__(PRODUCTS("0") PRODUCTS("1") PRODUCTS("2") KEYS("0") KEYS("1") KEYS("2")
            HIGH_WORDS("0") HIGH_WORDS("1") HIGH_WORDS("2")
            : STATE(0), STATE(1), STATE(2), [high] "=&x"(high)
            : [m0] "m"(wide_m0), [m1] "m"(wide_m1), [k0] "m"(s->k0[round]),
              [k1] "m"(s->k1[round]));
}

/* 24 of the digits' blocks, 4 a vector. */
ALWAYS_INLINE void philox_chains(const fd_stream *s, uint64_t block, __m256i digits[2 * CHAINS]) {
    const __m256i m0 = _mm256_set1_epi64x(PHILOX_M0), m1 = _mm256_set1_epi64x(PHILOX_M1);
    const __m256i lane = _mm256_set_epi64x(3, 2, 1, 0), signs = _mm256_set1_epi32((int)SIGNS);
    __m256i x0[CHAINS], x1[CHAINS], x2[CHAINS], x3[CHAINS];
#pragma GCC unroll 3
    for (int g = 0; g < CHAINS; g++) {
        __m256i counter = _mm256_set1_epi64x((int64_t)(block + 4 * (uint64_t)g));
        __m256i p0 = _mm256_mul_epu32(_mm256_add_epi64(counter, lane), m0);
        x2[g] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_set1_epi64x((int64_t)s->fold2));
        __m256i p1 = _mm256_mul_epu32(x2[g], m1);
        x0[g] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_set1_epi64x((int64_t)s->fold0));
        x1[g] = p1;
        x2[g] = _mm256_xor_si256(p0, _mm256_set1_epi64x((int64_t)s->fold2b));
        x3[g] = _mm256_set1_epi64x((int64_t)s->fold3);
    }
    philox_round(s, 2, x0, x1, x2, x3);
    philox_round(s, 3, x1, x2, x3, x0);
    philox_round(s, 4, x2, x3, x0, x1);
    philox_round(s, 5, x3, x0, x1, x2);
    philox_round(s, 6, x0, x1, x2, x3);
    philox_round(s, 7, x1, x2, x3, x0);
    philox_round(s, 8, x2, x3, x0, x1);
    const __m256i k0 = _mm256_set1_epi64x((int64_t)(s->k0[PHILOX_ROUNDS - 1][0] ^ SIGNS));
    const __m256i k1 = _mm256_set1_epi64x((int64_t)(s->k1[PHILOX_ROUNDS - 1][0] ^ SIGNS));
#pragma GCC unroll 3
    for (int g = 0; g < CHAINS; g++) {
        /* The last round, x3 x0 x1 x2 by now. A product's halves are two words of a
           block, the higher one first. */
        __m256i p0 = _mm256_mul_epu32(x3[g], m0), p1 = _mm256_mul_epu32(x1[g], m1);
        __m256i with01 = _mm256_blend_epi32(_mm256_xor_si256(x0[g], k0), signs, 0xAA);
        __m256i with23 = _mm256_blend_epi32(_mm256_xor_si256(x2[g], k1), signs, 0xAA);
        __m256i x01 = _mm256_xor_si256(_mm256_shuffle_epi32(p1, 0xB1), with01);
        __m256i x23 = _mm256_xor_si256(_mm256_shuffle_epi32(p0, 0xB1), with23);
        digits[2 * g] = _mm256_permute2x128_si256(x01, x23, 0x20);
        digits[2 * g + 1] = _mm256_permute2x128_si256(x01, x23, 0x31);
    }
}

ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    __m256i parts[4 * CHAINS];
    philox_chains(s, block, parts);
    if (n > 1) philox_chains(s, block + 4 * CHAINS, parts + 2 * CHAINS);
#pragma GCC unroll 16
    for (int q = 0; q < 4 * n; q++) digits[q / 4].part[q % 4] = parts[q];
}

ALWAYS_INLINE void store_digits(const fd_digits *digits, uint16_t out[64]) {
    for (int q = 0; q < 4; q++) {
        __m256i natural = _mm256_permute4x64_epi64(digits->part[q], 0xD8);
        _mm256_storeu_si256((__m256i *)(out + 16 * q),
                            _mm256_xor_si256(natural, _mm256_set1_epi32((int)SIGNS)));
    }
}

ALWAYS_INLINE int any_ties(const fd_digits *digits, const int n, uint32_t high) {
    const __m256i highs = _mm256_set1_epi16((int16_t)(high ^ 0x8000));
    __m256i ties = _mm256_setzero_si256();
#pragma GCC unroll 16
    for (int q = 0; q < 4 * n; q++)
        ties = _mm256_or_si256(ties, _mm256_cmpeq_epi16(digits[q / 4].part[q % 4], highs));
    return !_mm256_testz_si256(ties, ties);
}

ALWAYS_INLINE fd_keep compare(fd_digits digits, uint32_t high) {
    const __m256i highs = _mm256_set1_epi16((int16_t)(high ^ 0x8000));
    fd_keep keep;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) keep.dropped[q] = _mm256_cmpgt_epi16(highs, digits.part[q]);
    return keep;
}

/* In the order and with the signs of digits: in the loop over draws that took 15 %. */
ALWAYS_INLINE void order_highs(const uint16_t *highs, uint16_t ordered[64]) {
    for (int q = 0; q < 4; q++) {
        __m256i natural = _mm256_loadu_si256((const __m256i *)(highs + 16 * q));
        _mm256_storeu_si256((__m256i *)(ordered + 16 * q),
                            _mm256_xor_si256(_mm256_permute4x64_epi64(natural, 0xD8),
                                             _mm256_set1_epi32((int)SIGNS)));
    }
}

ALWAYS_INLINE __m256i part_of(const uint16_t *ordered, int q) {
    return _mm256_loadu_si256((const __m256i *)(ordered + 16 * q));
}

ALWAYS_INLINE int any_ties_each(const fd_digits *digits, const uint16_t *ordered) {
    __m256i ties = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++)
        ties = _mm256_or_si256(ties, _mm256_cmpeq_epi16(digits->part[q], part_of(ordered, q)));
    return !_mm256_testz_si256(ties, ties);
}

ALWAYS_INLINE fd_keep compare_each(fd_digits digits, const uint16_t *ordered) {
    fd_keep keep;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++)
        keep.dropped[q] = _mm256_cmpgt_epi16(part_of(ordered, q), digits.part[q]);
    return keep;
}

/* Lanes of all ones for the elements dropped from the j-th on. */
ALWAYS_INLINE __m256 lanes8(const fd_keep *keep, int j) {
    __m256i part = keep->dropped[j / 16];
    return _mm256_castsi256_ps(j % 16 ? _mm256_unpackhi_epi16(part, part)
                                      : _mm256_unpacklo_epi16(part, part));
}

ALWAYS_INLINE __m256d lanes4(const fd_keep *keep, int j) {
    const __m256i twice = j % 8 ? _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7)
                                : _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    __m256i lanes = _mm256_castps_si256(lanes8(keep, j / 8 * 8));
    return _mm256_castsi256_pd(_mm256_permutevar8x32_epi32(lanes, twice));
}

#define SCALE64(name, REAL, P, STORE, DROPPED, LANES)                                              \
    ALWAYS_INLINE void name(const REAL *x, REAL *out, fd_keep keep, REAL a) {                      \
        _Pragma("GCC unroll 16") for (int j = 0; j < 64; j += LANES)                               \
            STORE(out + j, _mm256_andnot_##P(DROPPED(&keep, j), _mm256_mul_##P(                    \
                                                                    _mm256_loadu_##P(x + j),       \
                                                                    _mm256_set1_##P(a))));         \
    }
SCALE64(scale64_float, float, ps, _mm256_storeu_ps, lanes8, 8)
SCALE64(stream64_float, float, ps, _mm256_stream_ps, lanes8, 8)
SCALE64(scale64_double, double, pd, _mm256_storeu_pd, lanes4, 4)
SCALE64(stream64_double, double, pd, _mm256_stream_pd, lanes4, 4)

/* Thresholds and factors come from the first cache, and take so many of the operations that
   the processor has under way that it no longer looks far enough ahead (2^20 elements in the
   third cache: 1.09 of plain dropout's time without this, 1.04 with). */
enum { AHEAD = 2048 };

#define SCALE64_EACH(REAL, P, DROPPED, LANES)                                                      \
    ALWAYS_INLINE void scale64_each_##REAL(const REAL *x, REAL *out, fd_keep keep,                 \
                                           const REAL *a) {                                        \
        for (int line = 0; line < 64 * (int)sizeof(REAL); line += 64) {                            \
            __builtin_prefetch((const char *)x + line + AHEAD, 0);                                 \
            __builtin_prefetch((char *)out + line + AHEAD, 1);                                     \
        }                                                                                          \
        _Pragma("GCC unroll 16") for (int j = 0; j < 64; j += LANES)                               \
            _mm256_storeu_##P(out + j,                                                             \
                              _mm256_andnot_##P(DROPPED(&keep, j),                                 \
                                                _mm256_mul_##P(_mm256_loadu_##P(x + j),            \
                                                               _mm256_loadu_##P(a + j))));         \
    }
SCALE64_EACH(float, ps, lanes8, 8)
SCALE64_EACH(double, pd, lanes4, 4)

ALWAYS_INLINE void affine64_float(const float *x, float *out, fd_keep keep, float a, float b,
                                  float c) {
    const __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b), vc = _mm256_set1_ps(c);
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8) {
        __m256 kept = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + j), va), vb);
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(kept, vc, lanes8(&keep, j)));
    }
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, fd_keep keep, double a, double b,
                                   double c) {
    const __m256d va = _mm256_set1_pd(a), vb = _mm256_set1_pd(b), vc = _mm256_set1_pd(c);
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4) {
        __m256d kept = _mm256_add_pd(_mm256_mul_pd(_mm256_loadu_pd(x + j), va), vb);
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(kept, vc, lanes4(&keep, j)));
    }
}

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, fd_keep keep) {
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8)
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(_mm256_loadu_ps(x + j), _mm256_loadu_ps(y + j),
                                                   lanes8(&keep, j)));
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, fd_keep keep) {
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4)
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(_mm256_loadu_pd(x + j), _mm256_loadu_pd(y + j),
                                                   lanes4(&keep, j)));
}

#define stream_fence _mm_sfence

#endif
