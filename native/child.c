#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena.h"
#include "channel.h"
#include "commons.h"
#include "futex.h"
#include "hunt.h"
#include "pidfd.h"
#include "proc.h"
#include "reaper.h"
#include "recover.h"
#include "tasks.h"
#include "zygote.h"

void reaper_delist(struct child *child);
void reaper_arm(void);

static struct child *new_child(struct member who) {
    struct child *child = calloc(1, sizeof *child);
    if (!child) return NULL;
    child->references = 1;
    child->pidfd = child->sock = -1;
    child->who = who;
    child->kill_at = PN_FOREVER;
    child->status = STATUS_UNKNOWN;
    child->started = clock_boot();
    return child;
}

/* Enlist and watch `fd`; on failure the child is freed, with what it holds. */
static int take_charge(struct child *child, int fd, uint32_t events, struct child **out) {
    pthread_mutex_lock(&reaper_lock);
    int error = reaper_enlist(child);
    if (!error) {
        error = reaper_watch(child, fd, events);
        if (error) reaper_delist(child);
    }
    if (error) reaper_release(child);
    else *out = child;
    pthread_mutex_unlock(&reaper_lock);
    return error;
}

/* The order was not sent: there will be no spare. */
static void call_off(struct child *child) {
    pthread_mutex_lock(&reaper_lock);
    reaper_unwatch(child, child->sock);
    reaper_delist(child);
    reaper_release(child);
    pthread_mutex_unlock(&reaper_lock);
}

static int send_order(int control, struct member who, int sock) {
    struct zygote_order order = {.who = who};
    if (getrlimit(RLIMIT_NPROC, &order.processes) < 0) return -errno;
    return channel_send(control, &order, sizeof order, &sock, 1);
}

int child_order(int control, struct member who, struct child **out) {
    struct child *child = new_child(who);
    if (!child) return -ENOMEM;
    int theirs = -1;
    int error = channel_pair(&child->sock, &theirs);
    if (error) {
        free(child);
        return error;
    }
    error = take_charge(child, child->sock, 0, out); /* no events: a hang-up is reported all the same */
    if (!error) {
        error = send_order(control, who, theirs);
        if (error) call_off(child);
    }
    close(theirs);
    return error;
}

int child_adopt(pid_t pid, int sock, struct member who, struct child **out) {
    int pidfd = pidfd_open_(pid);
    if (pidfd < 0) return pidfd;
    struct child *child = new_child(who);
    if (!child) {
        close(pidfd);
        return -ENOMEM;
    }
    child->pid = pid;
    child->pidfd = pidfd;
    child->sock = sock;
    return take_charge(child, pidfd, EPOLLIN, out);
}

/* No descriptor to watch the spare with: end it here and now, it is ours and has not begun. */
static int turn_away(pid_t pid, int error) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) continue;
    return error;
}

/* The spare exists: from now on its pidfd is watched, not its socket. Wants the lock. */
static int meet(struct child *child, pid_t pid) {
    int pidfd = pidfd_open_(pid);
    if (pidfd == -ESRCH) return -ECHILD; /* it has ended, and somebody has waited for it */
    if (pidfd < 0) return turn_away(pid, pidfd);
    reaper_unwatch(child, child->sock);
    int error = reaper_watch(child, pidfd, EPOLLIN);
    if (error) {
        close(pidfd);
        reaper_watch(child, child->sock, 0);
        return turn_away(pid, error);
    }
    child->pid = pid;
    child->pidfd = pidfd;
    return 0;
}

/* A spare that died before its first word is our child all the same: the kernel wrote its pid down when it was cloned. */
static pid_t cloned_pid(struct member who) {
    struct record *record = table_get(who);
    return record ? (pid_t)word_read(&record->pid) : 0;
}

/* Read the hello that is there, if there is one. Under the lock, so that of two readers none takes the other's for the
 * end of the channel. */
static int read_hello(struct child *child) {
    int32_t pid = 0;
    if (child->pid) return 1;
    if (child->sock < 0) return -ECHILD;
    ssize_t n = recv(child->sock, &pid, sizeof pid, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n != sizeof pid) pid = cloned_pid(child->who);
    if (pid == 0) return -ECHILD;
    int error = pid < 0 ? pid : meet(child, pid); /* below 0: the zygote could not clone, and says why */
    return error < 0 ? error : 1;
}

int child_hello(struct child *child) {
    for (;;) {
        pthread_mutex_lock(&reaper_lock);
        int r = read_hello(child);
        int sock = child->sock;
        pthread_mutex_unlock(&reaper_lock);
        if (r) return r;
        struct pollfd fd = {sock, POLLIN, 0};
        if (poll(&fd, 1, -1) < 0 && errno == EINTR) return -EINTR;
    }
}

