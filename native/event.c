#define _GNU_SOURCE
#include "event.h"

#include <errno.h>

#include "spin.h"

#define TURN 2u            /* the word counts how often it was set, ... */
#define TURNS 0x7ffffffeu  /* ... here; a wait's units are the word at its beginning */

/* Set now, or at some time since that wait began: cleared or not, it may go on. */
static bool passed(struct cell *cell, struct wait *wait) {
    uint32_t word = word_read(&cell->word);
    return (word & EVENT_SET) || ((word ^ word_peek(&wait->units)) & TURNS);
}

/* Whether somebody goes on waiting. */
static bool tell_waiters(struct cell *cell) {
    uint32_t used = waits_used(), key = cell_index(cell);
    bool left = false;
    for (uint32_t i = 0; i < used; i++) {
        struct wait *wait = wait_at(i);
        uint32_t seen = word_read(&wait->state);
        if (!wait_pending(seen) || word_peek(&wait->key) != key) continue;
        if (passed(cell, wait)) wait_tell_seen(wait, seen, WAIT_PASSED);
        else left = true;
    }
    return left;
}

void event_set(struct cell *cell) {
    sync_enter(); /* (if we die in here, the others must be told) */
    uint32_t seen;
    do {
        seen = word_read(&cell->word);
    } while (!word_swap(&cell->word, seen, (seen & WAITERS) | ((seen + TURN) & TURNS) | EVENT_SET));
    pn_step("event set");
    if (!(seen & WAITERS)) return;
    while (!tell_waiters(cell)) {
        uint32_t unused;
        word_and(&cell->word, ~WAITERS);
        pn_step("nobody waits");
        if (!waits_first(cell_index(cell), &unused)) return;
        word_or(&cell->word, WAITERS); /* it came meanwhile; what was set since did not see it: we tell it of that */
        pn_step("somebody waits");
    }
}

void event_clear(struct cell *cell) {
    word_and(&cell->word, ~EVENT_SET);
    pn_step("event cleared");
}

int event_begin(struct cell *cell, uint32_t channel, struct wait **out) {
    return wait_begin(cell_index(cell), word_read(&cell->word), 0, channel, out);
}

bool event_announce(struct cell *cell, struct wait *wait) {
    word_or(&cell->word, WAITERS);
    pn_step("waiters noted");
    return passed(cell, wait);
}

static bool spin(struct cell *cell) {
    struct spin turn;
    for (spin_begin(&turn); spin_on(&turn);)
        if (word_read(&cell->word) & EVENT_SET) {
            spin_won(&turn);
            return true;
        }
    spin_lost(&turn);
    return false;
}

int event_wait(struct cell *cell, int64_t deadline) {
    struct wait *wait;
    if (event_is_set(cell) || spin(cell)) return 1;
    int r = event_begin(cell, NO_CHANNEL, &wait);
    if (r < 0) return r;
    do {
        r = event_announce(cell, wait) ? 1 : wait_sleep(wait, deadline, false);
    } while (r == 0 && wait_pending(word_read(&wait->state)));
    enum wait_state last = wait_end(wait);
    if (last == WAIT_PASSED || r >= 0) return 1;
    return r == -ETIMEDOUT ? 0 : r;
}
