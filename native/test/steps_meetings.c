/* Killed at every step: events, conditions, barriers, and the recovery of these. */
#define _GNU_SOURCE
#include "../barrier.h"
#include "../condition.h"
#include "../event.h"
#include "steps_sync.h"

/* --- what the survivor does ------------------------------------------------------------------------------------ */

static void survive_event(void) { answer(event_wait(object(), SOON)); }

static void survive_condition(void) {
    struct wait *wait;
    CHECK(mutex_lock(lock(), SOON) >= 0);
    CHECK(condition_enter(object(), NO_CHANNEL, &wait) == 0);
    mutex_unlock(lock(), false);
    condition_sleep(wait, SOON);
    CHECK(mutex_lock(lock(), SOON) >= 0);
    bool notified = condition_leave(wait);
    mutex_unlock(lock(), false);
    answer(notified);
}

static void join_barrier(void) {
    uint32_t stake = stake_of(object());
    CHECK(stake);
    word_publish(&cell_at(stake)->word, 1);
}

/* As Barrier.wait() of py/meetings.c. */
static int meet(bool action, int64_t deadline) {
    struct wait *wait;
    uint32_t index;
    int r;
    do {
        r = barrier_arrive(object(), action, NO_CHANNEL, &wait, &index);
        if (r < 0 || r == BARRIER_GO) return r;
        if (r == BARRIER_ACT) {
            r = barrier_acted(object());
            wait_end(wait);
            return r < 0 ? r : 1;
        }
        int64_t until = deadline;
        do {
            r = barrier_sleep(object(), wait, until);
            if (r == 0) r = barrier_expire(object(), wait);
            until = PN_FOREVER;
        } while (r == 0);
        wait_end(wait);
    } while (r == -EAGAIN);
    return r;
}

static void survive_barrier(void) {
    join_barrier();
    answer(meet(false, SOON));
}

/* --- the event --------------------------------------------------------------------------------------------------------- */

static void prepare_event(void) { plan->cell = make(CELL_EVENT, 0, 0, CELL_SENT); }
static void run_set(void) { event_set(object()); }
static void run_clear(void) { event_clear(object()); }
static void run_wait(void) { CHECK(event_wait(object(), SOON) == 1); }
static void before_clear(void) { event_set(object()); }

static void attend_event(void) {
    if (is_asleep(plan->victim)) event_set(object());
}

static void verify_event(void) {
    if (!event_is_set(object())) event_set(object());
    survivor_is_done(1);
    expect(event_wait(object(), 0) == 1, "it is not set");
    event_clear(object());
    expect(event_wait(object(), 0) == 0, "it is still set");
}

/* --- the condition ----------------------------------------------------------------------------------------------------- */

static void prepare_condition(void) {
    prepare_lock();
    plan->cell = make(CELL_CONDITION, 0, 0, CELL_SENT);
}

static void run_condition_wait(void) {
    struct wait *wait;
    CHECK(mutex_lock(lock(), SOON) == 0);
    CHECK(condition_enter(object(), NO_CHANNEL, &wait) == 0);
    mutex_unlock(lock(), false);
    condition_sleep(wait, SOON);
    CHECK(mutex_lock(lock(), SOON) == 0);
    condition_leave(wait);
    mutex_unlock(lock(), false);
}

static void attend_condition(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
    if (plan->notified || !waits_of_both()) return;
    if (mutex_lock(lock(), clock_monotonic() + 1000000) < 0) return;
    plan->notified = condition_notify(object(), 1) == 1;
    mutex_unlock(lock(), false);
}

static void verify_condition(void) {
    word_publish(&plan->go, 1);
    if (plan->told != WAIT_PASSED) { /* else it is passed on */
        EVENTUALLY(word_read(&plan->done) || is_asleep(plan->survivor));
        CHECK(mutex_lock(lock(), SOON) >= 0);
        condition_notify(object(), UINT32_MAX);
        mutex_unlock(lock(), false);
    }
    survivor_is_done(1);
    lock_is_usable(0);
}

static void run_notify(void) {
    CHECK(mutex_lock(lock(), SOON) == 0);
    condition_notify(object(), 1);
    mutex_unlock(lock(), false);
}

static void run_notify_all(void) {
    CHECK(mutex_lock(lock(), SOON) == 0);
    condition_notify(object(), UINT32_MAX);
    mutex_unlock(lock(), false);
}

/* --- the barrier ------------------------------------------------------------------------------------------------------- */

static void prepare_two(void) { plan->cell = make(CELL_BARRIER, 0, 2, CELL_SENT); }
static void prepare_three(void) { plan->cell = make(CELL_BARRIER, 0, 3, CELL_SENT); }
static void before_last(void) {
    join_barrier();
    survivor_first();
}
static void run_arrive(void) { meet(false, SOON); }
static void run_arrive_and_act(void) { meet(true, SOON); }
static void run_expire(void) { CHECK(meet(false, clock_monotonic() + 500000) == -ETIMEDOUT); }
static void run_break(void) { barrier_break(object()); }
static void run_reset(void) { barrier_reset(object()); }

