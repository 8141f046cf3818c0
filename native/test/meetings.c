/* Where members meet: the event, the condition, the barrier. */
#define _GNU_SOURCE
#include "../barrier.h"
#include "../condition.h"
#include "../event.h"
#include "sync.h"

static uint32_t cell, second, lock_cell;
static struct { word32 round, told, done, acted, stop; int queued; } *seen;

static struct cell *object(void) { return cell_at(cell); }
static struct mutex lock(void) { return mutex_of(cell_at(lock_cell)); }

static void prepare(enum cell_kind kind, uint32_t parties) {
    found();
    cell = cell_make(kind, 0, parties, 0);
    second = cell_make(kind, 0, parties, 0);
    lock_cell = cell_make(CELL_LOCK, 0, 0, 0);
    seen = shared(sizeof *seen);
}

/* --- the event -------------------------------------------------------------------------------------------------- */

static void an_event_is_set_and_cleared(void) {
    prepare(CELL_EVENT, 0);
    CHECK(!event_is_set(object()) && event_wait(object(), 0) == 0);
    int64_t begin = clock_monotonic();
    CHECK(event_wait(object(), begin + 10 * MS) == 0 && clock_monotonic() - begin >= 10 * MS);
    event_set(object());
    event_set(object());
    CHECK(event_is_set(object()) && event_wait(object(), 0) == 1 && event_wait(object(), PN_FOREVER) == 1);
    event_clear(object());
    signals(true);
    CHECK(event_wait(object(), SOON) == -EINTR);
    signals(false);
    no_wait_is_left();
}

static void wait_once(int number) {
    (void)number;
    CHECK(event_wait(object(), SOON) == 1);
    word_add(&seen->told, 1);
}

/* Set and cleared at once: all who waited go on. */
static void a_pulse_is_enough(void) {
    prepare(CELL_EVENT, 0);
    for (int round = 0; round < ROUNDS(100); round++) {
        pid_t pids[4];
        for (int i = 0; i < 4; i++) pids[i] = process(wait_once, i, NULL);
        EVENTUALLY(sleepers(cell) == 4);
        event_set(object());
        event_clear(object());
        for (int i = 0; i < 4; i++) end_of(pids[i], 0);
    }
    no_wait_is_left();
}

/* Each waits for its event, clears it and sets the other's. Whoever is told too much, or too little, shows. */
static void play(int number) {
    struct cell *mine = cell_at(number ? second : cell), *theirs = cell_at(number ? cell : second);
    for (uint32_t i = 0; i < (uint32_t)ROUNDS(8000); i++) {
        CHECK(event_wait(mine, SOON) == 1);
        CHECK(event_is_set(mine) && word_read(&seen->round) == 2 * i + (uint32_t)number);
        event_clear(mine);
        word_add(&seen->round, 1);
        event_set(theirs);
    }
}

static void events_in_turn(void) {
    prepare(CELL_EVENT, 0);
    event_set(object());
    processes(2, play);
    CHECK(event_is_set(object()) && seen->round == 2 * (uint32_t)ROUNDS(8000));
    word_publish(&seen->round, 0);
    threads(2, play);
    no_wait_is_left();
}

/* --- the condition ----------------------------------------------------------------------------------------------- */

static bool wait_notified(int64_t deadline) {
    struct wait *wait;
    CHECK(condition_enter(object(), NO_CHANNEL, &wait) == 0);
    mutex_unlock(lock(), false);
    condition_sleep(wait, deadline);
    CHECK(mutex_lock(lock(), SOON) == 0);
    return condition_leave(wait);
}

static void be_notified(int number) {
    (void)number;
    CHECK(mutex_lock(lock(), SOON) == 0);
    CHECK(wait_notified(SOON));
    word_add(&seen->told, 1);
    mutex_unlock(lock(), false);
}

static uint32_t notify(uint32_t count) {
    CHECK(mutex_lock(lock(), SOON) == 0);
    uint32_t n = condition_notify(object(), count);
    mutex_unlock(lock(), false);
    return n;
}

static void as_many_as_are_notified(void) {
    prepare(CELL_CONDITION, 0);
    pid_t pids[6];
    CHECK(notify(1) == 0 && notify(UINT32_MAX) == 0);
    for (int i = 0; i < 6; i++) pids[i] = process(be_notified, i, NULL);
    EVENTUALLY(sleepers(cell) == 6);
    CHECK(notify(2) == 2);
    EVENTUALLY(word_read(&seen->told) == 2);
    nap(20000);
    CHECK(word_read(&seen->told) == 2 && sleepers(cell) == 4);
    CHECK(notify(1) == 1);
    EVENTUALLY(word_read(&seen->told) == 3);
    CHECK(notify(10) == 3);
    for (int i = 0; i < 6; i++) end_of(pids[i], 0);
    CHECK(mutex_lock(lock(), SOON) == 0 && !wait_notified(clock_monotonic() + 5 * MS));
    no_wait_is_left();
}

