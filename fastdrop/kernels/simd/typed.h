/* The kernels of one element type, REAL; included once for each. */

#define T(name) JOIN(name##_, REAL)

ALWAYS_INLINE void T(select_affine)(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    const REAL *x = (const REAL *)job->x + e;
    REAL *out = (REAL *)job->out + e;
    const REAL a = (REAL)job->a, b = (REAL)job->b, c = (REAL)job->c;
    if (n == 64) {
        T(affine64)(x, out, keep, a, b, c);
        return;
    }
    const uint64_t word = word_of(keep);
    for (int64_t j = 0; j < n; j++) {
        REAL kept = a * x[j] + b;
        out[j] = word >> j & 1 ? kept : c;
    }
}

ALWAYS_INLINE void T(run_affine)(const fd_job *job, int64_t e, int64_t n, int keep) {
    const REAL *x = (const REAL *)job->x + e;
    REAL *out = (REAL *)job->out + e;
    const REAL a = (REAL)job->a, b = (REAL)job->b, c = (REAL)job->c;
    if (keep) EACH(j, n) out[j] = a * x[j] + b;
    else EACH(j, n) out[j] = c;
}

/* Plain dropout, b = -0.0 and c = 0: the zero-masked multiply alone. */
ALWAYS_INLINE void T(select_scale)(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    const REAL *x = (const REAL *)job->x + e;
    REAL *out = (REAL *)job->out + e;
    const REAL a = (REAL)job->a;
    if (n == 64) {
        T(scale64)(x, out, keep, a);
        return;
    }
    const uint64_t word = word_of(keep);
    for (int64_t j = 0; j < n; j++) {
        REAL kept = a * x[j];
        out[j] = word >> j & 1 ? kept : 0;
    }
}

ALWAYS_INLINE void T(select_stream)(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    if (n == 64)
        T(stream64)((const REAL *)job->x + e, (REAL *)job->out + e, keep, (REAL)job->a);
    else
        T(select_scale)(job, e, n, keep);
}

/* Loops of their own, each with a copy of the job that no store can reach, so
   that its fields stay in registers and gcc has enough of them. */
static __attribute__((noinline)) void T(each_affine)(const fd_job *job, const fd_stream *s,
                                                     int64_t e, int64_t draw, int64_t n) {
    const fd_job own = *job;
    select_each(&own, s, e, draw, n, T(select_affine));
}

static __attribute__((noinline)) void T(each_stream)(const fd_job *job, const fd_stream *s,
                                                     int64_t e, int64_t draw, int64_t n) {
    const fd_job own = *job;
    select_each(&own, s, e, draw, n, T(select_stream));
    stream_fence();
}

static __attribute__((noinline)) void T(each_scale)(const fd_job *job, const fd_stream *s,
                                                    int64_t e, int64_t draw, int64_t n) {
    const fd_job own = *job;
    /* Streaming stores want whole cache lines. */
    int64_t head = (int64_t)(-(uintptr_t)((REAL *)own.out + e) % 64 / sizeof(REAL));
    if (!own.streams || n <= head) head = n;
    select_each(&own, s, e, draw, head, T(select_scale));
    if (head < n) T(each_stream)(job, s, e + head, draw + head, n - head);
}

static void T(apply)(const fd_job *shared_job, int64_t begin, int64_t end) {
    /* A copy that no store can reach, so that its fields stay in registers. */
    const fd_job own = *shared_job, *job = &own;
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    int scales = job->b == 0 && signbit(job->b) && job->c == 0 && !signbit(job->c);
    if (scales)
        select_all(job, &s, begin, end, T(select_scale), T(each_scale), T(run_affine));
    else
        select_all(job, &s, begin, end, T(select_affine), T(each_affine), T(run_affine));
}

ALWAYS_INLINE void T(select_blend)(const fd_job *job, int64_t e, int64_t n, fd_keep keep) {
    const REAL *x = (const REAL *)job->x + e, *y = (const REAL *)job->y + e;
    REAL *out = (REAL *)job->out + e;
    if (n == 64) {
        T(blend64)(x, y, out, keep);
        return;
    }
    const uint64_t word = word_of(keep);
    for (int64_t j = 0; j < n; j++) out[j] = word >> j & 1 ? x[j] : y[j];
}

