/* The layer kernels as Cython sees them: a job each, and for every instruction
   set a table of functions. The meaning of each is stated in kernels/layers.py. */
#ifndef FASTDROP_LAYERS_H
#define FASTDROP_LAYERS_H

#include <stdint.h>

#include "team.h"

/* Who computes: the team that shares out work, and how many of it. Every job
   has one. */
typedef struct {
    fd_team *team;
    int threads;
} fd_crew;

typedef struct {
    fd_crew crew;
    const void *a, *b, *bias;
    void *out;
    int64_t m, n, k;
    int transpose_a, transpose_b, relu, accumulate;
} fd_product;

typedef struct {
    fd_crew crew;
    const void *x, *weight, *bias;
    void *out; /* forward: what is computed; backward: what was, y */
    uint8_t *winners;
    const void *dy;
    void *dx, *dweight, *dbias;
    double scale;
    int64_t samples, height, width, channels, filters, oh, ow;
    int64_t kh, kw, sh, sw, top, left;
    int64_t ph, pw; /* the pool's window, 0 without one */
    int relu, accumulate;
    void *scratch;
} fd_conv;

typedef struct {
    fd_crew crew;
    const void *x; /* what comes in: forward x, backward dy */
    void *out;
    uint8_t *winners;
    /* The large image is (samples, height, width, channels), the small one
       (samples, oh, ow, channels). */
    int64_t samples, height, width, channels, oh, ow, ph, pw, sh, sw;
} fd_pool;

/* Arrays of (rows, channels), or of n elements in all. */
typedef struct {
    fd_crew crew;
    const void *x, *y;
    void *out;
    const void *a, *b, *c;
    void *sums, *products;
    int64_t rows, channels;
    double scale, smoothing;
    const int64_t *labels;
    int accumulate;
    void *partial; /* of the parts of a sum */
} fd_rows;

typedef struct {
    fd_crew crew;
    void *param, *first, *second;
    const void *grad;
    int64_t n;
    double learning_rate, factor, beta_1, beta_2, root, epsilon, decay;
    int nesterov;
    double *partial;
} fd_step;

/* Samples (N, T, features) through a recurrent layer: forward h and c are the
   states, backward the gradients by them. */
typedef struct {
    fd_crew crew;
    const void *weight, *bias, *mask, *zone_h, *zone_c, *first, *dy;
    void *z, *h, *c, *fed, *kept, *out, *dz, *dr;
    const int64_t *lengths;
    /* How many steps and gates have a mask of their own, 1 if all have the same. */
    int64_t samples, steps, units, gates, mask_steps, mask_gates, zone_h_steps, zone_c_steps;
    int backward;
    void *panels; /* of the weight: units a multiple of FD_PANEL, and 64 bytes */
} fd_recurrent;

enum { FD_PANEL = 32 }; /* most columns of a tile */
enum { FD_BLOCKS = 16 }; /* most parts of a sum; each has its place in `partial` */

typedef void fd_product_run(const fd_product *);
typedef int fd_zeros(const void *x, int64_t rows, int64_t columns);
typedef void fd_conv_run(const fd_conv *);
typedef void fd_pool_run(const fd_pool *);
typedef void fd_rows_run(const fd_rows *);
typedef void fd_step_run(const fd_step *);
typedef void fd_recurrent_run(const fd_recurrent *);

/* For float and double. */
typedef struct {
    int64_t (*conv_scratch)(const fd_conv *, int backward); /* elements */
    fd_product_run *matmul[2];
    fd_zeros *mostly_zeros[2];
    fd_conv_run *conv2d[2], *conv2d_backward[2];
    fd_pool_run *max_pool[2], *max_pool_backward[2], *avg_pool[2], *avg_pool_backward[2];
    fd_rows_run *relu[2], *relu_backward[2], *unit_sums[2], *magnitude_sums[2], *moments[2], *channel_affine[2],
        *channel_sums[2], *channel_affine2[2], *max_norm[2], *cross_entropy[2];
    fd_step_run *sgd[2], *adam[2], *rmsprop[2], *sum_squares[2];
    fd_recurrent_run *recurrent[2];
    void (*running_mean[2])(double *mean, const void *sums, int64_t units, double keep, double share);
    int (*unit_rates)(const double *importance, int64_t units, double rate, double *rates,
                      uint64_t *thresholds, double *scales);
} fd_layers;

/* Those of an instruction set that this processor has, by its name. */
const fd_layers *fd_isa_layers(const char *name);

#endif
