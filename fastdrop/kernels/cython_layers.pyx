# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""The layer kernels in Cython over loops in C (the folder simd).

As many threads as the mask kernels have, and the same ones. Checked against
``numpy_layers``, against plain loops and against PyTorch.
"""

import numpy as np

from fastdrop.kernels import cython_kernels

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint64_t

cnp.import_array()

cdef extern from "simd/layers.h" nogil:
    ctypedef struct fd_team:
        pass
    enum: FD_BLOCKS
    enum: FD_PANEL

    ctypedef struct fd_crew:
        fd_team *team
        int threads

    ctypedef struct fd_product:
        fd_crew crew
        const void *a
        const void *b
        const void *bias
        void *out
        int64_t m, n, k
        int transpose_a, transpose_b, relu, accumulate

    ctypedef struct fd_conv:
        fd_crew crew
        const void *x
        const void *weight
        const void *bias
        void *out
        uint8_t *winners
        const void *dy
        void *dx
        void *dweight
        void *dbias
        double scale
        int64_t samples, height, width, channels, filters, oh, ow
        int64_t kh, kw, sh, sw, top, left, ph, pw
        int relu, accumulate
        void *scratch

    ctypedef struct fd_pool:
        fd_crew crew
        const void *x
        void *out
        uint8_t *winners
        int64_t samples, height, width, channels, oh, ow, ph, pw, sh, sw

    ctypedef struct fd_rows:
        fd_crew crew
        const void *x
        const void *y
        void *out
        const void *a
        const void *b
        const void *c
        void *sums
        void *products
        int64_t rows, channels
        double scale, smoothing
        const int64_t *labels
        int accumulate
        void *partial

    ctypedef struct fd_step:
        fd_crew crew
        void *param
        void *first
        void *second
        const void *grad
        int64_t n
        double learning_rate, factor, beta_1, beta_2, root, epsilon, decay
        int nesterov
        double *partial

    ctypedef struct fd_recurrent:
        fd_crew crew
        const void *weight
        const void *bias
        const void *mask
        const void *zone_h
        const void *zone_c
        const void *first
        const void *dy
        void *z
        void *h
        void *c
        void *fed
        void *kept
        void *out
        void *dz
        void *dr
        const int64_t *lengths
        int64_t samples, steps, units, gates
        int64_t mask_steps, mask_gates, zone_h_steps, zone_c_steps
        int backward
        void *panels

    ctypedef void fd_product_run(const fd_product *job) noexcept
    ctypedef void fd_conv_run(const fd_conv *job) noexcept
    ctypedef void fd_pool_run(const fd_pool *job) noexcept
    ctypedef void fd_rows_run(const fd_rows *job) noexcept
    ctypedef void fd_step_run(const fd_step *job) noexcept
    ctypedef void fd_recurrent_run(const fd_recurrent *job) noexcept
    ctypedef int64_t fd_scratch_size(const fd_conv *job, int backward) noexcept

    ctypedef struct fd_layers:
        fd_scratch_size *conv_scratch
        fd_product_run *matmul[2]
        int (*mostly_zeros[2])(const void *x, int64_t rows, int64_t columns) noexcept
        fd_conv_run *conv2d[2]
        fd_conv_run *conv2d_backward[2]
        fd_pool_run *max_pool[2]
        fd_pool_run *max_pool_backward[2]
        fd_pool_run *avg_pool[2]
        fd_pool_run *avg_pool_backward[2]
        fd_rows_run *relu[2]
        fd_rows_run *relu_backward[2]
        fd_rows_run *unit_sums[2]
        fd_rows_run *magnitude_sums[2]
        fd_rows_run *moments[2]
        fd_rows_run *channel_affine[2]
        fd_rows_run *channel_sums[2]
        fd_rows_run *channel_affine2[2]
        fd_rows_run *max_norm[2]
        fd_rows_run *cross_entropy[2]
        fd_step_run *sgd[2]
        fd_step_run *adam[2]
        fd_step_run *rmsprop[2]
        fd_step_run *sum_squares[2]
        fd_recurrent_run *recurrent[2]
        void (*running_mean[2])(double *mean, const void *sums, int64_t units, double keep,
                                double share) noexcept
        int (*unit_rates)(const double *importance, int64_t units, double rate, double *rates,
                          uint64_t *thresholds, double *scales) noexcept

    const fd_layers *fd_isa_layers(const char *name) noexcept

cdef size_t TEAM = cython_kernels.TEAM
cdef const fd_layers *kernels = fd_isa_layers(cython_kernels.isa().encode())


cdef inline fd_crew crew(int threads) noexcept:
    cdef fd_crew found
    found.team = <fd_team *>TEAM
    found.threads = min(max(threads, 1), 256)
    return found


cdef inline void *data(x) noexcept:
    """Where an array's elements are; NULL for None."""
    return NULL if x is None else cnp.PyArray_DATA(<cnp.ndarray>x)


