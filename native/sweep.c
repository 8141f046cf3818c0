#define _GNU_SOURCE
#include "sweep.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "commons.h"
#include "futex.h"
#include "hunt.h"
#include "proc.h"
#include "recover.h"

#define PASSES 128 /* in some 4 s: a fork bomb that outruns this many passes is beyond help */
#define PATIENCE (6 * PN_SECOND) /* with another sweeper, who may be beyond help too */

void sweep_mark_dead(struct member who) {
    struct record *record = table_get(who);
    if (!record) return;
    table_enter(who, RECORD_EXITED);
    pn_step("marked dead");
}

/* The doomed that run no more are marked like those whose death was told: from then on each dooms what is below it by
 * itself, and their records can go in any order; `ripe`, by slot, are the generations of those that were found so. After the
 * first time only who is below these is looked at: others who die meanwhile have somebody who calls for a sweep, and a family
 * where somebody dies all the time must not keep this one from its end. How many were not found so before. */
static uint32_t mark_doomed(uint32_t *ripe, bool first) {
    uint32_t used = word_read(&commons->slots_used), fresh = 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = kin_at(slot);
        if (ripe[slot] == who.generation || !kin_doomed(who, first ? NULL : ripe)) continue;
        struct record *record = table_get(who);
        if (!record || (record_state(record) != RECORD_EXITED && kin_running(who))) continue;
        table_enter(who, RECORD_EXITED);
        ripe[slot] = who.generation;
        fresh++;
    }
    return fresh;
}

/* Parents of processes that are doomed and still run (this sweeper, or one beyond our rights): they keep their record. */
static void note_needed(uint32_t used, uint8_t *needed) {
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = table_get(kin_at(slot));
        if (!record || record_state(record) == RECORD_EXITED || (word_read(&record->flags) & RECORD_DETACHED)) continue;
        struct member parent = kin_parent(record);
        if (table_get(parent)) needed[parent.slot] = 1;
    }
}

/* A record belongs to the reaper of the parent process until that has buried it. A process that the user forked has no
 * struct child anywhere, and a dead parent buries nobody. */
static bool left_to_us(struct record *record) {
    return (word_read(&record->flags) & (RECORD_BURIED | RECORD_FORKED)) || !kin_running(kin_parent(record));
}

static void free_record(struct member who, struct record *record) {
    uint32_t flags = word_or(&record->flags, RECORD_BURIED);
    if ((flags & RECORD_PROCESS) && !(flags & RECORD_BURIED)) {
        word_add(&commons->alive, (uint64_t)-1);
        /* Not by its own exit, and nobody was there to bury it: the kernel killed it when its parent died. */
        if (!(flags & (RECORD_ROOT | RECORD_DETACHED)) && !word_read(&record->status_known))
            hunt_note_left_over((pid_t)word_read(&record->pid), record);
    }
    pn_step("buried");
    recover(who.slot, word_read(&record->status_known) && word_peek(&record->status) == 0);
    arena_disown(OWNER_MEMBER(who.slot));
    table_free(who);
}

static void free_doomed(const uint32_t *ripe) {
    uint8_t needed[PN_SLOTS] = {0};
    uint32_t used = word_read(&commons->slots_used);
    note_needed(used, needed);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = kin_at(slot);
        struct record *record = table_get(who);
        if (!record || record_state(record) != RECORD_EXITED || needed[slot] || ripe[slot] != who.generation) continue;
        if (!kin_running(who) && left_to_us(record)) free_record(who, record);
    }
}

struct cookies {
    uint8_t needed[PN_SLOTS];
    bool blind; /* there may be others, which could not be looked at */
};

/* A living process with this cookie must go on being found by it. */
static void note_cookie(pid_t pid, void *arg) {
    struct cookies *cookies = arg;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    struct proc_stat stat;
    int error = proc_stat(pid, &stat);
    if (!error && (stat.state == 'Z' || stat.start_time < commons->founded_ticks)) return;
    if (!error) error = proc_environ(&stat, KIN_COOKIE "=", text, sizeof text);
    if (proc_short(error)) cookies->blind = true;
    if (!error && kin_read_cookie(text, &who) && table_get(who)) cookies->needed[who.slot] = 1;
}

