# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The mask kernels in Cython over a SIMD core in C (the folder simd).

The core is built once for each instruction set and the best one that this
processor has is used; ``FASTDROP_ISA`` chooses another. Checked, each build,
against ``reference`` and the known answers of Philox4x32-10.
"""

import os

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport strcmp

cnp.import_array()

cdef extern from "simd/stream.h" nogil:
    const uint32_t PHILOX_M0, PHILOX_M1, PHILOX_W0, PHILOX_W1
    const int ROUNDS "PHILOX_ROUNDS"
    const int DIGIT "DIGIT_BITS"

cdef extern from "simd/masks.h" nogil:
    ctypedef struct fd_job:
        const void *x
        const void *y
        void *out
        int64_t outer, shared, inner
        uint64_t key, stream, offset
        uint32_t threshold
        double a, b, c
        int64_t rates
        const uint64_t *thresholds
        const uint16_t *highs
        const uint16_t *ordered
        int ties
        const void *as_ "as"
        const void *bs
        const void *cs
        int bc_vary
        int streams

    ctypedef void fd_range(const fd_job *job, int64_t begin, int64_t end) noexcept

    ctypedef struct fd_kernels:
        int (*high_digits)(const uint64_t *thresholds, int64_t n, uint16_t *highs) noexcept
        void (*ordered_highs)(const uint16_t *highs, int64_t n, uint16_t *ordered) noexcept
        fd_range *keep
        fd_range *keep_rates
        fd_range *apply[2]
        fd_range *apply_rates[2]
        fd_range *blend[2]
        fd_range *blend_rates[2]
        fd_range *uniforms[2]
        fd_range *normals[2]
        fd_range *multiply_normals[2]
        fd_range *apply_turned[2]
        fd_range *scaled_copy[2]

    enum: FD_PLACES
    const char *fd_isa_name(int i) noexcept
    const fd_kernels *fd_isa_kernels(int i) noexcept
    int64_t fd_cache_bytes() noexcept

cdef extern from "simd/team.h" nogil:
    ctypedef void fd_work(const void *job, int64_t begin, int64_t end) noexcept
    ctypedef void fd_team(fd_work *work, const void *job, int64_t n, int64_t grain,
                          int threads) noexcept
    fd_team fd_team_run, fd_team_run_layer

PHILOX_MULTIPLIERS = (PHILOX_M0, PHILOX_M1)
PHILOX_INCREMENTS = (PHILOX_W0, PHILOX_W1)
PHILOX_ROUNDS = ROUNDS
DIGIT_BITS = DIGIT

# Elements that a thread takes at a time: a few microseconds of work, in whole groups of
# draws (192 or 384), which a rest would take as long as.
cdef enum: GRAIN = 3 << 12
# Below this a call takes about as long as giving the GIL away and back.
cdef enum: WITH_GIL = 1 << 13
# Rates are repeated up to here, so that loops over them are long; and to whole
# sixty-fours, which are decided at once, where those are no more than these.
cdef enum: RATES_LEAST = 1024
cdef enum: RATES_MOST = 1 << 13
# What the last cache holds. A result that leaves no room there is written past
# it, which saves reading it first: 0.9 to 1.1 of the copy against 0.4 to 0.7.
cdef int64_t CACHE_BYTES = fd_cache_bytes()

cdef const fd_kernels *kernels = NULL
cdef str isa_in_use


def isa():
    """Name of the instruction set in use."""
    return isa_in_use


def _isas():
    names = []
    while fd_isa_name(len(names)) != NULL:
        names.append(fd_isa_name(len(names)).decode())
    return tuple(names)


# The instruction sets that this processor can run, the best first.
ISAS = _isas()


def _choose_isa():
    global kernels, isa_in_use
    isa_in_use = os.environ.get("FASTDROP_ISA") or ISAS[0]
    if isa_in_use not in ISAS:
        raise ValueError(
            f"FASTDROP_ISA must be one of {', '.join(ISAS)} on this processor, got {isa_in_use!r}"
        )
    kernels = fd_isa_kernels(ISAS.index(isa_in_use))


_choose_isa()


cdef fd_team *team = fd_team_run
cdef str team_in_use = "pool"


def team_name():
    """Whose threads compute: "pool" or "openmp"."""
    return team_in_use


def _choose_team():
    global team, team_in_use
    name = os.environ.get("FASTDROP_TEAM") or "pool"
    if name not in ("pool", "openmp"):
        raise ValueError(f"FASTDROP_TEAM must be one of pool, openmp, got {name!r}")
    if name == "openmp":
        team = _openmp()
        if team is NULL:
            raise ImportError(
                "FASTDROP_TEAM=openmp: the compiler that built fastdrop had no OpenMP; "
                "unset it, or install one that has and build again"
            )
    team_in_use = name


cdef fd_team *_openmp() except? NULL:
    """OpenMP's threads, or NULL where fastdrop was built without."""
    try:
        from fastdrop.kernels import openmp_team
    except ImportError:
        return NULL
    return <fd_team *><size_t>openmp_team.ADDRESS


