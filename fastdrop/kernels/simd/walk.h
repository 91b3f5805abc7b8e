/* From a range of elements to the draws that decide them.

   An array is outer x shared x inner; all of shared has the same draws. The
   walks below cut any range of elements into blocks of whole or partial rows
   (one draw an element, the same for each row), or, where inner is 1, into
   runs (one draw for neighbouring elements). They are inlined with the
   functions they are given. */
#ifndef FASTDROP_WALK_H
#define FASTDROP_WALK_H

#include "lanes.h"
#include "masks.h"

/* Draws that are decided at once and kept in the first cache. */
enum { TILE = 4096, TILE_WORDS = TILE / 64 + 3, RATE_TILE = 1024 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* `rows` rows of `n` elements from `element` on, job->inner apart, all with
   the draws from `draw` on (counted without the offset). */
typedef void block_fn(const fd_job *job, const fd_stream *s, int64_t element, int64_t draw,
                      int64_t n, int64_t rows);

ALWAYS_INLINE void walk_blocks(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                               block_fn *block) {
    if (job->shared == 1) {
        block(job, s, begin, begin, end - begin, 1);
        return;
    }
    const int64_t inner = job->inner, period = job->shared * inner;
    while (begin < end) {
        int64_t outer = begin / period, within = begin % period;
        int64_t row = within / inner, i = within % inner;
        int64_t n = least(inner - i, end - begin);
        int64_t rows = n == inner ? least(job->shared - row, (end - begin) / inner) : 1;
        block(job, s, begin, outer * inner + i, n, rows);
        begin += rows * n;
    }
}

/* Bit strings: bit p of the draws that were decided. */

ALWAYS_INLINE uint64_t bits_at(const uint64_t *bits, int64_t p) {
    const uint64_t *word = bits + p / 64;
    int shift = (int)(p % 64);
    return word[0] >> shift | word[1] << 1 << (63 - shift);
}

ALWAYS_INLINE void put_bits(uint64_t *bits, int64_t p, uint64_t value) {
    uint64_t *word = bits + p / 64;
    int shift = (int)(p % 64);
    word[0] |= value << shift;
    word[1] |= value >> 1 >> (63 - shift);
}

/* Keep bits of draws from `draw` on; the first is bit `draw % 8`. */
ALWAYS_INLINE int64_t decide(const fd_job *job, const fd_stream *s, int64_t draw, int64_t n,
                             uint64_t bits[TILE_WORDS]) {
    uint64_t first = job->offset + (uint64_t)draw;
    uint64_t block = first / DIGITS_PER_BLOCK;
    int64_t skip = (int64_t)(first % DIGITS_PER_BLOCK), words = (n + skip + 63) / 64;
    for (int64_t j = 0; j < words; j++)
        bits[j] = keep64(s, block + (uint64_t)(8 * j), job->threshold);
    bits[words] = 0;
    return skip;
}

/* The first `n` bits from `p` on, over and over: `count` bits in `out`. */
static void repeat_bits(const uint64_t *bits, int64_t p, int64_t n, int64_t count,
                        uint64_t out[TILE_WORDS]) {
    memset(out, 0, sizeof(uint64_t) * TILE_WORDS);
    for (int64_t j = 0; j < n; j += 64) {
        uint64_t word = bits_at(bits, p + j);
        out[j / 64] = n - j < 64 ? word & ((UINT64_C(1) << (n - j)) - 1) : word;
    }
    /* Doubled until full. A word read past `n` holds the repetition's bits, or
       zeros that are filled in later. */
    for (; n < count; n *= 2)
        for (int64_t j = 0; j < least(n, count - n); j += 64) put_bits(out, n + j, bits_at(out, j));
}

/* Draws of `shared` neighbouring elements each, `skip` elements into the first. */
static void stretch_bits(const uint64_t *bits, int64_t p, int64_t shared, int64_t skip,
                         int64_t count, uint64_t out[TILE_WORDS]) {
    memset(out, 0, sizeof(uint64_t) * TILE_WORDS);
    for (int64_t done = 0; done < count; p++) {
        int64_t n = shared - skip;
        if (bits[p / 64] >> (p % 64) & 1) put_bits(out, done, ~UINT64_C(0) >> (64 - n));
        done += n;
        skip = 0;
    }
}

/* What a kernel does to elements [e, e + n) with n <= 64 by the low n bits of
   `keep`, and to a run of elements that are all kept or all dropped. */
typedef void select_fn(const fd_job *job, int64_t e, int64_t n, uint64_t keep);
typedef void run_fn(const fd_job *job, int64_t e, int64_t n, int keep);

ALWAYS_INLINE void select_bits(const fd_job *job, int64_t e, int64_t n, const uint64_t *bits,
                               int64_t p, select_fn *select) {
    for (; n >= 64; n -= 64, e += 64, p += 64) select(job, e, 64, bits_at(bits, p));
    if (n) select(job, e, n, bits_at(bits, p));
}

/* One draw an element: decided and selected in one go. Between generator and
   select the bits stay in registers; a tile of them would cost 10 to 20 %. */
ALWAYS_INLINE void select_each(const fd_job *job, const fd_stream *s, int64_t e, int64_t draw,
                               int64_t n, select_fn *select) {
    uint64_t first = job->offset + (uint64_t)draw;
    uint64_t block = first / DIGITS_PER_BLOCK;
    int skip = (int)(first % DIGITS_PER_BLOCK);
    if (skip == 0) {
        for (; n >= 64; n -= 64, e += 64, block += 8)
            select(job, e, 64, keep64(s, block, job->threshold));
        if (n) select(job, e, n, keep64(s, block, job->threshold));
        return;
    }
    uint64_t now = keep64(s, block, job->threshold);
    for (; n > 0; n -= 64, e += 64) {
        uint64_t next = keep64(s, block += 8, job->threshold);
        uint64_t keep = now >> skip | next << (64 - skip);
        if (n >= 64)
            select(job, e, 64, keep);
        else
            select(job, e, n, keep);
        now = next;
    }
}

ALWAYS_INLINE void select_block(const fd_job *job, const fd_stream *s, int64_t e, int64_t draw,
                                int64_t n, int64_t rows, select_fn *select) {
    uint64_t bits[TILE_WORDS], tile[TILE_WORDS];
    if (rows == 1) {
        select_each(job, s, e, draw, n, select);
    } else if (n <= TILE / 2) {
        /* Short rows: several are one long row. */
        int64_t total = rows * n, count = least(total, TILE / n * n);
        int64_t p = decide(job, s, draw, n, bits);
        repeat_bits(bits, p, n, count, tile);
        for (int64_t done = 0; done < total; done += count)
            select_bits(job, e + done, least(count, total - done), tile, 0, select);
    } else {
        for (int64_t i = 0; i < n; i += TILE) {
            int64_t width = least(TILE, n - i), p = decide(job, s, draw + i, width, bits);
            for (int64_t row = 0; row < rows; row++)
                select_bits(job, e + row * job->inner + i, width, bits, p, select);
        }
    }
}

/* inner == 1: every draw decides `shared` neighbouring elements. */
ALWAYS_INLINE void select_runs(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                               select_fn *select, run_fn *run) {
    const int64_t shared = job->shared;
    uint64_t bits[TILE_WORDS], tile[TILE_WORDS];
    while (begin < end) {
        int64_t draw = begin / shared, skip = begin % shared;
        int64_t draws = least(TILE, (end - 1) / shared + 1 - draw);
        if (shared < 64) {
            draws = least(draws, TILE / shared);
            int64_t n = least(end - begin, draws * shared - skip);
            int64_t p = decide(job, s, draw, draws, bits);
            stretch_bits(bits, p, shared, skip, n, tile);
            select_bits(job, begin, n, tile, 0, select);
            begin += n;
            continue;
        }
        int64_t p = decide(job, s, draw, draws, bits);
        for (; draws > 0; draws--, p++, skip = 0) {
            int64_t n = least(shared - skip, end - begin);
            run(job, begin, n, (int)(bits[p / 64] >> (p % 64) & 1));
            begin += n;
        }
    }
}

#endif