static void run_leave(void) {
    struct wait *wait;
    uint32_t index;
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
    barrier_leave(object(), wait);
}

static void run_watch(void) {
    struct wait *wait;
    CHECK(barrier_watch(object(), NO_CHANNEL, &wait) == 0 && barrier_outcome(object(), wait) == 0);
    wait_end(wait);
}

static void attend_barrier(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
}

static void verify_barrier(void) {
    word_publish(&plan->go, 1);
    if (survivor && strcmp(died_at, "its end") == 0 && !word_read(&plan->done) && object()->count == 3) {
        EVENTUALLY(word_read(&plan->done) || is_asleep(plan->survivor));
        barrier_break(object());
    }
    survivor_is_done(-1);
    expect(result() == 1 || result() == BARRIER_GO || result() == -EPIPE, "an outcome that there is not");
    barrier_reset(object());
    expect(!(object()->word & (BARRIER_BROKEN | BARRIER_ACTING | BARRIER_COUNT)), "a reset barrier is not as new");
    word_poke(&object()->count, 1);
    expect(meet(false, SOON) == BARRIER_GO && meet(true, SOON) == 1, "no meeting after a reset");
}

/* Whoever only watched breaks nothing. */
static void verify_watched(void) { expect(object()->word == 0, "the death of one that watched changed the barrier"); }

/* --- recovery: the victim is who recovers after another ------------------------------------------------------------------ */

static void arrive_and_die(void) {
    struct wait *wait;
    uint32_t index;
    join_barrier();
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
}
static void prepare_dead_party(void) {
    prepare_three();
    die_as(arrive_and_die);
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
}

static void wait_in_condition(void) { begin_wait(plan->cell); }
static void prepare_dead_notified(void) {
    prepare_condition();
    die_as(wait_in_condition);
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
    CHECK(condition_notify(object(), 1) == 1);
    plan->told = WAIT_PASSED;
}

static void verify_recovered_barrier(void) {
    run_recover();
    survivor_is_done(-1);
    expect(result() == -EPIPE, "a party died, and the barrier is not broken");
    verify_barrier();
}
static void verify_recovered_condition(void) {
    run_recover();
    survivor_is_done(1);
    lock_is_usable(0);
}

/* --- races, step by step ------------------------------------------------------------------------------------------------- */

/* One resets; before it tells those who wait, another resets and a whole phase goes by. They are refused all the same. */
static void reset_and_meet(const char *where) {
    if (strcmp(where, "reset") != 0) return;
    meanwhile = NULL;
    barrier_reset(object());
    word_poke(&object()->count, 1);
    CHECK(meet(false, SOON) == BARRIER_GO);
    word_poke(&object()->count, 2);
}

static int who_was_reset_is_not_let_through(void) {
    struct wait *wait;
    uint32_t index;
    found_alone(CELL_BARRIER, 2);
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
    meanwhile = reset_and_meet;
    barrier_reset(object());
    bool refused = barrier_outcome(object(), wait) == -EPIPE;
    if (!refused) fprintf(stderr, "who waited at a barrier that was reset was let through\n");
    wait_end(wait);
    commons_leave();
    return !refused || meanwhile;
}

/* One looks at a barrier to tell those whose phase has ended; meanwhile one has come to a later phase. It goes on waiting. */
static struct wait *newer;
static void come_to_a_later_phase(const char *where) {
    uint32_t index;
    if (strcmp(where, "told") != 0) return;
    meanwhile = NULL;
    barrier_reset(object());
    wait_end(newer);
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &newer, &index) == BARRIER_WAITS);
}

static int a_later_phase_is_not_ended(void) {
    struct wait *wait;
    uint32_t index;
    found_alone(CELL_BARRIER, 3);
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &newer, &index) == BARRIER_WAITS);
    meanwhile = come_to_a_later_phase;
    barrier_break(object());
    bool waits = newer && barrier_outcome(object(), newer) == 0 && wait_pending(word_read(&newer->state));
    if (!waits) fprintf(stderr, "who came to a later phase was told how an earlier one ended\n");
    commons_leave();
    return !waits || meanwhile;
}

/* One sets an event; before it tells who waits, that one has seen it, gone on, and waits for something else. */
static struct wait *reused;
static void wait_for_something_else(const char *where) {
    if (strcmp(where, "nobody waits") != 0) return;
    meanwhile = NULL;
    wait_end(reused);
    CHECK(wait_begin(plan->cell, 0, 0, NO_CHANNEL, &reused) == 0);
}

