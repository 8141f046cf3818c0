#define _GNU_SOURCE
#include "reaper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cells.h"
#include "futex.h"
#include "hunt.h"
#include "sweep.h"
#include "thread.h"

#define BATCH 64
#define BELL UINT64_MAX

pthread_mutex_t reaper_lock = PTHREAD_MUTEX_INITIALIZER;
_Atomic int64_t reaper_rings;
_Atomic int reaper_keeping;
static _Thread_local bool is_reaper;

static struct {
    int epoll, bell;
    pthread_t thread;
    _Atomic pid_t tid;
    bool running, paused;    /* under the lock */
    _Atomic bool stop;
    _Atomic bool sweep;      /* a member that died was marked: sweep after this batch */
    _Atomic bool armed;      /* some child has a kill_at */
    int64_t next;            /* the thread's own: the next such moment */
    struct child **list;
    _Atomic unsigned count;
    unsigned size;
    uint32_t serial;
} reaper = {.epoll = -1, .bell = -1};

void reaper_delist(struct child *child);

/* (Only keepers have no record.) */
static bool is_keeper(struct child *child) { return child->who.slot == PN_NO_SLOT; }

static struct child *look_up(uint64_t key) {
    unsigned index = (unsigned)key;
    struct child *child = index < reaper.size ? reaper.list[index] : NULL;
    if (!child || child->serial != (uint32_t)(key >> 32)) return NULL;
    child->references++;
    return child;
}

void reaper_release(struct child *child) {
    if (--child->references > 0) return;
    if (child->pidfd >= 0) close(child->pidfd);
    if (child->sock >= 0) close(child->sock);
    free(child);
}

/* A spare's socket hung up: it died unused, or never was. What is left of it is reaped like any child. */
static void spare_hung_up(struct child *child) {
    pthread_mutex_unlock(&reaper_lock);
    int r = child_hello(child);
    pthread_mutex_lock(&reaper_lock);
    child->broken = true;
    if (child->sock >= 0) {
        reaper_unwatch(child, child->sock);
        close(child->sock);
        child->sock = -1;
    }
    if (r < 0 && child->pidfd < 0) { /* it never was: give its slot back */
        table_free(child->who);
        word_publish(&child->exited, 1);
        reaper_delist(child);
    }
}

static void serve(uint64_t key) {
    pthread_mutex_lock(&reaper_lock);
    struct child *child = look_up(key);
    if (child) {
        if (child->pidfd < 0 && child->sock >= 0) spare_hung_up(child);
        pthread_mutex_unlock(&reaper_lock);
        child_poll(child);
        pthread_mutex_lock(&reaper_lock);
        reaper_release(child);
    }
    pthread_mutex_unlock(&reaper_lock);
}

/* A child whose grace is over, with a reference; NULL when there is none, and the next such moment in `next`. */
static struct child *take_overdue(int64_t *next) {
    int64_t now = clock_monotonic();
    *next = PN_FOREVER;
    for (unsigned i = 0; i < reaper.size; i++) {
        struct child *child = reaper.list[i];
        if (!child || child->kill_at == PN_FOREVER) continue;
        if (child->kill_at <= now) {
            child->kill_at = PN_FOREVER;
            child->references++;
            return child;
        }
        if (child->kill_at < *next) *next = child->kill_at;
    }
    return NULL;
}

/* SIGKILL to those whose grace is over, not under the lock: it takes a walk through /proc. The next such moment. */
static int64_t kill_overdue(void) {
    int64_t next;
    pthread_mutex_lock(&reaper_lock);
    for (struct child *child; (child = take_overdue(&next));) {
        pthread_mutex_unlock(&reaper_lock);
        child_signal(child, SIGKILL);
        if (commons && child->who.slot != PN_NO_SLOT) hunt_signal(child->who, SIGKILL);
        pthread_mutex_lock(&reaper_lock);
        reaper_release(child);
    }
    reaper.armed = next != PN_FOREVER;
    pthread_mutex_unlock(&reaper_lock);
    return next;
}

