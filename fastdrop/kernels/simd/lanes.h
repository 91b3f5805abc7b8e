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

/* The digits of 8 blocks, one block at a time. */
static void plain_digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    uint32_t words[32];
    for (int j = 0; j < 8; j++) philox_block(s, block + (uint64_t)j, words + 4 * j);
    for (int j = 0; j < 32; j++) {
        out[2 * j] = (uint16_t)words[j];
        out[2 * j + 1] = (uint16_t)(words[j] >> 16);
    }
}

/* Whether n * 8 blocks have the high word that was folded into the stream. */
ALWAYS_INLINE int is_folded(const fd_stream *s, uint64_t block, int n) {
    return block >> 32 == s->high && (block + 8 * (uint64_t)n - 1) >> 32 == s->high;
}

/* Keep bits of n words. By value: were the address of the caller's given away,
   they could not stay in registers on the usual path either. */
typedef struct {
    uint64_t word[8];
} fd_words;

/* Draw by draw: where some tie with the threshold's digit, or n words cross
   from one high word to the next. */
static __attribute__((noinline, cold)) fd_words settle(const fd_stream *s, uint64_t block,
                                                       uint32_t threshold, int n) {
    fd_words keep = {{0}};
    for (int g = 0; g < n; g++) {
        uint16_t digits[64];
        plain_digits64(s, block + 8 * (uint64_t)g, digits);
        for (int j = 0; j < 64; j++) {
            uint64_t kept = digits[j] >= threshold >> 16;
            if (digits[j] == threshold >> 16) {
                uint64_t draw = block * DIGITS_PER_BLOCK + (uint64_t)(64 * g + j);
                kept = refine(s, draw) >= (threshold & 0xFFFF);
            }
            keep.word[g] |= kept << j;
        }
    }
    return keep;
}

#if defined(FASTDROP_AVX512)
#include <immintrin.h>

/* The digits of 64 draws in natural order, and their keep bits. Bits stay in
   mask registers, and as there are only seven of those, digits are compared
   when their bits are needed: both together save 5 cycles for 64 elements. */
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

static void digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    if (UNLIKELY(!is_folded(s, block, 1))) {
        plain_digits64(s, block, out);
        return;
    }
    fd_digits digits;
    philox_digits(s, block, &digits, 1);
    _mm512_storeu_si512(out, digits.half[0]);
    _mm512_storeu_si512(out + 32, digits.half[1]);
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

/* a * x where kept, 0 where dropped. What is read next is fetched ahead: while
   the draws are computed the processor does not look far enough by itself
   (measured: 0.65 of the copy without, 0.72 with, in the third cache). */
enum { AHEAD = 3072 };

#define SCALE64(name, REAL, VECTOR, SET1, LOAD, MULTIPLY, STORE, KEEP, LANES)                      \
    ALWAYS_INLINE void name(const REAL *x, REAL *out, fd_keep keep, REAL a) {                      \
        const VECTOR as = SET1(a);                                                                 \
        _Pragma("GCC unroll 8") for (int j = 0; j < 64; j += LANES) {                              \
            _mm_prefetch((const char *)(x + j) + AHEAD, _MM_HINT_T0);                              \
            STORE(out + j, MULTIPLY(KEEP(keep, j), LOAD(x + j), as));                              \
        }                                                                                          \
    }
SCALE64(scale64_float, float, __m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_maskz_mul_ps,
        _mm512_storeu_ps, KEEP16, 16)
SCALE64(stream64_float, float, __m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_maskz_mul_ps,
        _mm512_stream_ps, KEEP16, 16)
SCALE64(scale64_double, double, __m512d, _mm512_set1_pd, _mm512_loadu_pd, _mm512_maskz_mul_pd,
        _mm512_storeu_pd, KEEP8, 8)
SCALE64(stream64_double, double, __m512d, _mm512_set1_pd, _mm512_loadu_pd, _mm512_maskz_mul_pd,
        _mm512_stream_pd, KEEP8, 8)

ALWAYS_INLINE void affine64_float(const float *x, float *out, fd_keep keep, float a, float b,
                                  float c) {
    const __m512 va = _mm512_set1_ps(a), vb = _mm512_set1_ps(b), vc = _mm512_set1_ps(c);
#pragma GCC unroll 4
    for (int j = 0; j < 64; j += 16) {
        __m512 kept = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x + j), va), vb);
        _mm512_storeu_ps(out + j, _mm512_mask_mov_ps(vc, KEEP16(keep, j), kept));
    }
}

ALWAYS_INLINE void affine64_double(const double *x, double *out, fd_keep keep, double a, double b,
                                   double c) {
    const __m512d va = _mm512_set1_pd(a), vb = _mm512_set1_pd(b), vc = _mm512_set1_pd(c);
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8) {
        __m512d kept = _mm512_add_pd(_mm512_mul_pd(_mm512_loadu_pd(x + j), va), vb);
        _mm512_storeu_pd(out + j, _mm512_mask_mov_pd(vc, KEEP8(keep, j), kept));
    }
}

ALWAYS_INLINE void blend64_float(const float *x, const float *y, float *out, fd_keep keep) {
#pragma GCC unroll 4
    for (int j = 0; j < 64; j += 16)
        _mm512_storeu_ps(out + j, _mm512_mask_blend_ps(KEEP16(keep, j), _mm512_loadu_ps(y + j),
                                                       _mm512_loadu_ps(x + j)));
}

