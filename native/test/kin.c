/* The family: who is below whom, who is spared, and that a sweep ends all the rest, however it was started. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>

#include "../arena.h"
#include "../clock.h"
#include "../futex.h"
#include "../hunt.h"
#include "../self.h"
#include "../sweep.h"
#include "check.h"

extern char **environ;

static pid_t *pids; /* shared: what the processes of a case write of themselves */
enum { ROOT, CHILD, GRANDCHILD, DETACHED, BELOW_DETACHED, PLAIN, SESSION, DAEMONIZED, COUNT };

static struct member add(struct member parent, uint32_t flags) {
    struct member who;
    CHECK(table_add(&who, RECORD_ORDERED, flags, parent, "member") == 0);
    return who;
}

static _Noreturn void sleep_for_ever(void) {
    for (;;) pause();
}

/* A process that is a member below `parent`; `then` is what it does when it has settled. */
static struct member start(struct member parent, uint32_t flags, int place, void (*then)(struct member)) {
    struct member who = add(parent, flags);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (flags & RECORD_DETACHED) setsid();
        CHECK(self_wear_cookie(who) == 0 && self_settle(who, RECORD_RUNNING));
        pids[place] = getpid();
        then(who);
        sleep_for_ever();
    }
    return who;
}

static void idle(struct member me) { (void)me; }

/* Exec a program that knows nothing of us, with the member's cookie in its environment. */
static _Noreturn void exec_sleep(struct member me, int place) {
    char cookie[KIN_COOKIE_SIZE];
    kin_cookie(me, cookie);
    setenv(KIN_COOKIE, cookie, 1);
    pids[place] = getpid();
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    _exit(127);
}

static void reap_all(void) {
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) continue;
}

static void begin(void) {
    CHECK(commons_found() == 0);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* orphans come to us, and we see that they end */
    pids = shared(COUNT * sizeof *pids);
}

static bool has_execed(pid_t pid) {
    char name[16];
    if (pid == 0) return false;
    proc_name(pid, name, sizeof name);
    return strcmp(name, "sleep") == 0;
}

/* --- cases ---------------------------------------------------------------------------------------------------- */

static void the_cookie_is_worn(void) {
    CHECK(commons_found() == 0);
    struct member first = add(nobody, 0), second = add(first, 0);
    char cookie[KIN_COOKIE_SIZE], seen[KIN_COOKIE_SIZE];
    kin_cookie(second, cookie);
    CHECK(self_wear_cookie(first) == 0 && self_wear_cookie(second) == 0);
    struct proc_stat me;
    CHECK(proc_stat(getpid(), &me) == 0);
    CHECK(proc_environ(&me, KIN_COOKIE "=", seen, sizeof seen) == 0 && strcmp(seen, cookie) == 0);
    kin_cookie(first, seen);
    CHECK(strcmp(seen, cookie) != 0);
    CHECK(proc_environ(&me, "NO_SUCH_VARIABLE=", seen, sizeof seen) == -ENOENT);
    commons_leave();
}

static void below(void) {
    CHECK(commons_found() == 0);
    struct member top = add(nobody, 0), child = add(top, 0), grandchild = add(child, 0);
    struct member detached = add(child, RECORD_DETACHED), its = add(detached, 0);
    CHECK(kin_below(top, top) && kin_below(child, top) && kin_below(grandchild, top) && kin_below(grandchild, child));
    CHECK(!kin_below(top, child) && !kin_below(child, grandchild));
    CHECK(!kin_below(detached, top) && !kin_below(its, top) && kin_below(its, detached));
    CHECK(!kin_below(nobody, top));
    table_free(child); /* a chain that is cut: nobody is found beyond the cut */
    CHECK(!kin_below(grandchild, top) && !kin_below(child, top));
    commons_leave();
}

static void child_and_grandchild(struct member me) {
    start(me, RECORD_PROCESS, GRANDCHILD, idle);
    start(me, RECORD_PROCESS | RECORD_DETACHED, DETACHED, idle);
}

static void root_with_child(struct member me) { start(me, RECORD_PROCESS, CHILD, child_and_grandchild); }

static void a_signal_reaches_all_below_but_the_detached(void) {
    begin();
    struct member root = start(nobody, RECORD_ROOT, ROOT, root_with_child);
    EVENTUALLY(pids[GRANDCHILD] && pids[DETACHED] && pids[CHILD]);
    CHECK(hunt_signal(root, SIGTERM) >= 2);
    EVENTUALLY(is_gone(pids[CHILD]) && is_gone(pids[GRANDCHILD]));
    CHECK(!is_gone(pids[ROOT]) && !is_gone(pids[DETACHED]));
    kill(pids[DETACHED], SIGKILL);
    kill(pids[ROOT], SIGKILL);
    reap_all();
    commons_leave();
}

