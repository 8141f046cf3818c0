#define _GNU_SOURCE
#include "bell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "futex.h"
#include "recover.h"
#include "thread.h"
#include "waits.h"

static struct {
    pthread_mutex_t lock; /* held for moments only, never while something is waited for */
    int *fds;             /* by channel - 1; -1: free */
    uint32_t size;
    _Atomic uint32_t open;
    pthread_t thread;
    _Atomic pid_t tid;
    bool running, paused;
    _Atomic bool stop;
} bell = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t rung[COMMONS_WAIT_COUNT]; /* the thread's own: for which state of a wait its channel was rung */

/* (The low half of the record's field.) */
static word32 *word_of(uint32_t owner) { return (word32 *)(void *)&commons_records()[owner - 1].doorbell; }

void bell_ring(uint32_t owner) {
    if (owner == 0 || owner > PN_SLOTS) return;
    word_add(word_of(owner), 1);
    pn_step("rung");
    futex_wake(word_of(owner), 1);
}

static void pass_to_channel(uint32_t channel) {
    uint64_t one = 1;
    pthread_mutex_lock(&bell.lock);
    int fd = channel <= bell.size ? bell.fds[channel - 1] : -1;
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) errno = 0; /* full: it is readable already */
    pthread_mutex_unlock(&bell.lock);
}

/* Ring the channels of those of our waits that were told something, each once. */
static void answer(uint32_t owner) {
    for (uint32_t i = 0; i < waits_used(); i++) {
        struct wait *wait = wait_at(i);
        uint32_t state = word_read(&wait->state), channel = word_read(&wait->channel);
        if (WAIT_OWNER(state) != owner || channel == NO_CHANNEL || (state & 0xff) <= WAIT_TASKED) continue;
        if (rung[i] == state) continue; /* (each turn has another state) */
        rung[i] = state;
        pass_to_channel(channel);
    }
}

/* A channel is open while somebody waits: then we look once a second, however often we are rung meanwhile. */
static void *serve(void *arg) {
    uint32_t owner = sync_me;
    int64_t next_look = clock_monotonic() + LOOK_SECOND;
    bell.tid = gettid();
    prctl(PR_SET_NAME, "procession-bell");
    while (!bell.stop) {
        uint32_t seen = word_read(word_of(owner));
        answer(owner);
        if (!bell.stop) futex_wait(word_of(owner), seen, bell.open ? next_look : PN_FOREVER);
        if (clock_monotonic() < next_look) continue;
        recover_look_for_tasks(owner);
        next_look = clock_monotonic() + LOOK_SECOND;
    }
    return arg;
}

static int start_thread(void) { /* wants the lock */
    if (bell.running || bell.paused || bell.open == 0) return 0;
    bell.stop = false;
    int error = thread_start(&bell.thread, serve);
    bell.running = error == 0;
    return error;
}

static int grow(void) {
    uint32_t size = bell.size ? bell.size * 2 : 8;
    int *fds = realloc(bell.fds, size * sizeof *fds);
    if (!fds) return -ENOMEM;
    for (uint32_t i = bell.size; i < size; i++) fds[i] = -1;
    bell.fds = fds;
    bell.size = size;
    return 0;
}

static void lock_for_fork(void) { pthread_mutex_lock(&bell.lock); }
static void unlock_after_fork(void) { pthread_mutex_unlock(&bell.lock); }

int bell_open(uint32_t *channel, int *fd) {
    static bool guarded;
    int error = sync_enter();
    if (error) return error;
    if (!guarded && pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork)) return -ENOMEM;
    guarded = true;
    int new = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (new < 0) return -errno;
    pthread_mutex_lock(&bell.lock);
    uint32_t index = 0;
    while (index < bell.size && bell.fds[index] >= 0) index++;
    if (index == bell.size) error = grow();
    if (!error) {
        bell.fds[index] = new;
        bell.open++;
        error = start_thread();
        if (bell.open == 1) bell_ring(sync_me); /* it may be asleep for ever */
    }
    pthread_mutex_unlock(&bell.lock);
    *channel = index + 1;
    *fd = new;
    if (error) bell_close(*channel);
    return error;
}

void bell_close(uint32_t channel) {
    pthread_mutex_lock(&bell.lock);
    if (channel - 1 < bell.size && bell.fds[channel - 1] >= 0) {
        close(bell.fds[channel - 1]);
        bell.fds[channel - 1] = -1;
        bell.open--;
    }
    pthread_mutex_unlock(&bell.lock);
}

void bell_pause(void) {
    pthread_mutex_lock(&bell.lock);
    bell.paused = true;
    bell.stop = true;
    bool running = bell.running;
    pthread_mutex_unlock(&bell.lock);
    if (!running) return;
    bell_ring(sync_me);
    thread_end(bell.thread, &bell.tid);
    pthread_mutex_lock(&bell.lock);
    bell.running = false;
    pthread_mutex_unlock(&bell.lock);
}

void bell_resume(void) {
    pthread_mutex_lock(&bell.lock);
    bell.paused = false;
    pthread_mutex_unlock(&bell.lock);
}

void bell_restart(void) {
    pthread_mutex_lock(&bell.lock);
    start_thread();
    pthread_mutex_unlock(&bell.lock);
}

static uint32_t forks;

uint32_t bell_forks(void) { return forks; }

/* In a forked child: the channels are the parent's. */
void bell_forget(void) {
    forks++;
    for (uint32_t i = 0; i < bell.size; i++)
        if (bell.fds[i] >= 0) close(bell.fds[i]);
    free(bell.fds);
    if (bell.size) memset(rung, 0, sizeof rung);
    memset(&bell, 0, sizeof bell);
    pthread_mutex_init(&bell.lock, NULL);
}
