/* Killed at every step. The core calls `pn_step` after each store to shared memory (word.h); here the n-th call is the
 * process's last instruction. For n = 1, 2, ... until the operation comes to its end, a forked process runs it, dies by
 * SIGKILL, and this process, a living member, must find a commons that works: every slot and chunk can be used once
 * more, nobody gets what another has, and what the dead one had is given back. (The cells and waits: steps_locks.c, steps_meetings.c.) */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "../arena.h"
#include "../hunt.h"
#include "../self.h"
#include "../sweep.h"
#include "steps.h"

/* What the dying process and the survivor agree on. */
static struct plan {
    struct member victim, child, grandchild;
    uint64_t offset;
} *plan;

enum { DEAD = 7, ALIVE = 8 }; /* owners in the arena */

static uint64_t kept_bytes(void) {
    struct stat file;
    CHECK(fstat(commons_fd, &file) == 0);
    return (uint64_t)file.st_blocks * 512;
}

/* --- the table ------------------------------------------------------------------------------------------------ */

static void free_all(void) {
    for (uint32_t slot = 0; slot < word_read(&commons->slots_used); slot++)
        table_free((struct member){slot, word_read(&commons_records()[slot].generation)});
}

static uint32_t visible(void) {
    uint32_t n = 0;
    for (uint32_t slot = 0; slot < word_read(&commons->slots_used); slot++)
        n += table_get((struct member){slot, word_read(&commons_records()[slot].generation)}) != NULL;
    return n;
}

static struct member add(struct member parent, uint32_t flags) {
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, flags, parent, "member") == 0);
    return who;
}

/* All slots that show no member can be had, each once; no more. The table is empty after it. */
static void every_slot_is_usable(void) {
    static struct member got[PN_SLOTS];
    static uint32_t times[PN_SLOTS];
    uint32_t before = visible(), n = 0;
    memset(times, 0, sizeof times);
    while (n < PN_SLOTS && table_add(&got[n], RECORD_READY, 0, nobody, "new") == 0) times[got[n++].slot]++;
    expect(n + before == PN_SLOTS, "a slot is lost, or handed out though it is taken");
    for (uint32_t i = 0; i < n; i++) {
        expect(times[got[i].slot] == 1, "a slot was handed out twice");
        expect(table_get(got[i]) && strcmp(table_get(got[i])->name, "new") == 0, "a new member's record is not its own");
    }
    free_all();
    expect(visible() == 0, "a record cannot be freed");
}

static void run_add(void) { plan->victim = add(nobody, 0); }

static void verify_add(void) {
    expect(visible() <= 1, "more than one record");
    every_slot_is_usable();
}

static void prepare_victim(void) { plan->victim = add(nobody, 0); }
static void run_free(void) { table_free(plan->victim); }

static void verify_free(void) {
    table_free(plan->victim); /* whoever finds it there still does it again */
    expect(table_get(plan->victim) == NULL && visible() == 0, "it is still there");
    every_slot_is_usable();
}

static void run_settle(void) { self_settle(plan->victim, RECORD_IDLE); }

static void verify_settle(void) {
    struct record *record = table_get(plan->victim);
    expect(record, "its record is gone");
    expect(record->pid == 0 || record->start_time != 0, "a pid without its start time");
    expect(record_state(record) == RECORD_RUNNING || record->pid != 0, "a new state before its identity");
    verify_free();
}

static void run_last_words(void) { self_last_words(table_get(plan->victim), 3 << 8); }

static void verify_last_words(void) {
    struct record *record = table_get(plan->victim);
    expect(!record->status_known || record->status == 3 << 8, "a status that it did not leave");
    verify_free();
}

/* --- the arena ------------------------------------------------------------------------------------------------ */

static uint64_t bytes_before;

static uint64_t take(uint32_t chunks, uint32_t owner) {
    uint64_t offset;
    CHECK(arena_take(chunks * CHUNK_SIZE, owner, &offset) == 0);
    return offset;
}

