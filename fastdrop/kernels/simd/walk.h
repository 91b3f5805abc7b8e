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

/* Neighbours with one draw, from which a loop over them pays for the branch. */
enum { LONG_RUN = 128 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* The stream, for elements from `element` on, of which a block serves `per_block`. */
static inline fd_stream job_stream(const fd_job *job, int64_t element, uint64_t per_block) {
    int64_t draw = job->shared == 1 ? element : element / (job->shared * job->inner) * job->inner;
    uint64_t first = job->offset + (uint64_t)draw;
    fd_stream s = stream_of(job->key, job->stream, first / per_block);
    arrange(&s);
    return s;
}

/* The next block of a range: `rows` rows of `n` elements, job->inner apart, all
   with the draws from `draw` on (counted without the offset). */
typedef struct {
    int64_t draw, n, rows;
} fd_block;

ALWAYS_INLINE fd_block next_block(const fd_job *job, int64_t begin, int64_t end) {
    if (job->shared == 1) return (fd_block){begin, end - begin, 1};
    const int64_t inner = job->inner, period = job->shared * inner;
    int64_t outer = begin / period, within = begin % period;
    int64_t row = within / inner, i = within % inner;
    int64_t n = least(inner - i, end - begin);
    int64_t rows = n == inner ? least(job->shared - row, (end - begin) / inner) : 1;
    return (fd_block){outer * inner + i, n, rows};
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

/* Draws that were decided together: bit p of `bits` is draw `draw - skip + p`. */
typedef struct {
    int64_t draw, n, skip;
    uint64_t bits[TILE_WORDS];
} fd_window;

/* Place of `draw` in the window; at least n <= TILE draws follow. Where they are
   not there yet, as many as fit are decided at once, up to draw `last`. */
ALWAYS_INLINE int64_t window_at(fd_window *w, const fd_job *job, const fd_stream *s, int64_t draw,
                                int64_t n, int64_t last) {
    if (draw < w->draw || draw + n > w->draw + w->n) {
        uint64_t first = job->offset + (uint64_t)draw;
        uint64_t block = first / DIGITS_PER_BLOCK;
        w->draw = draw;
        w->n = least(TILE, last - draw);
        w->skip = (int64_t)(first % DIGITS_PER_BLOCK);
        int64_t words = (w->n + w->skip + 63) / 64, j = 0;
        for (; j + GROUP <= words; j += GROUP)
            keep_group(s, block + (uint64_t)(8 * j), job->threshold, w->bits + j);
        for (; j < words; j++)
            w->bits[j] = keep_word(s, block + (uint64_t)(8 * j), job->threshold);
        w->bits[words] = 0;
    }
    return draw - w->draw + w->skip;
}

/* The `n` bits from `p` on, over and over: `count` bits in `out`. */
ALWAYS_INLINE void repeat_bits(const uint64_t *bits, int64_t p, int64_t n, int64_t count,
                               uint64_t *out) {
    uint64_t period[TILE_WORDS];
    if (n < 64) {
        __extension__ unsigned __int128 few = bits_at(bits, p) & ((UINT64_C(1) << n) - 1);
        for (; n < 64; n *= 2) few |= few << n;
        period[0] = (uint64_t)few;
        period[1] = (uint64_t)(few >> 64);
    } else {
        for (int64_t j = 0; j < n; j += 64) period[j / 64] = bits_at(bits, p + j);
    }
    /* Where the last word ends within, the first one begins anew. */
    if (n % 64) period[n / 64] &= (UINT64_C(1) << (n % 64)) - 1;
    period[(n + 63) / 64] = 0;
    period[(n + 63) / 64 + 1] = 0;
    put_bits(period, n, period[0]);
    for (int64_t j = 0, at = 0; j < count; j += 64) {
        *out++ = bits_at(period, at);
        at += 64;
        at -= at >= n ? n : 0;
    }
}

/* Draws of `shared` neighbouring elements each, `skip` elements into the first:
   `count` bits. Without a branch on a draw, which nobody could predict; where
   four draws fit in a word, they are spread by a table. */
ALWAYS_INLINE void stretch_bits(const uint64_t *bits, int64_t p, int64_t shared, int64_t skip,
                                int64_t count, uint64_t *out) {
    uint64_t spread[16], word = 0;
    int64_t used = 0;
    if (shared <= 16)
        for (uint64_t four = 0; four < 16; four++) {
            spread[four] = 0;
            for (int k = 0; k < 4; k++)
                spread[four] |= -(four >> k & 1) >> (64 - shared) << (k * shared);
        }
    for (int64_t left = shared - skip; count > 0;) {
        uint64_t value;
        int64_t n;
        if (shared <= 16 && left == shared && count >= 4 * shared) {
            value = spread[bits_at(bits, p) & 15];
            n = 4 * shared;
            p += 4;
        } else {
            n = least(least(left, 64), count);
            value = -(bits[p / 64] >> (p % 64) & 1) >> (64 - n);
            left -= n;
            p += left == 0;
            left = left ? left : shared;
        }
        count -= n;
        *out = word | value << used;
        word = used + n >= 64 ? value >> 1 >> (63 - used) : *out;
        out += used + n >= 64;
        used = (used + n) % 64;
    }
    *out = word;
}

/* What a kernel does to elements [e, e + n) with n <= 64 by the low n bits of
   `keep`, and to a run of elements that are all kept or all dropped. */
typedef void select_fn(const fd_job *job, int64_t e, int64_t n, fd_keep keep);
typedef void each_fn(const fd_job *job, const fd_stream *s, int64_t e, int64_t draw, int64_t n);
typedef void run_fn(const fd_job *job, int64_t e, int64_t n, int keep);

ALWAYS_INLINE void select_bits(const fd_job *job, int64_t e, int64_t n, const uint64_t *bits,
                               select_fn *select) {
    for (; n >= 64; n -= 64, e += 64) select(job, e, 64, keep_of(*bits++));
    if (n) select(job, e, n, keep_of(*bits));
}

/* One draw an element: decided and selected in one go, the bits in registers
   in between (AVX-512 on Zen 5: 26.6 cycles for 64 elements, 28.4 by way of
   memory). Draws that begin within a block take that way, to be shifted. */
ALWAYS_INLINE void select_each(const fd_job *job, const fd_stream *s, int64_t e, int64_t draw,
                               int64_t n, select_fn *select) {
    uint64_t first = job->offset + (uint64_t)draw;
    uint64_t block = first / DIGITS_PER_BLOCK;
    int skip = (int)(first % DIGITS_PER_BLOCK);
    if (skip == 0) {
        fd_digits digits[GROUP];
        for (; n >= 64 * GROUP; n -= 64 * GROUP, block += 8 * GROUP) {
            philox_digits(s, block, digits, GROUP);
            if (UNLIKELY(must_settle(s, block, job->threshold, digits, GROUP))) {
                fd_words settled = settle(s, block, job->threshold, GROUP);
                for (int g = 0; g < GROUP; g++, e += 64)
                    select(job, e, 64, keep_of(settled.word[g]));
                continue;
            }
#pragma GCC unroll 8
            for (int g = 0; g < GROUP; g++, e += 64)
                select(job, e, 64, compare(digits[g], job->threshold >> 16));
        }
    }
    if (n <= 0) return;
    uint64_t words[GROUP + 1];
    words[0] = keep_word(s, block, job->threshold);
    for (; n >= 64 * GROUP; n -= 64 * GROUP) {
        keep_group(s, block += 8, job->threshold, words + 1);
        block += 8 * (GROUP - 1);
        for (int g = 0; g < GROUP; g++, e += 64)
            select(job, e, 64, keep_of(bits_at(words + g, skip)));
        words[0] = words[GROUP];
    }
    for (; n > 0; n -= 64, e += 64) {
        words[1] = n > 64 - skip ? keep_word(s, block += 8, job->threshold) : 0;
        fd_keep keep = keep_of(bits_at(words, skip));
        if (n >= 64)
            select(job, e, 64, keep);
        else
            select(job, e, n, keep);
        words[0] = words[1];
    }
}

ALWAYS_INLINE void select_rows(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                               select_fn *select, each_fn *each) {
    const int64_t inner = job->inner, period = job->shared * inner;
    const int64_t last = ((end - 1) / period + 1) * inner;
    fd_window window;
    uint64_t tile[TILE_WORDS];
    window.n = window.draw = 0;
    while (begin < end) {
        fd_block b = next_block(job, begin, end);
        if (b.rows == 1) {
            each(job, s, begin, b.draw, b.n);
        } else if (b.n <= TILE / 2) {
            /* Short rows: several are one long row. */
            int64_t total = b.rows * b.n, count = least(total, TILE / b.n * b.n);
            int64_t p = window_at(&window, job, s, b.draw, b.n, last);
            repeat_bits(window.bits, p, b.n, count, tile);
            for (int64_t done = 0; done < total; done += count)
                select_bits(job, begin + done, least(count, total - done), tile, select);
        } else {
            for (int64_t i = 0; i < b.n; i += TILE) {
                int64_t width = least(TILE, b.n - i);
                int64_t p = window_at(&window, job, s, b.draw + i, width, last);
                for (int64_t j = 0; j < width; j += 64) tile[j / 64] = bits_at(window.bits, p + j);
                for (int64_t row = 0; row < b.rows; row++)
                    select_bits(job, begin + row * inner + i, width, tile, select);
            }
        }
        begin += b.rows * b.n;
    }
}

/* inner == 1: every draw decides `shared` neighbouring elements. */
ALWAYS_INLINE void select_runs(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                               select_fn *select, run_fn *run) {
    const int64_t shared = job->shared, last = (end - 1) / shared + 1;
    fd_window window;
    uint64_t tile[TILE_WORDS];
    window.n = window.draw = 0;
    while (begin < end) {
        int64_t draw = begin / shared, skip = begin % shared;
        if (shared >= LONG_RUN) {
            int64_t p = window_at(&window, job, s, draw, 1, last);
            int64_t n = least(shared - skip, end - begin);
            run(job, begin, n, (int)(window.bits[p / 64] >> (p % 64) & 1));
            begin += n;
        } else {
            int64_t draws = least(TILE / shared, last - draw);
            int64_t n = least(draws * shared - skip, end - begin);
            int64_t p = window_at(&window, job, s, draw, draws, last);
            stretch_bits(window.bits, p, shared, skip, n, tile);
            select_bits(job, begin, n, tile, select);
            begin += n;
        }
    }
}

/* Every geometry by the walk that fits it. */
ALWAYS_INLINE void select_all(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                              select_fn *select, each_fn *each, run_fn *run) {
    if (job->shared == 1)
        each(job, s, begin, begin, end - begin);
    else if (job->inner == 1)
        select_runs(job, s, begin, end, select, run);
    else
        select_rows(job, s, begin, end, select, each);
}

#endif
