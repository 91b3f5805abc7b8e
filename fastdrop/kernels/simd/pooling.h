/* Pooling of images with channels last, a sample at a time. */

/* The largest of `lanes` channels of a window, and the first of its pixels that
   has it. NaN is larger than anything. */
ALWAYS_INLINE void T(max_pool_lanes)(const fd_pool *job, const REAL *corner, REAL *out,
                                     uint8_t *winners) {
    typedef T(vector) vector;
    typedef T(mask) mask;
    typedef uint8_t bytes __attribute__((vector_size(T(lanes)), aligned(1), may_alias));
    const int64_t line = job->width * job->channels;
    vector best = *(const vector *)corner;
    for (int64_t y = 0; y < job->ph; y++)
        for (int64_t x = 0; x < job->pw; x++) {
            const vector v = *(const vector *)(corner + y * line + x * job->channels);
            const mask better = (v > best) | (v != v);
            best = (vector)((better & (mask)v) | (~better & (mask)best));
        }
    *(vector *)out = best;
    if (!winners) return;
    mask which = {0};
    for (int64_t y = job->ph; y-- > 0;)
        for (int64_t x = job->pw; x-- > 0;) {
            const vector v = *(const vector *)(corner + y * line + x * job->channels);
            const mask here = (v == best) | (v != v);
            which = (here & (INDEX)(y * job->pw + x)) | (~here & which);
        }
    *(bytes *)winners = __builtin_convertvector(which, bytes);
}

static void T(max_pool_channel)(const fd_pool *job, const REAL *corner, REAL *out,
                                uint8_t *winner) {
    REAL best = *corner;
    uint8_t which = 0;
    for (int64_t y = 0; y < job->ph; y++)
        for (int64_t x = 0; x < job->pw; x++) {
            const REAL v = corner[(y * job->width + x) * job->channels];
            if (best == best && (v > best || v != v)) {
                best = v;
                which = (uint8_t)(y * job->pw + x);
            }
        }
    *out = best;
    if (winner) *winner = which;
}

/* Largest of each window of z, and which it is where winners are wanted. */
static void T(max_pool_sample)(const fd_pool *job, const REAL *z, REAL *out, uint8_t *winners) {
    const int64_t channels = job->channels;
    for (int64_t oy = 0; oy < job->oh; oy++)
        for (int64_t ox = 0; ox < job->ow; ox++) {
            const REAL *corner = z + (oy * job->sh * job->width + ox * job->sw) * channels;
            int64_t c = 0;
            for (; c + T(lanes) <= channels; c += T(lanes))
                T(max_pool_lanes)(job, corner + c, out + c, winners ? winners + c : NULL);
            for (; c < channels; c++)
                T(max_pool_channel)(job, corner + c, out + c, winners ? winners + c : NULL);
            out += channels;
            if (winners) winners += channels;
        }
}

/* dz (height x width) of winners' gradients; all of it is written. */
static void T(max_unpool_sample)(const fd_pool *job, const REAL *restrict dy,
                                 const uint8_t *restrict winners, REAL *restrict dz) {
    const int64_t channels = job->channels;
    const int apart = job->sh == job->ph && job->sw == job->pw;
    if (!apart || job->oh * job->sh < job->height || job->ow * job->sw < job->width)
        memset(dz, 0, (size_t)(job->height * job->width * channels) * sizeof *dz);
    for (int64_t oy = 0; oy < job->oh; oy++)
        for (int64_t ox = 0; ox < job->ow; ox++, dy += channels, winners += channels) {
            REAL *corner = dz + (oy * job->sh * job->width + ox * job->sw) * channels;
            for (int64_t y = 0, tap = 0; y < job->ph; y++)
                for (int64_t x = 0; x < job->pw; x++, tap++) {
                    REAL *to = corner + (y * job->width + x) * channels;
                    if (apart) EACH(c, channels) to[c] = winners[c] == (uint8_t)tap ? dy[c] : 0;
                    else EACH(c, channels) to[c] += winners[c] == (uint8_t)tap ? dy[c] : 0;
                }
        }
}