static void below_detached(struct member me) { start(me, RECORD_PROCESS, BELOW_DETACHED, idle); }

static void plain_children(struct member me) {
    if (fork() == 0) exec_sleep(me, PLAIN);
    if (fork() == 0) {
        setsid();
        exec_sleep(me, SESSION);
    }
    pid_t between = fork(); /* forked twice, and the one between gone: nobody's child */
    if (between == 0) {
        setsid();
        if (fork() == 0) exec_sleep(me, DAEMONIZED);
        _exit(0);
    }
    waitpid(between, NULL, 0);
}

static void child_of_all_kinds(struct member me) {
    plain_children(me);
    start(me, RECORD_PROCESS, GRANDCHILD, idle);
}

static void root_of_all_kinds(struct member me) {
    start(me, RECORD_PROCESS, CHILD, child_of_all_kinds);
    start(me, RECORD_PROCESS | RECORD_DETACHED, DETACHED, below_detached);
}

static uint32_t records(void) {
    uint32_t n = 0;
    for (uint32_t slot = 0; slot < commons->slots_used; slot++)
        n += table_get((struct member){slot, commons_records()[slot].generation}) != NULL;
    return n;
}

static void a_sweep_ends_everything_but_the_detached(void) {
    begin();
    struct member root = start(nobody, RECORD_ROOT, ROOT, root_of_all_kinds);
    EVENTUALLY(pids[GRANDCHILD] && pids[BELOW_DETACHED] && has_execed(pids[PLAIN]) && has_execed(pids[SESSION]) &&
               has_execed(pids[DAEMONIZED]));
    sweep_all(); /* nobody is dead: nobody is harmed */
    for (int i = 0; i < COUNT; i++) CHECK(!is_gone(pids[i]));
    kill(pids[ROOT], SIGKILL);
    EVENTUALLY(is_gone(pids[ROOT]));
    sweep_mark_dead(root);
    sweep_all();
    for (int i = 0; i < COUNT; i++) CHECK(is_gone(pids[i]) == (i != DETACHED && i != BELOW_DETACHED));
    CHECK(commons->left_over == 5); /* each once: child, grandchild and the three plain ones */
    CHECK(records() == 2);          /* the detached one's and that below it */
    kill(pids[DETACHED], SIGKILL);
    kill(pids[BELOW_DETACHED], SIGKILL);
    reap_all();
    commons_leave();
}

/* Within an exec() there is a moment when a process has its new name already and no environment yet. It is known for what it is,
 * and found. */
static void a_process_within_an_exec_is_found(void) {
    begin();
    struct member dead = add(nobody, 0);
    for (int i = 0; i < (SANITIZED ? 30 : 300); i++) {
        char cookie[KIN_COOKIE_SIZE];
        pid_t pid = fork();
        if (pid == 0) exec_sleep(dead, PLAIN);
        while (!has_execed(pid)) continue;
        struct proc_stat who = {.pid = pid};
        bool bare = proc_environ(&who, KIN_COOKIE "=", cookie, sizeof cookie) == -ENODATA;
        bool within = bare && proc_in_exec(pid);
        CHECK(!bare || within || proc_environ(&who, KIN_COOKIE "=", cookie, sizeof cookie) == 0);
        CHECK(hunt_signal(dead, SIGKILL) == 1);
        end_of(pid, SIGKILL);
    }
    CHECK(!proc_in_exec(getpid()) && !proc_in_exec(2)); /* (a thread of the kernel, or nobody) */
    commons_leave();
}

static void *go_on(void *unused) {
    (void)unused;
    sleep_for_ever();
}

/* Its first thread has ended: /proc calls it a zombie, and gives its environment to who asks for another thread's only. */
static void a_process_without_its_first_thread_is_found(void) {
    begin();
    struct member dead = add(nobody, 0);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        CHECK(self_wear_cookie(dead) == 0 && pthread_create(&thread, NULL, go_on, NULL) == 0);
        pthread_exit(NULL);
    }
    struct proc_stat stat = {0};
    EVENTUALLY(proc_stat(pid, &stat) == 0 && stat.headless);
    CHECK(stat.state == 'S' && proc_is(pid, stat.start_time));
    sweep_mark_dead(dead);
    sweep_all();
    CHECK(!proc_is(pid, stat.start_time));
    CHECK(proc_stat(pid, &stat) == 0 && stat.state == 'Z' && !stat.headless);
    end_of(pid, SIGKILL);
    commons_leave();
}

