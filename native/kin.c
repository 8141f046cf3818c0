#define _GNU_SOURCE
#include "kin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "commons.h"
#include "futex.h"
#include "pidfd.h"
#include "proc.h"
#include "recover.h"

#define PASSES 128 /* in some 4 s: a fork bomb that outruns this many passes is beyond help */
#define EXECS 40 /* in 0.4 s of them: who is within an exec() for longer than that is not waited for */
#define DEPTH 64  /* of the walk down /proc; what lies deeper is found by its cookie or in the next pass */

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

static struct member member_at(uint32_t slot) {
    return (struct member){slot, word_read(&commons_records()[slot].generation)};
}

struct hunt {
    struct member top; /* whose kin is hunted; PN_NO_SLOT: that of all the dead */
    int sig;
    int hits;   /* all that were signalled */
    int unsure; /* processes within an exec(): their cookie cannot be read at this moment */
    pid_t self;
    bool count; /* the user's processes among them are left-over ones: count and name them */
    int depth;
    pid_t *struck; /* in a pass each gets the signal once, by however many ways it is found; in all passes it is counted once */
    size_t struck_count, pass_began;
};

static bool wanted(struct hunt *hunt, struct member who) {
    return hunt->top.slot == PN_NO_SLOT ? doomed(who) : kin_below(who, hunt->top);
}

static bool met_since(struct hunt *hunt, size_t first, pid_t pid) {
    for (size_t i = first; i < hunt->struck_count; i++)
        if (hunt->struck[i] == pid) return true;
    return false;
}

static void remember(struct hunt *hunt, pid_t pid) {
    pid_t *more = realloc(hunt->struck, (hunt->struck_count + 1) * sizeof *more);
    if (!more) return;
    hunt->struck = more;
    more[hunt->struck_count++] = pid;
}

static void note_left_over(pid_t pid, struct record *record) {
    if (record && !(word_read(&record->flags) & (RECORD_PROCESS | RECORD_FORKED))) return; /* a helper of ours */
    if (!record && !proc_lacks(pid, "/memfd:procession (deleted)")) return; /* a helper without a record, or ending */
    if (record && (word_or(&record->flags, RECORD_LEFT_OVER) & RECORD_LEFT_OVER)) return;
    char name[PN_NAME_SIZE];
    if (record) memcpy(name, record->name, PN_NAME_SIZE);
    else proc_name(pid, name, sizeof name);
    word_add(&commons->left_over, 1);
    commons_obituary((uint32_t)pid, SIGKILL, OBITUARY_LEFT_OVER, name, 0, 0);
}

/* Who sits in which record. Of a spare that has just been born the pid alone is known (the kernel writes it, its zygote or it
 * itself tells the start time a moment later); it may have been started already, and detached. */
static struct record *member_of(pid_t pid, uint64_t start_time) {
    struct record *born = NULL;
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        uint32_t state = record_state(record);
        if (state == RECORD_FREE || state == RECORD_CLAIMED) continue;
        if (word_read(&record->pid) != (uint32_t)pid) continue;
        uint64_t told = word_peek(&record->start_time);
        if (told == start_time) return record;
        if (told == 0) born = record;
    }
    return born;
}

/* Who sits in the record, as (pid, start time). The handle is looked at again after the reading: the slot may have
 * been given to somebody innocent meanwhile. */
static bool sits(struct member who, pid_t *pid, uint64_t *start_time) {
    struct record *record = table_get(who);
    if (!record) return false;
    *pid = (pid_t)word_read(&record->pid);
    *start_time = word_peek(&record->start_time);
    atomic_thread_fence(memory_order_acquire); /* the second look comes after both reads (partner: the claim's swap) */
    return table_get(who) == record && *pid != 0;
}

static bool running(struct member who) {
    pid_t pid;
    uint64_t start;
    return sits(who, &pid, &start) && proc_is(pid, start);
}

/* Of several sweepers who are themselves doomed, the last to take the word is spared by the others: two that struck
 * each other at one moment would leave nobody. */
static bool sweeps_for_us(pid_t pid) { return word_read(&commons->sweeper) == (uint32_t)pid; }

/* Signal one process. Its identity is checked between opening the pidfd and using it. */
static void strike(struct hunt *hunt, pid_t pid, uint64_t start_time, struct record *record) {
    if (pid == hunt->self || pid <= 1 || (hunt->top.slot == PN_NO_SLOT && sweeps_for_us(pid))) return;
    if (met_since(hunt, hunt->pass_began, pid)) return;
    bool known = met_since(hunt, 0, pid);
    remember(hunt, pid);
    int pidfd = pidfd_open_(pid);
    if (pidfd < 0) return;
    if (proc_is(pid, start_time)) {
        if (hunt->count && !known) note_left_over(pid, record);
        if (pidfd_signal(pidfd, hunt->sig) == 0) hunt->hits++;
    }
    close(pidfd);
}

