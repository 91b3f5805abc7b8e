/* The layer kernels, compiled once for each instruction set (FASTDROP_ISA), by
   the compiler's own vectoriser: their loops run over units or channels. */
#include "layers.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "activations.h"
#include "vectors.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define T(name) JOIN(name##_, REAL)
/* Where outputs may be inputs, element for element. */
#define EACH(j, n) _Pragma("GCC ivdep") for (int64_t j = 0; j < (n); j++)

/* Elements that a thread takes at a time: a few microseconds of work. */
enum { GRAIN = 1 << 14 };

static inline float sqrt_of_float(float x) { return sqrtf(x); }
static inline double sqrt_of_double(double x) { return sqrt(x); }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* How many parts a sum over `n` items of `cost` elements each is made of: a
   function of the shapes alone, so that no bit depends on threads. */
static inline int64_t parts_of(int64_t n, int64_t cost) {
    return most(1, least(least(n, FD_BLOCKS), n * cost / GRAIN));
}

/* Where part p of `parts` begins. */
static inline int64_t part_begin(int64_t n, int64_t parts, int64_t p) { return n * p / parts; }

/* Rows and columns of a product that are computed together. */
enum { BLOCK_ROWS = 96, BLOCK_COLUMNS = 128 };

/* A tile of sparse rows: with panels of two vectors eight sums, as many as have to be under
   way at once. */
enum { SPARSE_ROWS = 2, SPARSE_PANELS = 2 };

/* A block is taken for sparse by a few of its rows, of which at most this percentage is not
   zero. 128 x 1024 by 1024 x 1024 on Zen 3 took 0.25 of the time with nothing but zeros, 0.4
   with 90 % of them, 0.65 with 75 %, 0.8 with 70 %, 0.9 with 60 % and as long with half; a
   gradient of weights likewise. Not measured with AVX-512: never there. */
#ifdef FASTDROP_AVX512
enum { SPARSE_SAMPLE = 8, SPARSE_PERCENT = -1 };
#else
enum { SPARSE_SAMPLE = 8, SPARSE_PERCENT = 40 };
#endif

/* Columns of a tile. */
#define TILE_COLUMNS (2 * T(lanes))
#define SPARSE_COLUMNS (SPARSE_PANELS * TILE_COLUMNS)

/* `rows` in tiles of nearly the same size: a tile of one row waits for itself. */
#define EACH_TILE(begin, n, rows)                                                  \
    for (int64_t tiles_ = (rows + TILE_ROWS - 1) / TILE_ROWS, t_ = 0, begin, n;    \
         t_ < tiles_ && (begin = part_begin(rows, tiles_, t_),                     \
                        n = part_begin(rows, tiles_, t_ + 1) - begin, 1);          \
         t_++)

#include "convolution_plan.h"

/* Lanes of a sum along a row, the same in every build, as its bits are. */
enum { SUM_LANES = 8 };

#define REAL float
#define INDEX int32_t
#include "tile.h"
#include "product.h"
#include "pooling.h"
#include "convolution.h"
#include "rows.h"
#include "loss.h"
#include "steps.h"
#include "recurrent.h"
#include "importance.h"
#undef REAL
#undef INDEX

#define REAL double
#define INDEX int64_t
#include "tile.h"
#include "product.h"
#include "pooling.h"
#include "convolution.h"
#include "rows.h"
#include "loss.h"
#include "steps.h"
#include "recurrent.h"
#include "importance.h"

/* A double of [0, 2^16] plus 2^52 is that rounded, half to even, in its low bits. */
static int unit_rates(const double *restrict importance, int64_t units, double rate,
                      double *restrict rates, uint64_t *restrict thresholds,
                      double *restrict scales) {
    const double shift = 0x1p52;
    double largest = 0;
    int64_t strange = 0;
    for (int64_t j = 0; j < units; j++) {
        largest = importance[j] > largest ? importance[j] : largest;
        strange += importance[j] - importance[j] != 0;
    }
    if (strange || !(largest > 0)) return 0;
    uint64_t bits, base;
    memcpy(&base, &shift, sizeof base);
    EACH(j, units) {
        const double one = (1 + importance[j] / -largest) * rate;
        const double shifted = (one < 1 ? one : 1) * 0x1p16 + shift;
        rates[j] = (shifted - shift) * 0x1p-16;
        const double kept = 1 - rates[j];
        memcpy(&bits, &shifted, sizeof bits);
        thresholds[j] = (bits - base) << 16;
        scales[j] = kept > 0 ? 1 / kept : 0;
    }
    return 1;
}

#define BOTH(name) {name##_float, name##_double}

const fd_layers JOIN(fd_layers_, FASTDROP_ISA) = {
    .conv_scratch = conv_scratch,
    .matmul = BOTH(matmul),
    .mostly_zeros = BOTH(mostly_zeros),
    .conv2d = BOTH(conv2d),
    .conv2d_backward = BOTH(conv2d_backward),
    .max_pool = BOTH(max_pool),
    .max_pool_backward = BOTH(max_pool_backward),
    .avg_pool = BOTH(avg_pool),
    .avg_pool_backward = BOTH(avg_pool_backward),
    .relu = BOTH(relu),
    .relu_backward = BOTH(relu_backward),
    .unit_sums = BOTH(unit_sums),
    .magnitude_sums = BOTH(magnitude_sums),
    .moments = BOTH(moments),
    .channel_affine = BOTH(channel_affine),
    .channel_sums = BOTH(channel_sums),
    .channel_affine2 = BOTH(channel_affine2),
    .max_norm = BOTH(max_norm),
    .cross_entropy = BOTH(cross_entropy),
    .sgd = BOTH(sgd),
    .adam = BOTH(adam),
    .rmsprop = BOTH(rmsprop),
    .sum_squares = BOTH(sum_squares),
    .recurrent = BOTH(recurrent),
    .running_mean = BOTH(running_mean),
    .unit_rates = unit_rates,
};