_choose_team()

# For the layer kernels: a process has one team.
TEAM = <size_t>(fd_team_run_layer if team is fd_team_run else team)


cdef inline int real_of(cnp.ndarray x) noexcept:
    return cnp.PyArray_TYPE(x) == cnp.NPY_FLOAT64


cdef inline void run(fd_range *work, fd_job *job, int64_t n, int threads) noexcept:
    run_on(team, work, job, n, threads)


cdef inline void run_on(
    fd_team *members, fd_range *work, fd_job *job, int64_t n, int threads
) noexcept:
    if n <= WITH_GIL:
        if n > 0:
            work(job, 0, n)
        return
    with nogil:
        members(<fd_work *>work, job, n, GRAIN, threads)


cdef inline fd_job job_of(
    cnp.ndarray x, cnp.ndarray out, int64_t outer, int64_t shared, int64_t inner,
    uint64_t key, uint64_t stream, uint64_t offset,
) noexcept:
    return job_at(cnp.PyArray_DATA(x), cnp.PyArray_DATA(out), outer, shared, inner,
                  key, stream, offset)


cdef inline fd_job job_at(
    const void *x, void *out, int64_t outer, int64_t shared, int64_t inner,
    uint64_t key, uint64_t stream, uint64_t offset,
) noexcept:
    cdef fd_job job
    job.x, job.y, job.out = x, NULL, out
    job.outer, job.shared, job.inner = outer, shared, inner
    job.key, job.stream, job.offset = key, stream, offset
    return job


cdef cnp.ndarray cycle(cnp.ndarray values, int64_t rates):
    """`values` over and over, `rates` in all."""
    return values if values.size == rates else np.resize(values, rates)