/* Nothing above or below is freed by the order of the slots: here the deeper record has the lower slot. */
static void records_and_memory_of_the_dead_are_freed(void) {
    CHECK(commons_found() == 0);
    struct member low = add(nobody, 0), lower = add(nobody, 0), root = add(nobody, 0), child = add(root, RECORD_PROCESS);
    table_free(low);
    struct member grandchild = add(child, RECORD_PROCESS);
    table_free(lower);
    struct member last = add(grandchild, 0), other = add(nobody, 0);
    CHECK(grandchild.slot < child.slot && last.slot < child.slot);
    uint64_t offset;
    CHECK(arena_take(1, OWNER_MEMBER(last.slot), &offset) == 0 && arena_take(1, OWNER_MEMBER(other.slot), &offset) == 0);
    sweep_mark_dead(root);
    sweep_all();
    CHECK(records() == 1 && table_get(other));
    CHECK(arena_used(OWNER_MEMBER(last.slot)) == 0 && arena_used(OWNER_MEMBER(other.slot)) == CHUNK_SIZE);
    commons_leave();
}

/* A record with a living parent is its reaper's until that has counted it. */
static void the_living_parent_buries_first(void) {
    CHECK(commons_found() == 0);
    struct member me = add(nobody, 0), child = add(me, RECORD_PROCESS);
    CHECK(self_settle(me, RECORD_RUNNING));
    uint64_t offset;
    CHECK(arena_take(1, OWNER_MEMBER(child.slot), &offset) == 0);
    sweep_mark_dead(child); /* as its zygote says */
    sweep_all();
    CHECK(table_get(child) && arena_used(OWNER_MEMBER(child.slot)) > 0);
    word_or(&table_get(child)->flags, RECORD_BURIED);
    sweep_all();
    CHECK(table_get(child) == NULL && table_get(me));
    commons_leave();
}

static int chain_length = 150;

static void long_chain(struct member me) {
    for (int depth = 0; depth < chain_length; depth++)
        if (fork() != 0) sleep_for_ever();
    exec_sleep(me, GRANDCHILD);
}

static void a_deep_chain_is_ended(void) {
    begin();
    if (SANITIZED) chain_length = 40;
    struct member root = start(nobody, RECORD_ROOT, ROOT, long_chain);
    EVENTUALLY(has_execed(pids[GRANDCHILD]));
    kill(pids[ROOT], SIGKILL);
    EVENTUALLY(is_gone(pids[ROOT]));
    sweep_mark_dead(root);
    sweep_all();
    CHECK(is_gone(pids[GRANDCHILD]));
    reap_all();
    commons_leave();
}

static void sweepers_at_once(void) {
    begin();
    struct member root = start(nobody, RECORD_ROOT, ROOT, root_of_all_kinds);
    EVENTUALLY(pids[GRANDCHILD] && pids[BELOW_DETACHED] && has_execed(pids[DAEMONIZED]) && has_execed(pids[SESSION]));
    kill(pids[ROOT], SIGKILL);
    EVENTUALLY(is_gone(pids[ROOT]));
    pid_t sweepers[4];
    for (int i = 0; i < 4; i++) {
        sweepers[i] = fork();
        if (sweepers[i] == 0) {
            sweep_mark_dead(root);
            sweep_all();
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) end_of(sweepers[i], 0);
    for (int i = 0; i < COUNT; i++) CHECK(is_gone(pids[i]) == (i != DETACHED && i != BELOW_DETACHED));
    CHECK(records() == 2 && commons->sweeper == 0);
    kill(pids[DETACHED], SIGKILL);
    kill(pids[BELOW_DETACHED], SIGKILL);
    reap_all();
    commons_leave();
}

/* Two helpers of a dead member sweep after it, and each is itself among the doomed: one of them must be left to finish. */
static void doomed_sweepers_do_not_kill_each_other(void) {
    for (int round = 0; round < (SANITIZED ? 5 : 40); round++) {
        begin();
        struct member root = add(nobody, 0), helpers[2] = {add(root, RECORD_ZYGOTE), add(root, RECORD_ZYGOTE)};
        word32 *go = shared(2 * sizeof *go);
        sweep_mark_dead(root);
        for (int i = 0; i < 2; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                CHECK(self_settle(helpers[i], RECORD_RUNNING));
                word_add(go, 1);
                while (word_read(go) < 2) continue;
                sweep_all();
                word_add(&go[1], 1);
                _exit(0);
            }
        }
        reap_all();
        CHECK(word_read(&go[1]) >= 1);
        commons_leave();
    }
}

