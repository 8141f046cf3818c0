/* Permits: the plain semaphore, and shares, of which it is known who has them: the robust semaphore and the lock of readers
 * and writers. */
#define _GNU_SOURCE
#include "../semaphore.h"
#include "../shares.h"
#include "sync.h"

static uint32_t cell;
static struct { word32 inside, most, readers, writers, told; word32 order[8]; } *seen;

static struct cell *object(void) { return cell_at(cell); }

static void prepare(enum cell_kind kind, uint32_t permits, uint32_t flags) {
    found();
    cell = cell_make(kind, permits, permits, flags);
    seen = shared(sizeof *seen);
}

/* --- the plain one ------------------------------------------------------------------------------------------------ */

static void limits_of_a_semaphore(void) {
    prepare(CELL_SEMAPHORE, 2, CELL_BOUNDED);
    CHECK(semaphore_give(object(), 1) == -EPERM && semaphore_value(object()) == 2);
    CHECK(semaphore_take(object(), 0) == 0 && semaphore_take(object(), 0) == 0 && semaphore_take(object(), 0) == -ETIMEDOUT);
    CHECK(semaphore_give(object(), 3) == -EPERM && semaphore_give(object(), 2) == 0 && semaphore_value(object()) == 2);
    uint32_t free = cell_make(CELL_SEMAPHORE, SEMAPHORE_MOST - 1, 0, 0);
    CHECK(semaphore_give(cell_at(free), 2) == -EOVERFLOW && semaphore_give(cell_at(free), 1) == 0);
    CHECK(semaphore_value(cell_at(free)) == SEMAPHORE_MOST && semaphore_try(cell_at(free)) == 0);
    no_wait_is_left();
}

static void a_semaphore_times_out_and_is_interrupted(void) {
    prepare(CELL_SEMAPHORE, 0, 0);
    int64_t begin = clock_monotonic();
    CHECK(semaphore_take(object(), begin + 10 * MS) == -ETIMEDOUT && clock_monotonic() - begin >= 10 * MS);
    signals(true);
    CHECK(semaphore_take(object(), SOON) == -EINTR);
    signals(false);
    CHECK(semaphore_give(object(), 1) == 0 && semaphore_try(object()) == 0);
    no_wait_is_left();
}

static void go_through(int number) {
    for (int i = 0; i < ROUNDS(3000); i++) {
        int r = semaphore_take(object(), number == 3 ? clock_monotonic() + 1000 * (i % 40) : SOON);
        CHECK(r == 0 || number == 3);
        if (r < 0) continue;
        CHECK(word_add(&seen->inside, 1) < 2);
        if (i % 4 == 0) sched_yield();
        word_add(&seen->inside, (uint32_t)-1);
        CHECK(semaphore_give(object(), 1) == 0);
    }
}

static void never_more_than_there_are_permits(void) {
    prepare(CELL_SEMAPHORE, 2, CELL_BOUNDED);
    processes(4, go_through);
    CHECK(semaphore_value(object()) == 2);
    no_wait_is_left();
    threads(4, go_through);
    CHECK(semaphore_value(object()) == 2);
    no_wait_is_left();
}

/* Each permit is given once and taken once. */
static void produce_or_consume(int number) {
    for (int i = 0; i < ROUNDS(6000); i++) {
        if (number == 0) CHECK(semaphore_give(object(), 2) == 0);
        else CHECK(semaphore_take(object(), SOON) == 0);
    }
}

static void every_permit_arrives(void) {
    prepare(CELL_SEMAPHORE, 0, 0);
    processes(3, produce_or_consume);
    CHECK(semaphore_value(object()) == 0);
    no_wait_is_left();
}

/* --- shares --------------------------------------------------------------------------------------------------------- */

