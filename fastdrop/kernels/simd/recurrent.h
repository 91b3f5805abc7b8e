/* Recurrent layers: all time steps in one call, forward and back.

   The weight is copied once, in panels as wide as a tile (tile.h), which a
   product for each step would do at each step. A part of a step is a tile's width
   of units and some rows: the products of the units' gates, and then the gates,
   while those are in the cache. Steps wait for each other; no part of one does. */

enum { T(GATES) = 4, T(ROOM) = T(GATES) * BLOCK_ROWS };

/* What a part of a step works on. */
typedef struct {
    const fd_recurrent *job;
    int64_t t, blocks, row_parts;
} T(recurrent_step);

static inline int64_t T(depth)(const fd_recurrent *job) {
    return job->backward ? job->gates / job->mask_gates * job->units : job->units;
}

/* Panel `p` of a block of units: forward of a gate, backward of the gates of a mask. */
static inline REAL *T(panel)(const fd_recurrent *job, int64_t block, int64_t p) {
    REAL *first = (REAL *)(((uintptr_t)job->panels + 63) / 64 * 64);
    const int64_t each = job->backward ? job->mask_gates : job->gates;
    return first + (block * each + p) * T(depth)(job) * TILE_COLUMNS;
}

static void T(recurrent_panels)(const void *argument, int64_t begin, int64_t end) {
    const fd_recurrent *job = argument;
    const int64_t H = job->units, all = job->gates * H, depth = T(depth)(job);
    const REAL *weight = job->weight;
    for (int64_t b = begin; b < end; b++) {
        const int64_t j = b * TILE_COLUMNS, n = least(TILE_COLUMNS, H - j);
        const int64_t panels = job->backward ? job->mask_gates : job->gates;
        for (int64_t p = 0; p < panels; p++) {
            T(b_block) block = {weight + p * H + j, all, 1, depth, n};
            if (job->backward) block = (T(b_block)){weight + j * all + p * depth, 1, all, depth, n};
            T(copy_panels)(&block, T(panel)(job, b, p));
        }
    }
}

/* Rows of a product with a panel; `from` is the first row, of rows `apart`. */
static void T(recurrent_product)(const REAL *from, int64_t apart, int64_t rows, const REAL *panel,
                                 int64_t depth, REAL (*out)[TILE_COLUMNS]) {
    for (int64_t k = 0; k < depth; k += T(DEPTH)) {
        const T(tile_walk) walk = {1, 0, TILE_COLUMNS, 0, least(T(DEPTH), depth - k), 1};
        EACH_TILE(r, height, rows) {
            const REAL *a[TILE_ROWS];
            REAL *c[TILE_ROWS];
            for (int64_t i = 0; i < height; i++) {
                a[i] = from + (r + i) * apart + k;
                c[i] = out[r + i];
            }
            T(tile)(height, &walk, a, panel + k * TILE_COLUMNS, c, TILE_COLUMNS, k > 0);
        }
    }
}

/* Where an array (steps, ...) has what is at `place` of step t, one step standing for
   all if there is no other; NULL without an array. */
static inline const REAL *T(at_step)(const void *array, int64_t steps, int64_t t, int64_t size,
                                     int64_t place) {
    return array ? (const REAL *)array + t % steps * size + place : NULL;
}

/* What goes into the product at step t: the state, by its mask. */
static void T(feed)(const fd_recurrent *job, int64_t n, int64_t t, int64_t j, int64_t count,
                    const REAL *h) {
    const int64_t H = job->units, Q = job->mask_gates, area = job->samples * H;
    REAL *fed = (REAL *)job->fed + (n * job->steps + t) * Q * H + j;
    for (int64_t q = 0; q < Q; q++, fed += H) {
        const REAL *mask = T(at_step)(job->mask, job->mask_steps, t, Q * area, q * area + n * H + j);
        if (mask) EACH(i, count) fed[i] = mask[i] * h[i];
        else EACH(i, count) fed[i] = h[i];
    }
}

static inline int T(is_padding)(const fd_recurrent *job, int64_t n, int64_t t) {
    return job->lengths && t >= job->lengths[n];
}

