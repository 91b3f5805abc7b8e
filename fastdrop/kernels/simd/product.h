/* Matrix products, a block of the result at a time.

   Blocks of both factors are copied to where they lie close together, those of
   b in panels as wide as a tile (tile.h) and padded with zeros, and stay in the
   second cache while tiles walk over them (Goto, van de Geijn, "Anatomy of
   high-performance matrix multiplication", 2008).

   Not BLAS's: 128 x 1024 by 1024 x 1024 on two threads, in turn with the rest of
   a training step, ran at 118 to 122 GFLOP/s by SciPy's OpenBLAS, one thread a
   block, and at 112 to 148 by this (two AVX2 cores that other guests shared);
   and OpenBLAS's threads have to be held back and set free around every call. */

/* y = max(y + bias, 0), or one of the two. NaN stays: no comparison holds. */
static void T(finish_rows)(REAL *y, int64_t rows, int64_t n, int64_t stride, const REAL *bias,
                           int relu) {
    for (int64_t r = 0; r < rows; r++, y += stride) {
        if (bias) EACH(j, n) y[j] += bias[j];
        if (relu) EACH(j, n) y[j] = 0 > y[j] ? 0 : y[j];
    }
}

/* What a copied block of a factor may hold: rows or columns, and depth. */
enum { T(DEPTH) = 1024 / sizeof(REAL) };

/* A square of `lanes` rows, `from` apart, transposed: half of the rows are
   interleaved with the other half, as often as the size can be halved. */
ALWAYS_INLINE void T(transpose_square)(const REAL *b, int64_t from, REAL *to, int64_t apart) {
    typedef T(vector) vector;
    enum { N = T(lanes) };
    vector rows[N], next[N];
    T(mask) low, high;
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) {
        rows[i] = *(const vector *)(b + i * from);
        low[i] = i % 2 * N + i / 2;
        high[i] = low[i] + N / 2;
    }
#pragma GCC unroll 4
    for (int size = N; size > 1; size /= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < N / 2; i++) {
            next[2 * i] = __builtin_shuffle(rows[i], rows[i + N / 2], low);
            next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + N / 2], high);
        }
#pragma GCC unroll 16
        for (int i = 0; i < N; i++) rows[i] = next[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) *(vector *)(to + i * apart) = rows[i];
}

/* b[k0.., c..] in panels: `depth` rows of TILE_COLUMNS each. `row` and `column`
   are the steps from an element to the next of its column and of its row. */
static void T(copy_panels)(const REAL *restrict b, int64_t row, int64_t column, int64_t depth,
                           int64_t columns, REAL *restrict panels) {
    for (int64_t c = 0; c < columns; c += TILE_COLUMNS, panels += depth * TILE_COLUMNS) {
        const int64_t n = least(TILE_COLUMNS, columns - c);
        if (n < TILE_COLUMNS)
            memset(panels, 0, (size_t)(depth * TILE_COLUMNS) * sizeof *panels);
        if (column == 1 && n == TILE_COLUMNS)
            for (int64_t k = 0; k < depth; k++)
                memcpy(panels + k * TILE_COLUMNS, b + k * row + c, TILE_COLUMNS * sizeof *b);
        else {
            int64_t k = 0;
            if (row == 1 && n == TILE_COLUMNS)
                for (; k + T(lanes) <= depth; k += T(lanes))
                    for (int64_t j = 0; j < n; j += T(lanes))
                        T(transpose_square)(b + k + (c + j) * column, column,
                                            panels + k * TILE_COLUMNS + j, TILE_COLUMNS);
            for (; k < depth; k++)
                for (int64_t j = 0; j < n; j++)
                    panels[k * TILE_COLUMNS + j] = b[k * row + (c + j) * column];
        }
    }
}

