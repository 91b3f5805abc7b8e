/* lanes.h for AVX2. */
#ifndef FASTDROP_LANES_AVX2_H
#define FASTDROP_LANES_AVX2_H

#include <immintrin.h>

/* Sixteen draws a vector, those of two blocks a and b: of words 1 and 0 of a, 1 and 0 of b, 3
   and 2 of b, 3 and 2 of a; a shuffle within 128 bits then gives each element 32 bits of its
   digit's, in natural order. Digits have their highest bit flipped, because 16-bit
   comparisons are signed. */
typedef struct {
    __m256i part[4];
} fd_digits;
/* All ones for each element dropped. */
typedef struct {
    __m256i dropped[4];
} fd_keep;

#define SIGNS 0x80008000u

ALWAYS_INLINE fd_keep keep_of(uint64_t word) {
    const __m256i bit = _mm256_setr_epi16(
        1 << 2, 1 << 3, 1 << 0, 1 << 1, 1 << 10, 1 << 11, 1 << 8, 1 << 9, 1 << 14,
        (int16_t)(1 << 15), 1 << 12, 1 << 13, 1 << 6, 1 << 7, 1 << 4, 1 << 5);
    fd_keep keep;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        __m256i set = _mm256_and_si256(_mm256_set1_epi16((int16_t)(word >> (16 * q))), bit);
        keep.dropped[q] = _mm256_cmpeq_epi16(set, _mm256_setzero_si256());
    }
    return keep;
}

ALWAYS_INLINE uint64_t word_of(fd_keep keep) {
    const __m256i pairs = _mm256_setr_epi32(0, 5, 1, 4, 2, 7, 3, 6);
    const __m256i lower_first = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    uint64_t dropped = 0;
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i bytes = _mm256_packs_epi16(keep.dropped[2 * h], keep.dropped[2 * h + 1]);
        bytes = _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(bytes, pairs), lower_first);
        dropped |= (uint64_t)(uint32_t)_mm256_movemask_epi8(bytes) << (32 * h);
    }
    return ~dropped;
}

enum { GROUP = 3, CHAINS = 6 };

/* Four blocks are a chain of two vectors, and a round is seven operations:

   x  has words 0 and 2, which are multiplied, in all eight lanes of 32 bits;
   y  has words 1 and 3, each where the new word 0 or 2 comes to lie that it goes into.

   vpmuludq multiplies the even lanes of x and then, shifted down, the odd ones. One shuffle
   collects the upper halves of the products, and so moves words to other lanes; the lower
   halves, vpmulld of x, stay where they were. They meet upper halves a round later, when
   these were moved twice: that fits where a block has lanes 0 and 3, or 1 and 2, of four,
   for two moves exchange these. After four rounds all is where it was. (A word a 64-bit
   lane, as with AVX-512, would take eight operations and twice the registers.) */
ALWAYS_INLINE __m256i as_before(const int round, uint64_t for_word0, uint64_t for_word2) {
    const __m256i both = _mm256_set1_epi64x((int64_t)(for_word0 | for_word2 << 32));
    switch (round % 4) {
    case 2: return _mm256_shuffle_epi32(both, 0x50);  /* words 0 0 2 2 of blocks 0 1 1 0 */
    case 3: return _mm256_shuffle_epi32(both, 0x11);  /* 2 0 2 0 of 1 0 0 1 */
    case 0: return _mm256_shuffle_epi32(both, 0x05);  /* 2 2 0 0 of 0 1 1 0 */
    default: return _mm256_shuffle_epi32(both, 0x44); /* 0 2 0 2 of 1 0 0 1 */
    }
}

/* A row for each round: its keys, where the new words 0 and 2 come to lie, with what else
   is the same for all blocks: in those of rounds 0 and 1 all that is, in that of round 2
   word 3, in that of the last the flipped bits. Then what the words are multiplied by where
   they lie before rounds 2, 3, 4, 5, and so on. */
enum { MULTIPLIERS = PHILOX_ROUNDS };

ALWAYS_INLINE void arrange(fd_stream *s) {
    __m256i *rows = (__m256i *)s->rows;
    rows[0] = _mm256_set1_epi64x((int64_t)s->fold2);
    rows[1] = as_before(2, s->fold0, s->fold2b);
#pragma GCC unroll 8
    for (int round = 2; round < PHILOX_ROUNDS; round++) {
        const uint64_t word3 = round == 2 ? s->fold3 : 0;
        const uint64_t flipped = round == PHILOX_ROUNDS - 1 ? SIGNS : 0;
        rows[round] = as_before(round + 1, s->k0[round] ^ flipped,
                                s->k1[round] ^ word3 ^ flipped);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) rows[MULTIPLIERS + k] = as_before(k + 2, PHILOX_M0, PHILOX_M1);
}

ALWAYS_INLINE __m256i row_of(const uint32_t row[8]) {
    return _mm256_load_si256((const __m256i *)row);
}

#define HALVES(p, q, chosen)                                                                       \
    _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(p), _mm256_castsi256_ps(q), chosen))

