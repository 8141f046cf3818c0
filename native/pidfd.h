/* pidfds (man 2 pidfd_open, Linux >= 5.3): a process by a descriptor, immune to the reuse of its pid. */
#ifndef PROCESSION_PIDFD_H
#define PROCESSION_PIDFD_H

#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static inline int pidfd_open_(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

static inline int pidfd_signal(int pidfd, int sig) {
    return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

/* 1 when the process has exited, 0 when the deadline came first, or a negative errno (-EINTR: a signal came). */
static inline int pidfd_wait(int pidfd, int64_t deadline) {
    struct pollfd fd = {pidfd, POLLIN, 0};
    int ready = poll(&fd, 1, clock_poll_timeout(deadline));
    return ready < 0 ? -errno : ready;
}

/* Reap the child: 1 with its wait status and resource usage, 0 when it still lives, -ECHILD when it is not ours. */
static inline int pidfd_reap(int pidfd, int *status, struct rusage *usage) {
    siginfo_t info;
    info.si_pid = 0;
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG | __WALL, usage) < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
                                         : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return 1;
}

#endif
