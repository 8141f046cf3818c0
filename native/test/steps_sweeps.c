/* Sweeps that meet: what another process does at a certain step of ours. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>

#include "../futex.h"
#include "../hunt.h"
#include "../kin.h"
#include "../proc.h"
#include "../sweep.h"
#include "check.h"

static word32 *done; /* shared */
static int passes;
static void (*meanwhile)(const char *where);

void pn_step(const char *where) {
    if (meanwhile) meanwhile(where);
}

static void begin(void) {
    CHECK(commons_found() == 0);
    done = shared(sizeof *done);
}

static struct member add(uint32_t flags) {
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, flags, nobody, "member") == 0);
    return who;
}

/* A plain process that `who` started. */
static pid_t asleep_under(struct member who) {
    char cookie[sizeof KIN_COOKIE + KIN_COOKIE_SIZE] = KIN_COOKIE "=", name[16] = "";
    kin_cookie(who, cookie + sizeof KIN_COOKIE);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execle("/bin/sleep", "sleep", "1000", (char *)NULL, (char *[]){cookie, NULL});
        _exit(127);
    }
    while (strcmp(name, "sleep") != 0) proc_name(pid, name, sizeof name);
    return pid;
}

static bool was_ended(pid_t pid) {
    int status = 0;
    bool ended = waitpid(pid, &status, WNOHANG) == pid && WTERMSIG(status) == SIGKILL;
    if (!ended) kill(pid, SIGKILL);
    return ended;
}

/* Another one sweeps for a moment. It began after the call whose number is in `swept`. */
static void another_sweeps(uint32_t swept) {
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        while (word_read(&commons->sweeper) != (uint32_t)getpid()) continue;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        word_publish(done, 1);
        if (swept) word_publish(&commons->swept, (uint64_t)geteuid() << 32 | swept);
        word_swap(&commons->sweeper, (uint32_t)getpid(), 0);
        futex_wake(&commons->sweeper, INT_MAX);
        _exit(0);
    }
    word_publish(&commons->sweeper, (uint32_t)pid);
}

static void another_begins_first(const char *where) {
    if (strcmp(where, "nobody else at work") != 0) return;
    meanwhile = NULL;
    another_sweeps(0);
}

/* Both have seen that nobody is at it. Who comes second would find no trace of those whom the first has struck. */
static void of_two_that_find_nobody_at_work_one_waits(void) {
    begin();
    meanwhile = another_begins_first;
    sweep_all();
    CHECK(!meanwhile && word_read(done) == 1 && word_read(&commons->sweeper) == 0);
}

static void another_does_it_for_us(const char *where) {
    if (strcmp(where, "sweep asked for") == 0) another_sweeps(word_read(&commons->sweeps_asked));
    passes += strcmp(where, "members hunted") == 0;
}

static void a_sweep_that_began_after_the_call_is_enough(void) {
    begin();
    meanwhile = another_does_it_for_us;
    sweep_all();
    CHECK(word_read(done) == 1 && passes == 0);
}

static void another_did_it_before(const char *where) {
    if (strcmp(where, "sweep asked for") == 0) another_sweeps(word_read(&commons->sweeps_asked) - 1);
    passes += strcmp(where, "members hunted") == 0;
}

static void one_that_began_before_is_not(void) {
    begin();
    meanwhile = another_did_it_before;
    sweep_all();
    CHECK(word_read(done) == 1 && passes >= 1);
}

static void somebody_dies_in_every_pass(const char *where) {
    if (strcmp(where, "members hunted") != 0) return;
    passes++;
    sweep_mark_dead(add(0));
}

/* Else it would never end. Who tells of a death calls for a sweep of its own. */
static void deaths_during_a_sweep_are_the_next_ones(void) {
    begin();
    struct member dead = add(0);
    pid_t left = asleep_under(dead);
    sweep_mark_dead(dead);
    meanwhile = somebody_dies_in_every_pass;
    sweep_all();
    CHECK(was_ended(left) && !table_get(dead) && passes < 20);
    meanwhile = NULL;
    sweep_all();
    for (uint32_t slot = 0; slot < commons->slots_used; slot++) CHECK(!table_get(kin_at(slot)));
}

static int births;

static void somebody_is_born_in_a_pass(const char *where) {
    if (strcmp(where, "members hunted") != 0 || ++passes > births) return;
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    end_of(pid, 0);
}

/* The list of a pass may have a process that is gone, and not the one that it has forked. */
static void a_pass_in_which_somebody_was_born_is_not_the_last(void) {
    begin();
    meanwhile = somebody_is_born_in_a_pass;
    births = 3;
    sweep_all();
    CHECK(passes >= 4);
    births = 1000;
    passes = 0;
    sweep_all();
    CHECK(passes < 20);
}

static int first_open, last_open;

static void use_all_descriptors(void) {
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 100}) == 0);
    first_open = last_open = open("/dev/null", O_RDONLY);
    for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;) last_open = fd;
}

static struct member victim;

static bool have_some_again(int64_t ns) {
    CHECK(table_get(victim));
    for (; first_open <= last_open; first_open++) close(first_open);
    return hunt_nap(ns);
}

/* The victim is dead, what it left sleeps, and there is no descriptor to look with. */
static pid_t begin_blind(uint32_t flags) {
    begin();
    victim = add(flags);
    pid_t left = asleep_under(victim);
    use_all_descriptors();
    return left;
}

static void who_cannot_look_does_not_say_that_nobody_is_left(void) {
    pid_t left = begin_blind(0);
    sweep_mark_dead(victim);
    CHECK(kin_running(victim) == false && proc_may_be(left, 1) && !proc_is(left, 1));
    CHECK(sweep_all_waiting(have_some_again));
    CHECK(was_ended(left) && !table_get(victim));
}

static bool in_vain(int64_t ns) {
    (void)ns;
    return true;
}

static void and_nothing_is_freed(void) {
    pid_t left = begin_blind(0);
    sweep_mark_dead(victim);
    CHECK(!sweep_all_waiting(in_vain));
    CHECK(!was_ended(left) && table_get(victim));
}

static void nor_in_a_full_table(void) {
    pid_t ended = fork();
    if (ended == 0) _exit(0);
    end_of(ended, 0);
    pid_t left = begin_blind(RECORD_FORKED);
    table_sit(table_get(victim), ended, 1);
    CHECK(sweep_forks() == 0 && table_get(victim));
    close(last_open); /* enough for the list, not for what is in it */
    CHECK(sweep_forks() == 0 && table_get(victim));
    for (; first_open < last_open; first_open++) close(first_open);
    CHECK(sweep_forks() == 0 && table_get(victim));
    kill(left, SIGKILL);
    end_of(left, SIGKILL);
    CHECK(sweep_forks() == 1 && !table_get(victim));
}

int main(void) {
    int failed = 0;
    CASE(of_two_that_find_nobody_at_work_one_waits);
    CASE(a_sweep_that_began_after_the_call_is_enough);
    CASE(one_that_began_before_is_not);
    CASE(deaths_during_a_sweep_are_the_next_ones);
    CASE(a_pass_in_which_somebody_was_born_is_not_the_last);
    CASE(who_cannot_look_does_not_say_that_nobody_is_left);
    CASE(and_nothing_is_freed);
    CASE(nor_in_a_full_table);
    return failed;
}