cdef int64_t cycle_length(cnp.ndarray values):
    cdef int64_t rates = values.size, whole = rates
    while whole % 64:
        whole *= 2
    if whole > RATES_MOST:
        whole = rates
    return whole * ((RATES_LEAST + whole - 1) // whole)


cdef object set_thresholds(fd_job *job, cnp.ndarray thresholds):
    """Thresholds of a job, over and over; what has to stay as long as the job."""
    cdef cnp.ndarray highs = None
    job.rates = cycle_length(thresholds)
    thresholds = cycle(thresholds, job.rates)
    job.thresholds = <const uint64_t *>cnp.PyArray_DATA(thresholds)
    job.highs = job.ordered = NULL
    if job.rates <= RATES_MOST:
        highs = np.empty(2 * job.rates, np.uint16)
        job.highs = <const uint16_t *>cnp.PyArray_DATA(highs)
        job.ties = kernels.high_digits(job.thresholds, job.rates, <uint16_t *>job.highs)
        if job.rates % 64 == 0:
            job.ordered = job.highs + job.rates
            kernels.ordered_highs(job.highs, job.rates, <uint16_t *>job.ordered)
    return thresholds, highs


cdef object set_rates(fd_job *job, cnp.ndarray thresholds, cnp.ndarray a, cnp.ndarray b,
                      cnp.ndarray c):
    """The same with what elements are multiplied by and replaced with."""
    held = set_thresholds(job, thresholds)
    a = cycle(a, job.rates)
    job.bc_vary = b.size > 1 or c.size > 1
    if job.bc_vary:
        b, c = cycle(b, job.rates), cycle(c, job.rates)
    job.as_, job.bs, job.cs = cnp.PyArray_DATA(a), cnp.PyArray_DATA(b), cnp.PyArray_DATA(c)
    return held, a, b, c


def apply(cnp.ndarray x, cnp.ndarray out, int64_t outer, int64_t shared, int64_t inner,
          uint64_t key, uint64_t stream, uint64_t offset,
          uint32_t threshold, double a, double b, double c, int threads):
    cdef fd_job job = job_of(x, out, outer, shared, inner, key, stream, offset)
    set_noise(&job, x.nbytes, threshold, a, b, c)
    run(kernels.apply[real_of(x)], &job, outer * shared * inner, threads)


cdef fd_team *openmp = NULL


cdef fd_team *openmp_team():
    """OpenMP's threads, from the first call on; or the team in use."""
    global openmp
    if openmp is NULL:
        openmp = _openmp()
        if openmp is NULL:
            openmp = team
    return openmp


def openmp_address():
    """The same for the layer kernels."""
    return <size_t>openmp_team()


def apply_at(size_t x, size_t out, int itemsize, int64_t outer, int64_t shared, int64_t inner,
             uint64_t key, uint64_t stream, uint64_t offset,
             uint32_t threshold, double a, double b, double c, int threads):
    """`apply` of memory at two addresses, on OpenMP's threads, which go on spinning after the
    operations that a program of tensors has around it. An array of a tensor's memory would take
    as long as the noise of a small one."""
    cdef int64_t n = outer * shared * inner
    cdef fd_job job = job_at(<const void *>x, <void *>out, outer, shared, inner,
                             key, stream, offset)
    set_noise(&job, n * itemsize, threshold, a, b, c)
    run_on(openmp_team() if threads > 1 else team, kernels.apply[itemsize == 8], &job, n, threads)


def apply_turned(size_t x, size_t out, int itemsize, int64_t outer, int64_t shared, int64_t inner,
                 uint64_t key, uint64_t stream, uint64_t offset,
                 uint32_t threshold, double a, double b, double c, int threads):
    """`apply_at` of what lies as (outer, inner, shared), its channels last, with a draw for
    each element, numbered as (outer, shared, inner)."""
    cdef fd_job job = job_at(<const void *>x, <void *>out, outer, shared, inner,
                             key, stream, offset)
    cdef int64_t tiles = outer * ((inner + FD_PLACES - 1) // FD_PLACES)
    cdef fd_team *members = openmp_team()
    cdef fd_range *work = kernels.apply_turned[itemsize == 8]
    set_noise(&job, outer * shared * inner * itemsize, threshold, a, b, c)
    with nogil:
        members(<fd_work *>work, &job, tiles, 1, threads)


cdef inline void set_noise(
    fd_job *job, int64_t nbytes, uint32_t threshold, double a, double b, double c
) noexcept:
    job.threshold, job.a, job.b, job.c = threshold, a, b, c
    job.streams = job.x != job.out and 2 * nbytes > CACHE_BYTES


def apply_rates(cnp.ndarray x, cnp.ndarray out, int64_t outer, int64_t shared, int64_t inner,
                uint64_t key, uint64_t stream, uint64_t offset,
                cnp.ndarray thresholds, cnp.ndarray a, cnp.ndarray b, cnp.ndarray c,
                int threads):
    cdef fd_job job = job_of(x, out, outer, shared, inner, key, stream, offset)
    held = set_rates(&job, thresholds, a, b, c)
    run(kernels.apply_rates[real_of(x)], &job, outer * shared * inner, threads)


def blend(cnp.ndarray x, cnp.ndarray y, cnp.ndarray out,
          int64_t outer, int64_t shared, int64_t inner,
          uint64_t key, uint64_t stream, uint64_t offset, uint32_t threshold, int threads):
    cdef fd_job job = job_of(x, out, outer, shared, inner, key, stream, offset)
    job.y, job.threshold = cnp.PyArray_DATA(y), threshold
    run(kernels.blend[real_of(x)], &job, outer * shared * inner, threads)


def blend_rates(cnp.ndarray x, cnp.ndarray y, cnp.ndarray out,
                int64_t outer, int64_t shared, int64_t inner,
                uint64_t key, uint64_t stream, uint64_t offset,
                cnp.ndarray thresholds, int threads):
    cdef fd_job job = job_of(x, out, outer, shared, inner, key, stream, offset)
    held = set_thresholds(&job, thresholds)
    job.y = cnp.PyArray_DATA(y)
    run(kernels.blend_rates[real_of(x)], &job, outer * shared * inner, threads)


def keep(cnp.ndarray out, uint64_t key, uint64_t stream, uint64_t offset, uint32_t threshold,
         int threads):
    cdef fd_job job = job_of(out, out, out.size, 1, 1, key, stream, offset)
    job.threshold = threshold
    run(kernels.keep, &job, out.size, threads)


def keep_rates(cnp.ndarray out, uint64_t key, uint64_t stream, uint64_t offset,
               cnp.ndarray thresholds, int threads):
    cdef fd_job job = job_of(out, out, out.size, 1, 1, key, stream, offset)
    held = set_thresholds(&job, thresholds)
    run(kernels.keep_rates, &job, out.size, threads)


def uniforms(cnp.ndarray out, uint64_t key, uint64_t stream, uint64_t offset, int threads):
    cdef fd_job job = job_of(out, out, out.size, 1, 1, key, stream, offset)
    run(kernels.uniforms[real_of(out)], &job, out.size, threads)


def normals(cnp.ndarray out, uint64_t key, uint64_t stream, uint64_t offset, int threads):
    cdef fd_job job = job_of(out, out, out.size, 1, 1, key, stream, offset)
    run(kernels.normals[real_of(out)], &job, out.size, threads)


def multiply_normals(cnp.ndarray x, cnp.ndarray out, int64_t outer, int64_t shared, int64_t inner,
                     uint64_t key, uint64_t stream, uint64_t offset,
                     cnp.ndarray stddevs, int threads):
    cdef fd_job job = job_of(x, out, outer, shared, inner, key, stream, offset)
    job.rates = cycle_length(stddevs)
    stddevs = cycle(stddevs, job.rates)
    job.as_ = cnp.PyArray_DATA(stddevs)
    run(kernels.multiply_normals[real_of(x)], &job, outer * shared * inner, threads)


def scaled_copy(cnp.ndarray x, cnp.ndarray out, double a, int threads):
    """``out = a * x`` by the same threads: what the mask kernels are measured against."""
    cdef fd_job job = job_of(x, out, x.size, 1, 1, 0, 0, 0)
    job.a, job.b = a, -0.0
    run(kernels.scaled_copy[real_of(x)], &job, x.size, threads)
