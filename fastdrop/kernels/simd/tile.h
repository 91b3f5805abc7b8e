/* The inner loop of a convolution: a tile of TILE_ROWS by two vectors that
   stays in registers while products are added to it.

       c[i][j] (+)= sum over r, k of a[i][r * a_run + k * a_step] *
                                    b[r * b_run + k * b_step + j]

   for r < runs and k < run. Each a is one number for all lanes, each b two
   vectors, so that nothing is packed or copied before: an image with channels
   last and weights (kh, kw, C, F) have the layout that this wants. b is read
   up to TILE_COLUMNS elements from j = 0; `columns` of them are stored. */


typedef struct {
    int64_t a_step, a_run, b_step, b_run, run, runs;
} T(tile_walk);

ALWAYS_INLINE void T(tile_rows)(const int rows, const T(tile_walk) *walk, const REAL *const *a,
                                const REAL *b, REAL *const *c, int add) {
    typedef T(vector) vector;
    vector low[TILE_ROWS], high[TILE_ROWS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) low[i] = high[i] = (vector){0};
    for (int64_t r = 0; r < walk->runs; r++) {
        const REAL *at[TILE_ROWS], *bk = b + r * walk->b_run;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) at[i] = a[i] + r * walk->a_run;
        const int64_t stop = walk->run * walk->a_step;
        for (int64_t k = 0; k < stop; k += walk->a_step, bk += walk->b_step) {
            const vector b0 = *(const vector *)bk, b1 = *(const vector *)(bk + T(lanes));
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                const vector one = T(spread)(at[i][k]);
                low[i] = T(fma)(one, b0, low[i]);
                high[i] = T(fma)(one, b1, high[i]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        vector *to = (vector *)c[i], *next = (vector *)(c[i] + T(lanes));
        /* -0, from what was too small, becomes the 0 that one zero more would make of it. */
        low[i] += (vector){0}, high[i] += (vector){0};
        if (add) low[i] += *to, high[i] += *next;
        *to = low[i];
        *next = high[i];
    }
}

/* Rows 1..TILE_ROWS; the last tile of an image has fewer. */
static __attribute__((noinline)) void T(whole_tile)(int64_t rows, const T(tile_walk) *walk,
                                                    const REAL *const *a, const REAL *b,
                                                    REAL *const *c, int add) {
#define TILE(n) \
    case n: T(tile_rows)(n, walk, a, b, c, add); break;
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if TILE_ROWS > 6
        TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
    }
#undef TILE
}

static inline void T(tile)(int64_t rows, const T(tile_walk) *walk, const REAL *const *a,
                           const REAL *b, REAL *const *c, int64_t columns, int add) {
    if (columns == TILE_COLUMNS) {
        T(whole_tile)(rows, walk, a, b, c, add);
        return;
    }
    REAL room[TILE_ROWS][TILE_COLUMNS], *to[TILE_ROWS];
    for (int64_t i = 0; i < rows; i++) to[i] = room[i];
    T(whole_tile)(rows, walk, a, b, to, 0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            c[i][j] = add ? c[i][j] + room[i][j] : room[i][j];
}