ALWAYS_INLINE void T(run_blend)(const fd_job *job, int64_t e, int64_t n, int keep) {
    const REAL *from = (const REAL *)(keep ? job->x : job->y) + e;
    REAL *out = (REAL *)job->out + e;
    if (from != out) memmove(out, from, (size_t)n * sizeof(REAL));
}

static __attribute__((noinline)) void T(each_blend)(const fd_job *job, const fd_stream *s,
                                                    int64_t e, int64_t draw, int64_t n) {
    const fd_job own = *job;
    select_each(&own, s, e, draw, n, T(select_blend));
}

static void T(blend)(const fd_job *shared_job, int64_t begin, int64_t end) {
    const fd_job own = *shared_job, *job = &own;
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    select_all(job, &s, begin, end, T(select_blend), T(each_blend), T(run_blend));
}

/* Arrays of rates. A tile of draws is decided, then applied to its rows, in
   pieces within which the rates run on without starting over. */

static void T(row_affine)(const fd_job *job, int64_t e, int64_t draw, int64_t n,
                          const uint8_t *flags) {
    for (int64_t done = 0; done < n;) {
        int64_t rate = (draw + done) % job->rates, m = least(n - done, job->rates - rate);
        const REAL *x = (const REAL *)job->x + e + done;
        REAL *out = (REAL *)job->out + e + done;
        const REAL *a = (const REAL *)job->as + rate;
        const REAL *b = (const REAL *)job->bs, *c = (const REAL *)job->cs;
        const uint8_t *keep = flags + done;
        if (job->bc_vary) {
            b += rate;
            c += rate;
            EACH(j, m) {
                REAL kept = a[j] * x[j] + b[j];
                out[j] = keep[j] ? kept : c[j];
            }
        } else {
            const REAL same_b = *b, same_c = *c;
            EACH(j, m) {
                REAL kept = a[j] * x[j] + same_b;
                out[j] = keep[j] ? kept : same_c;
            }
        }
        done += m;
    }
}

static void T(row_blend)(const fd_job *job, int64_t e, int64_t draw, int64_t n,
                         const uint8_t *flags) {
    const REAL *x = (const REAL *)job->x + e, *y = (const REAL *)job->y + e;
    REAL *out = (REAL *)job->out + e;
    (void)draw;
    EACH(j, n) out[j] = flags[j] ? x[j] : y[j];
}

/* A draw for `n` neighbouring elements: the rate's values are the same for all. */
static void T(run_affine_rate)(const fd_job *job, int64_t e, int64_t draw, int64_t n, int keep) {
    int64_t rate = draw % job->rates, other = job->bc_vary ? rate : 0;
    fd_job one = *job;
    one.a = ((const REAL *)job->as)[rate];
    one.b = ((const REAL *)job->bs)[other];
    one.c = ((const REAL *)job->cs)[other];
    T(run_affine)(&one, e, n, keep);
}

static void T(run_blend_rate)(const fd_job *job, int64_t e, int64_t draw, int64_t n, int keep) {
    (void)draw;
    T(run_blend)(job, e, n, keep);
}

typedef void T(row_fn)(const fd_job *, int64_t, int64_t, int64_t, const uint8_t *);
typedef void T(run_rate_fn)(const fd_job *, int64_t, int64_t, int64_t, int);

ALWAYS_INLINE void T(rows_rates)(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                                 T(row_fn) *row) {
    uint8_t flags[RATE_TILE];
    while (begin < end) {
        fd_block b = next_block(job, begin, end);
        for (int64_t i = 0; i < b.n; i += RATE_TILE) {
            int64_t width = least(RATE_TILE, b.n - i);
            tile_flags(job, s, b.draw + i, width, flags);
            for (int64_t r = 0; r < b.rows; r++)
                row(job, begin + r * job->inner + i, b.draw + i, width, flags);
        }
        begin += b.rows * b.n;
    }
}

