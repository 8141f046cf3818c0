/* Killed at every step: cells, locks, semaphores, shares, and the recovery of these. */
#define _GNU_SOURCE
#include "../child.h"
#include "../semaphore.h"
#include "steps_sync.h"

/* --- what the survivor does ------------------------------------------------------------------------------------ */

static void survive_lock(void) {
    int r = mutex_lock(lock(), SOON);
    if (r >= 0) mutex_unlock(lock(), false);
    answer(r);
}

static void survive_semaphore(void) { answer(semaphore_take(object(), SOON)); }

static uint32_t units = 1;

static void survive_shares(void) {
    uint32_t stake = stake_of(object());
    int r = shares_take(object(), stake, units, SOON);
    if (r == 0) CHECK(shares_give(object(), stake, units, true) == 0);
    answer(r);
}

/* --- cells --------------------------------------------------------------------------------------------------------- */

static void run_make(void) { make(CELL_LOCK, 0, 0, 0); }

/* What the dead one made for itself alone is gone with it. */
static void verify_make(void) {
    for (uint32_t i = 1; i < word_read(&commons->cells_used); i++)
        expect(cell_kind(cell_at(i)) == CELL_FREE, "a cell of the dead is left");
    uint32_t index = make(CELL_EVENT, 0, 0, 0), serial = cell_serial(cell_at(index));
    expect(cell_get(index, serial) == cell_at(index) && cell_at(index)->link == 0, "a new cell is not as new");
    cell_drop(index, serial);
    expect(!cell_get(index, serial), "a cell cannot be freed");
}

static void before_drop(void) {
    plan->cell = make(CELL_SHARES, 3, 3, 0);
    plan->serial = cell_serial(object());
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, 1, SOON) == 0);
}

static void run_drop(void) { cell_drop(plan->cell, plan->serial); }

static void verify_drop(void) { verify_make(); }

static void run_stake(void) { plan->stake = stake_of(object()); }

static void verify_stake(void) {
    uint32_t stake = stake_of(object());
    expect(stake && cell_at(stake)->tid == plan->witness.slot + 1, "no stake for the next");
    expect(shares_take(object(), stake, 3, SOON) == 0 && shares_give(object(), stake, 3, true) == 0, "permits are lost");
    expect(shares_free(object()) == 3, "permits are not as many as before");
}

/* --- the lock -------------------------------------------------------------------------------------------------------- */

static void run_lock_unlock(void) {
    CHECK(mutex_lock(lock(), SOON) == 0);
    lock_note(object(), sync_tid());
    pn_step("in the middle");
    mutex_unlock(lock(), false);
}

static void enter(void) { CHECK(sync_enter() == 0); }

static void run_fast(void) {
    CHECK(mutex_try_fast(&object()->word));
    lock_note(object(), sync_tid());
    CHECK(word_swap(&object()->word, sync_me, 0));
}

static void prepare_held(void) {
    prepare_lock();
    take_lock();
}

/* The survivor comes after the victim; when both sleep, the witness gives the lock back. */
static void attend_lock(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
    if (!let_go && waits_of_both()) {
        let_go = true;
        mutex_unlock(lock(), false);
    }
}

static void verify_lock(void) {
    int died = plan->held ? (int)HOLDER_DIED : 0;
    word_publish(&plan->go, 1);
    if (survivor) {
        survivor_is_done(died);
        lock_is_usable(0);
    } else {
        lock_is_usable(died);
    }
}

static void verify_waited_lock(void) {
    if (!let_go && mutex_mine(lock().word)) mutex_unlock(lock(), false);
    verify_lock();
}

static void before_release(void) {
    take_lock();
    survivor_first();
}
static void run_unlock(void) { mutex_unlock(lock(), false); }
static void run_lock_in_time(void) { mutex_lock(lock(), clock_monotonic() + 1000000); }

static void before_give_up(void) { survivor_first(); }

static void run_and_give_up(void) { run_lock_in_time(); }

/* --- the plain semaphore --------------------------------------------------------------------------------------------- */

static void prepare_semaphore(void) { plan->cell = make(CELL_SEMAPHORE, 0, 0, CELL_SENT); }
static void prepare_permit(void) { plan->cell = make(CELL_SEMAPHORE, 1, 0, CELL_SENT); }
static void run_take(void) { CHECK(semaphore_take(object(), SOON) == 0); }
static void run_give(void) { semaphore_give(object(), 1); }
static void run_give_three(void) { semaphore_give(object(), 3); }

