/* Killed at every step: cells and waits. Three members: the witness (this process), the victim, and in some cases the
 * survivor, a process that waits for the same object. The victim runs the operation and dies at its n-th step; the witness
 * calls recover() as the reaper would. Then the survivor must have got what it waited for, the object must be usable, and
 * nothing of the victim's may be left. */
#define _GNU_SOURCE
#include "../barrier.h"
#include "../condition.h"
#include "../event.h"
#include "../mutex.h"
#include "../recover.h"
#include "../semaphore.h"
#include "../shares.h"
#include "steps.h"

#define SOON (clock_monotonic() + 10 * PN_SECOND)

static struct plan {
    struct member witness, victim, survivor, dead;
    uint32_t cell, lock, stake, serial; /* cells */
    word32 go;                  /* the survivor may begin */
    word32 done, result;        /* the survivor's */
    word32 held;                /* the victim held it when it died */
    enum wait_state told;       /* what the victim's wait was told when it died */
    bool notified;
} *plan;

static pid_t victim, survivor;

static struct cell *object(void) { return cell_at(plan->cell); }
static struct mutex lock(void) { return mutex_of(cell_at(plan->lock)); }

static uint32_t make(enum cell_kind kind, uint32_t word, uint32_t count, uint32_t flags) {
    uint32_t index;
    CHECK(cell_claim(&index) == 0);
    word_poke(&cell_at(index)->word, word);
    word_poke(&cell_at(index)->count, count);
    cell_publish(index, kind, flags);
    return index;
}

/* The first wait of that member, or NULL. */
static struct wait *wait_of(struct member who) {
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state);
        if ((state & 0xff) > WAIT_CLAIMED && WAIT_OWNER(state) == who.slot + 1) return wait_at(i);
    }
    return NULL;
}

static bool is_asleep(struct member who) {
    struct wait *wait = wait_of(who);
    return wait && wait_state(wait) == WAIT_ASLEEP;
}

static void answer(int result) {
    word_publish(&plan->result, (uint32_t)result);
    word_publish(&plan->done, 1);
}

static int result(void) { return (int)word_read(&plan->result); }

/* --- what the survivor does ------------------------------------------------------------------------------------ */

static void survive_lock(void) {
    int r = mutex_lock(lock(), SOON);
    if (r >= 0) mutex_unlock(lock(), false);
    answer(r);
}

static void survive_semaphore(void) { answer(semaphore_take(object(), SOON)); }
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

static uint32_t units = 1;

static void survive_shares(void) {
    uint32_t stake = stake_of(object());
    int r = shares_take(object(), stake, units, SOON);
    if (r == 0) CHECK(shares_give(object(), stake, units, true) == 0);
    answer(r);
}

/* --- what is true of all afterwards ---------------------------------------------------------------------------- */

static void survivor_is_done(int expected) {
    if (!survivor) return;
    int64_t give_up = clock_monotonic() + 3 * PN_SECOND;
    while (!word_read(&plan->done) && clock_monotonic() < give_up) nap(50);
    expect(word_read(&plan->done), "the survivor waits in vain");
    if (expected >= 0) expect(result() == expected, "the survivor was told something else");
    end_of(survivor, 0);
    survivor = 0;
}

static void nothing_is_left(void) {
    uint32_t gone = plan->victim.slot + 1, gone_too = plan->dead.slot + 1;
    for (uint32_t i = 1; i < word_read(&commons->cells_used); i++) {
        struct cell *cell = cell_at(i);
        uint32_t owner = word_read(&cell->tid);
        expect(cell_kind(cell) != CELL_CLAIMED, "a claimed cell is left");
        if (cell_kind(cell) != CELL_STAKE) continue;
        expect(owner != gone && owner != gone_too && owner != STAKE_DEAD, "a stake of the dead is left");
        expect(owner != 0 || word_read(&cell->word) == 0 || cell_kind(cell_at(cell->count)) == CELL_BARRIER,
               "nobody's stake has something");
    }
    for (uint32_t i = 0; i < 64; i++) {
        enum wait_state state = wait_state(wait_at(i));
        if (state == WAIT_EPITAPH) CHECK(wait_end(wait_at(i)) == WAIT_EPITAPH);
        else expect(state == WAIT_FREE, "a wait is left");
    }
}