/* A queue of at most 3: nothing gets lost with three that take and one that puts, some of them with time-outs. */
static void queue(int number) {
    int todo = ROUNDS(3000);
    for (int i = 0; i < (number ? todo : 3 * todo); i++) {
        CHECK(mutex_lock(lock(), SOON) == 0);
        while (number ? seen->queued == 0 : seen->queued == 3)
            wait_notified(number == 1 ? clock_monotonic() + 50000 : SOON);
        seen->queued += number ? -1 : 1;
        CHECK(seen->queued >= 0 && seen->queued <= 3);
        condition_notify(object(), UINT32_MAX);
        mutex_unlock(lock(), false);
    }
}

static void a_queue_loses_nothing(void) {
    prepare(CELL_CONDITION, 0);
    processes(4, queue);
    CHECK(seen->queued == 0);
    no_wait_is_left();
    threads(4, queue);
    no_wait_is_left();
}

/* --- the barrier --------------------------------------------------------------------------------------------------- */

/* As Barrier.wait(): the index, or -EPIPE, or -EINTR. */
static int meet(bool action, int64_t deadline) {
    struct wait *wait;
    uint32_t index;
    int r;
    do {
        r = barrier_arrive(object(), action, NO_CHANNEL, &wait, &index);
        if (r == BARRIER_GO) return (int)index;
        if (r < 0) return r;
        if (r == BARRIER_ACT) {
            word_add(&seen->acted, 1);
            r = barrier_acted(object());
            wait_end(wait);
            return r < 0 ? r : (int)index;
        }
        int64_t until = deadline;
        do {
            r = barrier_sleep(object(), wait, until);
            if (r == 0) r = barrier_expire(object(), wait);
            until = PN_FOREVER;
        } while (r == 0);
        if (r == -EINTR) barrier_leave(object(), wait);
        else wait_end(wait);
    } while (r == -EAGAIN);
    return r < 0 ? (r == -ETIMEDOUT ? -EPIPE : r) : (int)index;
}

static uint32_t parties;
static bool with_action;

/* Nobody is in a round that the others have not reached; and each round has one of each index. */
static void go_round(int number) {
    (void)number;
    for (uint32_t i = 0; i < (uint32_t)ROUNDS(1000); i++) {
        word_add(&seen->told, 1);
        int index = meet(with_action, SOON);
        CHECK(index >= 0 && index < (int)parties);
        CHECK(word_read(&seen->told) >= (i + 1) * parties && word_read(&seen->told) < (i + 2) * parties);
        if (with_action) CHECK(word_read(&seen->acted) == i + 1);
        word_add(&seen->done, (uint32_t)index);
        CHECK(meet(with_action, SOON) >= 0);
        if (with_action) word_add(&seen->acted, number == 0 ? (uint32_t)-1 : 0);
        if (with_action) CHECK(meet(false, SOON) >= 0);
    }
}

static void rounds(void (*start)(int, void (*)(int))) {
    uint32_t all = (uint32_t)ROUNDS(1000);
    parties = 3;
    prepare(CELL_BARRIER, parties);
    for (int action = 0; action < 2; action++) {
        with_action = action;
        start(3, go_round);
        CHECK(seen->done == all * 3 && barrier_waiting(object()) == 0 && seen->acted == (action ? all : 0));
        word_publish(&seen->told, 0);
        word_publish(&seen->done, 0);
    }
    no_wait_is_left();
}

static void a_thousand_rounds_of_processes(void) { rounds(processes); }
static void a_thousand_rounds_of_threads(void) { rounds(threads); }

/* More come than the barrier has parties: any two of them meet. */
static void meet_often(int number) {
    (void)number;
    for (int i = 0; i < ROUNDS(2000) && !word_read(&seen->stop); i++) {
        int64_t deadline = SOON;
        CHECK(meet(i % 2, deadline) >= 0 || word_read(&seen->stop));
        CHECK(clock_monotonic() < deadline); /* (broken by its own time-out would look like broken by another) */
    }
    word_publish(&seen->stop, 1); /* (the others may be an odd number) */
    barrier_break(object());
}

static void more_than_parties(void) {
    prepare(CELL_BARRIER, 2);
    processes(4, meet_often);
    no_wait_is_left();
}

static void be_refused(int number) {
    CHECK(meet(number, SOON) == -EPIPE);
    word_add(&seen->told, 1);
}

