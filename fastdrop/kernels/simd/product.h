/* Matrix products, a block of the result at a time.

   Blocks of both factors are copied to where they lie close together, those of
   b in panels as wide as a tile (tile.h) and padded with zeros, and stay in the
   second cache while tiles walk over them, those of sparse.h where a's are mostly zeros (Goto, van de Geijn, "Anatomy of
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

/* Of each pair of rows `half` apart: squares of that size off the diagonal change
   places. */
ALWAYS_INLINE void T(swap_squares)(T(vector) *rows, const int half) {
    enum { N = T(lanes) };
    T(mask) low, high;
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) {
        low[i] = i & half ? N + i - half : i;
        high[i] = low[i] + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < N; i++)
        if (!(i & half)) {
            const T(vector) upper = rows[i], lower = rows[i + half];
            rows[i] = __builtin_shuffle(upper, lower, low);
            rows[i + half] = __builtin_shuffle(upper, lower, high);
        }
}

/* A square of `lanes` rows, `from` apart, transposed. In this way gcc has an
   instruction or two for each row; interleaving rows took twice as many. */
ALWAYS_INLINE void T(transpose_square)(const REAL *b, int64_t from, REAL *to, int64_t apart) {
    enum { N = T(lanes) };
    T(vector) rows[N];
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) rows[i] = *(const T(vector) *)(b + i * from);
    if (N > 8) T(swap_squares)(rows, 8);
    if (N > 4) T(swap_squares)(rows, 4);
    if (N > 2) T(swap_squares)(rows, 2);
    T(swap_squares)(rows, 1);
#pragma GCC unroll 16
    for (int i = 0; i < N; i++) *(T(vector) *)(to + i * apart) = rows[i];
}

/* Not memcpy: where gcc knows a bound of the size it writes "rep movs" or halves
   of a vector, and a product takes 2 to 4 % longer. */
ALWAYS_INLINE void T(copy_run)(const REAL *restrict from, REAL *restrict to, int64_t n) {
    typedef T(vector) vector;
    int64_t j = 0;
    for (; j + T(lanes) <= n; j += T(lanes)) *(vector *)(to + j) = *(const vector *)(from + j);
    for (; j < n; j++) to[j] = from[j];
}

/* A block of b: `depth` by `columns` from `at`, and the steps from an element to
   the next of its column and of its row, one of which is 1. */
typedef struct {
    const REAL *at;
    int64_t row, column, depth, columns;
} T(b_block);

/* In panels: `depth` rows of TILE_COLUMNS each. Row by row where rows are as they
   lie in memory: panel by panel, each 64 bytes came from another page. */
static void T(copy_panels)(const T(b_block) *b, REAL *restrict panels) {
    const int64_t row = b->row, column = b->column, depth = b->depth;
    const int64_t whole = b->columns / TILE_COLUMNS * TILE_COLUMNS;
    if (column == 1)
        for (int64_t k = 0; k < depth; k++)
            for (int64_t c = 0; c < whole; c += TILE_COLUMNS)
                T(copy_run)(b->at + k * row + c, panels + c * depth + k * TILE_COLUMNS,
                            TILE_COLUMNS);
    for (int64_t c = column == 1 ? whole : 0; c < b->columns; c += TILE_COLUMNS) {
        const int64_t n = least(TILE_COLUMNS, b->columns - c);
        const REAL *from = b->at + c * column;
        REAL *panel = panels + c * depth;
        int64_t k = 0;
        if (n < TILE_COLUMNS) memset(panel, 0, (size_t)(depth * TILE_COLUMNS) * sizeof *panel);
        else if (row == 1)
            for (; k + T(lanes) <= depth; k += T(lanes))
                for (int64_t j = 0; j < n; j += T(lanes))
                    T(transpose_square)(from + k + j * column, column,
                                        panel + k * TILE_COLUMNS + j, TILE_COLUMNS);
        for (; k < depth; k++)
            for (int64_t j = 0; j < n; j++)
                panel[k * TILE_COLUMNS + j] = from[k * row + j * column];
    }
}

/* Part p of `parts` of a block, towards the second cache. */
static inline void T(fetch)(const T(b_block) *b, int64_t parts, int64_t p) {
    const int64_t runs = b->column == 1 ? b->depth : b->columns;
    const int64_t run = b->column == 1 ? b->columns : b->depth;
    const int64_t apart = b->column == 1 ? b->row : b->column;
    for (int64_t r = part_begin(runs, parts, p); r < part_begin(runs, parts, p + 1); r++)
        for (int64_t j = 0; j < run; j += 64 / sizeof(REAL))
            __builtin_prefetch(b->at + r * apart + j, 0, 2);
}

#include "sparse.h"

/* Rows of a block of a, from its transpose where that is what there is. */
static void T(copy_rows)(const REAL *a, int64_t from, int transposed, int64_t rows,
                         int64_t depth, REAL *restrict block, int64_t apart) {
    if (!transposed) {
        for (int64_t j = 0; j < rows; j++) T(copy_run)(a + j * from, block + j * apart, depth);
        return;
    }
    const int64_t square_rows = rows / T(lanes) * T(lanes);
    int64_t k = 0;
    for (; k + T(lanes) <= depth; k += T(lanes))
        for (int64_t j = 0; j < square_rows; j += T(lanes))
            T(transpose_square)(a + k * from + j, from, block + j * apart + k, apart);
    for (int64_t j = 0; j < rows; j++)
        for (int64_t l = j < square_rows ? k : 0; l < depth; l++)
            block[j * apart + l] = a[l * from + j];
}

