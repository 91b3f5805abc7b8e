/* Rates by importance, for AdaptiveDropout; included once for each REAL. */

/* mean = keep * mean + share * sums, unless one of the sums is inf or NaN. */
static void T(running_mean)(double *restrict mean, const void *by_unit, int64_t units, double keep,
                            double share) {
    const REAL *sums = by_unit;
    int64_t strange = 0;
    for (int64_t j = 0; j < units; j++) strange += sums[j] - sums[j] != 0;
    if (strange) return;
    EACH(j, units) mean[j] = keep * mean[j] + share * (double)sums[j];
}