static void attend_semaphore(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
    if (!let_go && waits_of_both()) {
        let_go = true;
        semaphore_give(object(), 1);
    }
}

static void verify_semaphore(void) {
    word_publish(&plan->go, 1);
    nap(200);
    if (survivor && !word_read(&plan->done) && semaphore_value(object()) == 0 && !wait_of(plan->survivor))
        nap(2000); /* it has not come yet */
    bool passed_on = plan->told == WAIT_WOKEN && semaphore_value(object()) == 1 && survivor;
    if (!passed_on && survivor && semaphore_value(object()) == 0 && !word_read(&plan->done)) semaphore_give(object(), 1);
    survivor_is_done(0);
    while (semaphore_try(object()) == 0) continue;
    expect(semaphore_give(object(), 1) == 0 && semaphore_take(object(), SOON) == 0, "a permit cannot be had");
    expect(semaphore_value(object()) == 0, "permits from nowhere");
}

/* The victim has been told of a permit, and before it takes that it is told of another, which is the survivor's then. */
static void give_another(const char *where) {
    if (strcmp(where, "waits again") != 0) return;
    meanwhile = NULL;
    semaphore_give(object(), 1);
}
static void before_told_twice(void) { meanwhile = give_another; }
static void run_told_twice(void) { /* (not left to who learns of our end) */
    run_take();
    EVENTUALLY(word_read(&plan->done));
}

/* --- shares -------------------------------------------------------------------------------------------------------------- */

static void prepare_shares(void) { plan->cell = make(CELL_SHARES, 3, 3, CELL_SENT | CELL_BOUNDED); }
static void prepare_readers_writers(void) {
    plan->cell = make(CELL_SHARES, SHARES_ALL, SHARES_ALL, CELL_SENT | CELL_BOUNDED);
}

static void run_shares(void) {
    uint32_t stake = stake_of(object());
    if (shares_try(object(), stake, 1) < 0) CHECK(shares_take(object(), stake, 1, SOON) == 0);
    CHECK(shares_take(object(), stake, 2, SOON) == 0);
    CHECK(shares_give(object(), stake, 3, true) == 0);
}

static void run_write(void) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, SHARES_ALL, SOON) == 0);
    CHECK(shares_give(object(), stake, SHARES_ALL, true) == 0);
}

/* The victim has all of it, the survivor waits. */
static void before_hand_over(void) {
    plan->stake = stake_of(object());
    CHECK(shares_take(object(), plan->stake, object()->count, SOON) == 0);
    survivor_first();
}
static void run_hand_over(void) { CHECK(shares_give(object(), plan->stake, object()->count, true) == 0); }

/* New permits, not taken before. */
static void prepare_unbounded(void) { plan->cell = make(CELL_SHARES, 0, 0, CELL_SENT); }
static void run_new_permit(void) { CHECK(shares_give(object(), stake_of(object()), 1, false) == 0); }

static void verify_new_permit(void) {
    uint32_t stake = stake_of(object());
    if (object()->count == 0) CHECK(shares_give(object(), stake, 1, false) == 0);
    survivor_is_done(0);
    expect(shares_free(object()) == 1 && object()->count == 1, "permits do not add up");
}

/* The witness has all; both wait, the victim first. */
static void prepare_taken(void) {
    prepare_shares();
    CHECK(shares_take(object(), stake_of(object()), 3, SOON) == 0);
}
static void prepare_read(void) {
    prepare_readers_writers();
    CHECK(shares_take(object(), stake_of(object()), 1, SOON) == 0);
}

static void attend_shares(void) {
    if (is_asleep(plan->victim)) word_publish(&plan->go, 1);
    if (!let_go && waits_of_both()) {
        let_go = true;
        uint32_t stake = stake_of(object());
        CHECK(shares_give(object(), stake, stake_held(stake), true) == 0);
    }
}

static void run_waiting_take(void) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, 2, SOON) == 0);
    CHECK(shares_give(object(), stake, 2, true) == 0);
}

static void run_shares_in_time(void) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, 2, clock_monotonic() + 1000000) == -ETIMEDOUT);
}

