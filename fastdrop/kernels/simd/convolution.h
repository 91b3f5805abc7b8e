/* Convolution of images with channels last, directly: no patches are copied.

   What an output pixel sees of one row of taps, kw * channels numbers, lies side
   by side in the image; so do the weights of one tap for all filters. The three
   products of a convolution are walks of one tile (tile.h):

     forward   rows are pixels, columns filters, summed over taps
     weights   rows are taps, columns filters, summed over pixels
     image     rows are pixels, columns taps of one row, summed over filters;
               then added to the pixels that the taps saw */

/* The image with its border of zeros, or the image itself where it has none. */
static const REAL *T(padded)(const fd_conv *job, const fd_plan *plan, const REAL *x, REAL *room) {
    const int64_t line = job->width * job->channels, columns = plan->columns * job->channels;
    if (plan->rows == job->height && plan->columns == job->width) return x;
    const int64_t left = job->left * job->channels;
    memset(room, 0, (size_t)plan->image * sizeof *room);
    for (int64_t y = 0; y < job->height; y++)
        memcpy(room + (job->top + y) * columns + left, x + y * line, (size_t)line * sizeof *x);
    return room;
}

/* Where output pixel p begins in the image. */
static inline const REAL *T(seen_by)(const fd_conv *job, const fd_plan *plan, const REAL *image,
                                     int64_t p) {
    const int64_t oy = p / job->ow, ox = p % job->ow;
    return image + (oy * job->sh * plan->columns + ox * job->sw) * job->channels;
}

/* z (pixels, filters) of a padded image. */
static void T(convolve)(const fd_conv *job, const fd_plan *plan, const REAL *weights,
                        const REAL *image, REAL *z) {
    const int64_t filters = job->filters, pixels = job->oh * job->ow;
    const int64_t row = job->kw * job->channels;
    const T(tile_walk) walk = {1, plan->columns * job->channels, filters, row * filters, row,
                               job->kh};
    for (int64_t f = 0; f < filters; f += TILE_COLUMNS)
        EACH_TILE(p, rows, pixels) {
            const REAL *a[TILE_ROWS];
            REAL *c[TILE_ROWS];
            for (int64_t i = 0; i < rows; i++) {
                a[i] = T(seen_by)(job, plan, image, p + i);
                c[i] = z + (p + i) * filters + f;
            }
            T(tile)(rows, &walk, a, weights + f, c, least(TILE_COLUMNS, filters - f), 0);
        }
}

/* dweight += of a padded image and dz (pixels, filters). */
static void T(convolve_weights)(const fd_conv *job, const fd_plan *plan, const REAL *image,
                                const REAL *dz, REAL *dweight) {
    const int64_t filters = job->filters, row = job->kw * job->channels, taps = job->kh * row;
    const int64_t line = plan->columns * job->channels;
    const T(tile_walk) walk = {job->sw * job->channels, job->sh * line, filters,
                               job->ow * filters, job->ow, job->oh};
    for (int64_t f = 0; f < filters; f += TILE_COLUMNS)
        EACH_TILE(t, rows, taps) {
            const REAL *a[TILE_ROWS];
            REAL *c[TILE_ROWS];
            for (int64_t i = 0; i < rows; i++) {
                a[i] = image + (t + i) / row * line + (t + i) % row;
                c[i] = dweight + (t + i) * filters + f;
            }
            T(tile)(rows, &walk, a, dz + f, c, least(TILE_COLUMNS, filters - f), 1);
        }
}

/* dimage = of dz (pixels, filters); `weights` are (kh, filters, kw * channels). */
static void T(convolve_image)(const fd_conv *job, const fd_plan *plan, const REAL *weights,
                              const REAL *dz, REAL *restrict taps, REAL *restrict dimage) {
    const int64_t filters = job->filters, pixels = job->oh * job->ow;
    const int64_t row = job->kw * job->channels, line = plan->columns * job->channels;
    const T(tile_walk) walk = {1, 0, row, 0, filters, 1};
    memset(dimage, 0, (size_t)plan->image * sizeof *dimage);
    for (int64_t ky = 0; ky < job->kh; ky++, weights += filters * row) {
        for (int64_t t = 0; t < row; t += TILE_COLUMNS)
            EACH_TILE(p, rows, pixels) {
                const REAL *a[TILE_ROWS];
                REAL *c[TILE_ROWS];
                for (int64_t i = 0; i < rows; i++) {
                    a[i] = dz + (p + i) * filters;
                    c[i] = taps + (p + i) * row + t;
                }
                T(tile)(rows, &walk, a, weights + t, c, least(TILE_COLUMNS, row - t), 0);
            }
        for (int64_t p = 0; p < pixels; p++) {
            REAL *to = (REAL *)T(seen_by)(job, plan, dimage, p) + ky * line;
            const REAL *from = taps + p * row;
            for (int64_t j = 0; j < row; j++) to[j] += from[j];
        }
    }
}

static void T(conv2d_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_conv_call *call = argument;
    const fd_conv *job = call->job;
    const fd_plan *plan = &call->plan;
    const int64_t filters = job->filters;
    const int64_t result = job->ph ? plan->small : job->oh * job->ow * filters;
    const fd_pool pool = job->ph ? pool_of(job) : (fd_pool){0};
    const int64_t room = take_room(call);
    REAL *image = (REAL *)call->rooms + room * plan->room, *tile = image + plan->image;
    for (int64_t s = begin; s < end; s++) {
        const REAL *x = (const REAL *)job->x + s * job->height * job->width * job->channels;
        REAL *out = (REAL *)job->out + s * result;
        T(convolve)(job, plan, call->weights, T(padded)(job, plan, x, image), job->ph ? tile : out);
        if (job->ph)
            T(max_pool_sample)(&pool, tile, out,
                               job->winners ? job->winners + s * result : NULL);
        T(finish_rows)(out, result / filters, filters, filters, job->bias, job->relu);
    }
    leave_room(call, room);
}