static void lock_is_usable(int expected) {
    int r = mutex_lock(lock(), clock_monotonic() + PN_SECOND);
    expect(r >= 0, "the lock cannot be had");
    if (expected >= 0) expect(r == expected, "HOLDER_DIED is not told as it is");
    expect(mutex_try(lock()) == -EBUSY, "the lock can be had twice");
    mutex_unlock(lock(), false);
    expect(word_read(lock().word) == 0, "a free lock is not free");
}

static void verify_nothing(void) { survivor_is_done(-1); }

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

static void prepare_lock(void) { plan->lock = plan->cell = make(CELL_LOCK, 0, 0, CELL_SENT); }

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

static void take_lock(void) { CHECK(mutex_lock(lock(), SOON) == 0); }
static void prepare_held(void) {
    prepare_lock();
    take_lock();
}

static bool let_go; /* the witness has */
static bool waits_of_both(void) { return is_asleep(plan->victim) && (!survivor || is_asleep(plan->survivor)); }

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

/* The survivor sleeps before the victim goes on. */
static void survivor_first(void) {
    word_publish(&plan->go, 1);
    EVENTUALLY(is_asleep(plan->survivor));
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
static void run_expire(void) { CHECK(meet(false, clock_monotonic() + 500000) == -EPIPE || errno == errno); }
static void run_break(void) { barrier_break(object()); }
static void run_reset(void) { barrier_reset(object()); }

static void run_leave(void) {
    struct wait *wait;
    uint32_t index;
    CHECK(barrier_arrive(object(), false, NO_CHANNEL, &wait, &index) == BARRIER_WAITS);
    barrier_leave(object(), wait);
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

static void die_as(void (*act)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        sync_become(plan->dead.slot);
        act();
        _exit(0);
    }
    end_of(pid, 0);
}

static void begin_wait(uint32_t key) {
    struct wait *wait;
    CHECK(wait_begin(key, 0, 0, NO_CHANNEL, &wait) == 0);
}

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

static void run_recover(void) { recover(plan->dead.slot, false); }

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

static void recover_again(void) { recover(plan->dead.slot, false); }

static void verify_recovered_lock(void) {
    recover_again();
    survivor_is_done(plan->held ? (int)HOLDER_DIED : 0);
    lock_is_usable(0);
}
static void verify_recovered_shares(void) {
    recover_again();
    verify_shares();
}
static void verify_recovered_barrier(void) {
    recover_again();
    survivor_is_done(-EPIPE & 0xffff ? -1 : -1);
    expect(result() == -EPIPE, "a party died, and the barrier is not broken");
    verify_barrier();
}
static void verify_recovered_condition(void) {
    recover_again();
    survivor_is_done(1);
    lock_is_usable(0);
}

/* --- the run ----------------------------------------------------------------------------------------------------------- */

static const struct operation {
    const char *name;
    void (*prepare)(void);  /* the witness, before anybody else */
    void (*survive)(void);  /* the survivor, once `go` is set */
    void (*before)(void);   /* the victim, not to be killed */
    void (*run)(void);
    void (*attend)(void);   /* the witness, while the victim lives */
    void (*verify)(void);
} operations[] = {
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
    {"semaphore give", prepare_semaphore, survive_semaphore, survivor_first, run_give, NULL, verify_semaphore},
    {"semaphore give three", prepare_semaphore, survive_semaphore, survivor_first, run_give_three, NULL, verify_semaphore},
    {"event set", prepare_event, survive_event, survivor_first, run_set, NULL, verify_event},
    {"event clear", prepare_event, NULL, before_clear, run_clear, NULL, verify_event},
    {"event wait", prepare_event, NULL, NULL, run_wait, attend_event, verify_event},
    {"condition wait", prepare_condition, survive_condition, NULL, run_condition_wait, attend_condition, verify_condition},
    {"condition notify", prepare_condition, survive_condition, survivor_first, run_notify, NULL, NULL},
    {"condition notify all", prepare_condition, survive_condition, survivor_first, run_notify_all, NULL, NULL},
    {"barrier arrive", prepare_two, survive_barrier, join_barrier, run_arrive, attend_barrier, verify_barrier},
    {"barrier arrive last", prepare_two, survive_barrier, before_last, run_arrive, NULL, verify_barrier},
    {"barrier arrive last and act", prepare_two, survive_barrier, before_last, run_arrive_and_act, NULL, verify_barrier},
    {"barrier expire", prepare_three, survive_barrier, before_last, run_expire, NULL, verify_barrier},
    {"barrier break", prepare_three, survive_barrier, before_last, run_break, NULL, verify_barrier},
    {"barrier reset", prepare_three, survive_barrier, before_last, run_reset, NULL, verify_barrier},
    {"barrier leave", prepare_three, survive_barrier, before_last, run_leave, NULL, verify_barrier},
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
    {"recover a party", prepare_dead_party, survive_barrier, NULL, run_recover, NULL, verify_recovered_barrier},
    {"recover a notification", prepare_dead_notified, survive_condition, NULL, run_recover, NULL, verify_recovered_condition},
};

static struct member add(void) {
    struct member who;
    CHECK(table_add(&who, RECORD_RUNNING, 0, nobody, "member") == 0);
    return who;
}

static pid_t start(struct member who, void (*before)(void), void (*run)(void), int n, bool when_told) {
    pid_t me = getpid(), pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != me) _exit(0);
    sync_become(who.slot);
    while (when_told && !word_read(&plan->go)) nap(20);
    if (before) before();
    step = 0;
    last_step = n;
    run();
    _exit(0);
}