ALWAYS_INLINE void T(runs_rates)(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end,
                                 T(run_rate_fn) *run) {
    uint8_t flags[RATE_TILE];
    while (begin < end) {
        int64_t draw = begin / job->shared;
        int64_t draws = least(RATE_TILE, (end - 1) / job->shared + 1 - draw);
        tile_flags(job, s, draw, draws, flags);
        for (int64_t j = 0; j < draws; j++) {
            int64_t n = least((draw + j + 1) * job->shared, end) - begin;
            run(job, begin, draw + j, n, flags[j]);
            begin += n;
        }
    }
}

ALWAYS_INLINE int T(scales_each)(const fd_job *job) {
    const REAL b = *(const REAL *)job->bs, c = *(const REAL *)job->cs;
    return job->shared == 1 && job->ordered && job->offset % DIGITS_PER_BLOCK == 0 &&
           !job->bc_vary && b == 0 && signbit(b) && c == 0 && !signbit(c);
}

/* Plain dropout with one draw an element and rates in whole sixty-fours, as
   select_each does it; the end of what was done. */
static __attribute__((noinline)) int64_t T(each_rates)(const fd_job *shared_job,
                                                       const fd_stream *s, int64_t e,
                                                       int64_t end) {
    const fd_job own = *shared_job, *job = &own;
    const REAL *x = job->x, *as = job->as;
    REAL *out = job->out;
    uint64_t block = (job->offset + (uint64_t)e) / DIGITS_PER_BLOCK;
    int64_t rate = e % job->rates;
    for (; end - e >= 64 * GROUP; block += 8 * GROUP) {
        fd_digits digits[GROUP];
        philox_digits(s, block, digits, GROUP);
        const int folded = is_folded(s, block, GROUP);
#pragma GCC unroll 8
        for (int g = 0; g < GROUP; g++, e += 64) {
            const uint16_t *ordered = job->ordered + rate;
            fd_keep keep = UNLIKELY(!folded || (job->ties && any_ties_each(digits + g, ordered)))
                               ? keep_of(settle_each(job, s, e))
                               : compare_each(digits[g], ordered);
            T(scale64_each)(x + e, out + e, keep, as + rate);
            rate += 64;
            if (rate == job->rates) rate = 0;
        }
    }
    return e;
}

static void T(apply_rates)(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    if (T(scales_each)(job) && begin % 64 == 0) begin = T(each_rates)(job, &s, begin, end);
    if (job->inner == 1 && job->shared > 1)
        T(runs_rates)(job, &s, begin, end, T(run_affine_rate));
    else
        T(rows_rates)(job, &s, begin, end, T(row_affine));
}

static void T(blend_rates)(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, DIGITS_PER_BLOCK);
    if (job->inner == 1 && job->shared > 1)
        T(runs_rates)(job, &s, begin, end, T(run_blend_rate));
    else
        T(rows_rates)(job, &s, begin, end, T(row_blend));
}

static void T(uniforms)(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, WORDS_PER_BLOCK);
    REAL *out = (REAL *)job->out;
    double tile[NORMAL_TILE];
    for (int64_t e = begin; e < end; e += NORMAL_TILE) {
        int64_t n = least(NORMAL_TILE, end - e);
        tile_uniforms(&s, job->offset + (uint64_t)e, n, tile);
        EACH(j, n) out[e + j] = (REAL)tile[j];
    }
}

static void T(normals)(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, WORDS_PER_BLOCK);
    REAL *out = (REAL *)job->out;
    for (int64_t e = begin; e < end; e += NORMAL_TILE)
        T(tile_normals)(&s, job->offset + (uint64_t)e, least(NORMAL_TILE, end - e), out + e);
}

/* The factors 1 + stddev * normal of draws [draw, draw + n). */
static void T(tile_factors)(const fd_job *job, const fd_stream *s, int64_t draw, int64_t n,
                            REAL *factors) {
    REAL tile[NORMAL_TILE];
    T(tile_normals)(s, job->offset + (uint64_t)draw, n, tile);
    for (int64_t done = 0; done < n;) {
        int64_t rate = (draw + done) % job->rates, m = least(n - done, job->rates - rate);
        const REAL *stddev = (const REAL *)job->as + rate;
        EACH(j, m) factors[done + j] = 1 + stddev[j] * tile[done + j];
        done += m;
    }
}

