/* The team of team.h on OpenMP's threads. */
#ifndef FASTDROP_TEAM_OPENMP_H
#define FASTDROP_TEAM_OPENMP_H

#include <omp.h>

#include "share.h"

static void fd_openmp_run(fd_work *work, const void *job, int64_t n, int64_t grain, int threads) {
    if (threads > TEAM_MOST) threads = TEAM_MOST;
    if (threads < 2 || n <= grain) {
        share_alone(work, job, n, grain);
        return;
    }
    fd_share share;
    share_begin(&share, work, job, n, grain, threads);
#pragma omp parallel num_threads(threads)
    share_work(&share, omp_get_thread_num());
}

#endif
