/* Element-wise kernels, and sums along rows of (rows, channels). */

static void T(relu_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const REAL *x = job->x;
    REAL *out = job->out;
    EACH(j, end - begin) out[begin + j] = 0 > x[begin + j] ? 0 : x[begin + j];
}

static void T(relu)(const fd_rows *job) {
    job->crew.team(T(relu_range), job, job->rows * job->channels, GRAIN, job->crew.threads);
}

static void T(relu_backward_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const REAL *y = (const REAL *)job->y + begin, *dy = (const REAL *)job->x + begin;
    REAL *out = (REAL *)job->out + begin;
    EACH(j, end - begin) out[j] = y[j] > 0 ? dy[j] : 0;
}

static void T(relu_backward)(const fd_rows *job) {
    job->crew.team(T(relu_backward_range), job, job->rows * job->channels, GRAIN,
                   job->crew.threads);
}

/* Part p of the rows: dz = dy * scale where y > 0, and its sums. By rows, not by
   columns: rows are often a power of two apart, and columns of three arrays
   would meet in the same places of the cache. */
static void T(unit_sums_part)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const int64_t units = job->channels, parts = parts_of(job->rows, units);
    const REAL scale = (REAL)job->scale;
    for (int64_t p = begin; p < end; p++) {
        REAL *restrict sums = (REAL *)job->partial + p * units;
        memset(sums, 0, (size_t)units * sizeof *sums);
        const int64_t stop = part_begin(job->rows, parts, p + 1);
        for (int64_t r = part_begin(job->rows, parts, p); r < stop; r++) {
            const REAL *dy = (const REAL *)job->x + r * units;
            if (!job->y) {
                EACH(j, units) sums[j] += dy[j];
                continue;
            }
            const REAL *y = (const REAL *)job->y + r * units;
            REAL *dz = (REAL *)job->out + r * units;
            EACH(j, units) {
                const REAL g = y[j] > 0 ? dy[j] * scale : 0;
                dz[j] = g;
                sums[j] += g;
            }
        }
    }
}

static void T(magnitude_sums_part)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const int64_t units = job->channels, parts = parts_of(job->rows, units);
    for (int64_t p = begin; p < end; p++) {
        REAL *restrict sums = (REAL *)job->partial + p * units;
        memset(sums, 0, (size_t)units * sizeof *sums);
        const int64_t stop = part_begin(job->rows, parts, p + 1);
        for (int64_t r = part_begin(job->rows, parts, p); r < stop; r++) {
            const REAL *x = (const REAL *)job->x + r * units;
            EACH(j, units) sums[j] += x[j] < 0 ? -x[j] : x[j];
        }
    }
}

static void T(sum_parts)(const fd_rows *job, fd_work *part) {
    const int64_t units = job->channels, parts = parts_of(job->rows, units);
    REAL *sums = job->sums;
    const REAL *partial = job->partial;
    job->crew.team(part, job, parts, 1, job->crew.threads);
    if (!job->accumulate) memset(sums, 0, (size_t)units * sizeof *sums);
    for (int64_t p = 0; p < parts; p++, partial += units) EACH(j, units) sums[j] += partial[j];
}

static void T(unit_sums)(const fd_rows *job) { T(sum_parts)(job, T(unit_sums_part)); }

static void T(magnitude_sums)(const fd_rows *job) { T(sum_parts)(job, T(magnitude_sums_part)); }

/* Sums over rows are taken in float for a few rows, then in double. */
enum { T(FEW_ROWS) = 64, T(CHANNELS) = 64 };

/* Part p's sums of (x - origin) and its square, the origin being the first
   row: near the mean, so that the square loses nothing. Or, given y: of y and
   y * (x - a). */
