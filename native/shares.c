#define _GNU_SOURCE
#include "shares.h"

#include <errno.h>

#include "mutex.h"

/* --- stakes --------------------------------------------------------------------------------------------------- */

uint32_t stake_find(struct cell *cell, uint32_t owner) {
    uint32_t stake = word_read(&cell->link);
    while (stake && word_read(&cell_at(stake)->tid) != owner) stake = word_read(&cell_at(stake)->link);
    return stake;
}

/* One whose member is gone is used again. */
static uint32_t stake_reuse(struct cell *cell) {
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        if (word_swap(&cell_at(stake)->tid, 0, sync_me)) {
            word_publish(&cell_at(stake)->word, 0); /* (of a barrier: its last member was a party) */
            return stake;
        }
    return CELL_NONE;
}

uint32_t stake_of(struct cell *cell) {
    if (sync_enter() < 0) return CELL_NONE;
    uint32_t stake = stake_find(cell, sync_me);
    if (!stake) stake = stake_reuse(cell);
    if (stake || cell_claim(&stake) < 0) return stake;
    word_poke(&cell_at(stake)->count, cell_index(cell));
    word_poke(&cell_at(stake)->tid, sync_me);
    cell_publish(stake, CELL_STAKE, CELL_SENT);
    uint32_t first;
    do {
        first = word_read(&cell->link);
        word_poke(&cell_at(stake)->link, first);
    } while (!word_swap(&cell->link, first, stake)); /* partner: the reads of `link` above */
    pn_step("stake linked");
    return stake;
}

/* --- under the guard ------------------------------------------------------------------------------------------ */

/* The journal of a permit that is handed to a waiter: the wait's index + 1, and what its stake was before. */
static void hand_over(struct cell *cell, struct wait *wait, uint32_t seen, uint32_t before) {
    struct cell *stake = cell_at(word_peek(&wait->stake));
    uint32_t units = word_peek(&wait->units);
    if (!wait_same(wait, seen)) return; /* its member died, and it is another's now */
    word_publish(&cell->since, (uint64_t)(wait_index(wait) + 1) << 32 | before);
    pn_step("hand-over begun");
    word_publish(&stake->word, before + units);
    pn_step("handed over");
    wait_tell_seen(wait, seen, WAIT_PASSED);
    word_publish(&cell->since, 0);
    pn_step("hand-over done");
}

/* Who had the guard died within a hand-over: do it once more. Its wait is as it was, or has been told. */
static void redo(struct cell *cell) {
    uint64_t journal = word_read(&cell->since);
    if (journal == 0) return;
    struct wait *wait = wait_at((uint32_t)(journal >> 32) - 1);
    uint32_t seen = word_read(&wait->state);
    if (wait_pending(seen) && word_peek(&wait->key) == cell_index(cell)) hand_over(cell, wait, seen, (uint32_t)journal);
    word_publish(&cell->since, 0);
}

static void hand_on(struct cell *cell) {
    struct wait *wait;
    uint32_t seen;
    while ((wait = waits_first(cell_index(cell), &seen))) {
        uint32_t units = word_peek(&wait->units), stake = word_peek(&wait->stake), free = shares_free(cell);
        if (!wait_same(wait, seen)) continue; /* its member died, and it is another's now */
        if (free < units) return;
        word_publish(&cell->word, (free - units) | WAITERS);
        hand_over(cell, wait, seen, stake_held(stake));
    }
    word_and(&cell->word, ~WAITERS);
}

/* Give the dead's stakes back, count anew, and hand on what became free. */
static void settle(struct cell *cell) {
    redo(cell);
    uint32_t held = 0;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link)) {
        if (word_read(&cell_at(stake)->tid) == STAKE_DEAD) {
            word_publish(&cell_at(stake)->word, 0);
            pn_step("stake emptied");
            word_publish(&cell_at(stake)->tid, 0);
            pn_step("stake given up");
        }
        held += word_read(&cell_at(stake)->word);
    }
    word_publish(&cell->word, (word_read(&cell->count) - held) | WAITERS);
    pn_step("counted anew");
    hand_on(cell);
}

static void guard_unlock(struct cell *cell) {
    for (;;) {
        uint32_t seen = word_read(&cell->tid);
        if (seen & HOLDER_DIED) {
            word_and(&cell->tid, ~HOLDER_DIED);
            settle(cell);
        } else if (word_swap(&cell->tid, seen, seen & WAITERS)) {
            pn_step("unlocked");
            if (seen & WAITERS) waits_wake(&cell->tid, cell_index(cell) | KEY_GUARD);
            return;
        }
    }
}

