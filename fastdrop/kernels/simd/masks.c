/* The mask kernels, compiled once for each instruction set: FASTDROP_ISA is
   the name, FASTDROP_AVX512 or FASTDROP_AVX2 says what may be used. */
#include "masks.h"

#include <math.h>

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

/* What the digits of draws are compared with. 2**32 drops always; as a digit it
   ties with the highest. */
static void high_digits(const uint64_t *thresholds, int64_t n, uint16_t *highs) {
    EACH(j, n) {
        uint32_t high = (uint32_t)(thresholds[j] >> 16);
        highs[j] = (uint16_t)(high > 0xFFFF ? 0xFFFF : high);
    }
}

/* Those of all rates, where they are few enough to be kept for a whole range. */
typedef struct {
    uint16_t high[RATE_TILE];
    int known;
} fd_highs;

static void job_highs(const fd_job *job, fd_highs *highs) {
    highs->known = job->rates <= RATE_TILE;
    if (highs->known) high_digits(job->thresholds, job->rates, highs->high);
}

/* Keep flags of draws [draw, draw + n) under a threshold each; n <= RATE_TILE. */
static void tile_flags(const fd_job *job, const fd_stream *s, fd_highs *highs, int64_t draw,
                       int64_t n, uint8_t *flags) {
    uint16_t buffer[RATE_TILE + 128];
    const uint16_t *digits = tile_digits(job, s, draw, n, buffer);
    for (int64_t done = 0; done < n;) {
        int64_t rate = (draw + done) % job->rates, m = least(n - done, job->rates - rate);
        const uint64_t *thresholds = job->thresholds + rate;
        if (!highs->known) high_digits(thresholds, m, highs->high);
        const uint16_t *high = highs->high + (highs->known ? rate : 0);
        uint16_t ties = 0;
        EACH(j, m) {
            flags[done + j] = digits[done + j] >= high[j];
            ties |= digits[done + j] == high[j];
        }
        if (UNLIKELY(ties)) {
            for (int64_t j = 0; j < m; j++) {
                if (digits[done + j] != high[j]) continue;
                uint64_t place = job->offset + (uint64_t)(draw + done + j);
                uint64_t whole = (uint64_t)digits[done + j] << 16 | refine(s, place);
                flags[done + j] = whole >= thresholds[j];
            }
        }
        done += m;
    }
}

/* Bytes of 0 and 1 from bits. */
ALWAYS_INLINE void select_keep(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    uint8_t *out = (uint8_t *)job->out + e;
    const uint64_t word = word_of(keep);
    for (int64_t j = 0; j < n; j++) out[j] = word >> j & 1;
}

static void keep_range(const fd_job *shared_job, int64_t begin, int64_t end) {
    const fd_job own = *shared_job, *job = &own;
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    select_each(job, &s, begin, begin, end - begin, select_keep);
}

static void keep_rates_range(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    fd_highs highs;
    job_highs(job, &highs);
    for (int64_t e = begin; e < end; e += RATE_TILE)
        tile_flags(job, &s, &highs, e, least(RATE_TILE, end - e), (uint8_t *)job->out + e);
}

#define REAL float
#include "typed.h"
#undef REAL
#define REAL double
#include "typed.h"
#undef REAL

#define BOTH(name) {name##_float, name##_double}

const fd_kernels JOIN(fd_kernels_, FASTDROP_ISA) = {
    .keep = keep_range,
    .keep_rates = keep_rates_range,
    .apply = BOTH(apply),
    .apply_rates = BOTH(apply_rates),
    .blend = BOTH(blend),
    .blend_rates = BOTH(blend_rates),
    .uniforms = BOTH(uniforms),
    .normals = BOTH(normals),
    .multiply_normals = BOTH(multiply_normals),
    .scaled_copy = BOTH(scaled_copy),
};
