/* The limits of synchronisation: what two processes need for the same steps in C, over one shared page.
 *
 * Each function makes its partner, does its rounds with it and reaps it. libc's fork, not a raw clone: a robust mutex
 * needs the thread's number and the list of held mutexes that libc sets up in the child.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the two share. Words that both write for each other stand in cache lines of their own. */
struct page {
    pthread_mutex_t mutex;
    _Alignas(64) uint32_t turn;
    _Alignas(64) int64_t mine;
    _Alignas(64) int64_t theirs;
    _Alignas(64) int64_t until, rounds, at;
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void rest(int64_t ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    nanosleep(&t, NULL);
}

/* NULL where there is no memory. */
static struct page *make_page(void) {
    struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return NULL;
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&page->mutex, &how);
    pthread_mutexattr_destroy(&how);
    return page;
}

/* Onto the nth of the cores of `all` alone; where there are fewer, nothing changes. */
static void move_to(int nth, const cpu_set_t *all) {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, all) && nth-- == 0) CPU_SET(i, &one);
    if (CPU_COUNT(&one)) sched_setaffinity(0, sizeof one, &one);
}

static int apart;
static cpu_set_t everywhere;

/* Whether our partners get a core of their own, and we another. */
void limit_apart(int64_t yes) {
    if (yes && !apart) {
        sched_getaffinity(0, sizeof everywhere, &everywhere);
        move_to(0, &everywhere);
    } else if (!yes && apart) {
        sched_setaffinity(0, sizeof everywhere, &everywhere);
    }
    apart = yes != 0;
}

/* A process that does `job` and ends, at the latest with us; its pid, or -1. */
static pid_t partner(void (*job)(struct page *), struct page *page) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (apart) move_to(1, &everywhere);
        job(page);
        _exit(0);
    }
    return pid;
}

static void part_from(pid_t pid, struct page *page) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    munmap(page, sizeof *page);
}

/* --- the mutex --- */

/* Nanoseconds for as many times lock and unlock, with nobody else there. */
int64_t limit_mutex_pairs(int64_t count) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    int64_t begin = now();
    for (int64_t i = 0; i < count; i++) {
        pthread_mutex_lock(&page->mutex);
        pthread_mutex_unlock(&page->mutex);
    }
    int64_t end = now();
    munmap(page, sizeof *page);
    return end - begin;
}

static int64_t compete(struct page *page) {
    int64_t count = 0;
    for (; now() < page->until; count += 100)
        for (int i = 0; i < 100; i++) {
            pthread_mutex_lock(&page->mutex);
            pthread_mutex_unlock(&page->mutex);
        }
    return count;
}

static void compete_too(struct page *page) {
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    move_to(1, &all);
    page->theirs = compete(page);
}

/* How often two processes, each on a core of its own, get it in `ns` nanoseconds, together. */
int64_t limit_mutex_contend(int64_t ns) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    page->until = now() + ns;
    pid_t pid = partner(compete_too, page);
    if (pid < 0) return -errno;
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    move_to(0, &all);
    int64_t mine = compete(page);
    sched_setaffinity(0, sizeof all, &all);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    int64_t both = mine + page->theirs;
    munmap(page, sizeof *page);
    return both;
}

static void hold(struct page *page) {
    pthread_mutex_lock(&page->mutex);
    __atomic_store_n(&page->mine, 1, __ATOMIC_RELEASE);
    for (;;) pause();
}

static void inherit(struct page *page) {
    if (pthread_mutex_lock(&page->mutex) == EOWNERDEAD) page->at = now();
}

/* Nanoseconds from SIGKILL of the holder to a waiter, asleep for `asleep` nanoseconds, having the mutex. */
int64_t limit_mutex_death(int64_t asleep) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    pid_t holder = partner(hold, page);
    if (holder < 0) return -errno;
    while (!__atomic_load_n(&page->mine, __ATOMIC_ACQUIRE)) rest(100000);
    pid_t waiter = partner(inherit, page);
    rest(asleep);
    int64_t begin = now();
    kill(holder, SIGKILL);
    if (waiter > 0) waitpid(waiter, NULL, 0);
    int64_t at = page->at;
    part_from(holder, page);
    return at ? at - begin : -ESRCH;
}

/* --- a word handed over to one that sleeps --- */

static void await(uint32_t *word, uint32_t wanted) {
    uint32_t seen;
    while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != wanted)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void hand_over(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE); /* partner: the acquire load in await() */
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void wake_up(struct page *page) {
    await(&page->turn, 1);
    page->at = now();
}

/* Nanoseconds from waking a process, asleep for `asleep` nanoseconds, to its first step. */
int64_t limit_futex_wake(int64_t asleep) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    pid_t pid = partner(wake_up, page);
    if (pid < 0) return -errno;
    rest(asleep);
    int64_t begin = now();
    hand_over(&page->turn, 1);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    int64_t taken = page->at - begin;
    munmap(page, sizeof *page);
    return taken;
}

static void return_sleeping(struct page *page) {
    for (int64_t i = 0; i < page->rounds; i++) {
        await(&page->turn, 1);
        hand_over(&page->turn, 0);
    }
}

/* Nanoseconds for as many round trips. */
int64_t limit_futex_rounds(int64_t rounds) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    page->rounds = rounds;
    pid_t pid = partner(return_sleeping, page);
    if (pid < 0) return -errno;
    rest(5000000); /* until it sleeps */
    int64_t begin = now();
    for (int64_t i = 0; i < rounds; i++) {
        hand_over(&page->turn, 1);
        await(&page->turn, 0);
    }
    int64_t end = now();
    part_from(pid, page);
    return end - begin;
}

/* --- a word handed over to one that spins --- */

/* Until `*word` is at least `wanted`. On one core somebody must yield. */
static void spin(int64_t *word, int64_t wanted) {
    for (int turns = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) < wanted; turns++)
        if (turns > 100000) sched_yield();
}

/* Whoever follows waits for the other's step i before its own; in step, both make it at once. */
static void follow(struct page *page) {
    for (int64_t i = 1; i <= page->rounds; i++) {
        spin(&page->mine, i);
        __atomic_store_n(&page->theirs, i, __ATOMIC_RELEASE);
    }
}

static void keep_step(struct page *page) {
    for (int64_t i = 1; i <= page->rounds; i++) {
        __atomic_store_n(&page->theirs, i, __ATOMIC_RELEASE);
        spin(&page->mine, i);
    }
}

static int64_t spin_rounds(int64_t rounds, void (*job)(struct page *)) {
    struct page *page = make_page();
    if (page == NULL) return -ENOMEM;
    page->rounds = rounds + 1000; /* the first ones are not measured: the partner has yet to run, on a core of its own */
    pid_t pid = partner(job, page);
    if (pid < 0) return -errno;
    int64_t begin = 0;
    for (int64_t i = 1; i <= page->rounds; i++) {
        if (i == 1001) begin = now();
        __atomic_store_n(&page->mine, i, __ATOMIC_RELEASE);
        spin(&page->theirs, i);
    }
    int64_t end = now();
    part_from(pid, page);
    return end - begin;
}

/* Nanoseconds for as many round trips. */
int64_t limit_spin_rounds(int64_t rounds) { return spin_rounds(rounds, follow); }

/* Nanoseconds for as many meetings: neither goes on before the other has come. */
int64_t limit_spin_barrier(int64_t rounds) { return spin_rounds(rounds, keep_step); }