/* Rounds 0 and 1 of the blocks whose low words the 64-bit lanes hold. */
ALWAYS_INLINE void first_rounds(const fd_stream *s, __m256i blocks, __m256i *x, __m256i *y) {
    __m256i p0 = _mm256_mul_epu32(blocks, _mm256_set1_epi64x(PHILOX_M0));
    __m256i x2 = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), row_of(s->rows[0]));
    __m256i p1 = _mm256_mul_epu32(x2, _mm256_set1_epi64x(PHILOX_M1));
    *x = _mm256_xor_si256(HALVES(p1, p0, 0x2D), row_of(s->rows[1]));
    *y = _mm256_slli_epi64(p1, 32);
}

ALWAYS_INLINE void next_round(const fd_stream *s, const int round, __m256i *x, __m256i *y) {
    const int at = (round - 2) % 4;
    const __m256i even = row_of(s->rows[MULTIPLIERS + at]);
    const __m256i odd = row_of(s->rows[MULTIPLIERS + (at % 2 ? at ^ 2 : at)]);
    __m256i p = _mm256_mul_epu32(*x, even), q = _mm256_mul_epu32(_mm256_srli_epi64(*x, 32), odd);
    __m256i with = _mm256_xor_si256(*y, row_of(s->rows[round]));
    *y = fd_multiplies ? _mm256_mullo_epi32(*x, even)
                       : _mm256_shuffle_epi32(HALVES(q, p, 0x88), 0x72);
    *x = _mm256_xor_si256(HALVES(q, p, 0xDD), with);
}

/* The digits of two blocks each, from the products as they are: their halves are words 0
   and 1, or 2 and 3, of a block. */
ALWAYS_INLINE void last_round(const fd_stream *s, __m256i x, __m256i y, __m256i digits[2]) {
    const __m256i signs = _mm256_set1_epi32((int)SIGNS);
    __m256i with = _mm256_xor_si256(y, row_of(s->rows[PHILOX_ROUNDS - 1]));
    __m256i p = _mm256_mul_epu32(x, row_of(s->rows[MULTIPLIERS + 3]));
    __m256i q = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), row_of(s->rows[MULTIPLIERS + 1]));
    __m256i x01 = _mm256_xor_si256(q, _mm256_unpacklo_epi32(signs, with));
    __m256i x23 = _mm256_xor_si256(p, _mm256_unpackhi_epi32(signs, with));
    digits[0] = _mm256_permute2x128_si256(x01, x23, 0x20);
    digits[1] = _mm256_permute2x128_si256(x01, x23, 0x31);
}

/* Rounds 2 to 8 of six chains: written out, because they need every register there is, and
   gcc stores and reloads (Zen 3, 64 elements of dropout in the first cache: 52 cycles so;
   its operations over four pipes are 40). The new y of a chain takes the place of the old
   one of the chain before, the first one's a place that is free; after seven rounds each
   is in its own again. */
#define PRODUCTS(x, odd)                                                                           \
    "vpmuludq %[even], %[" x "], %[" x "]\n\tvpmuludq %[" odd "], %[q], %[q]\n\t"
#define NEW_X(x, y, row)                                                                           \
    "vpxor 32*" row "(%[rows]), %[" y "], %[" y "]\n\t"                                            \
    "vshufps $0xDD, %[" x "], %[q], %[" x "]\n\tvpxor %[" y "], %[" x "], %[" x "]\n\t"
#define MULTIPLIED(x, y, to, odd, row)                                                             \
    "vpsrlq $32, %[" x "], %[q]\n\tvpmulld %[even], %[" x "], %[" to "]\n\t"                       \
    PRODUCTS(x, odd) NEW_X(x, y, row)
/* For processors that take several operations for vpmulld. */
#define SHUFFLED(x, y, to, odd, row)                                                               \
    "vpsrlq $32, %[" x "], %[q]\n\t" PRODUCTS(x, odd)                                              \
    "vshufps $0x88, %[" x "], %[q], %[" to "]\n\tvpshufd $0x72, %[" to "], %[" to "]\n\t"          \
    NEW_X(x, y, row)
#define ROUND(NEXT, odd, row, free, y0, y1, y2, y3, y4, y5)                                        \
    NEXT("x0", y0, free, odd, row) NEXT("x1", y1, y0, odd, row) NEXT("x2", y2, y1, odd, row)       \
    NEXT("x3", y3, y2, odd, row) NEXT("x4", y4, y3, odd, row) NEXT("x5", y5, y4, odd, row)
