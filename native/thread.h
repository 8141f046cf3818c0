/* Our own threads: small, deaf to signals, and gone when we say so. */
#ifndef PROCESSION_THREAD_H
#define PROCESSION_THREAD_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0 or -errno. The thread blocks every signal. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *)) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, &small, run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&small);
    return -error;
}

/* Wait for its end. One caller, once: a second one would wait for whichever thread has its place by then. `tid` is what the
 * thread notes of itself, as the first it does. (pthread_join returns a moment before the kernel has taken the thread off
 * its count.) */
static inline void thread_end(pthread_t thread, _Atomic pid_t *tid) {
    pthread_join(thread, NULL);
    while (syscall(SYS_tgkill, getpid(), *tid, 0) == 0) sched_yield();
}

#endif
