/* Rows of a product's left factor that are mostly zeros, as dropout and ReLU leave
   them: three of four elements behind a rate of 0.5.

   A row's products are added up in the order of the whole row but for its zeros, which
   add nothing to anything: the bits are those of tile.h, as long as the right factor is
   finite. */

/* How many of n elements are not zero. */
ALWAYS_INLINE int64_t T(count_places)(const REAL *row, int64_t n) {
    int64_t found = 0, k = 0;
#if defined FASTDROP_AVX512 || defined FASTDROP_AVX2
    for (; k + 8 <= n; k += 8) found += __builtin_popcount(T(nonzero8)(row + k));
#endif
    for (; k < n; k++) found += row[k] != 0;
    return found;
}

/* Whether a block, `apart` from row to row, is mostly zeros, by a few of its rows. Those are
   at uneven distances: every so many rows may be padding. */
static int T(is_sparse)(const REAL *block, int64_t apart, int64_t rows, int64_t columns) {
    const int64_t some = least(SPARSE_SAMPLE, rows);
    int64_t found = 0;
    for (int64_t s = 0; s < some; s++) {
        const int64_t row = part_begin(rows, some, s) + (5 * s + 1) % (rows / some);
        found += T(count_places)(block + row * apart, columns);
    }
    return found * 100 <= some * columns * SPARSE_PERCENT;
}

/* The same of a whole matrix, for who has another way to multiply what is not. */
static int T(mostly_zeros)(const void *x, int64_t rows, int64_t columns) {
    return T(is_sparse)(x, columns, rows, columns);
}

/* Whether no element of panels, a multiple of TILE_COLUMNS of them, is inf or NaN: then a
   zero times one of them adds nothing. */
static int T(all_finite)(const REAL *panels, int64_t n) {
    typedef T(vector) vector;
    vector even = {0}, odd = {0};
    REAL strange = 0;
    for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
        const vector low = *(const vector *)(panels + j);
        const vector high = *(const vector *)(panels + j + T(lanes));
        even += low - low;
        odd += high - high;
    }
    even += odd;
    for (int l = 0; l < T(lanes); l++) strange += even[l];
    return strange == 0;
}

/* The places where n elements of a row are not zero, and how many there are; with room for
   eight more. `zero` is one where there is a zero, if there is any. */
ALWAYS_INLINE int64_t T(list_places)(const REAL *row, int64_t n, uint8_t *restrict places,
                                   uint8_t *zero) {
    int64_t found = 0, k = 0, some = 0;
#if defined FASTDROP_AVX512 || defined FASTDROP_AVX2
    for (; k + 8 <= n; k += 8) {
        const unsigned bits = T(nonzero8)(row + k);
        const uint64_t eight = set_bits[bits] + (uint64_t)k * UINT64_C(0x0101010101010101);
        memcpy(places + found, &eight, sizeof eight);
        found += __builtin_popcount(bits);
        some = bits == 255 ? some : k + __builtin_ctz(~bits);
    }
#endif
    for (; k < n; k++) {
        places[found] = (uint8_t)k;
        some = row[k] != 0 ? some : k;
        found += row[k] != 0;
    }
    *zero = (uint8_t)some;
    return found;
}

/* c[i] (+)= the products of the `n` elements of row a[i] at `places[i]` with panels,
   `apart` from each other. */
ALWAYS_INLINE void T(sparse_tile)(const int panels, const REAL *const a[SPARSE_ROWS],
                                  const uint8_t *const places[SPARSE_ROWS], int64_t n,
                                  const REAL *b, int64_t apart, REAL *const c[SPARSE_ROWS],
                                  int add) {
    typedef T(vector) vector;
    vector low[SPARSE_ROWS][SPARSE_PANELS], high[SPARSE_ROWS][SPARSE_PANELS];
#pragma GCC unroll 4
    for (int i = 0; i < SPARSE_ROWS; i++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) low[i][p] = high[i][p] = (vector){0};
    for (int64_t l = 0; l < n; l++)
#pragma GCC unroll 4
        for (int i = 0; i < SPARSE_ROWS; i++) {
            const int64_t k = places[i][l];
            const vector one = T(spread)(a[i][k]);
            const REAL *bk = b + k * TILE_COLUMNS;
#pragma GCC unroll 4
            for (int p = 0; p < panels; p++) {
                low[i][p] = T(fma)(one, *(const vector *)(bk + p * apart), low[i][p]);
                high[i][p] = T(fma)(one, *(const vector *)(bk + p * apart + T(lanes)), high[i][p]);
            }
        }
#pragma GCC unroll 4
    for (int i = 0; i < SPARSE_ROWS; i++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) {
            vector *to = (vector *)(c[i] + p * TILE_COLUMNS);
            low[i][p] += (vector){0}, high[i][p] += (vector){0};
            if (add) low[i][p] += to[0], high[i][p] += to[1];
            to[0] = low[i][p];
            to[1] = high[i][p];
        }
}