cdef inline int real_of(cnp.ndarray x) noexcept nogil:
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64


def matmul(cnp.ndarray a, cnp.ndarray b, cnp.ndarray out, bint transpose_a, bint transpose_b,
           bias, bint relu, bint accumulate, int threads):
    cdef fd_product job
    job.crew = crew(threads)
    job.a, job.b, job.bias, job.out = data(a), data(b), data(bias), data(out)
    job.m, job.n = out.shape[0], out.shape[1]
    job.k = a.shape[0] if transpose_a else a.shape[1]
    job.transpose_a, job.transpose_b = transpose_a, transpose_b
    job.relu, job.accumulate = relu, accumulate
    with nogil:
        kernels.matmul[real_of(out)](&job)


def mostly_zeros_at(size_t x, int itemsize, int64_t rows, int64_t columns):
    """Whether `matmul_at` leaves out the zeros of a left factor that lies so."""
    return bool(kernels.mostly_zeros[itemsize == 8](<const void *>x, rows, columns))


def matmul_at(size_t a, size_t b, size_t out, int itemsize, int64_t m, int64_t n, int64_t k,
              bint transpose_a, bint transpose_b, size_t bias, int threads):
    """`matmul` of memory at addresses, `bias` 0 for none, into (m, n), on the threads of
    ``cython_kernels.apply_at``."""
    cdef fd_product job
    job.crew = crew(threads)
    if threads > 1:
        job.crew.team = <fd_team *><size_t>cython_kernels.openmp_address()
    job.a, job.b = <const void *>a, <const void *>b
    job.bias, job.out = <const void *>bias, <void *>out
    job.m, job.n, job.k = m, n, k
    job.transpose_a, job.transpose_b = transpose_a, transpose_b
    job.relu = job.accumulate = 0
    with nogil:
        kernels.matmul[itemsize == 8](&job)


