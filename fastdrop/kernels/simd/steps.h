/* Optimisers: one pass over a parameter, its gradient and what is remembered. */

static void T(sgd_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_step *job = argument;
    REAL *restrict param = (REAL *)job->param + begin;
    const REAL *restrict grad = (const REAL *)job->grad + begin;
    REAL *restrict velocity = job->first ? (REAL *)job->first + begin : NULL;
    const REAL rate = (REAL)job->learning_rate, momentum = (REAL)job->beta_1;
    const REAL factor = (REAL)job->factor;
    const int64_t n = end - begin;
    if (!velocity) {
        for (int64_t j = 0; j < n; j++) param[j] -= rate * (grad[j] * factor);
    } else if (job->nesterov) {
        for (int64_t j = 0; j < n; j++) {
            REAL g = grad[j] * factor, v = momentum * velocity[j] + g;
            velocity[j] = v;
            param[j] -= rate * (g + momentum * v);
        }
    } else {
        for (int64_t j = 0; j < n; j++) {
            REAL v = momentum * velocity[j] + grad[j] * factor;
            velocity[j] = v;
            param[j] -= rate * v;
        }
    }
}

static void T(adam_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_step *job = argument;
    REAL *restrict param = (REAL *)job->param + begin;
    const REAL *restrict grad = (const REAL *)job->grad + begin;
    REAL *restrict moment = (REAL *)job->first + begin;
    REAL *restrict square = (REAL *)job->second + begin;
    const REAL rate = (REAL)job->learning_rate, factor = (REAL)job->factor;
    const REAL b1 = (REAL)job->beta_1, b2 = (REAL)job->beta_2;
    const REAL c1 = (REAL)(1 - job->beta_1), c2 = (REAL)(1 - job->beta_2);
    const REAL root = (REAL)job->root, epsilon = (REAL)job->epsilon;
    const REAL stay = (REAL)(1 - job->decay);
    for (int64_t j = 0; j < end - begin; j++) {
        REAL g = grad[j] * factor;
        REAL m = b1 * moment[j] + c1 * g, s = b2 * square[j] + c2 * (g * g);
        moment[j] = m;
        square[j] = s;
        param[j] = param[j] * stay - rate * m / (T(sqrt_of)(s) * root + epsilon);
    }
}

static void T(rmsprop_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_step *job = argument;
    REAL *restrict param = (REAL *)job->param + begin;
    const REAL *restrict grad = (const REAL *)job->grad + begin;
    REAL *restrict square = (REAL *)job->first + begin;
    REAL *restrict velocity = job->second ? (REAL *)job->second + begin : NULL;
    const REAL rate = (REAL)job->learning_rate, factor = (REAL)job->factor;
    const REAL rho = (REAL)job->beta_2, rest = (REAL)(1 - job->beta_2);
    const REAL momentum = (REAL)job->beta_1, epsilon = (REAL)job->epsilon;
    for (int64_t j = 0; j < end - begin; j++) {
        REAL g = grad[j] * factor, s = rho * square[j] + rest * (g * g);
        square[j] = s;
        REAL v = g / (T(sqrt_of)(s) + epsilon);
        if (velocity) velocity[j] = v = momentum * velocity[j] + v;
        param[j] -= rate * v;
    }
}

static void T(each_element)(const fd_step *job, fd_work *work) {
    job->crew.team(work, job, job->n, GRAIN, job->crew.threads);
}

static void T(sgd)(const fd_step *job) { T(each_element)(job, T(sgd_range)); }
static void T(adam)(const fd_step *job) { T(each_element)(job, T(adam_range)); }
static void T(rmsprop)(const fd_step *job) { T(each_element)(job, T(rmsprop_range)); }

static void T(squares_part)(const void *argument, int64_t begin, int64_t end) {
    const fd_step *job = argument;
    const int64_t parts = parts_of(job->n, 1);
    for (int64_t p = begin; p < end; p++) {
        const int64_t stop = part_begin(job->n, parts, p + 1);
        double sum[8] = {0};
        int64_t j = part_begin(job->n, parts, p);
        const REAL *x = job->grad;
        for (; j + 8 <= stop; j += 8)
            for (int lane = 0; lane < 8; lane++) sum[lane] += (double)x[j + lane] * (double)x[j + lane];
        for (; j < stop; j++) sum[0] += (double)x[j] * (double)x[j];
        job->partial[p] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) +
                          ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    }
}

/* Into partial[0]. */
static void T(sum_squares)(const fd_step *job) {
    const int64_t parts = parts_of(job->n, 1);
    job->crew.team(T(squares_part), job, parts, 1, job->crew.threads);
    for (int64_t p = 1; p < parts; p++) job->partial[0] += job->partial[p];
}