static int what_was_meant_for_an_earlier_wait_is_not_told(void) {
    found_alone(CELL_EVENT, 0);
    CHECK(wait_begin(plan->cell, 0, 0, NO_CHANNEL, &reused) == 0);
    uint32_t seen = word_read(&reused->state);
    struct wait *first = reused;
    meanwhile = wait_for_something_else;
    pn_step("nobody waits");
    bool same = first == reused, told = wait_tell_seen(first, seen, WAIT_PASSED) || wait_same(first, seen);
    bool now = wait_tell(reused, WAIT_PASSED);
    if (!same || told || !now) fprintf(stderr, "a wait was told what was meant for the one before it\n");
    commons_leave();
    return !same || told || !now;
}

/* One sets an event and comes to it slowly: whom it was set for has seen it, cleared it, and waits for the next time, in
 * vain so far. The next time it is told. */
static struct wait *next_time;
static void clear_and_wait_again(const char *where) {
    if (strcmp(where, "event set") != 0) return;
    meanwhile = NULL;
    event_clear(object());
    CHECK(event_begin(object(), NO_CHANNEL, &next_time) == 0 && !event_announce(object(), next_time));
}

static int who_waits_for_the_next_time_is_told(void) {
    found_alone(CELL_EVENT, 0);
    word_or(&object()->word, WAITERS);
    meanwhile = clear_and_wait_again;
    event_set(object());
    bool waits = wait_pending(word_read(&next_time->state));
    event_set(object());
    event_clear(object());
    bool told = wait_end(next_time) == WAIT_PASSED;
    if (!waits || !told) fprintf(stderr, "who waits for the next time was told %s\n", waits ? "nothing" : "too early");
    commons_leave();
    return !waits || !told || meanwhile;
}

/* Somebody comes just as one that has set an event finds that nobody waits. Another sets it and clears it, and does not see
 * the one who has come, who goes on all the same. */
static void come_and_be_overlooked(const char *where) {
    if (strcmp(where, "nobody waits") != 0) return;
    meanwhile = NULL;
    event_clear(object());
    CHECK(event_begin(object(), NO_CHANNEL, &next_time) == 0 && !event_announce(object(), next_time));
    word_and(&object()->word, ~WAITERS); /* as if it had come a moment before */
    event_set(object());
    event_clear(object());
}

static int who_was_overlooked_is_told(void) {
    found_alone(CELL_EVENT, 0);
    word_or(&object()->word, WAITERS);
    meanwhile = come_and_be_overlooked;
    event_set(object());
    bool told = wait_end(next_time) == WAIT_PASSED;
    if (!told) fprintf(stderr, "who came as it was found that nobody waits was told nothing\n");
    commons_leave();
    return !told || meanwhile;
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

static const struct operation operations[] = {
    {"event set", prepare_event, survive_event, survivor_first, run_set, NULL, verify_event},
    {"barrier watched", prepare_two, NULL, NULL, run_watch, NULL, verify_watched},
    {"event clear", prepare_event, NULL, before_clear, run_clear, NULL, verify_event},
    {"event wait", prepare_event, NULL, NULL, run_wait, attend_event, verify_event},
    {"condition wait", prepare_condition, survive_condition, NULL, run_condition_wait, attend_condition, verify_condition},
    {"condition notify", prepare_condition, survive_condition, survivor_first, run_notify, NULL, verify_condition},
    {"condition notify all", prepare_condition, survive_condition, survivor_first, run_notify_all, NULL, verify_condition},
    {"barrier arrive", prepare_two, survive_barrier, join_barrier, run_arrive, attend_barrier, verify_barrier},
    {"barrier arrive last", prepare_two, survive_barrier, before_last, run_arrive, NULL, verify_barrier},
    {"barrier arrive last and act", prepare_two, survive_barrier, before_last, run_arrive_and_act, NULL, verify_barrier},
    {"barrier expire", prepare_three, survive_barrier, before_last, run_expire, NULL, verify_barrier},
    {"barrier break", prepare_three, survive_barrier, before_last, run_break, NULL, verify_barrier},
    {"barrier reset", prepare_three, survive_barrier, before_last, run_reset, NULL, verify_barrier},
    {"barrier leave", prepare_three, survive_barrier, before_last, run_leave, NULL, verify_barrier},
    {"recover a party", prepare_dead_party, survive_barrier, NULL, run_recover, NULL, verify_recovered_barrier},
    {"recover a notification", prepare_dead_notified, survive_condition, NULL, run_recover, NULL, verify_recovered_condition},
};

int main(int argc, char **argv) {
    int failed = kill_all(operations, sizeof operations / sizeof *operations, argc < 2 ? NULL : argv[1]);
    failed += who_was_reset_is_not_let_through();
    failed += a_later_phase_is_not_ended();
    failed += what_was_meant_for_an_earlier_wait_is_not_told();
    failed += who_waits_for_the_next_time_is_told();
    failed += who_was_overlooked_is_told();
    return failed;
}