uint32_t sweep_forks(void) {
    struct cookies cookies = {{0}, false};
    uint8_t *needed = cookies.needed;
    uint32_t used = word_read(&commons->slots_used), freed = 0;
    /* First: a fork wears its parent's cookie until it has a record of its own. */
    if (proc_every(note_cookie, &cookies) < 0 || cookies.blind) return 0;
    note_needed(word_read(&commons->slots_used), needed);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = kin_at(slot);
        struct record *record = table_get(who);
        if (!record || needed[slot] || word_read(&record->pid) == 0 || kin_running(who) || !left_to_us(record)) continue;
        free_record(who, record);
        freed++;
    }
    return freed;
}

void sweep_look_at_forks(void) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = kin_at(slot);
        struct record *record = table_get(who);
        if (!record || !(word_read(&record->flags) & RECORD_FORKED) || word_read(&record->pid) == 0 || kin_running(who)) continue;
        recover_member(who, word_read(&record->status_known) && word_peek(&record->status) == 0);
    }
}

/* A record may go when a whole pass of a sweep that began after its member's death has found nobody: then there is no process any
 * more that came from it and is known by its cookie alone, such as a fork that has not come to a record of its own. */
static bool sweep_once(bool (*wait)(int64_t)) {
    uint32_t *ripe = calloc(PN_SLOTS, sizeof *ripe); /* (without it nothing is freed, this time) */
    struct hunt hunt = {.top = {PN_NO_SLOT, 0}, .dead = ripe, .sig = SIGKILL, .self = getpid(), .count = true};
    uint32_t asked = word_read(&commons->sweeps_asked);
    if (ripe) mark_doomed(ripe, true);
    bool done = false, go_on = true;
    bool no_proc = false; /* (as in a chroot: those outside see to it) */
    for (int pass = 0; pass < PASSES && !done && go_on && !no_proc; pass++) {
        bool nobody = hunt_pass(&hunt, pass);
        done = nobody && (!ripe || mark_doomed(ripe, false) == 0);
        no_proc = hunt.blind && !proc_short(hunt.blind);
        if (!nobody && !no_proc) go_on = wait(hunt_moment(pass));
    }
    pn_step("all hunted");
    hunt_end(&hunt);
    if (ripe && done) free_doomed(ripe);
    free(ripe);
    if (done && !hunt.spared) word_publish(&commons->swept, (uint64_t)geteuid() << 32 | asked);
    return go_on && !proc_short(hunt.blind);
}

static bool at_work(pid_t tid) {
    struct proc_stat stat;
    int error = proc_stat(tid, &stat);
    return error ? proc_short(error) : !strchr("ZXTt", stat.state);
}

/* Somebody with our rights began and ended a whole sweep since that call. */
static bool is_swept(uint32_t call) {
    uint64_t swept = word_read(&commons->swept);
    return (uint32_t)(swept >> 32) == (uint32_t)geteuid() && (int32_t)((uint32_t)swept - call) >= 0;
}

enum turn { OURS, NOT_NEEDED, CALLED_AWAY };

/* Who struck somebody knows whom to wait for; who comes meanwhile finds no trace of those that are on their way out. So of those
 * who find nobody at it one begins, and the others wait for that one. What it does is for all who called before it began: in a
 * family where somebody dies all the time, each would wait for ever for a turn of its own. */
static enum turn take_turn(uint32_t call, bool (*wait)(int64_t)) {
    int64_t limit = clock_monotonic() + PATIENCE;
    uint32_t me = (uint32_t)gettid();
    while (!is_swept(call)) {
        uint32_t other = word_read(&commons->sweeper);
        if (other == 0 || other == me || clock_monotonic() >= limit || !at_work((pid_t)other)) {
            pn_step("nobody else at work");
            if (word_swap(&commons->sweeper, other, me)) return OURS;
        } else if (wait == hunt_nap) {
            futex_wait(&commons->sweeper, other, clock_monotonic() + PN_SECOND / 20);
        } else if (!wait(PN_SECOND / 200)) {
            return CALLED_AWAY;
        }
    }
    return NOT_NEEDED;
}

void sweep_all(void) { sweep_all_waiting(hunt_nap); }

bool sweep_all_waiting(bool (*wait)(int64_t ns)) {
    uint32_t me = (uint32_t)gettid(), call = word_add(&commons->sweeps_asked, 1) + 1;
    pn_step("sweep asked for");
    enum turn turn = take_turn(call, wait);
    if (turn != OURS) return turn == NOT_NEEDED;
    pn_step("sweeper");
    bool ended = sweep_once(wait);
    word_swap(&commons->sweeper, me, 0); /* (another may have taken it over meanwhile) */
    futex_wake(&commons->sweeper, INT_MAX);
    return ended;
}