static bool run_until(const struct operation *operation, int n) {
    CHECK(commons_found() == 0);
    memset(plan, 0, sizeof *plan);
    let_go = false;
    plan->witness = add(), plan->victim = add(), plan->survivor = add(), plan->dead = add();
    sync_become(plan->witness.slot);
    CHECK(sync_enter() == 0);
    survivor = operation->survive ? start(plan->survivor, NULL, operation->survive, 0, true) : 0;
    if (operation->prepare) operation->prepare();
    strcpy(*place, "its end");
    victim = start(plan->victim, operation->before, operation->run, n, false);
    int status;
    pid_t gone;
    while ((gone = waitpid(victim, &status, operation->attend ? WNOHANG : 0)) == 0) {
        operation->attend();
        nap(20);
    }
    CHECK(gone == victim && (status == 0 || status == SIGKILL));
    died_at = *place;
    if (plan->lock && (word_read(lock().word) & HOLDER) == plan->victim.slot + 1) plan->held = 1;
    struct wait *wait = wait_of(plan->victim);
    if (wait) plan->told = wait_state(wait);
    recover(plan->victim.slot, false);
    operation->verify ? operation->verify() : verify_condition();
    expect(!survivor, "the survivor is not done");
    verify_nothing();
    nothing_is_left();
    commons_leave();
    return status == 0;
}

static int points;

static int kill_at_every_step(const struct operation *operation) {
    fflush(NULL);
    int *reached = shared(sizeof *reached);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(40);
        for (*reached = 1; !run_until(operation, *reached);) ++*reached;
        _exit(0);
    }
    int status, steps;
    waitpid(pid, &status, 0);
    steps = *reached - 1;
    points += steps;
    if (status == 0 && steps > 0) return 0;
    fprintf(stderr, "%s failed at point %d (wait status %#x)\n", operation->name, *reached, (unsigned)status);
    return 1;
}

/* --- races, step by step ------------------------------------------------------------------------------------------------- */

static void found_alone(enum cell_kind kind, uint32_t count) {
    CHECK(commons_found() == 0);
    plan->witness = add();
    sync_become(plan->witness.slot);
    plan->cell = make(kind, 0, count, CELL_SENT);
}

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

int main(int argc, char **argv) {
    int failed = 0, count = sizeof operations / sizeof *operations;
    plan = shared(sizeof *plan);
    place = shared(sizeof *place);
    for (int i = 0; i < count; i++)
        if (argc < 2 || strcmp(argv[1], operations[i].name) == 0) failed += kill_at_every_step(&operations[i]);
    failed += who_was_reset_is_not_let_through();
    failed += a_later_phase_is_not_ended();
    failed += what_was_meant_for_an_earlier_wait_is_not_told();
    failed += who_waits_for_the_next_time_is_told();
    failed += who_was_overlooked_is_told();
    failed += the_next_member_of_a_slot_keeps_what_it_has();
    printf("%d operations killed at %d points\n", count, points);
    return failed;
}