static inline REAL T(rest)(const REAL *zone, int64_t i) { return zone ? 1 - zone[i] : 1; }

/* Forward: of one row, gates from z + p, the new states from those before. */

ALWAYS_INLINE void T(simple_cell)(const int64_t count, REAL *z, const REAL *p, REAL *h) {
    EACH(i, count) h[i] = z[i] = T(tanh_of)(z[i] + p[i]);
}

ALWAYS_INLINE void T(lstm_cell)(const int64_t count, const int64_t H, const int64_t apart, REAL *z,
                                const REAL *p, const REAL *before, REAL *c, REAL *h) {
    EACH(i, count) {
        const REAL in = T(sigmoid_of)(z[i] + p[i]);
        const REAL keep = T(sigmoid_of)(z[H + i] + p[apart + i]);
        const REAL new = T(tanh_of)(z[2 * H + i] + p[2 * apart + i]);
        const REAL out = T(sigmoid_of)(z[3 * H + i] + p[3 * apart + i]);
        z[i] = in;
        z[H + i] = keep;
        z[2 * H + i] = new;
        z[3 * H + i] = out;
        c[i] = keep * before[i] + in * new;
        h[i] = out * T(tanh_of)(c[i]);
    }
}

ALWAYS_INLINE void T(gru_cell)(const int64_t count, const int64_t H, const int64_t apart, REAL *z,
                               const REAL *p, const REAL *bias, const REAL *before, REAL *product,
                               REAL *h) {
    EACH(i, count) {
        const REAL reset = T(sigmoid_of)(z[i] + p[i] + bias[i]);
        const REAL keep = T(sigmoid_of)(z[H + i] + p[apart + i] + bias[H + i]);
        product[i] = p[2 * apart + i] + bias[2 * H + i];
        const REAL new = T(tanh_of)(z[2 * H + i] + reset * product[i]);
        z[i] = reset;
        z[H + i] = keep;
        z[2 * H + i] = new;
        h[i] = (1 - keep) * new + keep * before[i];
    }
}

/* The state is `new`, but where its zone says how much of the old one stays. */
ALWAYS_INLINE void T(enter)(const int64_t count, REAL *state, const REAL *new, const REAL *zone) {
    if (zone) EACH(i, count) state[i] = zone[i] * state[i] + (1 - zone[i]) * new[i];
    else EACH(i, count) state[i] = new[i];
}

ALWAYS_INLINE void T(forward_row)(const fd_recurrent *job, int64_t n, int64_t t, int64_t j,
                                  const int64_t count, const REAL *p) {
    const int64_t H = job->units, place = n * H + j, area = job->samples * H;
    const int64_t row = n * job->steps + t, apart = BLOCK_ROWS * TILE_COLUMNS;
    REAL *z = (REAL *)job->z + row * job->gates * H + j, *h = (REAL *)job->h + place;
    REAL *out = (REAL *)job->out + row * H + j;
    if (T(is_padding)(job, n, t)) {
        memset(out, 0, (size_t)count * sizeof *out);
    } else {
        REAL new_h[TILE_COLUMNS], new_c[TILE_COLUMNS];
        const REAL *zone = T(at_step)(job->zone_h, job->zone_h_steps, t, area, place);
        if (job->gates == 4) {
            REAL *c = (REAL *)job->c + place;
            memcpy((REAL *)job->kept + row * H + j, c, (size_t)count * sizeof *c);
            T(lstm_cell)(count, H, apart, z, p, c, new_c, new_h);
            T(enter)(count, c, new_c, T(at_step)(job->zone_c, job->zone_c_steps, t, area, place));
        } else if (job->gates == 3) {
            T(gru_cell)(count, H, apart, z, p, (const REAL *)job->bias + j, h,
                        (REAL *)job->kept + row * H + j, new_h);
        } else {
            T(simple_cell)(count, z, p, new_h);
        }
        T(enter)(count, h, new_h, zone);
        memcpy(out, h, (size_t)count * sizeof *out);
    }
    if (t + 1 < job->steps) T(feed)(job, n, t + 1, j, count, h);
}