/* c (+)= a block of a, of rows `apart` from each other, times panels as deep; rows of c are
   `from_row` from each other. */
typedef struct {
    const REAL *a;
    int64_t apart, rows, depth;
    const REAL *panels;
    int64_t columns;
    REAL *c;
    int64_t from_row;
    int add;
} T(sparse_walk);

/* Of a few rows at a time, the shorter lists go on with a zero. Meanwhile the parts of the
   next block of b for these rows, from `first` on, of all rows are fetched. */
static __attribute__((noinline)) void T(multiply_sparse)(const T(sparse_walk) *walk,
                                                         const T(b_block) *next, int64_t all_rows,
                                                         int64_t first) {
    enum { WIDTH = SPARSE_COLUMNS };
    const int64_t rows = walk->rows, depth = walk->depth, columns = walk->columns;
    const int64_t widths = (columns + WIDTH - 1) / WIDTH, step = depth * TILE_COLUMNS;
    uint8_t places[BLOCK_ROWS][T(DEPTH) + 8], zero[BLOCK_ROWS];
    int64_t found[BLOCK_ROWS];
    /* For what is not of c: the rest of a panel, and an odd last row's second time. */
    REAL room[SPARSE_ROWS][WIDTH] = {{0}};
    for (int64_t r = 0; r < rows; r++)
        found[r] = T(list_places)(walk->a + r * walk->apart, depth, places[r], &zero[r]);
    for (int64_t r = 0; r < rows; r += SPARSE_ROWS) {
        int64_t longest = 0;
        const int64_t stop = least(r + SPARSE_ROWS, rows);
        for (int64_t i = r; i < stop; i++) longest = most(longest, found[i]);
        for (int64_t i = r; i < stop; i++)
            memset(places[i] + found[i], zero[i], (size_t)(longest - found[i]));
        found[r] = longest;
    }
    for (int64_t j = 0; j < columns; j += WIDTH) {
        const int64_t width = least(WIDTH, columns - j);
        const REAL *b = walk->panels + j * depth;
        for (int64_t r = 0; r < rows; r += SPARSE_ROWS) {
            const REAL *from[SPARSE_ROWS];
            const uint8_t *at[SPARSE_ROWS];
            REAL *to[SPARSE_ROWS];
            for (int64_t i = 0; i < SPARSE_ROWS; i++) {
                const int64_t row = least(r + i, rows - 1);
                T(fetch)(next, all_rows * widths, first * widths + j / WIDTH * rows + row);
                from[i] = walk->a + row * walk->apart;
                at[i] = places[row];
                /* A tenth of a product into megabytes. */
                REAL *out = walk->c + row * walk->from_row + j;
                __builtin_prefetch(out, 1);
                __builtin_prefetch(out + 64 / sizeof(REAL), 1);
                to[i] = width == WIDTH && row == r + i ? out : room[i];
            }
            if (width == WIDTH) {
                T(sparse_tile)(SPARSE_PANELS, from, at, found[r], b, step, to, walk->add);
                continue;
            }
            for (int64_t q = 0; q < width; q += TILE_COLUMNS) {
                T(sparse_tile)(1, from, at, found[r], b + q * depth, step, to, 0);
                for (int64_t i = 0; i < least(SPARSE_ROWS, rows - r); i++) {
                    REAL *out = walk->c + (r + i) * walk->from_row + j + q;
                    for (int64_t l = 0; l < least(TILE_COLUMNS, width - q); l++)
                        out[l] = walk->add ? out[l] + room[i][l] : room[i][l];
                }
            }
        }
    }
}
