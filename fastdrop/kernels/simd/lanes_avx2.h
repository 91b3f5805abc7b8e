/* lanes.h for AVX2. */
#ifndef FASTDROP_LANES_AVX2_H
#define FASTDROP_LANES_AVX2_H

#include <immintrin.h>

typedef struct {
    __m256i part[2][2];
} fd_digits;
/* A byte of all ones for each element kept: widened to lanes as it is loaded,
   where bits would take four instructions to spread. */
typedef struct {
    __m256i half[2];
} fd_keep;

ALWAYS_INLINE fd_keep keep_of(uint64_t word) {
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                            0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    fd_keep keep;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i word_half = _mm256_set1_epi32((int)(uint32_t)(word >> (32 * h)));
        __m256i set = _mm256_and_si256(_mm256_shuffle_epi8(word_half, byte), bit);
        keep.half[h] = _mm256_cmpeq_epi8(set, bit);
    }
    return keep;
}

ALWAYS_INLINE uint64_t word_of(fd_keep keep) {
    return (uint32_t)_mm256_movemask_epi8(keep.half[0]) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(keep.half[1]) << 32;
}

enum { GROUP = 2 };

/* Two times 4 blocks for each of n. Packing a part by bytes gives the natural
   order. */
ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    const __m256i m0 = _mm256_set1_epi64x(PHILOX_M0), m1 = _mm256_set1_epi64x(PHILOX_M1);
    const __m256i lane = _mm256_set_epi64x(3, 2, 1, 0);
    __m256i x0[2 * GROUP], x1[2 * GROUP], x2[2 * GROUP], x3[2 * GROUP];
#pragma GCC unroll 8
    for (int g = 0; g < 2 * n; g++) {
        __m256i counter = _mm256_set1_epi64x((int64_t)(block + 4 * (uint64_t)g));
        __m256i p0 = _mm256_mul_epu32(_mm256_add_epi64(counter, lane), m0);
        x2[g] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_set1_epi64x((int64_t)s->fold2));
        __m256i p1 = _mm256_mul_epu32(x2[g], m1);
        x0[g] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_set1_epi64x((int64_t)s->fold0));
        x1[g] = p1;
        x2[g] = _mm256_xor_si256(p0, _mm256_set1_epi64x((int64_t)s->fold2b));
        x3[g] = _mm256_set1_epi64x((int64_t)s->fold3);
    }
#pragma GCC unroll 10
    for (int round = 2; round < PHILOX_ROUNDS; round++) {
#pragma GCC unroll 8
        for (int g = 0; g < 2 * n; g++) {
            __m256i p0 = _mm256_mul_epu32(x0[g], m0), p1 = _mm256_mul_epu32(x2[g], m1);
            /* The key first: that xor does not wait for the products. */
            x1[g] = _mm256_xor_si256(x1[g], _mm256_set1_epi64x((int64_t)s->k0[round]));
            x3[g] = _mm256_xor_si256(x3[g], _mm256_set1_epi64x((int64_t)s->k1[round]));
            x0[g] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), x1[g]);
            x1[g] = p1;
            x2[g] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), x3[g]);
            x3[g] = p0;
        }
    }
#pragma GCC unroll 8
    for (int g = 0; g < 2 * n; g++) {
        __m256i x01 = _mm256_blend_epi32(x0[g], _mm256_slli_epi64(x1[g], 32), 0xAA);
        __m256i x23 = _mm256_blend_epi32(x2[g], _mm256_slli_epi64(x3[g], 32), 0xAA);
        digits[g / 2].part[g % 2][0] = _mm256_unpacklo_epi64(x01, x23);
        digits[g / 2].part[g % 2][1] = _mm256_unpackhi_epi64(x01, x23);
    }
}

ALWAYS_INLINE void store_digits(const fd_digits *digits, uint16_t out[64]) {
    for (int h = 0; h < 2; h++) {
        const __m256i *part = digits->part[h];
        _mm256_storeu_si256((__m256i *)(out + 32 * h),
                            _mm256_permute2x128_si256(part[0], part[1], 0x20));
        _mm256_storeu_si256((__m256i *)(out + 32 * h + 16),
                            _mm256_permute2x128_si256(part[0], part[1], 0x31));
    }
}

