/* The mask kernels, compiled once for each instruction set: FASTDROP_ISA is
   the name, FASTDROP_AVX512 or FASTDROP_AVX2 says what may be used. */
#include "masks.h"

#include <math.h>
#include <string.h>

#include "normal.h"
#include "walk.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
/* out may be x, element for element, so iterations never depend on each other. */
#define EACH(j, n) _Pragma("GCC ivdep") for (int64_t j = 0; j < (n); j++)

/* The digits of draws [draw, draw + n), from digits[...] on. */
static const uint16_t *tile_digits(const fd_job *job, const fd_stream *s, int64_t draw, int64_t n,
                                   uint16_t digits[RATE_TILE + 128]) {
    uint64_t first = job->offset + (uint64_t)draw, block = first / DIGITS_PER_BLOCK;
    int64_t skip = (int64_t)(first % DIGITS_PER_BLOCK);
    digits_from(s, block, n + skip, digits);
    return digits + skip;
}

/* What the digits of draws are compared with, and whether a tie leaves open what becomes of
   a draw. 2**32 drops always; as a digit it ties with the highest. */
static int high_digits(const uint64_t *thresholds, int64_t n, uint16_t *highs) {
    uint64_t lower = 0;
    EACH(j, n) {
        uint32_t high = (uint32_t)(thresholds[j] >> 16);
        highs[j] = (uint16_t)(high > 0xFFFF ? 0xFFFF : high);
        lower |= (thresholds[j] & 0xFFFF) | thresholds[j] >> 32;
    }
    return lower != 0;
}

static void ordered_highs(const uint16_t *highs, int64_t n, uint16_t *ordered) {
    for (int64_t j = 0; j < n; j += 64) order_highs(highs + j, ordered + j);
}

/* Whether a draw is kept that ties with its threshold's upper digit. */
static int tie_keeps(const fd_job *job, const fd_stream *s, int64_t draw, uint16_t digit,
                     uint64_t threshold) {
    uint64_t whole = (uint64_t)digit << 16 | refine(s, job->offset + (uint64_t)draw);
    return whole >= threshold;
}

/* Keep flags of draws [draw, draw + n) under a threshold each; n <= RATE_TILE. */
static void tile_flags(const fd_job *job, const fd_stream *s, int64_t draw, int64_t n,
                       uint8_t *flags) {
    uint16_t buffer[RATE_TILE + 128], highs[RATE_TILE];
    const uint16_t *digits = tile_digits(job, s, draw, n, buffer);
    for (int64_t done = 0; done < n;) {
        int64_t rate = (draw + done) % job->rates, m = least(n - done, job->rates - rate);
        const uint64_t *thresholds = job->thresholds + rate;
        const uint16_t *high = job->highs + rate;
        if (!job->highs) high_digits(thresholds, m, highs), high = highs;
        uint16_t ties = 0;
        EACH(j, m) {
            flags[done + j] = digits[done + j] >= high[j];
            ties |= digits[done + j] == high[j];
        }
        if (UNLIKELY(ties)) {
            for (int64_t j = 0; j < m; j++) {
                if (digits[done + j] == high[j])
                    flags[done + j] = (uint8_t)tie_keeps(job, s, draw + done + j, high[j],
                                                         thresholds[j]);
            }
        }
        done += m;
    }
}

/* Keep bits of 64 draws under a threshold each, draw by draw. */
static __attribute__((noinline, cold)) uint64_t settle_each(const fd_job *job, const fd_stream *s,
                                                            int64_t draw) {
    uint8_t flags[64];
    uint64_t keep = 0;
    tile_flags(job, s, draw, 64, flags);
    for (int j = 0; j < 64; j++) keep |= (uint64_t)flags[j] << j;
    return keep;
}

/* Bytes of 0 and 1 from bits. */
ALWAYS_INLINE void select_keep(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    uint8_t *out = (uint8_t *)job->out + e;
    const uint64_t word = word_of(keep);
    int64_t j = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* Eight at a time: bit j stays in byte j alone, and is moved to its end. */
    for (; j + 8 <= n; j += 8) {
        uint64_t bytes = (word >> j & 0xFF) * 0x0101010101010101 & 0x8040201008040201;
        bytes = (bytes + 0x7F7F7F7F7F7F7F7F) >> 7 & 0x0101010101010101;
        memcpy(out + j, &bytes, sizeof bytes);
    }
#endif
    for (; j < n; j++) out[j] = word >> j & 1;
}

static void keep_range(const fd_job *shared_job, int64_t begin, int64_t end) {
    const fd_job own = *shared_job, *job = &own;
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    select_each(job, &s, begin, begin, end - begin, select_keep);
}

static void keep_rates_range(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    for (int64_t e = begin; e < end; e += RATE_TILE)
        tile_flags(job, &s, e, least(RATE_TILE, end - e), (uint8_t *)job->out + e);
}

#include "turned.h"

#define REAL float
#include "typed.h"
#undef REAL
#define REAL double
#include "typed.h"
#undef REAL

#define BOTH(name) {name##_float, name##_double}

const fd_kernels JOIN(fd_kernels_, FASTDROP_ISA) = {
    .high_digits = high_digits,
    .ordered_highs = ordered_highs,
    .keep = keep_range,
    .keep_rates = keep_rates_range,
    .apply = BOTH(apply),
    .apply_rates = BOTH(apply_rates),
    .blend = BOTH(blend),
    .blend_rates = BOTH(blend_rates),
    .uniforms = BOTH(uniforms),
    .normals = BOTH(normals),
    .multiply_normals = BOTH(multiply_normals),
    .apply_turned = BOTH(apply_turned),
    .scaled_copy = BOTH(scaled_copy),
};
