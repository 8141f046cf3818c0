#define _GNU_SOURCE
#include "event.h"

#include <errno.h>

#include "spin.h"

/* Those who came before, and those who may: not one who came after another had cleared it again. */
static void tell_waiters(struct cell *cell, uint64_t before) {
    uint32_t used = waits_used(), key = cell_index(cell);
    for (uint32_t i = 0; i < used; i++) {
        struct wait *wait = wait_at(i);
        uint32_t seen = word_read(&wait->state);
        if (!wait_pending(seen) || word_peek(&wait->key) != key) continue;
        if (word_peek(&wait->ticket) < before || event_is_set(cell)) wait_tell_seen(wait, seen, WAIT_PASSED);
    }
}

void event_set(struct cell *cell) {
    sync_enter(); /* (if we die in here, the others must be told) */
    uint64_t before = word_read(&commons->tickets);
    uint32_t seen = word_or(&cell->word, EVENT_SET);
    pn_step("event set");
    if (!(seen & WAITERS)) return;
    word_and(&cell->word, ~WAITERS); /* whoever comes now sees that it is set, or is seen */
    pn_step("nobody waits");
    tell_waiters(cell, before);
}

void event_clear(struct cell *cell) {
    word_and(&cell->word, ~EVENT_SET);
    pn_step("event cleared");
}

bool event_announce(struct cell *cell) {
    uint32_t seen = word_or(&cell->word, WAITERS);
    pn_step("waiters noted");
    return seen & EVENT_SET;
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
    int r = wait_begin(cell_index(cell), 0, 0, NO_CHANNEL, &wait);
    if (r < 0) return r;
    do {
        r = event_announce(cell) ? 1 : wait_sleep(wait, deadline, false);
    } while (r == 0 && wait_pending(word_read(&wait->state)) && !event_is_set(cell));
    enum wait_state last = wait_end(wait);
    if (last == WAIT_PASSED || r >= 0) return 1;
    return r == -ETIMEDOUT ? 0 : r;
}
