/* How a range is shared out, whoever the threads are: each member of a team
   begins with a part of its own, the same in every call, so that what it wrote
   last time is still in its cache; who is done helps the others, and nobody
   waits for a member that has not woken up yet. */
#ifndef FASTDROP_SHARE_H
#define FASTDROP_SHARE_H

#include <stdatomic.h>

#include "team.h"

enum { TEAM_MOST = 256 };

typedef struct {
    fd_work *work;
    const void *job;
    int64_t n, grain, parts;
    int threads;
    struct {
        _Alignas(64) _Atomic int64_t next;
    } member[TEAM_MOST];
} fd_share;

/* One thread, by the same grain. */
static inline void share_alone(fd_work *work, const void *job, int64_t n, int64_t grain) {
    for (int64_t begin = 0; begin < n; begin += grain)
        work(job, begin, n - begin < grain ? n : begin + grain);
}

static inline int64_t share_start(const fd_share *share, int member) {
    return share->parts * member / share->threads;
}

static inline void share_begin(fd_share *share, fd_work *work, const void *job, int64_t n,
                               int64_t grain, int threads) {
    share->work = work;
    share->job = job;
    share->n = n;
    share->grain = grain;
    share->parts = (n + grain - 1) / grain;
    share->threads = threads;
    for (int m = 0; m < threads; m++)
        atomic_store_explicit(&share->member[m].next, share_start(share, m), memory_order_relaxed);
}

static inline void share_work(fd_share *share, int member) {
    for (int step = 0; step < share->threads; step++) {
        int m = (member + step) % share->threads;
        int64_t stop = share_start(share, m + 1), part;
        while ((part = atomic_fetch_add_explicit(&share->member[m].next, 1,
                                                 memory_order_relaxed)) < stop) {
            int64_t begin = part * share->grain, end = begin + share->grain;
            share->work(share->job, begin, end < share->n ? end : share->n);
        }
    }
}

#endif