#define LOAD(which, row) "vmovdqa 32*" row "(%[rows]), %[" which "]\n\t"
#define ROUNDS_2_TO_8(NEXT)                                                                        \
    LOAD("even", "10") ROUND(NEXT, "even", "2", "z", "y0", "y1", "y2", "y3", "y4", "y5")           \
    LOAD("even", "11") LOAD("odd", "13")                                                           \
    ROUND(NEXT, "odd", "3", "y5", "z", "y0", "y1", "y2", "y3", "y4")                               \
    LOAD("even", "12") ROUND(NEXT, "even", "4", "y4", "y5", "z", "y0", "y1", "y2", "y3")           \
    LOAD("even", "13") LOAD("odd", "11")                                                           \
    ROUND(NEXT, "odd", "5", "y3", "y4", "y5", "z", "y0", "y1", "y2")                               \
    LOAD("even", "10") ROUND(NEXT, "even", "6", "y2", "y3", "y4", "y5", "z", "y0", "y1")           \
    LOAD("even", "11") LOAD("odd", "13")                                                           \
    ROUND(NEXT, "odd", "7", "y1", "y2", "y3", "y4", "y5", "z", "y0")                               \
    LOAD("even", "12") ROUND(NEXT, "even", "8", "y0", "y1", "y2", "y3", "y4", "y5", "z")
#define CHAIN(g) [x##g] "+x"(x[g]), [y##g] "+x"(y[g])
/* With as many operands as gcc takes, 30: of 12, each counts twice. */
#define MIDDLE_ROUNDS(NEXT)                                                                        \
    __asm__(ROUNDS_2_TO_8(NEXT)                                                                    \
            : CHAIN(0), CHAIN(1), CHAIN(2), CHAIN(3), CHAIN(4), CHAIN(5), [z] "=&x"(z),            \
              [q] "=&x"(q), [even] "=&x"(even), [odd] "=&x"(odd)                                   \
            : [rows] "r"(s->rows), "m"(s->rows))

_Static_assert(CHAINS == 6 && MULTIPLIERS == 10, "as written into the rounds");

ALWAYS_INLINE void middle_rounds(const fd_stream *s, __m256i x[CHAINS], __m256i y[CHAINS]) {
    __m256i z, q, even, odd;
    if (fd_multiplies)
        MIDDLE_ROUNDS(MULTIPLIED);
    else
        MIDDLE_ROUNDS(SHUFFLED);
}

#undef PRODUCTS
#undef NEW_X
#undef MULTIPLIED
#undef SHUFFLED
#undef ROUND
#undef LOAD
#undef ROUNDS_2_TO_8
#undef CHAIN
#undef MIDDLE_ROUNDS

/* The digits of 4 blocks a chain, of 2 or 6 chains. */
ALWAYS_INLINE void philox_chains(const fd_stream *s, uint64_t block, __m256i *digits,
                                 const int chains) {
    const __m256i first = _mm256_set1_epi64x((int64_t)block);
    __m256i x[CHAINS], y[CHAINS];
#pragma GCC unroll 6
    for (int g = 0; g < chains; g++) {
        __m256i lanes = _mm256_setr_epi64x(4 * g, 4 * g + 1, 4 * g + 2, 4 * g + 3);
        first_rounds(s, _mm256_add_epi64(first, lanes), x + g, y + g);
    }
    if (chains == CHAINS) {
        middle_rounds(s, x, y);
    } else {
#pragma GCC unroll 8
        for (int round = 2; round < PHILOX_ROUNDS - 1; round++)
            for (int g = 0; g < chains; g++) next_round(s, round, x + g, y + g);
    }
#pragma GCC unroll 6
    for (int g = 0; g < chains; g++) last_round(s, x[g], y[g], digits + 2 * g);
}

ALWAYS_INLINE void philox_digits(const fd_stream *s, uint64_t block, fd_digits *digits,
                                 const int n) {
    __m256i parts[2 * CHAINS];
    philox_chains(s, block, parts, 2 * n);
#pragma GCC unroll 16
    for (int q = 0; q < 4 * n; q++) digits[q / 4].part[q % 4] = parts[q];
}

ALWAYS_INLINE void store_digits(const fd_digits *digits, uint16_t out[64]) {
    for (int q = 0; q < 4; q++) {
        __m256i natural = _mm256_permutevar8x32_epi32(
            digits->part[q], _mm256_setr_epi32(1, 0, 7, 6, 3, 2, 5, 4));
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
        __m256i parts = _mm256_permutevar8x32_epi32(natural,
                                                    _mm256_setr_epi32(1, 0, 5, 4, 7, 6, 3, 2));
        _mm256_storeu_si256((__m256i *)(ordered + 16 * q),
                            _mm256_xor_si256(parts, _mm256_set1_epi32((int)SIGNS)));
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
#define TWICE(k) 2 * (k), 2 * (k) + 1, 2 * (k), 2 * (k) + 1
    const __m256i first = _mm256_setr_epi8(TWICE(2), TWICE(3), TWICE(0), TWICE(1), TWICE(6),
                                           TWICE(7), TWICE(4), TWICE(5));
    const __m256i second = _mm256_setr_epi8(TWICE(6), TWICE(7), TWICE(4), TWICE(5), TWICE(2),
                                            TWICE(3), TWICE(0), TWICE(1));
#undef TWICE
    return _mm256_castsi256_ps(
        _mm256_shuffle_epi8(keep->dropped[j / 16], j % 16 ? second : first));
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

#define SCALE64_EACH(REAL, P, DROPPED, LANES)                                                      \
    ALWAYS_INLINE void scale64_each_##REAL(const REAL *x, REAL *out, fd_keep keep,                 \
                                           const REAL *a) {                                        \
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