static void limits_of_shares(void) {
    prepare(CELL_SHARES, 3, CELL_BOUNDED);
    uint32_t stake = stake_of(object());
    CHECK(stake && stake == stake_of(object()) && stake == stake_find(object(), sync_me) && stake_find(object(), 99) == CELL_NONE);
    CHECK(shares_give(object(), stake, 1, true) == -EPERM && shares_give(object(), stake, 1, false) == -EPERM);
    CHECK(shares_try(object(), stake, 2) == 0 && shares_try(object(), stake, 2) == -EBUSY && stake_held(stake) == 2);
    CHECK(shares_take(object(), stake, 2, clock_monotonic() + 5 * MS) == -ETIMEDOUT);
    CHECK(shares_give(object(), stake, 3, true) == -EPERM && shares_give(object(), stake, 2, true) == 0);
    CHECK(shares_free(object()) == 3);
    cell = cell_make(CELL_SHARES, 0, 0, 0);
    stake = stake_of(object());
    CHECK(shares_give(object(), stake, SHARES_ALL + 1, false) == -EOVERFLOW);
    CHECK(shares_give(object(), stake, 4, false) == 0 && shares_take(object(), stake, 4, 0) == 0);
    CHECK(shares_give(object(), stake, 1, false) == 0 && stake_held(stake) == 3); /* first what somebody has */
    signals(true);
    CHECK(shares_take(object(), stake, 2, SOON) == -EINTR);
    signals(false);
    no_wait_is_left();
}

static void note_turn(int number) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, number == 2 ? 2 : 1, SOON) == 0);
    word_publish(&seen->order[number], word_add(&seen->told, 1) + 1);
    while (word_read(&seen->told) < 5) nap(500); /* (of those who end with permits, the waiters would take them) */
}

/* The third wants two: those behind it wait, though there is one. */
static void strictly_in_the_order_of_arrival(void) {
    prepare(CELL_SHARES, 6, CELL_BOUNDED);
    uint32_t stake = stake_of(object());
    pid_t pids[5];
    CHECK(shares_take(object(), stake, 6, SOON) == 0);
    for (int i = 0; i < 5; i++) {
        pids[i] = process(note_turn, i, NULL);
        EVENTUALLY(sleepers(cell) == (uint32_t)i + 1);
    }
    for (uint32_t given = 1; given <= 6; given++) {
        CHECK(shares_give(object(), stake, 1, true) == 0);
        uint32_t expected = given <= 2 ? given : given == 3 ? 2 : given - 1;
        EVENTUALLY(word_read(&seen->told) == expected);
        nap(500);
        CHECK(word_read(&seen->told) == expected);
    }
    for (int i = 0; i < 5; i++) {
        end_of(pids[i], 0);
        CHECK(seen->order[i] == (uint32_t)i + 1);
    }
    no_wait_is_left();
}

/* Who waits at the head gives up: those behind it want less. */
static void want_two(int number) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, number ? 1 : 2, number ? SOON : clock_monotonic() + 30 * MS) == (number ? 0 : -ETIMEDOUT));
}

static void who_gives_up_lets_the_next_ones_through(void) {
    prepare(CELL_SHARES, 2, CELL_BOUNDED);
    CHECK(shares_take(object(), stake_of(object()), 1, SOON) == 0);
    pid_t first = process(want_two, 0, NULL);
    EVENTUALLY(waits_used() > 0 && wait_pending(wait_at(0)->state));
    pid_t second = process(want_two, 1, NULL);
    end_of(first, 0);
    end_of(second, 0);
    no_wait_is_left();
}

static void read_or_write(int number) {
    uint32_t stake = stake_of(object());
    for (int i = 0; i < ROUNDS(2000); i++) {
        bool write = (i + number) % 4 == 0;
        uint32_t units = write ? SHARES_ALL : 1;
        if (shares_try(object(), stake, units) < 0) CHECK(shares_take(object(), stake, units, SOON) == 0);
        if (write) CHECK(word_add(&seen->writers, 1) == 0 && word_read(&seen->readers) == 0);
        else CHECK(word_add(&seen->readers, 1) < 4 && word_read(&seen->writers) == 0);
        if (i % 3 == 0) sched_yield();
        word_add(write ? &seen->writers : &seen->readers, (uint32_t)-1);
        CHECK(shares_give(object(), stake, units, true) == 0);
    }
}

static void writers_are_alone(void) {
    prepare(CELL_SHARES, SHARES_ALL, CELL_BOUNDED);
    processes(4, read_or_write);
    CHECK(shares_free(object()) == SHARES_ALL && object()->tid == 0 && object()->since == 0);
    no_wait_is_left();
}