ALWAYS_INLINE int any_ties(const fd_digits *digits, const int n, uint32_t high) {
    const __m256i highs = _mm256_set1_epi16((int16_t)high);
    __m256i ties = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int g = 0; g < 4 * n; g++)
        ties = _mm256_or_si256(
            ties, _mm256_cmpeq_epi16(digits[g / 4].part[g / 2 % 2][g % 2], highs));
    return !_mm256_testz_si256(ties, ties);
}

ALWAYS_INLINE fd_keep compare(fd_digits digits, uint32_t high) {
    const __m256i highs = _mm256_set1_epi16((int16_t)high);
    fd_keep keep;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i a = digits.part[h][0], b = digits.part[h][1];
        /* a >= high, for lack of an unsigned comparison */
        keep.half[h] = _mm256_packs_epi16(_mm256_cmpeq_epi16(_mm256_max_epu16(a, highs), a),
                                          _mm256_cmpeq_epi16(_mm256_max_epu16(b, highs), b));
    }
    return keep;
}

/* Lanes of all ones for the elements kept from the j-th on. */
ALWAYS_INLINE __m256 lanes8(const fd_keep *keep, int j) {
    const char *bytes = (const char *)keep + j;
    return _mm256_castsi256_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)bytes)));
}

ALWAYS_INLINE __m256d lanes4(const fd_keep *keep, int j) {
    int32_t bytes;
    memcpy(&bytes, (const char *)keep + j, sizeof bytes);
    return _mm256_castsi256_pd(_mm256_cvtepi8_epi64(_mm_cvtsi32_si128(bytes)));
}

#define SCALE64(name, REAL, VECTOR, SET1, LOAD, MULTIPLY, AND, STORE, KEEP, LANES)                 \
    ALWAYS_INLINE void name(const REAL *x, REAL *out, fd_keep keep, REAL a) {                      \
        const VECTOR as = SET1(a);                                                                 \
        _Pragma("GCC unroll 16") for (int j = 0; j < 64; j += LANES)                               \
            STORE(out + j, AND(MULTIPLY(LOAD(x + j), as), KEEP(&keep, j)));                       \
    }
SCALE64(scale64_float, float, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_mul_ps,
        _mm256_and_ps, _mm256_storeu_ps, lanes8, 8)
SCALE64(stream64_float, float, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_mul_ps,
        _mm256_and_ps, _mm256_stream_ps, lanes8, 8)
SCALE64(scale64_double, double, __m256d, _mm256_set1_pd, _mm256_loadu_pd, _mm256_mul_pd,
        _mm256_and_pd, _mm256_storeu_pd, lanes4, 4)
SCALE64(stream64_double, double, __m256d, _mm256_set1_pd, _mm256_loadu_pd, _mm256_mul_pd,
        _mm256_and_pd, _mm256_stream_pd, lanes4, 4)

ALWAYS_INLINE void affine64_float(const float *x, float *out, fd_keep keep, float a, float b,
                                  float c) {
    const __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b), vc = _mm256_set1_ps(c);
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8) {
        __m256 kept = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + j), va), vb);
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(vc, kept, lanes8(&keep, j)));
    }
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, fd_keep keep, double a, double b,
                                   double c) {
    const __m256d va = _mm256_set1_pd(a), vb = _mm256_set1_pd(b), vc = _mm256_set1_pd(c);
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4) {
        __m256d kept = _mm256_add_pd(_mm256_mul_pd(_mm256_loadu_pd(x + j), va), vb);
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(vc, kept, lanes4(&keep, j)));
    }
}

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, fd_keep keep) {
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8)
        _mm256_storeu_ps(out + j, _mm256_blendv_ps(_mm256_loadu_ps(y + j), _mm256_loadu_ps(x + j),
                                                   lanes8(&keep, j)));
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, fd_keep keep) {
#pragma GCC unroll 16
    for (int j = 0; j < 64; j += 4)
        _mm256_storeu_pd(out + j, _mm256_blendv_pd(_mm256_loadu_pd(y + j), _mm256_loadu_pd(x + j),
                                                   lanes4(&keep, j)));
}

#define stream_fence _mm_sfence

#endif