static void T(rows_normals)(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end) {
    REAL factors[NORMAL_TILE];
    while (begin < end) {
        fd_block b = next_block(job, begin, end);
        for (int64_t i = 0; i < b.n; i += NORMAL_TILE) {
            int64_t width = least(NORMAL_TILE, b.n - i);
            T(tile_factors)(job, s, b.draw + i, width, factors);
            for (int64_t r = 0; r < b.rows; r++) {
                const REAL *x = (const REAL *)job->x + begin + r * job->inner + i;
                REAL *out = (REAL *)job->out + begin + r * job->inner + i;
                EACH(j, width) out[j] = x[j] * factors[j];
            }
        }
        begin += b.rows * b.n;
    }
}

static void T(runs_normals)(const fd_job *job, const fd_stream *s, int64_t begin, int64_t end) {
    const REAL *x = (const REAL *)job->x;
    REAL *out = (REAL *)job->out, factors[NORMAL_TILE];
    while (begin < end) {
        int64_t draw = begin / job->shared;
        int64_t draws = least(NORMAL_TILE, (end - 1) / job->shared + 1 - draw);
        T(tile_factors)(job, s, draw, draws, factors);
        for (int64_t k = 0; k < draws; k++) {
            int64_t n = least((draw + k + 1) * job->shared, end) - begin;
            EACH(j, n) out[begin + j] = x[begin + j] * factors[k];
            begin += n;
        }
    }
}

static void T(multiply_normals)(const fd_job *job, int64_t begin, int64_t end) {
    const fd_stream s = job_stream(job, begin, WORDS_PER_BLOCK);
    if (job->inner == 1 && job->shared > 1)
        T(runs_normals)(job, &s, begin, end);
    else
        T(rows_normals)(job, &s, begin, end);
}

/* a * x + b where a flag is 1, c where it is 0. As a loop it becomes vectors; unrolled
   before, it became a branch for each. */
ALWAYS_INLINE void T(select_side)(const REAL *x, REAL *out, const uint8_t *keep, REAL a, REAL b,
                                  REAL c) {
    _Pragma("GCC unroll 1") _Pragma("GCC ivdep") for (int j = 0; j < SIDE; j++) {
        REAL kept = a * x[j] + b;
        out[j] = keep[j] ? kept : c;
    }
}

/* Tiles [begin, end) of an array that lies as (outer, inner, shared) and whose draws are
   numbered as (outer, shared, inner): FD_PLACES of inner each, with all of shared. */
static void T(apply_turned)(const fd_job *job, int64_t begin, int64_t end) {
    const int64_t channels = job->shared, places = job->inner;
    const int64_t tiles = (places + FD_PLACES - 1) / FD_PLACES;
    const REAL a = (REAL)job->a, b = (REAL)job->b, c = (REAL)job->c;
    uint8_t flags[SIDE * FD_PLACES + SIDE] = {0};
    for (int64_t tile = begin; tile < end; tile++) {
        const int64_t sample = tile / tiles, first = tile % tiles * FD_PLACES;
        const int64_t n = least(FD_PLACES, places - first);
        for (int64_t channel = 0; channel < channels; channel += SIDE) {
            const int64_t rows = least(SIDE, channels - channel);
            const int64_t draw = (sample * channels + channel) * places + first;
            fd_flags turned[SIDE];
            channel_flags(job, draw, rows, n, places, flags);
            for (int64_t place = 0; place < n; place++) {
                const int64_t e = (sample * places + first + place) * channels + channel;
                const REAL *x = (const REAL *)job->x + e;
                REAL *out = (REAL *)job->out + e;
                if (place % SIDE == 0) turn(flags + place, n, rows, turned);
                const uint8_t *keep = (const uint8_t *)&turned[place % SIDE];
                if (rows == SIDE) {
                    T(select_side)(x, out, keep, a, b, c);
                } else {
                    for (int64_t j = 0; j < rows; j++) {
                        REAL kept = a * x[j] + b;
                        out[j] = keep[j] ? kept : c;
                    }
                }
            }
        }
    }
}

/* What every kernel is measured against. */
static void T(scaled_copy)(const fd_job *job, int64_t begin, int64_t end) {
    T(run_affine)(job, begin, end - begin, 1);
}

#undef T