static void take_and_stay(int number) {
    CHECK(shares_take(object(), stake_of(object()), (uint32_t)number, SOON) == 0);
    word_publish(&seen->told, 1);
    pause();
}

static void nobody_recovers(void) {
    prepare(CELL_SHARES, 3, CELL_BOUNDED);
    pid_t pid = process(take_and_stay, 3, NULL);
    EVENTUALLY(word_read(&seen->told));
    kill(pid, SIGKILL);
    EVENTUALLY(is_gone(pid));
    int64_t begin = clock_monotonic();
    CHECK(shares_take(object(), stake_of(object()), 2, SOON) == 0);
    CHECK(clock_monotonic() - begin < PN_SECOND / 2 * (SANITIZED ? 4 : 1));
    CHECK(shares_free(object()) == 1);
    end_of(pid, SIGKILL);
    no_wait_is_left();
}

/* Members are killed at any moment, with permits, waiting or in the middle of a hand-over. All comes back. */
static void live(int number) {
    uint32_t stake = stake_of(object());
    for (int i = number;; i++) {
        uint32_t units = i % 5 == 0 ? 3 : 1;
        CHECK(shares_take(object(), stake, units, SOON) == 0);
        word_add(&seen->told, 1);
        if (i % 2) sched_yield();
        CHECK(shares_give(object(), stake, units, true) == 0);
    }
}

static void killed_at_any_moment(void) {
    prepare(CELL_SHARES, 3, CELL_BOUNDED);
    struct member who[4];
    pid_t pids[4];
    for (int i = 0; i < 4; i++) pids[i] = process(live, i, &who[i]);
    unsigned seed = 3;
    for (int round = 0; round < (SANITIZED ? 60 : 300); round++) {
        int i = rand_r(&seed) % 4;
        nap(rand_r(&seed) % 1500);
        kill(pids[i], SIGKILL);
        end_of(pids[i], SIGKILL);
        recover(who[i].slot, false);
        table_free(who[i]);
        pids[i] = process(live, i, &who[i]);
        uint32_t before = word_read(&seen->told);
        EVENTUALLY(word_read(&seen->told) > before);
    }
    for (int i = 0; i < 4; i++) {
        kill(pids[i], SIGKILL);
        end_of(pids[i], SIGKILL);
        recover(who[i].slot, false);
    }
    CHECK(shares_take(object(), stake_of(object()), 3, 0) == 0 && shares_give(object(), stake_of(object()), 3, true) == 0);
    CHECK(shares_free(object()) == 3 && object()->since == 0);
    no_wait_is_left();
    CHECK(word_read(&commons->cells_used) <= 8); /* stakes are used again */
}

/* Who only wants to know takes nothing; what it is handed goes on to the next. */
static void who_watches_takes_nothing(void) {
    struct wait *watch, *behind;
    prepare(CELL_SHARES, 3, CELL_BOUNDED);
    uint32_t stake = stake_of(object());
    CHECK(shares_watch(object(), stake, 2, NO_CHANNEL, &watch) == 1 && shares_free(object()) == 3);
    CHECK(shares_take(object(), stake, 3, SOON) == 0);
    CHECK(shares_watch(object(), stake, 2, NO_CHANNEL, &watch) == 0);
    CHECK(shares_begin(object(), stake, 3, NO_CHANNEL, &behind) == 0);
    CHECK(shares_give(object(), stake, 3, true) == 0);
    CHECK(wait_state(watch) == WAIT_PASSED && wait_pending(word_read(&behind->state)));
    recover_abandon(watch);
    CHECK(shares_end(object(), behind) && shares_give(object(), stake, 3, true) == 0 && shares_free(object()) == 3);
    no_wait_is_left();
}

int main(void) {
    int failed = 0;
    CASE(limits_of_a_semaphore);
    CASE(a_semaphore_times_out_and_is_interrupted);
    CASE(never_more_than_there_are_permits);
    CASE(every_permit_arrives);
    CASE(limits_of_shares);
    CASE(strictly_in_the_order_of_arrival);
    CASE(who_gives_up_lets_the_next_ones_through);
    CASE(writers_are_alone);
    CASE(nobody_recovers);
    CASE(killed_at_any_moment);
    CASE(who_watches_takes_nothing);
    return failed;
}
