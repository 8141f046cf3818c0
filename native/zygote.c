#define _GNU_SOURCE
#include "zygote.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cells.h"
#include "clock.h"
#include "clone.h"
#include "commons.h"
#include "proc.h"

static void limit_processes(const struct rlimit *wanted) {
    struct rlimit now;
    if (getrlimit(RLIMIT_NPROC, &now) == 0 && memcmp(&now, wanted, sizeof now) != 0) setrlimit(RLIMIT_NPROC, wanted);
}

static int say(int sock, int32_t pid) { return channel_send(sock, &pid, sizeof pid, NULL, 0); }

static void run(void (*hook)(void)) {
    if (hook) hook();
}

/* The spare's first steps. */
static void be_born(const struct zygote *zygote, struct zygote_call *call, int sock, struct member who) {
    run(zygote->in_spare);
    close(zygote->control);
    call->who = who;
    call->sock = sock;
    call->in_spare = true;
    table_enter(who, RECORD_IDLE);
    if (say(sock, getpid()) < 0) _exit(0); /* nobody wants us */
}

/* Its start time (the kernel has written its pid), told by us: the spare's own first pages are dearer than ours. We do not own the
 * record: should the spare have died and the slot be another's by now, that one's own start time must stand. */
static void seat(struct member who, pid_t pid) {
    struct record *record = table_get(who);
    struct proc_stat stat;
    uint64_t unknown = 0;
    if (!record || proc_stat(pid, &stat) < 0 || table_get(who) != record) return;
    if (!atomic_compare_exchange_strong(&record->start_time, &unknown, stat.start_time)) return;
    pn_step("start time told");
    if (table_get(who) != record) atomic_compare_exchange_strong(&record->start_time, &stat.start_time, 0);
}

/* True in the spare. */
static bool make_spare(const struct zygote *zygote, const struct zygote_order *order, int sock, struct zygote_call *call) {
    struct member who = order->who;
    struct record *record = table_get(who);
    limit_processes(&order->processes);
    sync_forked(); /* the spare has all that we made until now */
    run(zygote->before);
    pid_t pid = clone_sibling(record ? (void *)&record->pid : NULL);
    if (pid == 0) {
        sync_become(who.slot);
        be_born(zygote, call, sock, who);
        return true;
    }
    run(zygote->after);
    if (pid > 0) seat(who, pid);
    else say(sock, pid);
    close(sock);
    return false;
}

static enum zygote_news answer(const struct zygote *zygote, struct zygote_call *call) {
    call->fd_count = CHANNEL_FDS;
    do call->size = channel_receive(zygote->control, call->message, sizeof call->message, call->fds, &call->fd_count);
    while (call->size == -EINTR);
    if (call->size <= 0) return ZYGOTE_LET_GO;
    if (call->fd_count == 0) return ZYGOTE_LESSON;
    struct zygote_order order;
    memcpy(&order, call->message, sizeof order);
    if (!make_spare(zygote, &order, call->fds[0], call)) return ZYGOTE_NOTHING;
    enum zygote_news news = spare_wait(call->sock, zygote->parent, zygote->patience, call);
    return news == ZYGOTE_NOTHING ? ZYGOTE_BORN : news;
}

enum zygote_news zygote_serve(const struct zygote *zygote, struct zygote_call *call, int once) {
    for (;;) {
        struct pollfd fds[] = {{zygote->control, POLLIN, 0}, {zygote->parent, POLLIN, 0}};
        int ready = poll(fds, 2, once ? 0 : -1);
        if (ready < 0) continue; /* a signal: Python's handlers run when there is news */
        if (fds[1].revents) return ZYGOTE_ORPHAN;
        enum zygote_news news = fds[0].revents ? answer(zygote, call) : ZYGOTE_NOTHING;
        if (news != ZYGOTE_NOTHING || (once && !fds[0].revents)) return news;
    }
}

static enum zygote_news take_start(int sock, struct zygote_call *call) {
    call->fd_count = CHANNEL_FDS;
    do call->size = channel_receive(sock, call->message, sizeof call->message, call->fds, &call->fd_count);
    while (call->size == -EINTR);
    return call->size > 0 ? ZYGOTE_START : ZYGOTE_LET_GO;
}

enum zygote_news spare_wait(int sock, int parent, int64_t patience, struct zygote_call *call) {
    struct pollfd fds[] = {{sock, POLLIN, 0}, {parent, POLLIN, 0}};
    int64_t deadline = patience == PN_FOREVER ? PN_FOREVER : clock_monotonic() + patience;
    for (;;) {
        int ready = poll(fds, 2, clock_poll_timeout(deadline));
        if (ready == 0) return ZYGOTE_NOTHING;
        if (ready < 0) continue;
        if (fds[0].revents) return take_start(sock, call); /* also the end of the channel */
        return ZYGOTE_ORPHAN;
    }
}
