#define _GNU_SOURCE
#include "barrier.h"

#include <errno.h>

#define LATER 1u   /* in a wait's units, below the phase: it has not arrived */
#define WATCHES 2u /* the same: nor will it */

static uint32_t phase_of(uint32_t word) { return word & BARRIER_PHASE; }
static uint32_t phase_after(uint32_t word) { return (word + (1u << 15)) & BARRIER_PHASE; }

/* How many phases have ended since that of a wait. (It may be newer than `word`, if that was read a while ago: none.) */
static uint32_t ended(uint32_t word, uint32_t units) {
    uint32_t ahead = (phase_of(word) - phase_of(units)) & BARRIER_PHASE;
    return ahead <= BARRIER_PHASE / 2 ? ahead >> 15 : 0;
}

/* Each phase is told how it ended by whoever ended it: the word remembers that of the last one only. */
static void tell(struct cell *cell, uint32_t phase, enum wait_state what) {
    word_fence(); /* partner: wait_publish */
    uint32_t used = waits_used(), key = cell_index(cell);
    for (uint32_t i = 0; i < used; i++) {
        struct wait *wait = wait_at(i);
        uint32_t seen = word_read(&wait->state), units = word_peek(&wait->units);
        if (!wait_pending(seen) || word_peek(&wait->key) != key || phase_of(units) != phase) continue;
        wait_tell_seen(wait, seen, units & LATER ? WAIT_WOKEN : what);
    }
}

/* What a wait should have been told; WAIT_SPINNING: nothing yet. The word remembers how the last phase ended only. When more
 * have ended since, it can have been refused only if there was a reset since it came (then an error is the safe answer). */
static enum wait_state verdict(struct cell *cell, uint32_t word, struct wait *wait) {
    uint32_t units = word_peek(&wait->units), phases = ended(word, units);
    if (phases == 0) return word & BARRIER_BROKEN ? WAIT_REFUSED : WAIT_SPINNING;
    if (units & LATER) return WAIT_WOKEN;
    bool reset = phases == 1 ? word & BARRIER_RESET : word_read(&cell->tid) != word_peek(&wait->stake);
    return reset ? WAIT_REFUSED : WAIT_PASSED;
}

void barrier_tell(struct cell *cell) {
    uint32_t used = waits_used(), key = cell_index(cell), word = word_read(&cell->word);
    for (uint32_t i = 0; i < used; i++) {
        struct wait *wait = wait_at(i);
        uint32_t seen = word_read(&wait->state);
        if (!wait_pending(seen) || word_peek(&wait->key) != key) continue;
        enum wait_state what = verdict(cell, word, wait);
        if (what != WAIT_SPINNING) wait_tell_seen(wait, seen, what);
    }
}

/* What this arrival makes of the word. */
static uint32_t arrived(struct cell *cell, uint32_t word, bool action) {
    if ((word & BARRIER_COUNT) + 1 < word_peek(&cell->count)) return word + 1;
    return action ? (word + 1) | BARRIER_ACTING : phase_after(word);
}

int barrier_arrive(struct cell *cell, bool action, uint32_t channel, struct wait **out, uint32_t *index) {
    int error = wait_prepare(cell_index(cell), 0, 0, channel, out);
    if (error) return error;
    for (;;) {
        uint32_t word = word_read(&cell->word);
        if (word & BARRIER_BROKEN) {
            wait_end(*out);
            return -EPIPE;
        }
        if (word & BARRIER_ACTING) {
            word_poke(&(*out)->units, phase_of(word) | LATER);
            wait_publish(*out);
            return BARRIER_LATER;
        }
        *index = word & BARRIER_COUNT;
        bool last = *index + 1 >= word_peek(&cell->count);
        word_poke(&(*out)->units, phase_of(word));
        word_poke(&(*out)->stake, word_read(&cell->tid)); /* before we count: a later reset is seen as one */
        if (!word_swap(&cell->word, word, arrived(cell, word, action))) continue;
        pn_step("arrived");
        if (last && !action) {
            wait_end(*out);
            tell(cell, phase_of(word), WAIT_PASSED);
            return BARRIER_GO;
        }
        wait_publish(*out); /* (whoever ends the phase before this is seen by barrier_outcome) */
        return last ? BARRIER_ACT : BARRIER_WAITS;
    }
}

int barrier_watch(struct cell *cell, uint32_t channel, struct wait **out) {
    int error = wait_prepare(cell_index(cell), 0, 0, channel, out);
    if (error) return error;
    word_poke(&(*out)->units, phase_of(word_read(&cell->word)) | LATER | WATCHES);
    wait_publish(*out); /* (whoever ends the phase before this is seen by barrier_outcome) */
    return 0;
}

bool barrier_counts(struct wait *wait) { return !(word_peek(&wait->units) & WATCHES); }

int barrier_acted(struct cell *cell) {
    uint32_t word;
    do {
        word = word_read(&cell->word);
        if ((word & BARRIER_BROKEN) || !(word & BARRIER_ACTING)) return -EPIPE;
    } while (!word_swap(&cell->word, word, phase_after(word)));
    pn_step("phase ended");
    tell(cell, phase_of(word), WAIT_PASSED);
    return 0;
}

int barrier_outcome(struct cell *cell, struct wait *wait) {
    uint32_t word = word_read(&cell->word);
    enum wait_state state = wait_state(wait);
    if (wait_pending(state)) state = verdict(cell, word, wait);
    return state == WAIT_PASSED ? 1 : state == WAIT_REFUSED ? -EPIPE : state == WAIT_WOKEN ? -EAGAIN : 0;
}

int barrier_sleep(struct cell *cell, struct wait *wait, int64_t deadline) {
    for (bool spin = true;; spin = false) {
        int r = barrier_outcome(cell, wait);
        if (r) return r;
        r = wait_sleep(wait, deadline, spin);
        if (r == -ETIMEDOUT) return barrier_outcome(cell, wait);
        if (r < 0) return r;
    }
}

int barrier_expire(struct cell *cell, struct wait *wait) {
    for (;;) {
        uint32_t word = word_read(&cell->word);
        int r = barrier_outcome(cell, wait);
        if (r || (word & BARRIER_ACTING) || ended(word, word_peek(&wait->units))) return r;
        if (word_swap(&cell->word, word, word | BARRIER_BROKEN)) break;
    }
    pn_step("broken");
    tell(cell, phase_of(word_peek(&wait->units)), WAIT_REFUSED);
    return -ETIMEDOUT;
}

void barrier_leave(struct cell *cell, struct wait *wait) {
    uint32_t units = word_peek(&wait->units), word = word_read(&cell->word);
    bool arrival = !(units & LATER);
    while (arrival && phase_of(word) == phase_of(units) && !(word & (BARRIER_ACTING | BARRIER_BROKEN)) &&
           !word_swap(&cell->word, word, word - 1))
        word = word_read(&cell->word);
    pn_step("arrival taken back");
    wait_end(wait);
}

void barrier_break(struct cell *cell) {
    sync_enter();
    uint32_t word = word_or(&cell->word, BARRIER_BROKEN);
    pn_step("broken");
    tell(cell, phase_of(word), WAIT_REFUSED);
}

void barrier_reset(struct cell *cell) {
    uint32_t word;
    sync_enter();
    word_add(&cell->tid, 1); /* how many resets there were */
    pn_step("reset counted");
    do word = word_read(&cell->word);
    while (!word_swap(&cell->word, word, phase_after(word) | BARRIER_RESET));
    pn_step("reset");
    tell(cell, phase_of(word), WAIT_REFUSED);
}
