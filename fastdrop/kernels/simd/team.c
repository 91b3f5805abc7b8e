/* A small pool of threads that spin for a bounded time and then sleep.

   Why not OpenMP's: GNU OpenMP's threads spin for milliseconds after each
   parallel region and starve those of a BLAS that runs next (measured: eight
   times slower), what tells them not to is read once for a whole process, in
   which PyTorch may have loaded the library first, and it hangs in a forked
   child. A pool that sleeps at once is no answer either: waking a thread takes
   up to 0.1 ms. So its threads spin for SPIN_NS, longer than the pause between
   the calls of a tight loop and much shorter than a matrix product; and the
   caller does not wait for a thread that is still waking up. After a layer's
   kernel they spin for LAYER_SPIN_NS, as long as a loss and the rest of a step
   take in Python, where nobody else's threads compute: steps of an MLP took 3
   to 6 % less. So they do after a mask's kernel that follows a layer's. */
#define _GNU_SOURCE
#include "share.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#define SPIN_NS 50000
#define LAYER_SPIN_NS 400000
/* The blocks of a matrix product lie on the stack: some libraries' default of
   128 KiB is too little for them. */
#define STACK_BYTES (1 << 20)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_flag busy;
    _Atomic uint32_t call;    /* number of the latest call */
    _Atomic int open;         /* whether it still takes members */
    _Atomic int inside;       /* workers within it */
    _Atomic int sleepers;
    _Atomic int64_t spin_ns;  /* after the latest call */
    int64_t layer_until;      /* until when a call counts as following a layer's */
    int workers;
    fd_share share;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER,
          .busy = ATOMIC_FLAG_INIT, .spin_ns = SPIN_NS};

static inline void pause_a_little(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The number of the next call after `seen`. */
static uint32_t next_call(uint32_t seen) {
    uint32_t call;
    for (int64_t stop = now_ns() + atomic_load(&pool.spin_ns); now_ns() < stop;)
        for (int k = 0; k < 32; k++) {
            if ((call = atomic_load(&pool.call)) != seen) return call;
            pause_a_little();
        }
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while ((call = atomic_load(&pool.call)) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
    return call;
}

static void *worker(void *argument) {
    int member = (int)(intptr_t)argument;
    uint32_t seen = 0;
    for (;;) {
        seen = next_call(seen);
        /* In this order: either the caller sees us inside, or we see the call
           closed. */
        atomic_fetch_add(&pool.inside, 1);
        if (atomic_load(&pool.open) && member < pool.share.threads)
            share_work(&pool.share, member);
        atomic_fetch_sub(&pool.inside, 1);
    }
    return NULL;
}

/* In the child of a fork there are no workers, and nobody holds the lock. */
static void forget_workers(void) {
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    atomic_flag_test_and_set(&pool.busy); /* for good: callers work alone */
}

/* Workers 1..wanted, as many as can be had. Signals stay with the others. */
static void hire(int wanted) {
    static int registered = 0;
    if (pool.workers >= wanted) return;
    if (!registered) {
        pthread_atfork(NULL, NULL, forget_workers);
        registered = 1;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (pool.workers < wanted) {
        pthread_t thread;
        void *member = (void *)(intptr_t)(pool.workers + 1);
        if (pthread_create(&thread, &attributes, worker, member)) break;
        pool.workers++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void run(fd_work *work, const void *job, int64_t n, int64_t grain, int threads,
                int of_layer) {
    if (threads > TEAM_MOST) threads = TEAM_MOST;
    /* One call at a time has the workers; others do their own work. */
    if (threads < 2 || n <= grain || atomic_flag_test_and_set(&pool.busy)) {
        share_alone(work, job, n, grain);
        return;
    }
    hire(threads - 1);
    const int stay = of_layer || now_ns() < pool.layer_until;
    atomic_store(&pool.spin_ns, stay ? LAYER_SPIN_NS : SPIN_NS);
    share_begin(&pool.share, work, job, n, grain, threads);
    atomic_store(&pool.open, 1);
    atomic_fetch_add(&pool.call, 1);
    if (atomic_load(&pool.sleepers)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
    share_work(&pool.share, 0);
    atomic_store(&pool.open, 0);
    for (int patience = 10000; atomic_load(&pool.inside);)
        if (patience) {
            patience--;
            pause_a_little();
        } else {
            sched_yield(); /* a worker has lost its processor; give it ours */
        }
    if (of_layer) pool.layer_until = now_ns() + LAYER_SPIN_NS;
    atomic_flag_clear(&pool.busy);
}

void fd_team_run(fd_work *work, const void *job, int64_t n, int64_t grain, int threads) {
    run(work, job, n, grain, threads, 0);
}

void fd_team_run_layer(fd_work *work, const void *job, int64_t n, int64_t grain, int threads) {
    run(work, job, n, grain, threads, 1);
}
