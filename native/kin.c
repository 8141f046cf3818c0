#define _GNU_SOURCE
#include "kin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commons.h"
#include "futex.h"
#include "pidfd.h"
#include "proc.h"

#define PASSES 64 /* a fork bomb that outruns this many passes is beyond help */

void kin_cookie(struct member who, char *out) {
    snprintf(out, KIN_COOKIE_SIZE, "%016llx.%05x.%08x", (unsigned long long)commons->family, who.slot, who.generation);
}

static bool read_cookie(const char *text, struct member *out) {
    unsigned long long family;
    return sscanf(text, "%llx.%x.%x", &family, &out->slot, &out->generation) == 3 && family == commons->family;
}

static bool same(struct member a, struct member b) { return a.slot == b.slot && a.generation == b.generation; }

static struct member parent_of(struct record *record) {
    return (struct member){word_peek(&record->parent_slot), word_peek(&record->parent_generation)};
}

bool kin_below(struct member who, struct member top) {
    for (uint32_t depth = 0; depth < PN_SLOTS; depth++) {
        if (same(who, top)) return true;
        struct record *record = table_get(who);
        if (!record || (word_read(&record->flags) & RECORD_DETACHED)) return false;
        who = parent_of(record);
    }
    return false;
}

/* Somebody above it, or it itself, is dead, and it is not detached from them. */
static bool doomed(struct member who) {
    for (uint32_t depth = 0; depth < PN_SLOTS; depth++) {
        struct record *record = table_get(who);
        if (!record) return false;
        if (record_state(record) == RECORD_EXITED) return true;
        if (word_read(&record->flags) & RECORD_DETACHED) return false;
        who = parent_of(record);
    }
    return false;
}

struct hunt {
    struct member top; /* whose kin is hunted; PN_NO_SLOT: that of all the dead */
    int sig;
    int hits; /* all that were signalled */
    pid_t self;
    bool count; /* the user's processes among them are left-over ones: count and name them */
};

static bool wanted(struct hunt *hunt, struct member who) {
    return hunt->top.slot == PN_NO_SLOT ? doomed(who) : kin_below(who, hunt->top);
}

static void note_left_over(pid_t pid, struct record *record) {
    if (record && !(word_read(&record->flags) & (RECORD_PROCESS | RECORD_FORKED))) return; /* a helper of ours */
    char name[PN_NAME_SIZE];
    if (record) memcpy(name, record->name, PN_NAME_SIZE);
    else proc_name(pid, name, sizeof name);
    word_add(&commons->left_over, 1);
    commons_obituary((uint32_t)pid, SIGKILL, OBITUARY_LEFT_OVER, name, 0, 0);
}

static struct record *member_of(pid_t pid, uint64_t start_time) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        uint32_t state = record_state(record);
        if (state == RECORD_FREE || state == RECORD_CLAIMED) continue;
        if (word_read(&record->pid) == (uint32_t)pid && word_peek(&record->start_time) == start_time) return record;
    }
    return NULL;
}

/* Signal one process. Its identity is checked between opening the pidfd and using it. */
static void strike(struct hunt *hunt, pid_t pid, uint64_t start_time, struct record *record) {
    if (pid == hunt->self || pid <= 1) return;
    int pidfd = pidfd_open_(pid);
    if (pidfd < 0) return;
    if (proc_is(pid, start_time)) {
        if (hunt->count) note_left_over(pid, record);
        if (pidfd_signal(pidfd, hunt->sig) == 0) hunt->hits++;
    }
    close(pidfd);
}

static void strike_with_children(pid_t pid, void *arg) {
    struct hunt *hunt = arg;
    struct proc_stat stat;
    if (proc_stat(pid, &stat) < 0 || stat.state == 'Z') return;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    /* A child with a cookie of another branch (a detached one) is not ours to end. */
    if (proc_environ(pid, KIN_COOKIE "=", text, sizeof text) == 0 && read_cookie(text, &who) && table_get(who) &&
        !wanted(hunt, who))
        return;
    struct record *record = member_of(pid, stat.start_time);
    if (record && (word_read(&record->flags) & RECORD_DETACHED)) return;
    proc_children(pid, strike_with_children, hunt);
    strike(hunt, pid, stat.start_time, record);
}

