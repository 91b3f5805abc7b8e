/* Matrix products: BLAS on one thread for each block of the result. */

/* C = A B (+ C where beta is 1), row by row: for BLAS, which counts columns
   first, the transposed of all three. */
static void T(gemm)(const fd_crew *crew, int ta, int tb, int64_t m, int64_t n, int64_t k,
                    const REAL *a, int64_t lda, const REAL *b, int64_t ldb, REAL beta, REAL *c,
                    int64_t ldc) {
    int m_ = (int)m, n_ = (int)n, k_ = (int)k, lda_ = (int)lda, ldb_ = (int)ldb, ldc_ = (int)ldc;
    REAL one = 1;
    crew->GEMM(tb ? "T" : "N", ta ? "T" : "N", &n_, &m_, &k_, &one, (REAL *)b, &ldb_, (REAL *)a,
               &lda_, &beta, c, &ldc_);
}

/* y = max(y + bias, 0), or one of the two. NaN stays: no comparison holds. */
static void T(finish_rows)(REAL *y, int64_t rows, int64_t n, int64_t stride, const REAL *bias,
                           int relu) {
    for (int64_t r = 0; r < rows; r++, y += stride) {
        if (bias) EACH(j, n) y[j] += bias[j];
        if (relu) EACH(j, n) y[j] = 0 > y[j] ? 0 : y[j];
    }
}

/* Blocks of the result: enough for a few threads, and each so large (2^26
   operations) that BLAS is at its full speed. */
typedef struct {
    const fd_product *job;
    int64_t row_parts, column_parts;
} T(product_blocks);

static void T(matmul_block)(const void *argument, int64_t begin, int64_t end) {
    const T(product_blocks) *blocks = argument;
    const fd_product *job = blocks->job;
    const int64_t m = job->m, n = job->n, k = job->k;
    for (int64_t p = begin; p < end; p++) {
        int64_t i = p / blocks->column_parts, j = p % blocks->column_parts;
        int64_t r = part_begin(m, blocks->row_parts, i);
        int64_t rows = part_begin(m, blocks->row_parts, i + 1) - r;
        int64_t c = part_begin(n, blocks->column_parts, j);
        int64_t columns = part_begin(n, blocks->column_parts, j + 1) - c;
        const int64_t lda = job->transpose_a ? m : k, ldb = job->transpose_b ? k : n;
        const REAL *a = (const REAL *)job->a + (job->transpose_a ? r : r * lda);
        const REAL *b = (const REAL *)job->b + (job->transpose_b ? c * ldb : c);
        REAL *out = (REAL *)job->out + r * n + c;
        T(gemm)(&job->crew, job->transpose_a, job->transpose_b, rows, columns, k, a, lda, b, ldb,
                job->accumulate, out, n);
        const REAL *bias = job->bias ? (const REAL *)job->bias + c : NULL;
        if (bias || job->relu) T(finish_rows)(out, rows, columns, n, bias, job->relu);
    }
}

static void T(matmul)(const fd_product *job) {
    double operations = 2.0 * (double)job->m * (double)job->n * (double)job->k;
    int64_t parts = most(1, (int64_t)(operations / (1 << 26)));
    T(product_blocks) blocks = {job, 1, 1};
    parts = least(parts, FD_BLOCKS);
    if (job->n >= job->m) blocks.column_parts = most(1, least(parts, job->n / 64));
    else blocks.row_parts = most(1, least(parts, job->m / 64));
    job->crew.team(T(matmul_block), &blocks, blocks.row_parts * blocks.column_parts, 1,
                   job->crew.threads);
}
