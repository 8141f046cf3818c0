#define _GNU_SOURCE
#include "hunt.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commons.h"
#include "pidfd.h"
#include "proc.h"

#define EXECS 40 /* in 0.4 s of them: who is within an exec() for longer than that is not waited for */
#define BIRTHS 8 /* who forks and ends at once, again and again, may be in no list: passes while somebody was born, in some 40 ms */
#define DEPTH 64 /* of the walk down /proc; what lies deeper is found by its cookie or in the next pass */

static bool wanted(struct hunt *hunt, struct member who) {
    return hunt->top.slot == PN_NO_SLOT ? kin_doomed(who, hunt->dead) : kin_below(who, hunt->top);
}

static bool is_blind(struct hunt *hunt, int error) {
    if (proc_short(error)) hunt->blind = error;
    return error < 0;
}

static bool met_since(struct hunt *hunt, size_t first, pid_t pid) {
    for (size_t i = first; i < hunt->struck_count; i++)
        if (hunt->struck[i].pid == pid) return true;
    return false;
}

static void remember(struct hunt *hunt, struct struck struck) {
    struct struck *more = realloc(hunt->struck, (hunt->struck_count + 1) * sizeof *more);
    if (!more) return;
    hunt->struck = more;
    more[hunt->struck_count++] = struck;
}

/* Somebody who got the signal is on its way out. It is looked for by name: it has given back its memory, and its cookie with
 * it, long before it is gone. */
static bool anybody_leaving(const struct hunt *hunt) {
    for (size_t i = 0; i < hunt->struck_count; i++)
        if (hunt->struck[i].hit && proc_may_be(hunt->struck[i].pid, hunt->struck[i].start_time)) return true;
    return false;
}

void hunt_note_left_over(pid_t pid, struct record *record) {
    if (record && !(word_read(&record->flags) & (RECORD_PROCESS | RECORD_FORKED))) return; /* a helper of ours */
    if (!record && !proc_lacks(pid, "/memfd:procession (deleted)")) return; /* a helper without a record, or ending */
    if (record && (word_or(&record->flags, RECORD_LEFT_OVER) & RECORD_LEFT_OVER)) return;
    char name[PN_NAME_SIZE];
    if (record) memcpy(name, record->name, PN_NAME_SIZE);
    else proc_name(pid, name, sizeof name);
    word_add(&commons->left_over, 1);
    commons_obituary((uint32_t)pid, SIGKILL, OBITUARY_LEFT_OVER, name, 0, 0);
}

/* Of several sweepers who are themselves doomed, the last to take the word is spared by the others: two that struck
 * each other at one moment would leave nobody. */
static bool sweeps_for_us(pid_t pid) { return word_read(&commons->sweeper) == (uint32_t)pid; }

/* Signal one process. Its identity is checked between opening the pidfd and using it. */
static void strike(struct hunt *hunt, pid_t pid, uint64_t start_time, struct record *record) {
    bool spared = pid == hunt->self || (hunt->top.slot == PN_NO_SLOT && sweeps_for_us(pid));
    if (spared) hunt->spared = true;
    if (spared || pid <= 1) return;
    if (met_since(hunt, hunt->pass_began, pid)) return;
    bool known = met_since(hunt, 0, pid), hit = false;
    int pidfd = pidfd_open_(pid);
    is_blind(hunt, pidfd);
    if (pidfd >= 0 && proc_is(pid, start_time)) {
        if (hunt->count && !known) hunt_note_left_over(pid, record);
        hit = pidfd_signal(pidfd, hunt->sig) == 0;
    }
    if (pidfd >= 0) close(pidfd);
    if (hit) hunt->hits++;
    remember(hunt, (struct struck){pid, start_time, hit});
}

static void strike_with_children(pid_t pid, void *arg);

static void strike_children(struct hunt *hunt, pid_t pid) {
    if (hunt->depth == DEPTH) return;
    hunt->depth++;
    is_blind(hunt, proc_children(pid, strike_with_children, hunt));
    hunt->depth--;
}

static void strike_with_children(pid_t pid, void *arg) {
    struct hunt *hunt = arg;
    struct proc_stat stat;
    if (is_blind(hunt, proc_stat(pid, &stat)) || stat.state == 'Z') return;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    /* A child with a cookie of another branch (a detached one) is not ours to end. */
    if (proc_environ(&stat, KIN_COOKIE "=", text, sizeof text) == 0 && kin_read_cookie(text, &who) && table_get(who) &&
        !wanted(hunt, who))
        return;
    struct record *record = kin_record(pid, stat.start_time);
    if (record && (word_read(&record->flags) & RECORD_DETACHED)) return;
    strike_children(hunt, pid);
    strike(hunt, pid, stat.start_time, record);
}

static void hunt_members(struct hunt *hunt) {
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        struct member who = {slot, word_read(&record->generation)};
        if (!table_get(who) || kin_same(who, hunt->top) || !wanted(hunt, who)) continue;
        pid_t pid;
        uint64_t start;
        if (!kin_sits(who, &pid, &start) || !proc_is(pid, start)) continue;
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
    struct record *parent = table_get(kin_parent(zygote));
    return parent && record_state(parent) != RECORD_EXITED && (pid_t)word_read(&parent->pid) == stat->parent;
}

static void hunt_cookie(pid_t pid, void *arg) {
    struct hunt *hunt = arg;
    struct proc_stat stat;
    if (pid == hunt->self || is_blind(hunt, proc_stat(pid, &stat))) return;
    if (stat.start_time < commons->founded_ticks || stat.state == 'Z') return;
    char text[KIN_COOKIE_SIZE];
    struct member who;
    int r = proc_environ(&stat, KIN_COOKIE "=", text, sizeof text);
    if (r == -ENODATA && proc_in_exec(pid)) hunt->unsure++;
    if (is_blind(hunt, r) || !kin_read_cookie(text, &who)) return;
    /* A member goes by its record, not by the cookie that it still wears; and it may be one only since the table's pass: a
     * fork that had not come to its own record then. */
    struct record *record = kin_record(pid, stat.start_time);
    if (record) who = kin_at((uint32_t)(record - commons_records()));
    if (record && kin_same(who, hunt->top)) return;
    if (!wanted(hunt, who) || (!record && is_new_spare(who, &stat))) return;
    if (record) word_or(&record->flags, RECORD_TERMINATED);
    strike_children(hunt, pid);
    strike(hunt, pid, stat.start_time, record);
}

bool hunt_pass(struct hunt *hunt, int pass) {
    hunt->hits = hunt->unsure = hunt->blind = 0;
    hunt->spared = false;
    hunt->pass_began = hunt->struck_count;
    pid_t last = proc_last_pid();
    hunt_members(hunt);
    pn_step("members hunted");
    int error = proc_every(hunt_cookie, hunt);
    if (error) hunt->blind = error;
    bool births = proc_last_pid() != last;
    return !hunt->blind && hunt->hits == 0 && (hunt->unsure == 0 || pass >= EXECS) && (!births || pass >= BIRTHS) &&
           !anybody_leaving(hunt);
}

void hunt_end(struct hunt *hunt) { free(hunt->struck); }

int64_t hunt_moment(int pass) { return 200000 + pass * 500000; }

bool hunt_nap(int64_t ns) {
    nanosleep(&(struct timespec){0, ns}, NULL);
    return true;
}

int hunt_signal(struct member who, int sig) {
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
        hunt_nap(hunt_moment(pass));
    }
    hunt_end(&hunt);
    return hunt.hits;
}