static void broken_and_reset(void) {
    prepare(CELL_BARRIER, 3);
    CHECK(meet(false, clock_monotonic() + 5 * MS) == -EPIPE && meet(false, SOON) == -EPIPE); /* broken by the time-out */
    barrier_reset(object());
    CHECK(!(object()->word & BARRIER_BROKEN));
    for (int how = 0; how < 2; how++) {
        pid_t pids[2];
        for (int i = 0; i < 2; i++) pids[i] = process(be_refused, i, NULL);
        EVENTUALLY(sleepers(cell) == 2 && barrier_waiting(object()) == 2);
        if (how) barrier_break(object());
        else barrier_reset(object());
        for (int i = 0; i < 2; i++) end_of(pids[i], 0);
        CHECK(!(object()->word & BARRIER_BROKEN) == !how && barrier_waiting(object()) == 0);
        barrier_reset(object());
    }
    signals(true);
    CHECK(meet(false, SOON) == -EINTR);
    signals(false);
    CHECK(barrier_waiting(object()) == 0 && !(object()->word & BARRIER_BROKEN)); /* taken back */
    no_wait_is_left();
}

static void reset_often(int number) {
    for (int i = 0; i < ROUNDS(3000) && number == 3; i++) {
        barrier_reset(object());
        sched_yield();
    }
    if (number == 3) word_publish(&seen->stop, 1);
    while (number < 3 && !word_read(&seen->stop)) {
        int r = meet(number == 0, clock_monotonic() + 100 * MS);
        CHECK(r >= 0 || r == -EPIPE);
    }
}

static void reset_at_any_moment(void) {
    prepare(CELL_BARRIER, 2);
    processes(4, reset_often);
    barrier_reset(object());
    CHECK(barrier_waiting(object()) == 0);
    no_wait_is_left();
}

static void arrive_and_stay(int number) {
    (void)number;
    struct wait *wait;
    uint32_t index;
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
    word_publish(&seen->told, 1);
    pause();
}

static void nobody_recovers(void) {
    prepare(CELL_BARRIER, 3);
    pid_t pid = process(arrive_and_stay, 0, NULL);
    EVENTUALLY(word_read(&seen->told));
    kill(pid, SIGKILL);
    EVENTUALLY(is_gone(pid));
    CHECK(meet(false, SOON) == -EPIPE);
    end_of(pid, SIGKILL);
    no_wait_is_left();
}

static void watch_and_stay(int number) {
    (void)number;
    struct wait *wait;
    CHECK(barrier_watch(object(), NO_CHANNEL, &wait) == 0);
    word_publish(&seen->told, 1);
    pause();
}

/* Who only watches does not count, and breaks nothing when it dies; it is told of the end of a phase, and of a break. */
static void who_watches_is_no_party(void) {
    struct wait *watch, *wait;
    uint32_t index;
    prepare(CELL_BARRIER, 2);
    pid_t pid = process(watch_and_stay, 0, NULL);
    EVENTUALLY(word_read(&seen->told));
    CHECK(barrier_watch(object(), NO_CHANNEL, &watch) == 0 && barrier_waiting(object()) == 0);
    kill(pid, SIGKILL);
    end_of(pid, SIGKILL);
    CHECK(recover_look(cell)); /* as who waits would */
    CHECK(barrier_outcome(object(), watch) == 0 && !(object()->word & BARRIER_BROKEN));
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS && barrier_outcome(object(), watch) == 0);
    CHECK(meet(false, SOON) == 1 && barrier_outcome(object(), watch) != 0 && wait_end(watch) == WAIT_WOKEN);
    wait_end(wait);
    CHECK(barrier_watch(object(), NO_CHANNEL, &watch) == 0);
    barrier_break(object());
    CHECK(barrier_outcome(object(), watch) != 0);
    wait_end(watch);
    CHECK(barrier_watch(object(), NO_CHANNEL, &watch) == 0 && barrier_outcome(object(), watch) != 0); /* it is broken */
    wait_end(watch);
    no_wait_is_left();
}

int main(void) {
    int failed = 0;
    CASE(an_event_is_set_and_cleared);
    CASE(a_pulse_is_enough);
    CASE(events_in_turn);
    CASE(as_many_as_are_notified);
    CASE(a_queue_loses_nothing);
    CASE(a_thousand_rounds_of_processes);
    CASE(a_thousand_rounds_of_threads);
    CASE(more_than_parties);
    CASE(broken_and_reset);
    CASE(reset_at_any_moment);
    CASE(nobody_recovers);
    CASE(who_watches_is_no_party);
    return failed;
}