int child_hand_over(struct child *child, const void *message, size_t size, const int *fds, int count) {
    child->started = clock_boot();
    bool gone = child->sock < 0 || word_read(&child->exited); /* (its zygote may hold the channel open a moment longer) */
    int error = gone ? -EPIPE : channel_send(child->sock, message, size, fds, count);
    pthread_mutex_lock(&reaper_lock);
    if (child->sock >= 0) {
        if (child->pidfd < 0) reaper_unwatch(child, child->sock);
        close(child->sock);
        child->sock = -1;
    }
    pthread_mutex_unlock(&reaper_lock);
    return error;
}

/* --- the end ----------------------------------------------------------------------------------------------- */

static void close_pidfd(struct child *child) { /* wants the lock */
    if (child->pidfd < 0 || child->keep_pidfd || child->pollers > 0) return;
    close(child->pidfd);
    child->pidfd = -1;
}

/* What holds the dead child's memory a moment longer is our child too: reap it when it ends, or, if it cannot be watched, end it. */
static void collect_keeper(pid_t keeper) {
    struct child *child;
    if (!keeper) return;
    int error = child_adopt(keeper, -1, (struct member){PN_NO_SLOT, 0}, &child);
    if (error == 0) child_drop(child);
    else if (waitpid(keeper, NULL, WNOHANG | __WALL) == 0) turn_away(keeper, error); /* (ours still: the number is no other's) */
}

/* Put in order what the dead child left in the commons: before anybody may see that it has ended, so that who has joined it
 * finds its locks free, and marked. */
static void post_mortem(struct child *child) {
    struct record *record = commons ? table_get(child->who) : NULL;
    if (!record) return;
    word_poke(&record->run_time, child->run_time);
    word_poke(&record->ready_time, child->ready_time);
    word_poke(&record->peak_kib, (uint32_t)child->usage.ru_maxrss);
    word_poke(&record->status, (uint32_t)child->status);
    if (word_read(&record->flags) & RECORD_PROCESS) commons_bury(record, (uint32_t)child->status);
    recover(child->who.slot, child->status == 0);
    arena_disown(OWNER_MEMBER(child->who.slot));
    pn_step("put in order by the reaper");
}

/* The record may go: after the end is told, since those who ask a child that has not ended read it there. (And there is a
 * descriptor for the keeper then.) */
static void bury(struct child *child) {
    struct record *record = commons ? table_get(child->who) : NULL;
    if (!record) return;
    collect_keeper((pid_t)word_read(&record->keeper));
    uint32_t flags = word_or(&record->flags, RECORD_BURIED); /* until now nobody but us frees it while we live (kin.c) */
    pn_step("buried by the reaper");
    if (flags & RECORD_CHILDLESS) table_free(child->who);
    else reaper_sweep_later(child->who);
}

/* What the record says of its end, before anybody may see that it has ended: who sees that may free the record.
 * The scheduler's figures: the child's own last words, or what /proc says of the zombie. */
static void note_times(struct child *child) {
    struct record *record = table_get(child->who);
    child->task = record ? task_of_dead(child->who.slot) : 0;
    if (record && word_read(&record->status_known)) {
        child->run_time = word_peek(&record->run_time);
        child->ready_time = word_peek(&record->ready_time);
        return;
    }
    proc_sched(child->pid, &child->run_time, &child->ready_time);
    if (!record) return;
    uint64_t run = word_peek(&record->run_base), ready = word_peek(&record->ready_base);
    child->run_time -= run < child->run_time ? run : child->run_time;
    child->ready_time -= ready < child->ready_time ? ready : child->ready_time;
}

/* Somebody else's wait() took the status: the child's own last words may still tell it. */
static void status_stolen(struct child *child) {
    struct record *record = table_get(child->who);
    bool told = record && word_read(&record->status_known);
    child->status = told ? (int)word_peek(&record->status) : STATUS_UNKNOWN;
}

/* 0: it has ended, but a debugger that traces it must wait for it first. */
static int take_status(struct child *child) {
    child->ended = clock_boot();
    note_times(child);
    int r = pidfd_reap(child->pidfd, &child->status, &child->usage);
    if (r < 0) status_stolen(child);
    if (r == 0) nanosleep(&(struct timespec){0, 1000000}, NULL); /* (the pidfd stays readable: not a busy loop) */
    return r != 0;
}

/* With a reference for the caller. */
static void tell_the_end(struct child *child) {
    pthread_mutex_lock(&reaper_lock);
    reaper_unwatch(child, child->pidfd);
    close_pidfd(child);
    child->kill_at = PN_FOREVER;
    word_publish(&child->exited, 1); /* (reaping stays 1: nobody asks the kernel again) */
    futex_wake(&child->exited, INT_MAX);
    child->references++;
    reaper_delist(child);
    pthread_mutex_unlock(&reaper_lock);
}

