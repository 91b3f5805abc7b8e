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