/* What the dead one had goes back to the last byte; then the first chunks can be had again, each once. */
static void nothing_is_lost(void) {
    arena_disown(DEAD);
    arena_disown(ALIVE);
    expect(arena_used(OWNER_ANY) == 0, "chunks are lost");
    expect(kept_bytes() <= bytes_before, "the kernel still holds pages");
    word_poke(&commons->chunk_hint, 0);
    for (uint64_t i = 0; i < 12; i++)
        expect(take(1, ALIVE) == COMMONS_ARENA + i * CHUNK_SIZE, "a free chunk cannot be had");
    arena_disown(ALIVE);
}

static void prepare_arena(void) {
    arena_give(take(16, ALIVE));
    word_poke(&commons->chunk_hint, 0);
    bytes_before = kept_bytes();
}

static void run_take(void) { plan->offset = take(3, DEAD); }

/* A chunk of another's in the way: what was claimed before it must be undone. */
static void prepare_obstacle(void) {
    prepare_arena();
    uint64_t first = take(2, ALIVE);
    plan->offset = take(1, ALIVE);
    arena_give(first);
}

static void prepare_extent(void) {
    prepare_arena();
    plan->offset = take(4, DEAD);
}

static void run_give(void) { arena_give(plan->offset); }
static void run_disown(void) { arena_disown(DEAD); }
static void run_pass(void) { arena_pass(plan->offset, ALIVE); }

static void verify_pass(void) {
    expect(arena_used(DEAD) + arena_used(ALIVE) == 4 * CHUNK_SIZE, "a chunk has neither owner");
    nothing_is_lost();
}

static void verify_obstacle(void) {
    expect(arena_used(ALIVE) == CHUNK_SIZE, "another's chunk was touched");
    nothing_is_lost();
}

/* --- the family ----------------------------------------------------------------------------------------------- */

static void run_obituary(void) {
    char name[PN_NAME_SIZE] = "departed";
    commons_obituary(11, SIGKILL, 5, name, 22, 33);
}

static void verify_obituary(void) {
    struct obituary copy;
    for (int i = 0; i < 2; i++) { /* as the dead one left it; and after the next */
        for (uint64_t serial = 1; serial <= commons->obituary_count; serial++)
            expect(!commons_read_obituary(serial, &copy) ||
                       (copy.pid == 11 && copy.peak_kib == 33 && strcmp(copy.name, "departed") == 0),
                   "a torn obituary");
        run_obituary();
    }
    expect(commons_read_obituary(commons->obituary_count, &copy), "the next obituary is not there");
}

/* A dead member with a dead child and grandchild, each with memory, the slots not in the family's order. */
static void prepare_family(void) {
    prepare_arena();
    struct member low = add(nobody, 0);
    plan->victim = add(nobody, 0);
    plan->child = add(plan->victim, RECORD_PROCESS);
    table_free(low);
    plan->grandchild = add(plan->child, RECORD_PROCESS);
    CHECK(plan->grandchild.slot < plan->victim.slot);
    word_publish(&commons->alive, 2);
    bytes_before = kept_bytes();
    take(2, OWNER_MEMBER(plan->child.slot));
    take(1, OWNER_MEMBER(plan->grandchild.slot));
}

static void run_mark_dead(void) { sweep_mark_dead(plan->victim); }

static void run_sweep(void) {
    sweep_mark_dead(plan->victim);
    sweep_all();
}