static void verify_shares(void) {
    word_publish(&plan->go, 1);
    uint32_t stake = stake_of(object()), held = stake_held(stake), all = object()->count;
    if (held) CHECK(shares_give(object(), stake, held, true) == 0);
    survivor_is_done(0);
    expect(shares_free(object()) == all, "permits do not add up");
    expect(shares_take(object(), stake, all, clock_monotonic() + PN_SECOND) == 0, "not all permits can be had");
    expect(shares_try(object(), stake, 1) < 0, "there are more permits than before");
    CHECK(shares_give(object(), stake, all, true) == 0);
    expect(object()->since == 0 && word_read(&object()->tid) == 0, "the guard or the journal is left");
}

/* --- recovery: the victim is who recovers after another ------------------------------------------------------------------ */

static void hold_and_wait(void) { /* of one lock, and a wait for another thing */
    take_lock();
    lock_note(object(), sync_tid());
}

static void prepare_dead_holder(void) {
    prepare_lock();
    die_as(hold_and_wait);
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
    plan->held = 1;
}

/* It was woken, and died before it took the lock. */
static void be_woken(void) {
    begin_wait(plan->lock);
    word_or(lock().word, WAITERS);
}
static void prepare_dead_woken(void) {
    prepare_held();
    die_as(be_woken);
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
    mutex_unlock(lock(), false); /* the dead one is told */
}

/* It holds all permits, and another thread of it waits for one more. */
static void hold_and_want(void) {
    struct wait *wait;
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, 3, SOON) == 0);
    CHECK(shares_begin(object(), stake, 1, NO_CHANNEL, &wait) == 0);
}
static void prepare_dead_shares(void) {
    prepare_shares();
    die_as(hold_and_want);
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
}

/* It has the guard, and a hand-over to the survivor is half done. */
static void die_in_hand_over(void) {
    uint32_t stake = stake_of(object());
    CHECK(shares_take(object(), stake, 3, SOON) == 0);
    survivor_first();
    CHECK(mutex_try(guard_of(object())) >= 0);
    uint32_t seen;
    struct wait *wait = waits_first(plan->cell, &seen);
    struct cell *theirs = cell_at(wait->stake);
    word_publish(&cell_at(stake)->word, 0);
    word_publish(&object()->since, (uint64_t)(wait_index(wait) + 1) << 32);
    word_publish(&theirs->word, 1);
}
static void prepare_dead_guard(void) {
    prepare_shares();
    die_as(die_in_hand_over);
}

static void verify_recovered_lock(void) {
    run_recover();
    survivor_is_done(plan->held ? (int)HOLDER_DIED : 0);
    lock_is_usable(0);
}
static void verify_recovered_shares(void) {
    run_recover();
    verify_shares();
}

/* --- races, step by step ------------------------------------------------------------------------------------------------- */

/* Recovery that is slow: the slot is the next member's, and that has taken the lock. */
static void another_takes_the_slot(const char *where) {
    if (strcmp(where, "epitaph") != 0) return;
    meanwhile = NULL;
    word_publish(&object()->word, 0);
    table_free(plan->dead);
    CHECK(table_add(&plan->victim, RECORD_RUNNING, RECORD_SYNC, nobody, "next") == 0 && plan->victim.slot == plan->dead.slot);
    word_publish(&object()->word, plan->victim.slot + 1);
    word_publish(&object()->tid, 77);
}

static int the_next_member_of_a_slot_keeps_what_it_has(void) {
    found_alone(CELL_LOCK, 0);
    plan->dead = add();
    word_or(&commons_records()[plan->dead.slot].flags, RECORD_SYNC);
    word_publish(&object()->word, plan->dead.slot + 1);
    word_publish(&object()->tid, 66);
    meanwhile = another_takes_the_slot;
    recover(plan->dead.slot, false);
    bool kept = word_read(&object()->word) == plan->victim.slot + 1 && object()->tid == 77 && waits_used() == 0;
    if (!kept) fprintf(stderr, "a slow recovery took the next member's lock\n");
    commons_leave();
    return !kept || meanwhile;
}

static struct child *ended;
static bool told_too_early;

static void look_whether_it_is_told(const char *where) {
    if (strcmp(where, "epitaph") != 0) return;
    told_too_early = word_read(&ended->exited);
    meanwhile = NULL;
}

