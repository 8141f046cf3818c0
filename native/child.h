/* A child of this process: from the order for a spare to its reaped end. Lives in private memory; a child that a
 * fork inherited is nobody's (`forks_forget`).
 *
 *   ordered --hello--> idle --hand over--> started --exit--> exited
 *   adopted (a pid that we made ourselves) ------------------^
 */
#ifndef PROCESSION_CHILD_H
#define PROCESSION_CHILD_H

#include <pthread.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "clock.h"
#include "table.h"

#define STATUS_UNKNOWN 0xff00 /* the exit status was taken by somebody else's wait(): exit code 255 */

struct child {
    word32 exited;        /* futex: 1 once the status is known and the child is reaped */
    word32 reaping;       /* 1: some thread is asking the kernel for the status */
    word32 direct;        /* 1: a waiter sleeps on the pidfd itself, and the reaper leaves the child to it */
    int references;       /* under the reaper's lock, as all below */
    unsigned index;       /* in the reaper's list */
    uint32_t serial;      /* tells it from an earlier child with that index */
    _Atomic pid_t pid;    /* 0 until known */
    _Atomic int pidfd;            /* -1 before it is known and after the end */
    int sock;             /* our end of the spare's socket, -1 when handed over */
    bool watched;         /* in the epoll set */
    bool keep_pidfd;      /* its number was given to the user as `sentinel` */
    int pollers;          /* threads that sleep on the pidfd */
    bool broken;          /* a spare that died before it was used */
    struct member who;    /* its record, slot PN_NO_SLOT for none */
    int status;           /* as wait(2) gives it */
    struct rusage usage;
    uint64_t run_time, ready_time;
    uint64_t task;        /* number of the task that it had in hand when it died, 0 for none */
    int64_t started, ended; /* boot-time ns */
    int64_t kill_at;      /* monotonic; PN_FOREVER: never */
};

/* A child to be, made by the zygote behind `control`: sends the order and watches the socket. */
int child_order(int control, struct member who, struct child **out);
/* Take charge of a child that exists: `sock` is its start socket, or -1. */
int child_adopt(pid_t pid, int sock, struct member who, struct child **out);
/* Wait for a spare's first message, its pid. 1: it is there; -ECHILD: the spare died or never came; -EINTR. */
int child_hello(struct child *child);
/* Send the start message, with descriptors, and close the socket. -EPIPE and -ECONNREFUSED: the spare is dead. */
int child_hand_over(struct child *child, const void *message, size_t size, const int *fds, int count);
/* Wait for the end: 1 exited and reaped, 0 the deadline came, -EINTR a signal came. */
int child_wait(struct child *child, int64_t deadline);
/* The same, not waiting. */
int child_poll(struct child *child);
int child_signal(struct child *child, int sig);
/* SIGTERM now to the child and all below it, SIGKILL to what is left of them after `grace` ns. */
int child_terminate(struct child *child, int64_t grace);
/* A descriptor that is readable once the child has exited; stays open until the child is dropped. */
int child_sentinel(struct child *child);
void child_drop(struct child *child);

#endif