/* One round: what happens until `deadline`, and whose grace is over. */
static void serve_round(int64_t deadline) {
    struct epoll_event events[BATCH];
    int64_t until = deadline < reaper.next ? deadline : reaper.next;
    int n = epoll_wait(reaper.epoll, events, BATCH, clock_poll_timeout(until));
    reaper_rings++;
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.u64 != BELL) serve(events[i].data.u64);
        else if (read(reaper.bell, &count, sizeof count) < 0) continue;
    }
    reaper.next = reaper.armed ? kill_overdue() : PN_FOREVER;
}

/* A sweep waits for those whom it struck: nobody else is to be a zombie meanwhile. False: a fork wants us to end. */
static bool serve_meanwhile(int64_t ns) {
    int64_t until = clock_monotonic() + ns;
    if (ns < PN_SECOND / 1000) nanosleep(&(struct timespec){0, ns}, NULL); /* (epoll counts in milliseconds) */
    do serve_round(until);
    while (!reaper.stop && clock_monotonic() < until);
    return !reaper.stop;
}

static void *reap(void *arg) {
    (void)arg;
    reaper.tid = (pid_t)syscall(SYS_gettid);
    prctl(PR_SET_NAME, "procession-reap");
    is_reaper = true;
    if (reaper.sweep) reaper_ring(); /* one that a pause cut short */
    reaper.next = reaper.armed ? kill_overdue() : PN_FOREVER;
    while (!reaper.stop) {
        serve_round(reaper.sweep ? 0 : PN_FOREVER);
        if (!reaper.sweep || reaper.stop) continue;
        reaper.sweep = false;
        if (!commons || sweep_all_waiting(serve_meanwhile)) continue;
        reaper.sweep = true;
        if (!reaper.stop) serve_meanwhile(PN_SECOND); /* (it was short of descriptors) */
    }
    return NULL;
}

static int start_thread(void) {
    if (reaper.running || reaper.paused) return 0;
    reaper.stop = false;
    int error = thread_start(&reaper.thread, reap);
    reaper.running = error == 0;
    return error;
}

/* Held through the very call of fork(), so that the child gets a list that nobody is at; no longer: the hooks before and
 * after it are Python's, and let go of the GIL, which others hold while they ask for the lock. */
static void lock_for_fork(void) { pthread_mutex_lock(&reaper_lock); }
static void unlock_after_fork(void) { pthread_mutex_unlock(&reaper_lock); }
static void renew_in_child(void) { reaper_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }

static int guard_forks(void) {
    static bool guarded;
    int error = guarded ? 0 : pthread_atfork(lock_for_fork, unlock_after_fork, renew_in_child);
    guarded = error == 0;
    return -error;
}

static int open_set(void) {
    if (reaper.epoll >= 0) return 0;
    int unguarded = guard_forks();
    if (unguarded) return unguarded;
    int epoll = epoll_create1(EPOLL_CLOEXEC), bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {EPOLLIN, {.u64 = BELL}};
    if (epoll < 0 || bell < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event) < 0) {
        int error = -errno;
        if (epoll >= 0) close(epoll);
        if (bell >= 0) close(bell);
        return error;
    }
    reaper.epoll = epoll;
    reaper.bell = bell;
    return 0;
}

static int grow(void) {
    unsigned size = reaper.size ? reaper.size * 2 : 64;
    struct child **list = realloc(reaper.list, size * sizeof *list);
    if (!list) return -ENOMEM;
    memset(list + reaper.size, 0, (size - reaper.size) * sizeof *list);
    reaper.list = list;
    reaper.size = size;
    return 0;
}

int reaper_enlist(struct child *child) {
    int error = open_set();
    if (!error) error = start_thread();
    if (!error && reaper.count == reaper.size) error = grow();
    if (error) return error;
    unsigned index = reaper.serial % reaper.size;
    while (reaper.list[index]) index = (index + 1) % reaper.size;
    child->index = index;
    child->serial = ++reaper.serial;
    child->references++;
    reaper.list[index] = child;
    reaper.count++;
    if (is_keeper(child)) reaper_keeping++;
    return 0;
}