static void verify_sweep(void) {
    run_sweep();
    expect(visible() == 0, "records of the dead are left");
    expect(word_read(&commons->sweeper) == 0, "somebody still seems to sweep");
    expect(commons->alive <= 1, "the living are miscounted by more than the one at hand");
    nothing_is_lost();
    every_slot_is_usable();
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

static const struct operation {
    const char *name;
    void (*prepare)(void), (*run)(void), (*verify)(void);
} operations[] = {
    {"table add", NULL, run_add, verify_add},
    {"table free", prepare_victim, run_free, verify_free},
    {"settle in a record", prepare_victim, run_settle, verify_settle},
    {"last words", prepare_victim, run_last_words, verify_last_words},
    {"arena take", prepare_arena, run_take, nothing_is_lost},
    {"arena take around another's", prepare_obstacle, run_take, verify_obstacle},
    {"arena give", prepare_extent, run_give, nothing_is_lost},
    {"arena pass", prepare_extent, run_pass, verify_pass},
    {"arena disown", prepare_extent, run_disown, nothing_is_lost},
    {"obituary", NULL, run_obituary, verify_obituary},
    {"mark dead", prepare_family, run_mark_dead, verify_sweep},
    {"sweep", prepare_family, run_sweep, verify_sweep},
};

/* True when it came to its end and did not die. */
static bool run_until(const void *which, int n) {
    const struct operation *operation = which;
    CHECK(commons_found() == 0);
    if (operation->prepare) operation->prepare();
    strcpy(*place, "its end");
    pid_t pid = fork();
    if (pid == 0) {
        step = 0;
        last_step = n;
        operation->run();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && (status == 0 || status == SIGKILL));
    died_at = *place;
    operation->verify();
    commons_leave();
    return status == 0;
}

/* --- races, step by step ------------------------------------------------------------------------------------- */

static pid_t late;

/* The process comes to its own record after the sweeper's look at the table, and before its look at the cookies. */
static void come_to_its_record(const char *where) {
    struct proc_stat stat;
    struct member who;
    if (strcmp(where, "members hunted") != 0) return;
    meanwhile = NULL;
    CHECK(proc_stat(late, &stat) == 0);
    CHECK(table_add(&who, RECORD_RUNNING, RECORD_FORKED, plan->child, "late") == 0);
    table_sit(table_get(who), late, stat.start_time);
}

static _Noreturn void sleep_under(struct member who) {
    char cookie[sizeof KIN_COOKIE + KIN_COOKIE_SIZE] = KIN_COOKIE "=";
    kin_cookie(who, cookie + sizeof KIN_COOKIE);
    execle("/bin/sleep", "sleep", "1000", (char *)NULL, (char *[]){cookie, NULL});
    _exit(127);
}

/* A plain process started by `who`. */
static pid_t asleep_under(struct member who) {
    char name[16] = "";
    pid_t pid = fork();
    if (pid == 0) sleep_under(who);
    while (strcmp(name, "sleep") != 0) proc_name(pid, name, sizeof name);
    return pid;
}

static int a_fork_that_comes_late_is_ended(void) {
    int status = 0;
    CHECK(commons_found() == 0);
    plan->victim = add(nobody, 0);
    plan->child = add(plan->victim, RECORD_FORKED);
    late = asleep_under(plan->child);
    meanwhile = come_to_its_record;
    run_sweep();
    bool ended = waitpid(late, &status, WNOHANG) == late && WTERMSIG(status) == SIGKILL;
    if (!ended) fprintf(stderr, "a fork that came late to its record outlived the sweep\n");
    kill(late, SIGKILL);
    commons_leave();
    return !ended || meanwhile;
}

/* Another death is told while the sweep is in its second pass. Who tells it calls for a sweep of its own. */
static void die_in_the_second_pass(const char *where) {
    static int passes;
    if (strcmp(where, "members hunted") != 0 || ++passes < 2) return;
    meanwhile = NULL;
    table_enter(plan->child, RECORD_EXITED);
}

static int whoever_is_ended_is_counted(void) {
    CHECK(commons_found() == 0);
    plan->victim = add(nobody, 0);
    plan->child = add(nobody, 0);
    pid_t pids[] = {asleep_under(plan->victim), asleep_under(plan->child)};
    meanwhile = die_in_the_second_pass;
    run_sweep();
    sweep_all();
    bool counted = commons->left_over == 2;
    if (!counted) fprintf(stderr, "%d of 2 left-over processes were counted\n", (int)commons->left_over);
    for (int i = 0; i < 2; i++) {
        int status = 0;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && WTERMSIG(status) == SIGKILL);
    }
    commons_leave();
    return !counted || meanwhile;
}