/* Whoever has the guard finds the cell in order: what a death left is put right first. */
static int guard_enter(struct cell *cell) {
    int r = mutex_lock(guard_of(cell), PN_FOREVER);
    if (r < 0) return r;
    if (r == HOLDER_DIED) settle(cell); /* (the mark stays: if we die here, the next one settles) */
    return 0;
}

static bool could_take(struct cell *cell, uint32_t units) {
    uint32_t free = word_read(&cell->word);
    return !(free & WAITERS) && free >= units;
}

static bool take(struct cell *cell, uint32_t stake, uint32_t units) {
    uint32_t free = word_read(&cell->word);
    if (!could_take(cell, units)) return false;
    word_publish(&cell_at(stake)->word, stake_held(stake) + units); /* from here on they are ours */
    pn_step("stake grown");
    word_publish(&cell->word, free - units);
    pn_step("permit taken");
    return true;
}

/* --- from outside --------------------------------------------------------------------------------------------- */

int shares_try(struct cell *cell, uint32_t stake, uint32_t units) {
    if (!mutex_try_fast(&cell->tid)) return -EAGAIN;
    bool done = take(cell, stake, units);
    guard_unlock(cell);
    return done ? 0 : -EBUSY;
}

/* Under the guard: wait behind those that are there. */
static int line_up(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out) {
    int r = wait_begin(cell_index(cell), units, stake, channel, out);
    if (r < 0) return r;
    word_or(&cell->word, WAITERS);
    hand_on(cell); /* (those that were before us may have died) */
    return 0;
}

int shares_begin(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out) {
    int r = guard_enter(cell);
    if (r < 0) return r;
    r = take(cell, stake, units) ? 1 : line_up(cell, stake, units, channel, out);
    guard_unlock(cell);
    return r;
}

int shares_watch(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out) {
    int r = guard_enter(cell);
    if (r < 0) return r;
    r = could_take(cell, units) ? 1 : line_up(cell, stake, units, channel, out);
    guard_unlock(cell);
    return r;
}

bool shares_end(struct cell *cell, struct wait *wait) {
    if (wait_state(wait) == WAIT_PASSED) {
        wait_end(wait);
        return true;
    }
    while (guard_enter(cell) < 0) continue; /* (a signal; or all waits are taken, for a moment) */
    bool has = wait_end(wait) == WAIT_PASSED;
    if (!has) hand_on(cell); /* those behind us may want less than we did */
    guard_unlock(cell);
    return has;
}

int shares_take(struct cell *cell, uint32_t stake, uint32_t units, int64_t deadline) {
    struct wait *wait;
    int r = shares_begin(cell, stake, units, NO_CHANNEL, &wait);
    if (r) return r < 0 ? r : 0;
    for (bool spin = true; r == 0 && wait_pending(word_read(&wait->state)); spin = false)
        r = wait_sleep(wait, deadline, spin);
    return shares_end(cell, wait) ? 0 : r;
}

/* Whose permit is given back: ours if we have one, else anybody's. */
static uint32_t giver(struct cell *cell, uint32_t stake, uint32_t units, bool own) {
    if (own || stake_held(stake) >= units) return stake_held(stake) >= units ? stake : CELL_NONE;
    for (stake = word_read(&cell->link); stake && stake_held(stake) < units;) stake = word_read(&cell_at(stake)->link);
    return stake;
}

static int give(struct cell *cell, uint32_t stake, uint32_t units, bool own) {
    uint32_t from = giver(cell, stake, units, own), limit = word_peek(&cell->count);
    if (from) {
        word_publish(&cell_at(from)->word, stake_held(from) - units);
    } else if (own || (word_read(&cell->flags) & CELL_BOUNDED)) {
        return -EPERM;
    } else if (units > SHARES_ALL - limit) {
        return -EOVERFLOW;
    } else {
        word_publish(&cell->count, limit + units);
    }
    pn_step("stake shrunk");
    uint32_t seen = word_read(&cell->word);
    word_publish(&cell->word, seen + units);
    pn_step("permit given");
    if (seen & WAITERS) hand_on(cell);
    return 0;
}

int shares_give(struct cell *cell, uint32_t stake, uint32_t units, bool own) {
    int r = guard_enter(cell);
    if (r < 0) return r;
    r = give(cell, stake, units, own);
    guard_unlock(cell);
    return r;
}

void shares_help(struct cell *cell) {
    if (sync_enter() == 0 && mutex_try(guard_of(cell)) >= 0) guard_unlock(cell);
}
