/* What the tests of cells and waits share: members, each a process or this one, and cells. */
#ifndef PROCESSION_TEST_SYNC_H
#define PROCESSION_TEST_SYNC_H

#include <pthread.h>
#include <sched.h>
#include <sys/time.h>

#include "../mutex.h"
#include "../recover.h"
#include "check.h"

#define SOON (clock_monotonic() + 20 * PN_SECOND)
#define MS 1000000ll
#define ROUNDS(n) (SANITIZED ? (n) / 10 : (n))

static inline struct member member_add(void) {
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, 0, nobody, "member") == 0);
    return who;
}

/* From now on this process is that member. */
static inline void be(struct member who) {
    struct proc_stat stat;
    CHECK(proc_stat(getpid(), &stat) == 0);
    table_sit(table_get(who), getpid(), stat.start_time);
    sync_become(who.slot);
    CHECK(sync_enter() == 0);
}

static inline void found(void) {
    CHECK(commons_found() == 0);
    be(member_add());
}

static inline uint32_t cell_make(enum cell_kind kind, uint32_t word, uint32_t count, uint32_t flags) {
    uint32_t index;
    CHECK(cell_claim(&index) == 0);
    word_poke(&cell_at(index)->word, word);
    word_poke(&cell_at(index)->count, count);
    cell_publish(index, kind, flags | CELL_SENT);
    return index;
}

/* A member that runs `life` in a process of its own and ends. */
static inline pid_t process(void (*life)(int), int number, struct member *out) {
    struct member who = member_add();
    pid_t me = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (out) *out = who;
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != me) _exit(0);
    alarm(45);
    be(who);
    life(number);
    _exit(0);
}

static inline void processes(int count, void (*life)(int)) {
    pid_t pids[8];
    for (int i = 0; i < count; i++) pids[i] = process(life, i, NULL);
    for (int i = 0; i < count; i++) end_of(pids[i], 0);
}

static void (*thread_life)(int);
static void *thread_main(void *arg) {
    thread_life((int)(intptr_t)arg);
    return NULL;
}
static inline void threads(int count, void (*life)(int)) {
    pthread_t ids[8];
    thread_life = life;
    for (intptr_t i = 0; i < count; i++) CHECK(pthread_create(&ids[i], NULL, thread_main, (void *)i) == 0);
    for (int i = 0; i < count; i++) pthread_join(ids[i], NULL);
}

/* How many wait for that cell, asleep. */
static inline uint32_t sleepers(uint32_t key) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < waits_used(); i++)
        n += wait_state(wait_at(i)) == WAIT_ASLEEP && word_peek(&wait_at(i)->key) == key;
    return n;
}

static inline void no_wait_is_left(void) {
    for (uint32_t i = 0; i < 256; i++) CHECK(wait_state(wait_at(i)) == WAIT_FREE);
    CHECK(waits_used() == 0);
}

static void on_signal(int sig) { (void)sig; }
/* A signal that interrupts, each 5 ms. */
static inline void signals(bool on) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGPROF, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, on ? 5000 : 0}, {0, on ? 5000 : 0}};
    setitimer(ITIMER_REAL, &often, NULL);
}

#endif