/* Whoever reaps: until the lock is free and marked, nobody is told that its holder has ended. */
static int who_has_joined_the_dead_finds_its_lock_marked(void) {
    found_alone(CELL_LOCK, 0);
    plan->dead = add();
    word_or(&commons_records()[plan->dead.slot].flags, RECORD_SYNC);
    word_publish(&object()->word, plan->dead.slot + 1);
    pid_t pid = sleeper();
    CHECK(child_adopt(pid, -1, plan->dead, &ended) == 0);
    meanwhile = look_whether_it_is_told;
    kill(pid, SIGKILL);
    CHECK(child_wait(ended, PN_FOREVER) == 1);
    bool marked = word_read(&object()->word) == HOLDER_DIED && !meanwhile && !told_too_early;
    if (!marked) fprintf(stderr, "an end was told before the dead one's lock was free\n");
    child_drop(ended);
    return !marked; /* (the commons stays: the reaper may still be at the record) */
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

static const struct operation operations[] = {
    {"cell make", NULL, NULL, NULL, run_make, NULL, verify_make},
    {"cell drop", NULL, NULL, before_drop, run_drop, NULL, verify_drop},
    {"stake", prepare_shares, NULL, NULL, run_stake, NULL, verify_stake},
    {"lock and unlock", prepare_lock, NULL, NULL, run_lock_unlock, NULL, verify_lock},
    {"lock and unlock, fast", prepare_lock, NULL, enter, run_fast, NULL, verify_lock},
    {"lock, contended", prepare_held, NULL, NULL, run_lock_unlock, attend_lock, verify_waited_lock},
    {"lock, contended by another", prepare_held, survive_lock, NULL, run_lock_unlock, attend_lock, verify_waited_lock},
    {"lock given up", prepare_held, survive_lock, before_give_up, run_and_give_up, NULL, verify_waited_lock},
    {"unlock with a waiter", prepare_lock, survive_lock, before_release, run_unlock, NULL, verify_lock},
    {"semaphore take", prepare_permit, NULL, NULL, run_take, NULL, verify_semaphore},
    {"semaphore take, waiting", prepare_semaphore, NULL, NULL, run_take, attend_semaphore, verify_semaphore},
    {"semaphore take before another", prepare_semaphore, survive_semaphore, NULL, run_take, attend_semaphore, verify_semaphore},
    {"semaphore take, told of another", prepare_semaphore, survive_semaphore, before_told_twice, run_told_twice, attend_semaphore,
     verify_semaphore},
    {"semaphore give", prepare_semaphore, survive_semaphore, survivor_first, run_give, NULL, verify_semaphore},
    {"semaphore give three", prepare_semaphore, survive_semaphore, survivor_first, run_give_three, NULL, verify_semaphore},
    {"shares", prepare_shares, NULL, NULL, run_shares, NULL, verify_shares},
    {"shares hand over", prepare_shares, survive_shares, before_hand_over, run_hand_over, NULL, verify_shares},
    {"shares wait", prepare_taken, survive_shares, NULL, run_waiting_take, attend_shares, verify_shares},
    {"shares give up", prepare_taken, survive_shares, survivor_first, run_shares_in_time, NULL, verify_shares},
    {"shares new permit", prepare_unbounded, survive_shares, survivor_first, run_new_permit, NULL, verify_new_permit},
    {"write", prepare_readers_writers, NULL, NULL, run_write, NULL, verify_shares},
    {"write, hand over to a reader", prepare_readers_writers, survive_shares, before_hand_over, run_hand_over, NULL, verify_shares},
    {"write, after a reader", prepare_read, survive_shares, NULL, run_write, attend_shares, verify_shares},
    {"recover a lock", prepare_dead_holder, survive_lock, NULL, run_recover, NULL, verify_recovered_lock},
    {"recover a wake-up", prepare_dead_woken, survive_lock, NULL, run_recover, NULL, verify_recovered_lock},
    {"recover shares", prepare_dead_shares, survive_shares, NULL, run_recover, NULL, verify_recovered_shares},
    {"recover a guard", prepare_dead_guard, survive_shares, NULL, run_recover, NULL, verify_recovered_shares},
};

int main(int argc, char **argv) {
    int failed = kill_all(operations, sizeof operations / sizeof *operations, argc < 2 ? NULL : argv[1]);
    failed += the_next_member_of_a_slot_keeps_what_it_has();
    failed += who_has_joined_the_dead_finds_its_lock_marked();
    return failed;
}