static void T(sums_part)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const int64_t channels = job->channels, parts = parts_of(job->rows, channels);
    const REAL *x = job->x, *y = job->y, *origin = y ? job->a : x;
    for (int64_t p = begin; p < end; p++) {
        double *sums = (double *)job->partial + 2 * p * channels, *products = sums + channels;
        for (int64_t c = 0; c < 2 * channels; c++) sums[c] = 0;
        const int64_t stop = part_begin(job->rows, parts, p + 1);
        for (int64_t r = part_begin(job->rows, parts, p); r < stop; r += T(FEW_ROWS))
            for (int64_t c = 0; c < channels; c += T(CHANNELS)) {
                const int64_t n = least(T(CHANNELS), channels - c);
                REAL s[T(CHANNELS)] = {0}, q[T(CHANNELS)] = {0};
                for (int64_t i = r; i < least(r + T(FEW_ROWS), stop); i++) {
                    const REAL *xi = x + i * channels + c, *yi = y ? y + i * channels + c : xi;
                    for (int64_t j = 0; j < n; j++) {
                        REAL d = xi[j] - origin[c + j], v = y ? yi[j] : d;
                        s[j] += v;
                        q[j] += v * d;
                    }
                }
                for (int64_t j = 0; j < n; j++) {
                    sums[c + j] += (double)s[j];
                    products[c + j] += (double)q[j];
                }
            }
    }
}

static void T(sum_all_parts)(const fd_rows *job) {
    const int64_t channels = job->channels, parts = parts_of(job->rows, channels);
    double *partial = job->partial;
    job->crew.team(T(sums_part), job, parts, 1, job->crew.threads);
    for (int64_t p = 1; p < parts; p++)
        for (int64_t c = 0; c < 2 * channels; c++)
            partial[c] += partial[2 * p * channels + c];
}

static void T(moments)(const fd_rows *job) {
    T(sum_all_parts)(job);
    const double rows = (double)job->rows, *sums = job->partial, *squares = sums + job->channels;
    const REAL *origin = job->x;
    for (int64_t c = 0; c < job->channels; c++) {
        double shift = sums[c] / rows, variance = squares[c] / rows - shift * shift;
        ((REAL *)job->sums)[c] = (REAL)((double)origin[c] + shift);
        ((REAL *)job->products)[c] = (REAL)(variance < 0 ? 0 : variance);
    }
}

static void T(channel_sums)(const fd_rows *job) {
    T(sum_all_parts)(job);
    const double *sums = job->partial, *products = sums + job->channels;
    for (int64_t c = 0; c < job->channels; c++) {
        ((REAL *)job->sums)[c] = (REAL)sums[c];
        ((REAL *)job->products)[c] = (REAL)products[c];
    }
}

static void T(channel_affine_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const int64_t channels = job->channels;
    const REAL *a = job->a, *b = job->b, *c = job->c;
    for (int64_t r = begin; r < end; r++) {
        const REAL *x = (const REAL *)job->x + r * channels;
        const REAL *y = job->y ? (const REAL *)job->y + r * channels : NULL;
        REAL *out = (REAL *)job->out + r * channels;
        if (y) EACH(j, channels) out[j] = x[j] * a[j] + y[j] * b[j] + c[j];
        else EACH(j, channels) out[j] = x[j] * a[j] + b[j];
    }
}

static void T(channel_affine)(const fd_rows *job) {
    int64_t grain = most(1, GRAIN / most(1, job->channels));
    job->crew.team(T(channel_affine_range), job, job->rows, grain, job->crew.threads);
}

static void T(channel_affine2)(const fd_rows *job) { T(channel_affine)(job); }

/* Columns [begin, end) whose norm is above `scale` are brought down to it. */
static void T(max_norm_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    for (int64_t c = begin; c < end; c += T(CHANNELS)) {
        const int64_t n = least(T(CHANNELS), end - c);
        REAL *weight = (REAL *)job->out + c, factor[T(CHANNELS)];
        double squares[T(CHANNELS)] = {0};
        for (int64_t r = 0; r < job->rows; r++)
            for (int64_t j = 0; j < n; j++) {
                const double w = (double)weight[r * job->channels + j];
                squares[j] += w * w;
            }
        int any = 0;
        for (int64_t j = 0; j < n; j++) {
            const double norm = sqrt(squares[j]);
            const int above = norm > job->scale;
            factor[j] = above ? (REAL)(job->scale / norm) : 1;
            any |= above;
        }
        if (!any) continue;
        for (int64_t r = 0; r < job->rows; r++)
            for (int64_t j = 0; j < n; j++) weight[r * job->channels + j] *= factor[j];
    }
}

static void T(max_norm)(const fd_rows *job) {
    job->crew.team(T(max_norm_range), job, job->channels, T(CHANNELS), job->crew.threads);
}
