/* The softmax's cross-entropy and its gradient, row by row. */

ALWAYS_INLINE REAL T(sum_of_lanes)(const REAL *lanes) {
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

static void T(cross_entropy_range)(const void *argument, int64_t begin, int64_t end) {
    const fd_rows *job = argument;
    const int64_t classes = job->channels;
    const REAL smoothing = (REAL)job->smoothing, spread = smoothing / (REAL)classes;
    for (int64_t r = begin; r < end; r++) {
        const REAL *z = (const REAL *)job->x + r * classes;
        REAL *dz = (REAL *)job->out + r * classes;
        const int64_t label = job->labels[r];
        REAL largest = z[0], totals[SUM_LANES] = {0}, rests[SUM_LANES] = {0};
        for (int64_t j = 1; j < classes; j++) largest = z[j] > largest ? z[j] : largest;
        for (int64_t j = 0; j < classes; j += SUM_LANES) {
            const int64_t n = least(SUM_LANES, classes - j);
            EACH(k, n) {
                const REAL rest = z[j + k] - largest, power = JOIN(exp_of_, REAL)(rest);
                dz[j + k] = power;
                totals[k] += power;
                rests[k] += rest;
            }
        }
        const REAL total = T(sum_of_lanes)(totals), inverse = 1 / total;
        REAL aim = z[label] - largest;
        /* Not always: 0 times an infinite one is NaN. */
        if (smoothing) {
            aim *= 1 - smoothing;
            aim += smoothing * (T(sum_of_lanes)(rests) / (REAL)classes);
        }
        ((REAL *)job->sums)[r] = (REAL)log((double)total) - aim;
        EACH(j, classes) dz[j] = dz[j] * inverse - spread;
        dz[label] -= 1 - smoothing;
    }
}

static void T(cross_entropy)(const fd_rows *job) {
    const int64_t grain = most(1, GRAIN / most(1, job->channels));
    job->crew.team(T(cross_entropy_range), job, job->rows, grain, job->crew.threads);
}
