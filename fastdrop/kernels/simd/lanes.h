/* What differs between instruction sets: 64 draws at once, and 64 elements
   selected by 64 bits. Everything else is plain C, compiled once for each.

   Each lanes_*.h has the types fd_digits (of 64 draws) and fd_keep (their keep
   bits), how many times 64 draws are best decided at once (GROUP), and

   arrange                     what a stream's blocks share, as the next takes it
   philox_digits               the digits of n times 64 draws
   store_digits                those of 64, to memory in natural order
   any_ties, compare           digits against the threshold's
   order_highs                 thresholds' digits of 64 as the next two compare them
   any_ties_each, compare_each digits of 64 against one each
   keep_of, word_of            keep bits from and to a uint64
   scale64, stream64           a * x where kept, 0 where dropped; past the caches
   stream_fence                after the latter, before another thread may read
   scale64_each                the same with an a for each
   affine64, blend64           as in kernels/__init__.py

   Philox wants 32x32->64 products, of which a vector multiplies the low halves
   of 64-bit lanes: with AVX-512 each word lives in such a half, and what the
   other holds never matters; with AVX2 two words share a lane. Blocks are
   assigned to lanes so that the digits come out in natural order. */
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
#include "lanes_avx512.h"
#elif defined(FASTDROP_AVX2)
#include "lanes_avx2.h"
#else
#include "lanes_plain.h"
#endif

/* Whether digits alone do not decide 64 * n draws. */
ALWAYS_INLINE int must_settle(const fd_stream *s, uint64_t block, uint32_t threshold,
                              const fd_digits *digits, const int n) {
    return ((threshold & 0xFFFF) && any_ties(digits, n, threshold >> 16)) ||
           !is_folded(s, block, n);
}

ALWAYS_INLINE void put_digits(const fd_stream *s, uint64_t block, uint16_t *out, const int n) {
    if (UNLIKELY(!is_folded(s, block, n))) {
        for (int g = 0; g < n; g++) plain_digits64(s, block + 8 * (uint64_t)g, out + 64 * g);
        return;
    }
    fd_digits digits[GROUP];
    philox_digits(s, block, digits, n);
#pragma GCC unroll 8
    for (int g = 0; g < n; g++) store_digits(digits + g, out + 64 * g);
}

/* The first n digits from a block on, to memory, and up to 63 more. */
static void digits_from(const fd_stream *s, uint64_t block, int64_t n, uint16_t *out) {
    const int64_t groups = (n + 63) / 64;
    int64_t j = 0;
    for (; j + GROUP <= groups; j += GROUP)
        put_digits(s, block + 8 * (uint64_t)j, out + 64 * j, GROUP);
    for (; j < groups; j++) put_digits(s, block + 8 * (uint64_t)j, out + 64 * j, 1);
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