static void sweep_slowly(word32 *done, bool stops) {
    word_publish(&commons->sweeper, (uint32_t)getpid());
    if (stops) raise(SIGSTOP);
    nanosleep(&(struct timespec){0, 200000000}, NULL);
    word_add(done, 1);
    word_swap(&commons->sweeper, (uint32_t)getpid(), 0);
    futex_wake(&commons->sweeper, INT_MAX);
    _exit(0);
}

static void who_comes_later_waits_for_the_one_at_work(void) {
    begin();
    word32 *done = shared(sizeof *done);
    pid_t other = fork();
    if (other == 0) sweep_slowly(done, false);
    EVENTUALLY(word_read(&commons->sweeper) == (uint32_t)other);
    sweep_all();
    CHECK(word_read(done) == 1);
    end_of(other, 0);
    commons_leave();
}

static void one_that_is_stopped_is_not_waited_for(void) {
    begin();
    word32 *done = shared(sizeof *done);
    pid_t other = fork();
    int status;
    if (other == 0) sweep_slowly(done, true);
    CHECK(waitpid(other, &status, WUNTRACED) == other && WIFSTOPPED(status));
    int64_t began = clock_monotonic();
    sweep_all();
    CHECK(word_read(done) == 0 && word_read(&commons->sweeper) == 0);
    CHECK(clock_monotonic() - began < 3 * PN_SECOND);
    kill(other, SIGKILL);
    reap_all();
    commons_leave();
}

/* A cookie is found in the block that this program was started with: so start it once more, with one. */
static void be_started_with_a_cookie(char **argv) {
    char cookie[KIN_COOKIE_SIZE];
    if (getenv(KIN_COOKIE)) return;
    snprintf(cookie, sizeof cookie, "%016x.%05x.%08x", 0, 0, 0);
    setenv(KIN_COOKIE, cookie, 1);
    execv("/proc/self/exe", argv);
    CHECK(!"exec");
}

/* Whoever forks for ever and waits for its children itself never fills the table for good. */
static void a_full_table_is_scavenged(void) {
    begin();
    struct member me = add(nobody, 0), who;
    CHECK(self_settle(me, RECORD_RUNNING));
    struct member alive = start(me, RECORD_FORKED, CHILD, idle), needed = add(me, RECORD_FORKED);
    struct member reaped_by_us = add(me, RECORD_PROCESS);
    EVENTUALLY(pids[CHILD]);
    pid_t ended = fork();
    if (ended == 0) _exit(0);
    end_of(ended, 0);
    table_sit(table_get(needed), ended, 1);
    table_sit(table_get(reaped_by_us), ended, 1);
    if (fork() == 0) exec_sleep(needed, PLAIN); /* what the ended one left goes on being found by its cookie */
    EVENTUALLY(has_execed(pids[PLAIN]));
    while (table_add(&who, RECORD_RUNNING, RECORD_FORKED, me, "fork") == 0) table_sit(table_get(who), ended, 1);
    CHECK(sweep_forks() == PN_SLOTS - 4);
    CHECK(table_get(me) && table_get(alive) && table_get(needed) && table_get(reaped_by_us) && records() == 4);
    CHECK(table_add(&who, RECORD_RUNNING, RECORD_FORKED, me, "fork") == 0);
    kill(pids[CHILD], SIGKILL);
    kill(pids[PLAIN], SIGKILL);
    reap_all();
    commons_leave();
}

int main(int argc, char **argv) {
    int failed = 0;
    (void)argc;
    be_started_with_a_cookie(argv);
    CASE(the_cookie_is_worn);
    CASE(below);
    CASE(a_signal_reaches_all_below_but_the_detached);
    CASE(a_sweep_ends_everything_but_the_detached);
    CASE(a_process_within_an_exec_is_found);
    CASE(a_process_without_its_first_thread_is_found);
    CASE(records_and_memory_of_the_dead_are_freed);
    CASE(the_living_parent_buries_first);
    CASE(a_deep_chain_is_ended);
    CASE(sweepers_at_once);
    CASE(who_comes_later_waits_for_the_one_at_work);
    CASE(one_that_is_stopped_is_not_waited_for);
    CASE(a_full_table_is_scavenged);
    CASE(doomed_sweepers_do_not_kill_each_other);
    return failed;
}