static void strike_with_children(pid_t pid, void *arg);

static void strike_children(struct hunt *hunt, pid_t pid) {
    if (hunt->depth == DEPTH) return;
    hunt->depth++;
    proc_children(pid, strike_with_children, hunt);
    hunt->depth--;
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
    strike_children(hunt, pid);
    strike(hunt, pid, stat.start_time, record);
}

static void hunt_members(struct hunt *hunt) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        struct member who = {slot, word_read(&record->generation)};
        if (!table_get(who) || same(who, hunt->top) || !wanted(hunt, who)) continue;
        pid_t pid;
        uint64_t start;
        if (!sits(who, &pid, &start) || !proc_is(pid, start)) continue;
        word_or(&record->flags, RECORD_TERMINATED);
        if (pid != hunt->self) strike_children(hunt, pid);
        strike(hunt, pid, start, record);
    }
}

/* A spare between its clone and its first word still wears its zygote's cookie. The zygote may be dead, the spare's parent is
 * not: it is nobody's orphan. */
static bool is_new_spare(struct member who, struct proc_stat *stat) {
    struct record *zygote = table_get(who);
    if (!zygote || !(word_read(&zygote->flags) & RECORD_ZYGOTE)) return false;
    struct record *parent = table_get(parent_of(zygote));
    return parent && record_state(parent) != RECORD_EXITED && (pid_t)word_read(&parent->pid) == stat->parent;
}

static void hunt_cookie(pid_t pid, void *arg) {
    struct hunt *hunt = arg;
    struct proc_stat stat;
    if (pid == hunt->self || proc_stat(pid, &stat) < 0) return;
    if (stat.start_time < commons->founded_ticks || stat.state == 'Z') return;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    int r = proc_environ(pid, KIN_COOKIE "=", text, sizeof text);
    if (r == -ENODATA && proc_in_exec(pid)) hunt->unsure++;
    if (r < 0 || !read_cookie(text, &who)) return;
    /* A member goes by its record, not by the cookie that it still wears; and it may be one only since the table's pass: a
     * fork that had not come to its own record then. */
    struct record *record = member_of(pid, stat.start_time);
    if (record) who = member_at((uint32_t)(record - commons_records()));
    if (record && same(who, hunt->top)) return;
    if (!wanted(hunt, who) || (!record && is_new_spare(who, &stat))) return;
    if (record) word_or(&record->flags, RECORD_TERMINATED);
    strike_children(hunt, pid);
    strike(hunt, pid, stat.start_time, record);
}

/* Those who were struck need a moment to be gone, an exec() one to be done. */
static int64_t moment(int pass) { return 200000 + pass * 500000; }

static bool nap(int64_t ns) {
    nanosleep(&(struct timespec){0, ns}, NULL);
    return true;
}

int kin_signal(struct member who, int sig) {
    struct hunt hunt = {.top = who, .sig = sig, .self = getpid()};
    struct record *record = table_get(who);
    if (!record) return 0;
    pid_t pid = (pid_t)word_read(&record->pid);
    if (pid && proc_is(pid, word_peek(&record->start_time))) strike_children(&hunt, pid);
    hunt_members(&hunt);
    pn_step("members hunted");
    for (int pass = 0; pass < EXECS; pass++) {
        hunt.unsure = 0;
        proc_every(hunt_cookie, &hunt);
        if (hunt.unsure == 0) break;
        nap(moment(pass));
    }
    free(hunt.struck);
    return hunt.hits;
}

void kin_mark_dead(struct member who) {
    struct record *record = table_get(who);
    if (!record) return;
    table_enter(who, RECORD_EXITED);
    pn_step("marked dead");
    word_add(&commons->sweeps_wanted, 1);
    pn_step("sweep wanted");
}

/* One pass over all the doomed. Whether there was nobody to strike. */
static bool kill_doomed(struct hunt *hunt, int pass) {
    hunt->hits = hunt->unsure = 0;
    hunt->pass_began = hunt->struck_count;
    hunt_members(hunt);
    pn_step("members hunted");
    proc_every(hunt_cookie, hunt);
    return hunt->hits == 0 && (hunt->unsure == 0 || pass >= EXECS);
}

/* The doomed that run no more are marked like those whose death was told: from then on each dooms what is below it by
 * itself, and their records can go in any order; `ripe`, by slot, are the generations of those that were found so. How many
 * were not before. */
static uint32_t mark_doomed(uint32_t *ripe) {
    uint32_t used = word_read(&commons->slots_used), fresh = 0;
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = member_at(slot);
        if (!doomed(who) || running(who)) continue;
        table_enter(who, RECORD_EXITED);
        if (ripe[slot] == who.generation) continue;
        ripe[slot] = who.generation;
        fresh++;
    }
    return fresh;
}

