/* The mask stream, one block at a time: Philox4x32-10 of Salmon et al. (2011).
   lanes.h computes many blocks at once; the tests hold both to the authors'
   known answers. */
#ifndef FASTDROP_STREAM_H
#define FASTDROP_STREAM_H

#include <stdint.h>

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u
#define PHILOX_ROUNDS 10
#define DIGIT_BITS 16
#define DIGITS_PER_BLOCK 8

/* What the blocks of a stream share: the round keys, and the first two rounds
   as far as they do not depend on a block's low word. Three of the counter's
   words are the same for 2**32 blocks on end, so of those rounds' four products
   only two are left for each block. In 64-bit words, so that a vector lane
   takes one by a broadcast load. */
typedef struct {
    uint64_t k0[PHILOX_ROUNDS], k1[PHILOX_ROUNDS];
    uint64_t fold2, fold0, fold2b, fold3; /* named for the word they go into */
    uint64_t high;                        /* the block's high word that was folded in */
    uint64_t key, number;
#ifdef FASTDROP_AVX2
    _Alignas(32) uint32_t rows[PHILOX_ROUNDS + 4][8]; /* see lanes_avx2.h */
#endif
} fd_stream;

static inline fd_stream stream_of(uint64_t key, uint64_t number, uint64_t block) {
    fd_stream s = {.high = block >> 32, .key = key, .number = number};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        s.k0[round] = k0;
        s.k1[round] = k1;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    uint64_t p1 = (uint64_t)PHILOX_M1 * (uint32_t)number;
    uint64_t p0 = (uint64_t)PHILOX_M0 * (uint32_t)(p1 >> 32 ^ s.high ^ s.k0[0]);
    s.fold2 = number >> 32 ^ s.k1[0];
    s.fold0 = (uint32_t)p1 ^ s.k0[1];
    s.fold2b = p0 >> 32 ^ s.k1[1];
    s.fold3 = (uint32_t)p0;
    return s;
}

static inline void philox_block(const fd_stream *s, uint64_t block, uint32_t words[4]) {
    uint32_t x0 = (uint32_t)block, x1 = (uint32_t)(block >> 32);
    uint32_t x2 = (uint32_t)s->number, x3 = (uint32_t)(s->number >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * x0, p1 = (uint64_t)PHILOX_M1 * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ (uint32_t)s->k0[round];
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ (uint32_t)s->k1[round];
        x3 = (uint32_t)p0;
    }
    words[0] = x0;
    words[1] = x1;
    words[2] = x2;
    words[3] = x3;
}

/* Digit `draw` of the companion stream: the low half of a draw, needed only
   where its high half ties with the threshold's. */
static inline uint32_t refine(const fd_stream *s, uint64_t draw) {
    uint64_t block = draw / DIGITS_PER_BLOCK;
    fd_stream companion = stream_of(s->key, s->number ^ (UINT64_C(1) << 63), block);
    uint32_t words[4];
    philox_block(&companion, block, words);
    return words[draw % DIGITS_PER_BLOCK / 2] >> (draw % 2 * DIGIT_BITS) & 0xFFFF;
}

#endif