/* Backward: of one row, dz from the gates and the gradients of the new states; those
   of the old ones, but for what comes through the product, are added to. */

ALWAYS_INLINE void T(simple_back)(const int64_t count, const REAL *z, const REAL *dh, REAL *dz) {
    EACH(i, count) dz[i] = dh[i] * (1 - z[i] * z[i]);
}

ALWAYS_INLINE void T(lstm_back)(const int64_t count, const int64_t H, const REAL *z,
                                const REAL *before, const REAL *dh, const REAL *zone, REAL *dc,
                                REAL *dz) {
    REAL in_cell[TILE_COLUMNS], stays[TILE_COLUMNS];
    EACH(i, count) {
        const REAL rest = T(rest)(zone, i);
        in_cell[i] = rest * dc[i];
        stays[i] = dc[i] - in_cell[i];
    }
    EACH(i, count) {
        const REAL in = z[i], keep = z[H + i], new = z[2 * H + i], out = z[3 * H + i];
        const REAL y = T(tanh_of)(keep * before[i] + in * new);
        const REAL d = in_cell[i] + dh[i] * out * (1 - y * y);
        dz[i] = d * new * in * (1 - in);
        dz[H + i] = d * before[i] * keep * (1 - keep);
        dz[2 * H + i] = d * in * (1 - new * new);
        dz[3 * H + i] = dh[i] * y * out * (1 - out);
        dc[i] = stays[i] + d * keep;
    }
}

ALWAYS_INLINE void T(gru_back)(const int64_t count, const int64_t H, const REAL *z,
                               const REAL *product, const REAL *before, const REAL *dh, REAL *stays,
                               REAL *dz, REAL *dr) {
    EACH(i, count) {
        const REAL reset = z[i], keep = z[H + i], new = z[2 * H + i];
        const REAL d = dh[i] * (1 - keep) * (1 - new * new);
        const REAL d_reset = d * product[i] * reset * (1 - reset);
        const REAL d_keep = dh[i] * (before[i] - new) * keep * (1 - keep);
        dz[i] = dr[i] = d_reset;
        dz[H + i] = dr[H + i] = d_keep;
        dz[2 * H + i] = d;
        dr[2 * H + i] = d * reset;
        stays[i] += dh[i] * keep;
    }
}

/* `p` is what came back through the product of the step after, by its masks. */
ALWAYS_INLINE void T(backward_row)(const fd_recurrent *job, int64_t n, int64_t t, int64_t j,
                                   const int64_t count, const REAL *p) {
    const int64_t H = job->units, G = job->gates, Q = job->mask_gates, T_ = job->steps;
    const int64_t place = n * H + j, area = job->samples * H, row = n * T_ + t;
    REAL *stays = (REAL *)job->h + place, dh[TILE_COLUMNS];
    REAL *dz = (REAL *)job->dz + row * G * H + j, *dr = (REAL *)job->dr + row * G * H + j;
    memcpy(dh, stays, (size_t)count * sizeof *dh);
    if (t + 1 < T_)
        for (int64_t q = 0; q < Q; q++, p += BLOCK_ROWS * TILE_COLUMNS) {
            const REAL *mask =
                T(at_step)(job->mask, job->mask_steps, t + 1, Q * area, q * area + place);
            if (mask) EACH(i, count) dh[i] += mask[i] * p[i];
            else EACH(i, count) dh[i] += p[i];
        }
    if (T(is_padding)(job, n, t)) {
        memcpy(stays, dh, (size_t)count * sizeof *dh);
        for (int64_t g = 0; g < G; g++)
            EACH(i, count) dz[g * H + i] = dr[g * H + i] = 0;
        return;
    }
    if (job->dy) {
        const REAL *dy = (const REAL *)job->dy + row * H + j;
        EACH(i, count) dh[i] += dy[i];
    }
    const REAL *zone = T(at_step)(job->zone_h, job->zone_h_steps, t, area, place);
    EACH(i, count) {
        const REAL new = dh[i] * T(rest)(zone, i);
        stays[i] = dh[i] - new;
        dh[i] = new;
    }
    const REAL *z = (const REAL *)job->z + row * G * H + j;
    const REAL *kept = (const REAL *)job->kept + row * H + j;
    if (G == 4) {
        T(lstm_back)(count, H, z, kept, dh, T(at_step)(job->zone_c, job->zone_c_steps, t, area, place),
                     (REAL *)job->c + place, dz);
    } else if (G == 3) {
        const REAL *before = (const REAL *)job->out + (row - 1) * H + j;
        if (t == 0) before = (const REAL *)job->first + place;
        T(gru_back)(count, H, z, kept, before, dh, stays, dz, dr);
    } else {
        T(simple_back)(count, z, dh, dz);
    }
}