/* A fork that has not come to a record of its own, and who forked it has ended. Its grandparent's death is told when a sweep
 * after another has hunted, and is about to free records. The next one finds it by its cookie. */
static void die_before_the_freeing(const char *where) {
    if (strcmp(where, "all hunted") != 0) return;
    meanwhile = NULL;
    sweep_mark_dead(plan->victim);
}

static int a_fork_of_one_that_ended_is_found(void) {
    int status = 0;
    CHECK(commons_found() == 0);
    struct member another = add(nobody, 0);
    plan->victim = add(nobody, 0);
    plan->child = add(plan->victim, RECORD_FORKED);
    late = asleep_under(plan->child);
    sweep_mark_dead(another);
    meanwhile = die_before_the_freeing;
    sweep_all();
    sweep_all();
    bool ended = waitpid(late, &status, WNOHANG) == late && WTERMSIG(status) == SIGKILL;
    if (!ended) fprintf(stderr, "a fork whose parent had ended outlived the sweep\n");
    kill(late, SIGKILL);
    bool freed = !table_get(another) && !table_get(plan->victim) && !table_get(plan->child);
    if (!freed) fprintf(stderr, "records are left after two sweeps\n");
    commons_leave();
    return !ended || !freed || meanwhile;
}

/* A spare whose start time has not been told is handed over, detached, and its parent ends: it still wears the zygote's cookie. */
static int a_new_born_that_is_detached_is_spared(void) {
    int status = 0;
    CHECK(commons_found() == 0);
    plan->victim = add(nobody, 0);
    plan->child = add(plan->victim, RECORD_ZYGOTE);
    plan->grandchild = add(plan->victim, RECORD_DETACHED);
    late = asleep_under(plan->child);
    word_publish(&table_get(plan->grandchild)->pid, (uint32_t)late);
    run_sweep();
    bool spared = waitpid(late, &status, WNOHANG) == 0 && table_get(plan->grandchild);
    if (!spared) fprintf(stderr, "a detached process was ended before its start time was told\n");
    kill(late, SIGKILL);
    CHECK(waitpid(late, &status, 0) == late || !spared);
    commons_leave();
    return !spared;
}

/* The one that sweeps is called away, and comes back. */
static bool called_away(int64_t ns) { return ns < 0; }

static int a_sweep_that_is_left_is_begun_anew(void) {
    int status = 0;
    CHECK(commons_found() == 0);
    plan->victim = add(nobody, 0);
    late = asleep_under(plan->victim);
    sweep_mark_dead(plan->victim);
    bool left = !sweep_all_waiting(called_away) && table_get(plan->victim) && word_read(&commons->sweeper) == 0;
    sweep_all();
    bool ended = waitpid(late, &status, WNOHANG) == late && WTERMSIG(status) == SIGKILL && !table_get(plan->victim);
    if (!left || !ended) fprintf(stderr, "a sweep that was left %s\n", left ? "was not begun anew" : "freed what it had not swept");
    commons_leave();
    return !left || !ended;
}

int main(void) {
    int failed = 0, count = sizeof operations / sizeof *operations;
    plan = shared(sizeof *plan);
    place = shared(sizeof *place);
    for (int i = 0; i < count; i++) failed += kill_at_every_step(operations[i].name, run_until, &operations[i]);
    failed += a_fork_that_comes_late_is_ended();
    failed += a_fork_of_one_that_ended_is_found();
    failed += a_new_born_that_is_detached_is_spared();
    failed += a_sweep_that_is_left_is_begun_anew();
    failed += whoever_is_ended_is_counted();
    printf("%d operations killed at %d points\n", count, points);
    return failed;
}