/* Columns [c, c + columns) of rows [r, r + rows) of the result. Meanwhile the
   block of b that comes next is fetched, from wherever the weights are: 4 to 6 %
   of a forward product. */
static void T(multiply)(const fd_product *job, int64_t r, int64_t rows, int64_t c,
                        int64_t columns) {
    const int64_t m = job->m, n = job->n, depth_in_all = job->k;
    const int64_t row = job->transpose_b ? 1 : n, column = job->transpose_b ? job->k : 1;
    /* Rows apart by a little more than a power of two, which they often are:
       else all of a tile's rows meet in the same few places of the cache. */
    enum { APART = T(DEPTH) + 64 / sizeof(REAL) };
    _Alignas(64) REAL panels[T(DEPTH) * BLOCK_COLUMNS], block[BLOCK_ROWS * APART];
    const int64_t from = job->transpose_a ? m : depth_in_all; /* row to row of a, in memory */
    const int64_t panel_columns = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS * TILE_COLUMNS;
    const int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS * (panel_columns / TILE_COLUMNS);
    for (int64_t k = 0; k < depth_in_all || k == 0; k += T(DEPTH)) {
        const int64_t depth = least(T(DEPTH), depth_in_all - k), below = k + depth;
        const T(b_block) b = {(const REAL *)job->b + k * row + c * column, row, column, depth,
                              columns};
        T(b_block) next = b;
        if (below < depth_in_all) {
            next.at += depth * row;
            next.depth = least(T(DEPTH), depth_in_all - below);
        } else {
            next.at += columns * column - k * row;
            next.depth = least(T(DEPTH), depth_in_all);
            next.columns = least(BLOCK_COLUMNS, n - c - columns);
        }
        int64_t tile = 0;
        int finite = -1; /* not known */
        T(copy_panels)(&b, panels);
        for (int64_t i = 0; i < rows; i += BLOCK_ROWS) {
            const int64_t count = least(BLOCK_ROWS, rows - i);
            const REAL *a = (const REAL *)job->a + (job->transpose_a ? k * m + r + i
                                                                     : (r + i) * from + k);
            const int sparse = job->transpose_a ? T(is_sparse)(a, from, depth, count)
                                                : T(is_sparse)(a, from, count, depth);
            if (sparse && finite < 0) finite = T(all_finite)(panels, depth * panel_columns);
            if (sparse && finite) {
                T(copy_rows)(a, from, job->transpose_a, count, depth, block, APART);
                const T(sparse_walk) walk = {block, APART, count, depth, panels, columns,
                                             (REAL *)job->out + (r + i) * n + c, n,
                                             k > 0 || job->accumulate};
                T(multiply_sparse)(&walk, &next, rows, i);
                tile += (count + TILE_ROWS - 1) / TILE_ROWS * (panel_columns / TILE_COLUMNS);
                continue;
            }
            if (job->transpose_a)
                for (int64_t j = 0; j < depth; j++)
                    T(copy_run)(a + j * from, block + j * BLOCK_ROWS, count);
            else
                for (int64_t j = 0; j < count; j++)
                    T(copy_run)(a + j * from, block + j * APART, depth);
            const T(tile_walk) walk = {job->transpose_a ? BLOCK_ROWS : 1, 0, TILE_COLUMNS, 0,
                                       depth, 1};
            const int64_t apart = job->transpose_a ? 1 : APART;
            for (int64_t p = 0; p < columns; p += TILE_COLUMNS)
                EACH_TILE(t, height, count) {
                    const REAL *at[TILE_ROWS];
                    REAL *to[TILE_ROWS];
                    T(fetch)(&next, tiles, tile++);
                    for (int64_t j = 0; j < height; j++) {
                        at[j] = block + (t + j) * apart;
                        to[j] = (REAL *)job->out + (r + i + t + j) * n + c + p;
                        /* 10 % of a product into megabytes, such as a gradient. */
                        __builtin_prefetch(to[j], 1);
                    }
                    T(tile)(height, &walk, at, panels + p * depth, to,
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
        const int64_t strips = (n + SPARSE_COLUMNS - 1) / SPARSE_COLUMNS;
        const int64_t start = part_begin(strips, grid->column_parts, j) * SPARSE_COLUMNS;
        const int64_t stop =
            least(n, part_begin(strips, grid->column_parts, j + 1) * SPARSE_COLUMNS);
        for (int64_t c = start; c < stop; c += BLOCK_COLUMNS) {
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
       rows would copy all of b again. No part of columns is a little more than a
       block, which would have the rest walk over all of a for a few of them. */
    if (job->n >= 2 * BLOCK_COLUMNS)
        grid.column_parts = least(parts, (job->n + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS);
    if (grid.column_parts == 1)
        grid.row_parts = most(1, least(parts, 2 * job->m / BLOCK_ROWS));
    job->crew.team(T(matmul_part), &grid, grid.row_parts * grid.column_parts, 1,
                   job->crew.threads);
}