/* Columns [c, c + columns) of rows [r, r + rows) of the result. */
static void T(multiply)(const fd_product *job, int64_t r, int64_t rows, int64_t c,
                        int64_t columns) {
    const int64_t m = job->m, n = job->n, depth_in_all = job->k;
    const int64_t row = job->transpose_b ? 1 : n, column = job->transpose_b ? job->k : 1;
    /* Rows apart by a little more than a power of two, which they often are:
       else all of a tile's rows meet in the same few places of the cache. */
    enum { APART = T(DEPTH) + 64 / sizeof(REAL) };
    _Alignas(64) REAL panels[T(DEPTH) * BLOCK_COLUMNS], block[BLOCK_ROWS * APART];
    for (int64_t k = 0; k < depth_in_all || k == 0; k += T(DEPTH)) {
        const int64_t depth = least(T(DEPTH), depth_in_all - k);
        T(copy_panels)((const REAL *)job->b + k * row + c * column, row, column, depth, columns,
                       panels);
        for (int64_t i = 0; i < rows; i += BLOCK_ROWS) {
            const int64_t count = least(BLOCK_ROWS, rows - i);
            if (job->transpose_a) {
                const REAL *a = (const REAL *)job->a + k * m + r + i;
                for (int64_t j = 0; j < depth; j++)
                    memcpy(block + j * BLOCK_ROWS, a + j * m, (size_t)count * sizeof *a);
            } else {
                const REAL *a = (const REAL *)job->a + (r + i) * depth_in_all + k;
                for (int64_t j = 0; j < count; j++)
                    memcpy(block + j * APART, a + j * depth_in_all, (size_t)depth * sizeof *a);
            }
            const T(tile_walk) walk = {job->transpose_a ? BLOCK_ROWS : 1, 0, TILE_COLUMNS, 0,
                                       depth, 1};
            const int64_t apart = job->transpose_a ? 1 : APART;
            for (int64_t p = 0; p < columns; p += TILE_COLUMNS)
                EACH_TILE(t, height, count) {
                    const REAL *from[TILE_ROWS];
                    REAL *to[TILE_ROWS];
                    for (int64_t j = 0; j < height; j++) {
                        from[j] = block + (t + j) * apart;
                        to[j] = (REAL *)job->out + (r + i + t + j) * n + c + p;
                    }
                    T(tile)(height, &walk, from, panels + p * depth, to,
                            least(TILE_COLUMNS, columns - p), k > 0 || job->accumulate);
                }
        }
    }
}

/* A grid over the result, of parts of at least 2^20 operations, some tens of
   microseconds. */
typedef struct {
    const fd_product *job;
    int64_t row_parts, column_parts;
} T(product_grid);

static void T(matmul_part)(const void *argument, int64_t begin, int64_t end) {
    const T(product_grid) *grid = argument;
    const fd_product *job = grid->job;
    const int64_t m = job->m, n = job->n;
    for (int64_t p = begin; p < end; p++) {
        const int64_t i = p / grid->column_parts, j = p % grid->column_parts;
        const int64_t r = part_begin(m, grid->row_parts, i);
        const int64_t rows = part_begin(m, grid->row_parts, i + 1) - r;
        const int64_t stop = part_begin(n, grid->column_parts, j + 1);
        for (int64_t c = part_begin(n, grid->column_parts, j); c < stop; c += BLOCK_COLUMNS) {
            const int64_t columns = least(BLOCK_COLUMNS, stop - c);
            REAL *out = (REAL *)job->out + r * n + c;
            T(multiply)(job, r, rows, c, columns);
            const REAL *bias = job->bias ? (const REAL *)job->bias + c : NULL;
            if (bias || job->relu) T(finish_rows)(out, rows, columns, n, bias, job->relu);
        }
    }
}

static void T(matmul)(const fd_product *job) {
    const double operations = 2.0 * (double)job->m * (double)job->n * (double)job->k;
    const int64_t parts = least(FD_BLOCKS, most(1, (int64_t)(operations / (1 << 20))));
    T(product_grid) grid = {job, 1, 1};
    /* Rows are parted only where there are too few columns: each part of the
       rows would copy all of b again. */
    grid.column_parts = most(1, least(parts, job->n / BLOCK_COLUMNS));
    if (grid.column_parts == 1)
        grid.row_parts = most(1, least(parts, 2 * job->m / BLOCK_ROWS));
    job->crew.team(T(matmul_part), &grid, grid.row_parts * grid.column_parts, 1,
                   job->crew.threads);
}