/* Parents of processes that are doomed and still run (this sweeper, or one beyond our rights): they keep their record. */
static void note_needed(uint32_t used, uint8_t *needed) {
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = table_get(member_at(slot));
        if (!record || record_state(record) == RECORD_EXITED || (word_read(&record->flags) & RECORD_DETACHED)) continue;
        struct member parent = parent_of(record);
        if (table_get(parent)) needed[parent.slot] = 1;
    }
}

/* A record belongs to the reaper of the parent process until that has buried it. A process that the user forked has no
 * struct child anywhere, and a dead parent buries nobody. */
static bool left_to_us(struct record *record) {
    return (word_read(&record->flags) & (RECORD_BURIED | RECORD_FORKED)) || !running(parent_of(record));
}

static void free_record(struct member who, struct record *record) {
    uint32_t flags = word_or(&record->flags, RECORD_BURIED);
    if ((flags & RECORD_PROCESS) && !(flags & RECORD_BURIED)) {
        word_add(&commons->alive, (uint64_t)-1);
        /* Not by its own exit, and nobody was there to bury it: the kernel killed it when its parent died. */
        if (!(flags & (RECORD_ROOT | RECORD_DETACHED)) && !word_read(&record->status_known))
            note_left_over((pid_t)word_read(&record->pid), record);
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
        struct member who = member_at(slot);
        struct record *record = table_get(who);
        if (!record || record_state(record) != RECORD_EXITED || needed[slot] || ripe[slot] != who.generation) continue;
        if (!running(who) && left_to_us(record)) free_record(who, record);
    }
}

/* A living process with this cookie must go on being found by it. */
static void note_cookie(pid_t pid, void *arg) {
    uint8_t *needed = arg;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    struct proc_stat stat;
    if (proc_stat(pid, &stat) < 0 || stat.state == 'Z' || stat.start_time < commons->founded_ticks) return;
    if (proc_environ(pid, KIN_COOKIE "=", text, sizeof text) < 0 || !read_cookie(text, &who)) return;
    if (table_get(who)) needed[who.slot] = 1;
}

uint32_t kin_scavenge(void) {
    uint8_t needed[PN_SLOTS] = {0};
    uint32_t used = word_read(&commons->slots_used), freed = 0;
    proc_every(note_cookie, needed); /* first: a fork wears its parent's cookie until it has a record of its own */
    note_needed(word_read(&commons->slots_used), needed);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = member_at(slot);
        struct record *record = table_get(who);
        if (!record || needed[slot] || word_read(&record->pid) == 0 || running(who) || !left_to_us(record)) continue;
        free_record(who, record);
        freed++;
    }
    return freed;
}

void kin_look_at_forks(void) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct member who = member_at(slot);
        struct record *record = table_get(who);
        if (!record || !(word_read(&record->flags) & RECORD_FORKED) || word_read(&record->pid) == 0 || running(who)) continue;
        recover_member(who, word_read(&record->status_known) && word_peek(&record->status) == 0);
    }
}

/* A record may go when a whole pass that began after its member's death has found nobody: then there is no process any more that
 * came from it and is known by its cookie alone, such as a fork that has not come to a record of its own. */
static bool sweep_once(bool (*wait)(int64_t)) {
    struct hunt hunt = {.top = {PN_NO_SLOT, 0}, .sig = SIGKILL, .self = getpid(), .count = true};
    uint32_t *ripe = calloc(PN_SLOTS, sizeof *ripe); /* (without it nothing is freed, this time) */
    if (ripe) mark_doomed(ripe);
    bool done = false, go_on = true;
    for (int pass = 0; pass < PASSES && !done && go_on; pass++) {
        bool nobody = kill_doomed(&hunt, pass);
        done = nobody && (!ripe || mark_doomed(ripe) == 0);
        if (!nobody) go_on = wait(moment(pass));
    }
    pn_step("all hunted");
    free(hunt.struck);
    if (ripe && done) free_doomed(ripe);
    free(ripe);
    return go_on;
}

void kin_sweep(void) { kin_sweep_waiting(nap); }

bool kin_sweep_waiting(bool (*wait)(int64_t ns)) {
    uint32_t me = (uint32_t)gettid(), other;
    while ((other = word_read(&commons->sweeper)) != 0 && other != me) {
        if (futex_wait(&commons->sweeper, other, clock_monotonic() + PN_SECOND / 20) == -ETIMEDOUT) break;
    }
    uint32_t wanted;
    bool go_on;
    do {
        word_publish(&commons->sweeper, me);
        pn_step("sweeper");
        wanted = word_read(&commons->sweeps_wanted);
        go_on = sweep_once(wait);
        word_swap(&commons->sweeper, me, 0); /* (another may have taken it over meanwhile) */
        futex_wake(&commons->sweeper, INT_MAX);
    } while (go_on && word_read(&commons->sweeps_wanted) != wanted);
    return go_on;
}