ALWAYS_INLINE void blend64_double(const double *x, const double *y, double *out, fd_keep keep) {
#pragma GCC unroll 8
    for (int j = 0; j < 64; j += 8)
        _mm512_storeu_pd(out + j, _mm512_mask_blend_pd(KEEP8(keep, j), _mm512_loadu_pd(y + j),
                                                       _mm512_loadu_pd(x + j)));
}

#elif defined(FASTDROP_AVX2)
#include <immintrin.h>

typedef struct {
    __m256i part[2][2];
} fd_digits;
typedef uint64_t fd_keep;

ALWAYS_INLINE fd_keep keep_of(uint64_t word) { return word; }
ALWAYS_INLINE uint64_t word_of(fd_keep keep) { return keep; }

enum { GROUP = 2 };

/* Two times 4 blocks for each of n. Packing a part by bytes gives the natural
   order. */
ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    __m256i m0 = _mm256_set1_epi64x(PHILOX_M0), m1 = _mm256_set1_epi64x(PHILOX_M1);
    /* Kept from gcc, which would compute more ahead of the loop than there are
       registers for (measured: 2.3 against 3.2 G draws a second). */
    __asm__ volatile("" : "+x"(m0), "+x"(m1));
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

static void digits64(const fd_stream *s, uint64_t block, uint16_t out[64]) {
    if (UNLIKELY(!is_folded(s, block, 1))) {
        plain_digits64(s, block, out);
        return;
    }
    fd_digits digits;
    philox_digits(s, block, &digits, 1);
    for (int h = 0; h < 2; h++) {
        const __m256i *part = digits.part[h];
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
    uint64_t keep = 0;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i a = digits.part[h][0], b = digits.part[h][1];
        /* a >= high, for lack of an unsigned comparison */
        __m256i kept = _mm256_packs_epi16(_mm256_cmpeq_epi16(_mm256_max_epu16(a, highs), a),
                                          _mm256_cmpeq_epi16(_mm256_max_epu16(b, highs), b));
        keep |= (uint64_t)(uint32_t)_mm256_movemask_epi8(kept) << (32 * h);
    }
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

#define SCALE64(name, REAL, VECTOR, SET1, LOAD, MULTIPLY, AND, STORE, KEEP, LANES)                 \
    ALWAYS_INLINE void name(const REAL *x, REAL *out, fd_keep keep, REAL a) {                      \
        const VECTOR as = SET1(a);                                                                 \
        _Pragma("GCC unroll 16") for (int j = 0; j < 64; j += LANES)                               \
            STORE(out + j, AND(MULTIPLY(LOAD(x + j), as), KEEP(keep >> j)));                       \
    }
SCALE64(scale64_float, float, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_mul_ps,
        _mm256_and_ps, _mm256_storeu_ps, lanes8, 8)
SCALE64(stream64_float, float, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_mul_ps,
        _mm256_and_ps, _mm256_stream_ps, lanes8, 8)
SCALE64(scale64_double, double, __m256d, _mm256_set1_pd, _mm256_loadu_pd, _mm256_mul_pd,
        _mm256_and_pd, _mm256_storeu_pd, lanes4, 4)
SCALE64(stream64_double, double, __m256d, _mm256_set1_pd, _mm256_loadu_pd, _mm256_mul_pd,
        _mm256_and_pd, _mm256_stream_pd, lanes4, 4)

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

typedef struct {
    uint16_t digit[64];
} fd_digits;
typedef uint64_t fd_keep;

ALWAYS_INLINE fd_keep keep_of(uint64_t word) { return word; }
ALWAYS_INLINE uint64_t word_of(fd_keep keep) { return keep; }

#define digits64 plain_digits64

enum { GROUP = 1 };

ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    for (int g = 0; g < n; g++) plain_digits64(s, block + 8 * (uint64_t)g, digits[g].digit);
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

#endif

/* Whether digits alone do not decide 64 * n draws. */
ALWAYS_INLINE int must_settle(const fd_stream *s, uint64_t block, uint32_t threshold,
                              const fd_digits *digits, const int n) {
    return (any_ties(digits, n, threshold >> 16) && (threshold & 0xFFFF)) ||
           !is_folded(s, block, n);
}

/* Keep bits of 64 * n draws. */
ALWAYS_INLINE void keep_words(const fd_stream *s, uint64_t block, uint32_t threshold,
                              uint64_t *words, const int n) {
    fd_digits digits[GROUP];
    philox_digits(s, block, digits, n);
    if (UNLIKELY(must_settle(s, block, threshold, digits, n))) {
        fd_words settled = settle(s, block, threshold, n);
        for (int g = 0; g < n; g++) words[g] = settled.word[g];
        return;
    }
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) words[g] = word_of(compare(digits[g], threshold >> 16));
}

static __attribute__((noinline)) void keep_group(const fd_stream *s, uint64_t block,
                                                 uint32_t threshold, uint64_t words[GROUP]) {
    keep_words(s, block, threshold, words, GROUP);
}

static __attribute__((noinline)) uint64_t keep_word(const fd_stream *s, uint64_t block,
                                                    uint32_t threshold) {
    uint64_t word;
    keep_words(s, block, threshold, &word, 1);
    return word;
}

#endif
