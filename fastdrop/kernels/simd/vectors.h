/* Vectors of the instruction set that this is compiled for: how many lanes,
   one number in all lanes, and a * b + c in one instruction where there is one. */
#ifndef FASTDROP_VECTORS_H
#define FASTDROP_VECTORS_H

#if defined FASTDROP_AVX512 || defined FASTDROP_AVX2
#include <immintrin.h>
#endif

#if defined FASTDROP_AVX512
#define VECTOR_BYTES 64
#define TILE_ROWS 12 /* 24 of 32 registers add up */
#define spread_float _mm512_set1_ps
#define spread_double _mm512_set1_pd
#define fma_float _mm512_fmadd_ps
#define fma_double _mm512_fmadd_pd
#elif defined FASTDROP_AVX2
#define VECTOR_BYTES 32
#define TILE_ROWS 6 /* 12 of 16 */
#define spread_float _mm256_set1_ps
#define spread_double _mm256_set1_pd
#define fma_float _mm256_fmadd_ps
#define fma_double _mm256_fmadd_pd
#else
#define VECTOR_BYTES 16
#define TILE_ROWS 6
#endif

/* Unaligned: elements decide. */
typedef float vector_float __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double vector_double __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
/* What comparing them gives. */
typedef int32_t mask_float __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef int64_t mask_double __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
enum { lanes_float = VECTOR_BYTES / 4, lanes_double = VECTOR_BYTES / 8 };

#if defined FASTDROP_AVX512 || defined FASTDROP_AVX2
/* A bit for each of eight numbers that is not zero, NaN among them. */
static inline unsigned nonzero8_float(const float *x) {
    const __m256 zero = _mm256_setzero_ps();
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(x), zero, _CMP_NEQ_UQ));
}
static inline unsigned nonzero8_double(const double *x) {
    const __m256d zero = _mm256_setzero_pd();
    const __m256d low = _mm256_cmp_pd(_mm256_loadu_pd(x), zero, _CMP_NEQ_UQ);
    const __m256d high = _mm256_cmp_pd(_mm256_loadu_pd(x + 4), zero, _CMP_NEQ_UQ);
    return (unsigned)(_mm256_movemask_pd(low) | _mm256_movemask_pd(high) << 4);
}

/* The places of the bits set in each byte, from the lowest on. A constant: what is filled at
   loading would be so by instructions that this processor may not have. */
#define BELOW(byte, bit) __builtin_popcount((byte) & ((1 << (bit)) - 1))
#define PLACE(byte, bit) ((uint64_t)((byte) >> (bit) & 1) * (bit) << 8 * BELOW(byte, bit))
#define PLACES(byte)                                                                               \
    PLACE(byte, 0) | PLACE(byte, 1) | PLACE(byte, 2) | PLACE(byte, 3) | PLACE(byte, 4) |           \
        PLACE(byte, 5) | PLACE(byte, 6) | PLACE(byte, 7)
#define PLACES4(byte) PLACES(byte), PLACES((byte) + 1), PLACES((byte) + 2), PLACES((byte) + 3)
#define PLACES16(byte) PLACES4(byte), PLACES4((byte) + 4), PLACES4((byte) + 8), PLACES4((byte) + 12)
#define PLACES64(byte)                                                                             \
    PLACES16(byte), PLACES16((byte) + 16), PLACES16((byte) + 32), PLACES16((byte) + 48)
static const uint64_t set_bits[256] = {PLACES64(0), PLACES64(64), PLACES64(128), PLACES64(192)};
#endif

#ifndef spread_float
static inline vector_float spread_float(float x) { return (vector_float){x, x, x, x}; }
static inline vector_double spread_double(double x) { return (vector_double){x, x}; }
static inline vector_float fma_float(vector_float a, vector_float b, vector_float c) {
    return a * b + c;
}
static inline vector_double fma_double(vector_double a, vector_double b, vector_double c) {
    return a * b + c;
}
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
