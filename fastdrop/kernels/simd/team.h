/* A team of threads that shares out a range of elements. */
#ifndef FASTDROP_TEAM_H
#define FASTDROP_TEAM_H

#include <stdint.h>

typedef void fd_work(const void *job, int64_t begin, int64_t end);

/* Call `work` on parts of [0, n) that are multiples of `grain` long, from up
   to `threads` threads, the caller among them; return when all are done. The
   result cannot depend on who did which part. Safe from several threads at
   once, and in a forked child, where the caller does all of it. */
void fd_team_run(fd_work *work, const void *job, int64_t n, int64_t grain, int threads);

/* The same, for work after which more of it comes within a fraction of a millisecond. */
void fd_team_run_layer(fd_work *work, const void *job, int64_t n, int64_t grain, int threads);

/* What does that: the pool of team.c, or OpenMP's threads (team_openmp.h). */
typedef void fd_team(fd_work *work, const void *job, int64_t n, int64_t grain, int threads);

#endif