int reaper_watch(struct child *child, int fd, uint32_t events) {
    struct epoll_event event = {events, {.u64 = (uint64_t)child->serial << 32 | child->index}};
    if (epoll_ctl(reaper.epoll, EPOLL_CTL_ADD, fd, &event) < 0) return -errno;
    child->watched = true;
    return 0;
}

void reaper_unwatch(struct child *child, int fd) {
    if (child->watched) epoll_ctl(reaper.epoll, EPOLL_CTL_DEL, fd, NULL);
    child->watched = false;
}

void reaper_delist(struct child *child) {
    if (child->index >= reaper.size || reaper.list[child->index] != child) return;
    reaper.list[child->index] = NULL;
    reaper.count--;
    if (is_keeper(child)) reaper_keeping--;
    reaper_release(child);
}

void reaper_ring(void) {
    uint64_t one = 1;
    if (reaper.bell >= 0 && write(reaper.bell, &one, sizeof one) < 0) return; /* full: it is ringing already */
}

void reaper_arm(void);
void reaper_arm(void) {
    reaper.armed = true;
    reaper_ring();
}

void reaper_sweep_later(struct member who) {
    sweep_mark_dead(who);
    reaper.sweep = true;
    if (!is_reaper) reaper_ring();
}

int reaper_keepers(pid_t *out, int room) {
    int found = 0;
    pthread_mutex_lock(&reaper_lock);
    for (unsigned i = 0; i < reaper.size && found < room; i++)
        if (reaper.list[i] && is_keeper(reaper.list[i]) && reaper.list[i]->pid)
            out[found++] = reaper.list[i]->pid;
    pthread_mutex_unlock(&reaper_lock);
    uint32_t used = commons ? word_read(&commons->slots_used) : 0;
    for (uint32_t slot = 0; slot < used && found < room; slot++) {
        uint32_t keeper = word_read(&commons_records()[slot].keeper);
        if (keeper) out[found++] = (pid_t)keeper;
    }
    return found;
}

int reaper_children(void) { return (int)reaper.count; }

void reaper_pause(void) {
    pthread_mutex_lock(&reaper_lock);
    reaper.paused = true; /* nobody starts it again before the resume */
    bool running = reaper.running;
    reaper.stop = true;
    if (running) reaper_ring();
    pthread_mutex_unlock(&reaper_lock); /* the thread may need it to end its round */
    if (!running) return;
    thread_end(reaper.thread, &reaper.tid);
    pthread_mutex_lock(&reaper_lock);
    reaper.running = false;
    pthread_mutex_unlock(&reaper_lock);
}

void reaper_resume(void) {
    pthread_mutex_lock(&reaper_lock);
    reaper.paused = false;
    pthread_mutex_unlock(&reaper_lock);
}

void reaper_restart(void) {
    pthread_mutex_lock(&reaper_lock);
    if (reaper.count > 0 || reaper.sweep) start_thread();
    pthread_mutex_unlock(&reaper_lock);
}

/* In a forked child: the children are the parent's. Their descriptors are closed, so that a spare sees its parent's end
 * and not ours; the structs stay, for the objects that point to them. */
void reaper_forget(void) {
    sync_become(PN_NO_SLOT); /* until it has a record of its own */
    for (unsigned i = 0; i < reaper.size; i++) {
        struct child *child = reaper.list[i];
        if (!child) continue;
        if (child->pidfd >= 0 && !child->keep_pidfd) close(child->pidfd);
        if (child->sock >= 0) close(child->sock);
        if (!child->keep_pidfd) child->pidfd = -1;
        child->sock = -1;
        child->watched = false;
        reaper_release(child);
    }
    free(reaper.list);
    if (reaper.epoll >= 0) close(reaper.epoll);
    if (reaper.bell >= 0) close(reaper.bell);
    memset(&reaper, 0, sizeof reaper);
    reaper_keeping = 0;
    reaper.epoll = reaper.bell = -1;
}