#define SMALL_SIZE(job) ((job)->oh * (job)->ow * (job)->channels)
#define LARGE_SIZE(job) ((job)->height * (job)->width * (job)->channels)

static void T(max_pool_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_pool *job = argument;
    for (int64_t s = begin; s < end; s++)
        T(max_pool_sample)(job, (const REAL *)job->x + s * LARGE_SIZE(job),
                           (REAL *)job->out + s * SMALL_SIZE(job),
                           job->winners ? job->winners + s * SMALL_SIZE(job) : NULL);
}

static void T(max_pool_backward_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_pool *job = argument;
    for (int64_t s = begin; s < end; s++)
        T(max_unpool_sample)(job, (const REAL *)job->x + s * SMALL_SIZE(job),
                             job->winners + s * SMALL_SIZE(job),
                             (REAL *)job->out + s * LARGE_SIZE(job));
}

static void T(avg_pool_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_pool *job = argument;
    const int64_t channels = job->channels;
    const REAL share = (REAL)1 / (REAL)(job->ph * job->pw);
    for (int64_t s = begin; s < end; s++) {
        const REAL *restrict image = (const REAL *)job->x + s * LARGE_SIZE(job);
        REAL *restrict out = (REAL *)job->out + s * SMALL_SIZE(job);
        for (int64_t oy = 0; oy < job->oh; oy++)
            for (int64_t ox = 0; ox < job->ow; ox++, out += channels) {
                const REAL *corner = image + (oy * job->sh * job->width + ox * job->sw) * channels;
                for (int64_t c = 0; c < channels; c++) out[c] = 0;
                for (int64_t y = 0; y < job->ph; y++)
                    for (int64_t x = 0; x < job->pw; x++) {
                        const REAL *v = corner + (y * job->width + x) * channels;
                        for (int64_t c = 0; c < channels; c++) out[c] += v[c];
                    }
                for (int64_t c = 0; c < channels; c++) out[c] *= share;
            }
    }
}

static void T(avg_pool_backward_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_pool *job = argument;
    const int64_t channels = job->channels;
    const REAL share = (REAL)1 / (REAL)(job->ph * job->pw);
    for (int64_t s = begin; s < end; s++) {
        const REAL *restrict dy = (const REAL *)job->x + s * SMALL_SIZE(job);
        REAL *restrict dx = (REAL *)job->out + s * LARGE_SIZE(job);
        memset(dx, 0, (size_t)LARGE_SIZE(job) * sizeof *dx);
        for (int64_t oy = 0; oy < job->oh; oy++)
            for (int64_t ox = 0; ox < job->ow; ox++, dy += channels) {
                REAL *corner = dx + (oy * job->sh * job->width + ox * job->sw) * channels;
                for (int64_t y = 0; y < job->ph; y++)
                    for (int64_t x = 0; x < job->pw; x++) {
                        REAL *to = corner + (y * job->width + x) * channels;
                        for (int64_t c = 0; c < channels; c++) to[c] += dy[c] * share;
                    }
            }
    }
}

/* A sample's worth of work at least, and GRAIN where samples are small. */
static void T(each_sample)(const fd_pool *job, fd_work *work) {
    int64_t grain = most(1, GRAIN / most(1, LARGE_SIZE(job)));
    job->crew.team(work, job, job->samples, grain, job->crew.threads);
}

static void T(max_pool)(const fd_pool *job) { T(each_sample)(job, T(max_pool_range)); }
static void T(max_pool_backward)(const fd_pool *job) {
    T(each_sample)(job, T(max_pool_backward_range));
}
static void T(avg_pool)(const fd_pool *job) { T(each_sample)(job, T(avg_pool_range)); }
static void T(avg_pool_backward)(const fd_pool *job) {
    T(each_sample)(job, T(avg_pool_backward_range));
}

#undef SMALL_SIZE
#undef LARGE_SIZE