static void T(recurrent_part)(const void *argument, int64_t begin, int64_t end) {
    const T(recurrent_step) *step = argument;
    const fd_recurrent *job = step->job;
    const int64_t H = job->units, N = job->samples, t = step->t, depth = T(depth)(job);
    const int back = job->backward, whole = !back || t + 1 < job->steps;
    const int64_t panels = back ? job->mask_gates : job->gates;
    /* Forward the gates of a mask have the same factor, backward each its own. */
    const int64_t apart = job->steps * (back ? job->gates : job->mask_gates) * H;
    const REAL *from = back ? (const REAL *)job->dr + (t + 1) * job->gates * H
                            : (const REAL *)job->fed + t * job->mask_gates * H;
    _Alignas(64) REAL room[T(ROOM)][TILE_COLUMNS];
    for (int64_t part = begin; part < end; part++) {
        const int64_t block = part / step->row_parts, i = part % step->row_parts;
        const int64_t j = block * TILE_COLUMNS, stop = part_begin(N, step->row_parts, i + 1);
        for (int64_t r = part_begin(N, step->row_parts, i), rows; r < stop; r += rows) {
            rows = least(BLOCK_ROWS, stop - r);
            for (int64_t p = 0; p < panels && whole; p++) {
                const int64_t factor = back ? p * depth : p * job->mask_gates / job->gates * H;
                T(recurrent_product)(from + r * apart + factor, apart, rows, T(panel)(job, block, p),
                                     depth, room + p * BLOCK_ROWS);
            }
            const int64_t count = least(TILE_COLUMNS, H - j);
            for (int64_t n = 0; n < rows; n++) {
                if (back && count == TILE_COLUMNS)
                    T(backward_row)(job, r + n, t, j, TILE_COLUMNS, room[n]);
                else if (back) T(backward_row)(job, r + n, t, j, count, room[n]);
                else if (count == TILE_COLUMNS)
                    T(forward_row)(job, r + n, t, j, TILE_COLUMNS, room[n]);
                else T(forward_row)(job, r + n, t, j, count, room[n]);
            }
        }
    }
}

static void T(recurrent)(const fd_recurrent *job) {
    const int64_t N = job->samples, H = job->units;
    const int64_t blocks = (H + TILE_COLUMNS - 1) / TILE_COLUMNS;
    /* Less than some tens of microseconds is done sooner than shared out. */
    const double operations = 2.0 * (double)N * (double)H * (double)(job->gates * H);
    const int threads = operations < 1 << 19 ? 1 : job->crew.threads;
    T(recurrent_step) step = {job, 0, blocks, 1};
    if (blocks < FD_BLOCKS / 2)
        step.row_parts = most(1, least(FD_BLOCKS / 2 / blocks, N / (2 * TILE_ROWS)));
    job->crew.team(T(recurrent_panels), job, blocks, 1, threads);
    if (!job->backward)
        for (int64_t n = 0; n < N; n++) T(feed)(job, n, 0, 0, H, (const REAL *)job->h + n * H);
    for (int64_t i = 0; i < job->steps; i++) {
        step.t = job->backward ? job->steps - 1 - i : i;
        job->crew.team(T(recurrent_part), &step, blocks * step.row_parts, 1, threads);
    }
}