static void T(conv2d)(const fd_conv *job) {
    atomic_flag taken[256] = {0};
    fd_conv_call call = {.job = job, .plan = plan_of(job, 0), .taken = taken};
    REAL *scratch = job->scratch;
    call.weights = job->weight;
    call.rooms = scratch + call.plan.weights;
    if (job->filters % TILE_COLUMNS) { /* tiles read past the last filter */
        memcpy(scratch, job->weight, (size_t)(call.plan.weights - SLACK) * sizeof *scratch);
        memset(scratch + call.plan.weights - SLACK, 0, SLACK * sizeof *scratch);
        call.weights = scratch;
    }
    job->crew.team(T(conv2d_range), &call, job->samples, 1, job->crew.threads);
}

/* dz of sample s, with room behind it to read, and the sums of it. */
static const REAL *T(conv_gradient)(const fd_conv *job, const fd_plan *plan, int64_t s, REAL *tile,
                                    REAL *small, REAL *dbias) {
    const int64_t filters = job->filters, size = plan->tile - SLACK;
    const int64_t result = job->ph ? plan->small : size;
    const REAL *g = (const REAL *)job->dy + s * result;
    if (job->relu) {
        const REAL *y = (const REAL *)job->out + s * result, *dy = g;
        const REAL scale = (REAL)job->scale;
        REAL *to = job->ph ? small : tile;
        for (int64_t j = 0; j < result; j++) to[j] = y[j] > 0 ? dy[j] * scale : 0;
        g = to;
    }
    for (int64_t r = 0; r < result / filters; r++)
        for (int64_t f = 0; f < filters; f++) dbias[f] += g[r * filters + f];
    if (job->ph) {
        const fd_pool pool = pool_of(job);
        T(max_unpool_sample)(&pool, g, job->winners + s * result, tile);
    } else if (g != tile) {
        if (filters % TILE_COLUMNS == 0) return g;
        memcpy(tile, g, (size_t)size * sizeof *tile);
    }
    memset(tile + size, 0, SLACK * sizeof *tile);
    return tile;
}

static void T(conv2d_backward_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_conv_call *call = argument;
    const fd_conv *job = call->job;
    const fd_plan *plan = &call->plan;
    const int64_t line = job->width * job->channels, gradients = conv_gradients(job);
    const int64_t room = take_room(call);
    REAL *image = (REAL *)call->rooms + room * plan->room, *dimage = image + plan->image;
    REAL *tile = dimage + plan->image, *taps = tile + plan->tile, *small = taps + plan->taps;
    for (int64_t part = begin; part < end; part++) {
        REAL *dweight = (REAL *)job->scratch + plan->weights + part * gradients;
        REAL *dbias = dweight + gradients - job->filters;
        memset(dweight, 0, (size_t)gradients * sizeof *dweight);
        const int64_t stop = part_begin(job->samples, call->parts, part + 1);
        for (int64_t s = part_begin(job->samples, call->parts, part); s < stop; s++) {
            const REAL *x = (const REAL *)job->x + s * job->height * line;
            const REAL *dz = T(conv_gradient)(job, plan, s, tile, small, dbias);
            T(convolve_weights)(job, plan, T(padded)(job, plan, x, image), dz, dweight);
            if (!job->dx) continue;
            T(convolve_image)(job, plan, call->weights, dz, taps, dimage);
            REAL *dx = (REAL *)job->dx + s * job->height * line;
            const REAL *from =
                dimage + (job->top * plan->columns + job->left) * job->channels;
            for (int64_t y = 0; y < job->height; y++)
                memcpy(dx + y * line, from + y * plan->columns * job->channels,
                       (size_t)line * sizeof *dx);
        }
    }
    leave_room(call, room);
}

/* Weights (kh, kw * channels, filters) as (kh, filters, kw * channels). */
static void T(transpose_weights)(const fd_conv *job, REAL *restrict to) {
    const int64_t filters = job->filters, row = job->kw * job->channels;
    const REAL *restrict from = job->weight;
    for (int64_t ky = 0; ky < job->kh; ky++)
        for (int64_t f = 0; f < filters; f++)
            for (int64_t t = 0; t < row; t++) *to++ = from[(ky * row + t) * filters + f];
    for (int64_t j = 0; j < SLACK; j++) *to++ = 0;
}

static void T(conv2d_backward)(const fd_conv *job) {
    atomic_flag taken[256] = {0};
    fd_conv_call call = {.job = job, .plan = plan_of(job, 1), .parts = conv_parts(job),
                         .taken = taken};
    const int64_t gradients = conv_gradients(job), weights = gradients - job->filters;
    REAL *scratch = job->scratch;
    const REAL *parts = scratch + call.plan.weights;
    call.weights = scratch;
    call.rooms = scratch + call.plan.weights + call.parts * gradients;
    if (job->dx) T(transpose_weights)(job, scratch);
    job->crew.team(T(conv2d_backward_range), &call, call.parts, 1, job->crew.threads);
    REAL *dweight = job->dweight, *dbias = job->dbias;
    if (!job->accumulate) {
        memset(dweight, 0, (size_t)weights * sizeof *dweight);
        memset(dbias, 0, (size_t)job->filters * sizeof *dbias);
    }
    for (int64_t part = 0; part < call.parts; part++, parts += gradients) {
        EACH(j, weights) dweight[j] += parts[j];
        EACH(f, job->filters) dbias[f] += parts[weights + f];
    }
}