static int try_reap(struct child *child) {
    if (child->pidfd < 0) return word_read(&child->exited);
    if (!word_swap(&child->reaping, 0, 1)) return word_read(&child->exited) ? 1 : -EBUSY;
    if (word_read(&child->exited)) return 1;
    int r = pidfd_wait(child->pidfd, 0); /* a stolen child has ended too: ask for the end, not for the status */
    if (r > 0) r = take_status(child);
    if (r <= 0) {
        word_publish(&child->reaping, 0);
        return 0;
    }
    post_mortem(child);
    tell_the_end(child);
    bury(child);
    pthread_mutex_lock(&reaper_lock);
    reaper_release(child);
    pthread_mutex_unlock(&reaper_lock);
    return 1;
}

/* The deadline, or a millisecond from now: for a wait whose wake-up may not come. */
static int64_t soon(int64_t deadline) {
    int64_t moment = clock_monotonic() + PN_SECOND / 1000;
    return moment < deadline ? moment : deadline;
}

int child_poll(struct child *child) {
    for (;;) {
        int r = word_read(&child->exited) ? 1 : try_reap(child);
        if (r >= 0) return r;
        futex_wait(&child->exited, 0, soon(PN_FOREVER)); /* another thread is at it: who saw the pidfd must not be told "no" */
    }
}

/* Sleep on the pidfd in place of the reaper: one wake-up fewer between the child's end and ours. */
static int wait_direct(struct child *child, int64_t deadline) {
    pthread_mutex_lock(&reaper_lock);
    int pidfd = child->pidfd;
    if (pidfd >= 0) {
        reaper_unwatch(child, pidfd);
        child->pollers++;
    }
    pthread_mutex_unlock(&reaper_lock);
    if (pidfd < 0) return child_poll(child);
    int r = pidfd_wait(pidfd, deadline);
    pthread_mutex_lock(&reaper_lock);
    child->pollers--;
    if (word_read(&child->exited)) close_pidfd(child);
    else if (r <= 0) reaper_watch(child, pidfd, EPOLLIN);
    pthread_mutex_unlock(&reaper_lock);
    return r > 0 ? try_reap(child) : r;
}

static bool has_pidfd(struct child *child) {
    pthread_mutex_lock(&reaper_lock);
    bool has = child->pidfd >= 0;
    pthread_mutex_unlock(&reaper_lock);
    return has;
}

int child_wait(struct child *child, int64_t deadline) {
    for (;;) {
        if (child_poll(child)) return 1;
        if (deadline != PN_FOREVER && clock_monotonic() >= deadline) return 0;
        int r = 0;
        if (!has_pidfd(child)) return word_read(&child->exited) ? 1 : -ECHILD;
        if (word_read(&child->reaping)) {
            r = futex_wait(&child->exited, 0, soon(deadline)); /* somebody is at it */
        } else if (word_swap(&child->direct, 0, 1)) {
            r = wait_direct(child, deadline);
            word_publish(&child->direct, 0);
            futex_wake(&child->direct, INT_MAX);
        } else {
            r = futex_wait(&child->exited, 0, deadline);
        }
        if (r == -EINTR) return word_read(&child->exited) ? 1 : -EINTR;
    }
}

int child_signal(struct child *child, int sig) {
    struct record *record = table_get(child->who);
    if (record && (sig == SIGKILL || sig == SIGTERM || sig == SIGINT)) word_or(&record->flags, RECORD_TERMINATED);
    pthread_mutex_lock(&reaper_lock); /* the descriptor's number may be another child's a moment later */
    int error = word_read(&child->exited) || child->pidfd < 0 ? -ESRCH : pidfd_signal(child->pidfd, sig);
    pthread_mutex_unlock(&reaper_lock);
    return error;
}

int child_terminate(struct child *child, int64_t grace) {
    pthread_mutex_lock(&reaper_lock);
    int64_t now = clock_monotonic();
    child->kill_at = grace < PN_FOREVER - now ? now + grace : PN_FOREVER;
    reaper_arm();
    pthread_mutex_unlock(&reaper_lock);
    int error = child_signal(child, SIGTERM);
    if (commons && child->who.slot != PN_NO_SLOT) hunt_signal(child->who, SIGTERM);
    return error;
}

int child_sentinel(struct child *child) {
    pthread_mutex_lock(&reaper_lock);
    child->keep_pidfd = true;
    if (child->pidfd < 0 && word_read(&child->exited)) child->pidfd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = child->pidfd < 0 ? -errno : child->pidfd;
    pthread_mutex_unlock(&reaper_lock);
    return fd;
}

void child_drop(struct child *child) {
    pthread_mutex_lock(&reaper_lock);
    /* A spare that nobody wants any more sees the end of our messages. The reaper keeps it until it has ended: it is our
     * child, or will be. */
    if (child->sock >= 0) shutdown(child->sock, SHUT_WR);
    child->keep_pidfd = false;
    if (word_read(&child->exited)) close_pidfd(child);
    reaper_release(child);
    pthread_mutex_unlock(&reaper_lock);
}