static void hunt_members(struct hunt *hunt) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        struct member who = {slot, word_read(&record->generation)};
        if (!table_get(who) || same(who, hunt->top) || !wanted(hunt, who)) continue;
        pid_t pid = (pid_t)word_read(&record->pid);
        uint64_t start = word_peek(&record->start_time);
        if (pid == 0 || !proc_is(pid, start)) continue;
        word_or(&record->flags, RECORD_TERMINATED);
        if (pid != hunt->self) proc_children(pid, strike_with_children, hunt);
        strike(hunt, pid, start, record);
    }
}

static void hunt_cookie(pid_t pid, void *arg) {
    struct hunt *hunt = arg;
    struct proc_stat stat;
    if (pid == hunt->self || proc_stat(pid, &stat) < 0) return;
    if (stat.start_time < commons->founded_ticks || stat.state == 'Z') return;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    if (proc_environ(pid, KIN_COOKIE "=", text, sizeof text) < 0 || !read_cookie(text, &who)) return;
    if (!wanted(hunt, who)) return;
    if (member_of(pid, stat.start_time)) return; /* a member: the table's pass has it, or spares it */
    proc_children(pid, strike_with_children, hunt);
    strike(hunt, pid, stat.start_time, NULL);
}

int kin_signal(struct member who, int sig) {
    struct hunt hunt = {who, sig, 0, getpid(), false};
    struct record *record = table_get(who);
    if (!record) return 0;
    pid_t pid = (pid_t)word_read(&record->pid);
    if (pid && proc_is(pid, word_peek(&record->start_time))) proc_children(pid, strike_with_children, &hunt);
    hunt_members(&hunt);
    proc_every(hunt_cookie, &hunt);
    return hunt.hits;
}

void kin_mark_dead(struct member who) {
    struct record *record = table_get(who);
    if (!record) return;
    word_publish(&record->state, RECORD_EXITED);
    word_add(&commons->sweeps_wanted, 1);
}

static int kill_doomed(bool count) {
    struct hunt hunt = {{PN_NO_SLOT, 0}, SIGKILL, 0, getpid(), count};
    hunt_members(&hunt);
    proc_every(hunt_cookie, &hunt);
    return hunt.hits;
}

static bool running(struct record *record) {
    pid_t pid = (pid_t)word_read(&record->pid);
    return pid && proc_is(pid, word_peek(&record->start_time));
}

/* Free the records of the dead, those without doomed ones below them first: a chain is never cut above a member that
 * somebody still has to find. */
static void free_doomed(void) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = used; slot-- > 0;) {
        struct record *record = &commons_records()[slot];
        struct member who = {slot, word_read(&record->generation)};
        if (!table_get(who) || record_state(record) == RECORD_EXITED || !doomed(who) || running(record)) continue;
        if ((word_peek(&record->flags) & RECORD_PROCESS) && record_state(record) >= RECORD_READY)
            word_add(&commons->alive, (uint64_t)-1);
        table_free(who);
    }
    for (uint32_t slot = used; slot-- > 0;) {
        struct record *record = &commons_records()[slot];
        struct member who = {slot, word_read(&record->generation)};
        if (table_get(who) && record_state(record) == RECORD_EXITED && !running(record)) table_free(who);
    }
}

static void sweep_once(void) {
    for (int pass = 0; pass < PASSES; pass++) {
        if (kill_doomed(pass == 0) == 0) break;
        struct timespec moment = {0, 200000 + pass * 500000}; /* the struck need a moment to be gone */
        nanosleep(&moment, NULL);
    }
    free_doomed();
}

void kin_sweep(void) {
    uint32_t me = (uint32_t)gettid(), other;
    while ((other = word_read(&commons->sweeper)) != 0 && other != me) {
        if (futex_wait(&commons->sweeper, other, clock_monotonic() + PN_SECOND / 20) == -ETIMEDOUT) break;
    }
    uint32_t wanted;
    do {
        word_publish(&commons->sweeper, me);
        wanted = word_read(&commons->sweeps_wanted);
        sweep_once();
        word_publish(&commons->sweeper, 0);
        futex_wake(&commons->sweeper, INT_MAX);
    } while (word_read(&commons->sweeps_wanted) != wanted);
}
