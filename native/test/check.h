/* What the test programs share. A program is a list of cases; each runs in a process of its own, so that one case's
 * commons, threads and limits are never another's. Waiting is for conditions, with a deadline, never for a time. */
#ifndef PROCESSION_TEST_CHECK_H
#define PROCESSION_TEST_CHECK_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#undef WAIT_ANY /* sys/wait.h has one too */
#include "../clock.h"
#include "../commons.h"
#include "../proc.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* their shadow memory does not fit below an address-space limit, and everything is slower */
#else
#define SANITIZED 0
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#else
#define UNDER_TSAN 0
#endif

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #condition,      \
                    strerror(errno));                                                               \
            _exit(1);                                                                               \
        }                                                                                           \
    } while (0)

/* Wait until the condition holds, for at most 20 seconds. */
#define EVENTUALLY(condition)                                                                       \
    do {                                                                                            \
        int64_t give_up_ = clock_monotonic() + 20 * PN_SECOND;                                      \
        while (!(condition)) {                                                                      \
            if (clock_monotonic() > give_up_) {                                                     \
                fprintf(stderr, "%s:%d: never so: %s\n", __FILE__, __LINE__, #condition);           \
                _exit(1);                                                                           \
            }                                                                                       \
            nap(500);                                                                               \
        }                                                                                           \
    } while (0)

static const struct member nobody = {PN_NO_SLOT, 0};

static inline void nap(long microseconds) {
    struct timespec moment = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&moment, NULL);
}

static inline bool is_gone(pid_t pid) { /* not there, or a zombie */
    struct proc_stat stat;
    return proc_stat(pid, &stat) < 0 || stat.state == 'Z' || stat.state == 'X';
}

static inline bool is_absent(pid_t pid) { /* not even a zombie */
    struct proc_stat stat;
    return proc_stat(pid, &stat) < 0;
}

static inline void end_of(pid_t pid, int expected) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == expected);
}

/* Memory that this process shares with those it forks. */
static inline void *shared(size_t size) {
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    return map;
}

static inline int count_entries(const char *path) {
    int n = 0;
    char command[64];
    snprintf(command, sizeof command, "ls %s | wc -l", path);
    FILE *pipe = popen(command, "r");
    CHECK(pipe && fscanf(pipe, "%d", &n) == 1 && pclose(pipe) == 0);
    return n;
}

/* A member that sits in its record and sleeps, ended with this process. */
static inline pid_t sleeper(void) {
    pid_t me = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != me) _exit(0);
    for (;;) pause();
}

typedef void (*test_case)(void);

static inline int run_case(const char *name, test_case run, unsigned seconds) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(seconds); /* a case that hangs dies of SIGALRM */
        run();
        exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    if (status) fprintf(stderr, "case %s failed: wait status %#x\n", name, (unsigned)status);
    return status != 0;
}

#define CASE(name) failed += run_case(#name, name, 50)

#endif
