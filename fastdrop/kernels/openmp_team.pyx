# cython: language_level=3
"""OpenMP's threads for the Cython kernels, for who asks for them.

``FASTDROP_TEAM=openmp`` uses them instead of fastdrop's own pool, for programs
that are OpenMP's from end to end. A module of its own, so that no OpenMP
runtime is loaded otherwise: a process has one, whichever library brings it,
and PyTorch's should stay PyTorch's. simd/team.c says why it is not the default.
"""

from libc.stdint cimport int64_t

cdef extern from "simd/team_openmp.h" nogil:
    ctypedef void fd_work(const void *job, int64_t begin, int64_t end) noexcept
    void fd_openmp_run(fd_work *work, const void *job, int64_t n, int64_t grain,
                       int threads) noexcept

ADDRESS = <size_t>&fd_openmp_run
