#define _GNU_SOURCE
#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

static pid_t *libc_tid;      /* where libc keeps the first thread's id; fork() updates it, so must we */
static void *robust_head;    /* libc's robust-list head: the kernel forgets it in a child */
static size_t robust_size;

/* Where the kernel does not answer PR_GET_TID_ADDRESS (it needs CONFIG_CHECKPOINT_RESTORE), the word is looked for in
 * libc's thread block: it must be there exactly once. */
static pid_t *search_tid(void) {
    pid_t *at = (pid_t *)pthread_self(), *found = NULL;
    pid_t tid = (pid_t)syscall(SYS_gettid);
    for (size_t i = 0; i < 1024 / sizeof(pid_t); i++) {
        if (at[i] != tid) continue;
        if (found) return NULL;
        found = &at[i];
    }
    return found;
}

int clone_prepare(void) {
    pid_t *address = NULL;
    if (prctl(PR_GET_TID_ADDRESS, &address) < 0 || !address) address = search_tid();
    if (!address || *address != (pid_t)syscall(SYS_gettid)) return -ENOTSUP;
    libc_tid = address;
    if (syscall(SYS_get_robust_list, 0, &robust_head, &robust_size) < 0) robust_head = NULL;
    return 0;
}

pid_t *clone_tid_word(void) {
    if (!libc_tid) clone_prepare();
    return libc_tid;
}

pid_t clone_sibling(void *pid_word) {
    unsigned long flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD |
                          (pid_word ? CLONE_PARENT_SETTID : 0);
#if defined(__x86_64__)
    long pid = syscall(SYS_clone, flags, NULL, pid_word, libc_tid, 0);
#elif defined(__aarch64__)
    long pid = syscall(SYS_clone, flags, NULL, pid_word, 0, libc_tid);
#else
#error "procession knows clone's argument order on x86-64 and aarch64 only"
#endif
    if (pid < 0) return -errno;
    if (pid == 0 && robust_head) syscall(SYS_set_robust_list, robust_head, robust_size);
    return (pid_t)pid;
}

struct launch {
    const char *path;
    char *const *argv, *const *envp;
    const int *fds;
    int count;
    bool deaf;
    pid_t pid, tid;
    volatile int error; /* written by the child, which shares our memory until it has exec'd */
};

/* From here to exec the child runs on a stack, and shares a memory, that a sanitizer takes for the launching thread's. */
#define ON_BORROWED_STACK __attribute__((no_sanitize("address")))

ON_BORROWED_STACK static void default_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < _NSIG; sig++) sigaction(sig, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors are first copied out of each other's way, then to their places. */
ON_BORROWED_STACK static int place_descriptors(const int *fds, int count) {
    int high[16];
    for (int i = 0; i < count; i++) {
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, count);
        if (fds[i] >= 0 && high[i] < 0 && errno != EBADF) return -errno;
    }
    for (int i = 0; i < count; i++) {
        if (high[i] < 0) close(i);
        else if (dup2(high[i], i) < 0) return -errno;
    }
    syscall(SYS_close_range, (unsigned)count, ~0u, 0); /* Linux 5.9 */
    return 0;
}

ON_BORROWED_STACK static int launched(void *arg) {
    struct launch *launch = arg;
    default_signals();
    if (launch->deaf) signal(SIGINT, SIG_IGN);
    launch->error = place_descriptors(launch->fds, launch->count);
    if (launch->error == 0) {
        execve(launch->path, launch->argv, launch->envp);
        launch->error = -errno;
    }
    _exit(127);
}

/* The short-lived thread. CLONE_VFORK holds it until the child has exec'd. */
static void *launcher(void *arg) {
    struct launch *launch = arg;
    launch->tid = (pid_t)syscall(SYS_gettid);
    const size_t size = 65536;
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        launch->pid = -errno;
        return NULL;
    }
    launch->pid = clone(launched, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    if (launch->pid < 0) launch->pid = -errno;
    munmap(stack, size);
    if (launch->pid > 0 && launch->error) {
        syscall(SYS_wait4, launch->pid, NULL, __WALL, NULL);
        launch->pid = launch->error;
    }
    return NULL;
}

pid_t clone_launch(const char *path, char *const argv[], char *const envp[], const int *fds, int count,
                   bool deaf) {
    if (count > 16) return -EINVAL;
    struct launch launch = {.path = path, .argv = argv, .envp = envp, .fds = fds, .count = count, .deaf = deaf};
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the thread, and so the child, starts with all blocked */
    pthread_t thread;
    int error = pthread_create(&thread, NULL, launcher, &launch);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) return -error;
    pthread_join(thread, NULL);
    /* pthread_join returns a moment before the kernel has given the thread's children to the process: a child that asked
     * for a parent-death signal in that moment would get it. */
    while (syscall(SYS_tgkill, getpid(), launch.tid, 0) == 0) sched_yield();
    return launch.pid;
}