cdef fd_conv conv_of(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray out, tuple strides,
                     tuple padding, tuple pool, int threads):
    """What a pool leaves out is not computed."""
    cdef fd_conv job
    job.crew = crew(threads)
    job.x, job.weight, job.out, job.bias = data(x), data(weight), data(out), NULL
    job.dx = job.dweight = job.dbias = job.scratch = NULL
    job.dy, job.winners = NULL, NULL
    job.scale, job.relu, job.accumulate = 1, 0, 0
    job.samples, job.height, job.width, job.channels = (
        x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    job.kh, job.kw, job.filters = weight.shape[0], weight.shape[1], weight.shape[3]
    job.ph, job.pw = pool
    job.oh, job.ow = out.shape[1] * max(pool[0], 1), out.shape[2] * max(pool[1], 1)
    job.sh, job.sw = strides
    job.top, job.left = padding
    return job


def conv2d_scratch(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray out, tuple strides,
                   tuple padding, tuple pool, bint backward, int threads):
    cdef fd_conv job = conv_of(x, weight, out, strides, padding, pool, threads)
    return kernels.conv_scratch(&job, backward)


def conv2d(cnp.ndarray x, cnp.ndarray weight, bias, cnp.ndarray out, winners, tuple strides,
           tuple padding, bint relu, tuple pool, cnp.ndarray scratch, int threads):
    cdef fd_conv job = conv_of(x, weight, out, strides, padding, pool, threads)
    job.bias, job.winners, job.relu = data(bias), <uint8_t *>data(winners), relu
    job.scratch = data(scratch)
    with nogil:
        kernels.conv2d[real_of(x)](&job)


def conv2d_backward(cnp.ndarray x, cnp.ndarray weight, cnp.ndarray y, winners, cnp.ndarray dy, dx,
                    cnp.ndarray dweight, cnp.ndarray dbias, double scale, tuple strides,
                    tuple padding, bint relu, tuple pool, bint accumulate, cnp.ndarray scratch,
                    int threads):
    cdef fd_conv job = conv_of(x, weight, y, strides, padding, pool, threads)
    job.winners, job.dy, job.dx = <uint8_t *>data(winners), data(dy), data(dx)
    job.dweight, job.dbias = data(dweight), data(dbias)
    job.scale, job.relu, job.accumulate = scale, relu, accumulate
    job.scratch = data(scratch)
    with nogil:
        kernels.conv2d_backward[real_of(x)](&job)


cdef fd_pool pool_of(cnp.ndarray large, cnp.ndarray small, tuple pool, tuple strides, int threads):
    cdef fd_pool job
    job.crew = crew(threads)
    job.winners = NULL
    job.samples, job.height, job.width, job.channels = (
        large.shape[0], large.shape[1], large.shape[2], large.shape[3])
    job.oh, job.ow = small.shape[1], small.shape[2]
    job.ph, job.pw = pool
    job.sh, job.sw = strides
    return job


def max_pool(cnp.ndarray x, cnp.ndarray out, winners, tuple pool, tuple strides, int threads):
    cdef fd_pool job = pool_of(x, out, pool, strides, threads)
    job.x, job.out, job.winners = data(x), data(out), <uint8_t *>data(winners)
    with nogil:
        kernels.max_pool[real_of(x)](&job)


def max_pool_backward(cnp.ndarray dy, cnp.ndarray winners, cnp.ndarray dx, tuple pool,
                      tuple strides, int threads):
    cdef fd_pool job = pool_of(dx, dy, pool, strides, threads)
    job.x, job.out, job.winners = data(dy), data(dx), <uint8_t *>data(winners)
    with nogil:
        kernels.max_pool_backward[real_of(dx)](&job)


def avg_pool(cnp.ndarray x, cnp.ndarray out, tuple pool, tuple strides, int threads):
    cdef fd_pool job = pool_of(x, out, pool, strides, threads)
    job.x, job.out = data(x), data(out)
    with nogil:
        kernels.avg_pool[real_of(x)](&job)


def avg_pool_backward(cnp.ndarray dy, cnp.ndarray dx, tuple pool, tuple strides, int threads):
    cdef fd_pool job = pool_of(dx, dy, pool, strides, threads)
    job.x, job.out = data(dy), data(dx)
    with nogil:
        kernels.avg_pool_backward[real_of(dx)](&job)


cdef fd_rows rows_of(cnp.ndarray x, y, out, int64_t rows, int64_t channels, int threads):
    cdef fd_rows job
    job.crew = crew(threads)
    job.x, job.y, job.out = data(x), data(y), data(out)
    job.a = job.b = job.c = NULL
    job.sums = job.products = NULL
    job.rows, job.channels, job.scale, job.accumulate = rows, channels, 1, 0
    job.labels, job.smoothing, job.partial = NULL, 0, NULL
    return job


def relu(cnp.ndarray x, cnp.ndarray out, int threads):
    cdef fd_rows job = rows_of(x, None, out, x.size, 1, threads)
    with nogil:
        kernels.relu[real_of(x)](&job)


def relu_backward(cnp.ndarray y, cnp.ndarray dy, cnp.ndarray out, int threads):
    cdef fd_rows job = rows_of(dy, y, out, y.size, 1, threads)
    with nogil:
        kernels.relu_backward[real_of(y)](&job)


def unit_sums(cnp.ndarray dy, y, dz, cnp.ndarray sums, double scale, bint accumulate, int threads):
    cdef fd_rows job = rows_of(dy, y, dz, dy.shape[0], dy.shape[1], threads)
    partial = np.empty(FD_BLOCKS * dy.shape[1], dy.dtype)
    job.sums, job.scale, job.accumulate = data(sums), scale, accumulate
    job.partial = data(partial)
    with nogil:
        kernels.unit_sums[real_of(dy)](&job)


def magnitude_sums(cnp.ndarray x, cnp.ndarray sums, int threads):
    cdef fd_rows job = rows_of(x, None, None, x.shape[0], x.shape[1], threads)
    partial = np.empty(FD_BLOCKS * x.shape[1], x.dtype)
    job.sums, job.partial = data(sums), data(partial)
    with nogil:
        kernels.magnitude_sums[real_of(x)](&job)


def running_mean(cnp.ndarray mean, cnp.ndarray sums, double keep, double share):
    kernels.running_mean[real_of(sums)](<double *>data(mean), data(sums), sums.size, keep, share)


def unit_rates(cnp.ndarray importance, double rate, cnp.ndarray rates, cnp.ndarray thresholds,
               cnp.ndarray scales):
    return bool(kernels.unit_rates(<const double *>data(importance), importance.size, rate,
                                   <double *>data(rates), <uint64_t *>data(thresholds),
                                   <double *>data(scales)))


def moments(cnp.ndarray x, cnp.ndarray mean, cnp.ndarray variance, int threads):
    cdef fd_rows job = rows_of(x, None, None, x.shape[0], x.shape[1], threads)
    partial = np.empty(2 * FD_BLOCKS * x.shape[1])
    job.sums, job.products, job.partial = data(mean), data(variance), data(partial)
    with nogil:
        kernels.moments[real_of(x)](&job)


def channel_sums(cnp.ndarray x, cnp.ndarray dy, cnp.ndarray mean, cnp.ndarray sums,
                 cnp.ndarray products, int threads):
    cdef fd_rows job = rows_of(x, dy, None, x.shape[0], x.shape[1], threads)
    partial = np.empty(2 * FD_BLOCKS * x.shape[1])
    job.a, job.sums, job.products = data(mean), data(sums), data(products)
    job.partial = data(partial)
    with nogil:
        kernels.channel_sums[real_of(x)](&job)


def channel_affine(cnp.ndarray x, cnp.ndarray a, cnp.ndarray b, cnp.ndarray out, int threads):
    cdef fd_rows job = rows_of(x, None, out, x.shape[0], x.shape[1], threads)
    job.a, job.b = data(a), data(b)
    with nogil:
        kernels.channel_affine[real_of(x)](&job)


def channel_affine2(cnp.ndarray x, cnp.ndarray y, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c,
                    cnp.ndarray out, int threads):
    cdef fd_rows job = rows_of(x, y, out, x.shape[0], x.shape[1], threads)
    job.a, job.b, job.c = data(a), data(b), data(c)
    with nogil:
        kernels.channel_affine2[real_of(x)](&job)


cdef fd_step step_of(cnp.ndarray grad, param, first, second, double learning_rate, double factor,
                     int threads):
    cdef fd_step job
    job.crew = crew(threads)
    job.param, job.first, job.second, job.grad = data(param), data(first), data(second), data(grad)
    job.n, job.learning_rate, job.factor = grad.size, learning_rate, factor
    job.beta_1 = job.beta_2 = job.epsilon = job.decay = 0
    job.root, job.nesterov = 1, 0
    job.partial = NULL
    return job


def sgd(cnp.ndarray param, cnp.ndarray grad, velocity, double learning_rate, double momentum,
        bint nesterov, double factor, int threads):
    cdef fd_step job = step_of(grad, param, velocity, None, learning_rate, factor, threads)
    job.beta_1, job.nesterov = momentum, nesterov
    with nogil:
        kernels.sgd[real_of(param)](&job)


def adam(cnp.ndarray param, cnp.ndarray grad, cnp.ndarray moment, cnp.ndarray square,
         double learning_rate, double beta_1, double beta_2, double root, double epsilon,
         double decay, double factor, int threads):
    cdef fd_step job = step_of(grad, param, moment, square, learning_rate, factor, threads)
    job.beta_1, job.beta_2, job.root = beta_1, beta_2, root
    job.epsilon, job.decay = epsilon, decay
    with nogil:
        kernels.adam[real_of(param)](&job)


def rmsprop(cnp.ndarray param, cnp.ndarray grad, cnp.ndarray square, velocity,
            double learning_rate, double rho, double momentum, double epsilon, double factor,
            int threads):
    cdef fd_step job = step_of(grad, param, square, velocity, learning_rate, factor, threads)
    job.beta_1, job.beta_2, job.epsilon = momentum, rho, epsilon
    with nogil:
        kernels.rmsprop[real_of(param)](&job)


def sum_squares(cnp.ndarray x, int threads):
    cdef fd_step job = step_of(x, None, None, None, 0, 1, threads)
    cdef double partial[FD_BLOCKS]
    job.partial = partial
    with nogil:
        kernels.sum_squares[real_of(x)](&job)
    return partial[0]


def max_norm(cnp.ndarray weight, double limit, int threads):
    cdef fd_rows job = rows_of(weight, None, weight, weight.shape[0], weight.shape[1], threads)
    job.scale = limit
    with nogil:
        kernels.max_norm[real_of(weight)](&job)


def cross_entropy(cnp.ndarray z, cnp.ndarray labels, double smoothing, cnp.ndarray dz,
                  cnp.ndarray losses, int threads):
    cdef fd_rows job = rows_of(z, None, dz, z.shape[0], z.shape[1], threads)
    job.labels, job.smoothing = <const int64_t *>data(labels), smoothing
    job.sums = data(losses)
    with nogil:
        kernels.cross_entropy[real_of(z)](&job)


cdef fd_recurrent recurrent_of(cnp.ndarray z, cnp.ndarray weight, mask, zone_h, zone_c, h, c, kept,
                               out, lengths, int threads):
    cdef fd_recurrent job
    job.crew = crew(threads)
    job.samples, job.steps, job.units = z.shape[0], z.shape[1], weight.shape[0]
    job.gates = weight.shape[1] // weight.shape[0]
    job.z, job.weight, job.mask = data(z), data(weight), data(mask)
    job.zone_h, job.zone_c = data(zone_h), data(zone_c)
    job.mask_steps, job.mask_gates = (1, 1) if mask is None else mask.shape[:2]
    job.zone_h_steps = 1 if zone_h is None else len(zone_h)
    job.zone_c_steps = 1 if zone_c is None else len(zone_c)
    job.h, job.c, job.kept, job.out = data(h), data(c), data(kept), data(out)
    job.lengths = <const int64_t *>data(lengths)
    job.bias = job.first = job.dy = NULL
    job.fed = job.dz = job.dr = job.panels = NULL
    job.backward = 0
    return job


cdef void run_recurrent(fd_recurrent *job, cnp.ndarray weight):
    panel = (job.units + FD_PANEL - 1) // FD_PANEL * FD_PANEL
    panels = np.empty(panel * weight.shape[1] + 64 // weight.itemsize, weight.dtype)
    job.panels = data(panels)
    cdef int real = real_of(weight)
    with nogil:
        kernels.recurrent[real](job)


def recurrent(cnp.ndarray z, cnp.ndarray weight, bias, mask, zone_h, zone_c, cnp.ndarray h, c,
              cnp.ndarray fed, kept, cnp.ndarray out, lengths, int threads):
    cdef fd_recurrent job = recurrent_of(z, weight, mask, zone_h, zone_c, h, c, kept, out, lengths,
                                         threads)
    job.bias, job.fed = data(bias), data(fed)
    run_recurrent(&job, weight)


def recurrent_backward(cnp.ndarray z, cnp.ndarray weight, mask, zone_h, zone_c, first, kept, out,
                       dy, cnp.ndarray dh, dc, cnp.ndarray dz, cnp.ndarray dr, lengths,
                       int threads):
    cdef fd_recurrent job = recurrent_of(z, weight, mask, zone_h, zone_c, dh, dc, kept, out,
                                         lengths, threads)
    job.first, job.dy, job.dz, job.dr = data(first), data(dy), data(dz), data(dr)
    job.backward = 1
    run_recurrent(&job, weight)
