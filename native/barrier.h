/* The barrier: `count` parties (a field of the cell) meet; the last one lets them all go on. Its word:
 *
 *   bits  0-14  how many have arrived
 *   bits 15-28  the phase: grows by one with each meeting and each reset
 *   bit  29     ACTING: all are there, and the last one does what is to be done before they go on
 *   bit  30     BROKEN
 *   bit  31     the phase before this was ended by a reset
 *
 * Each arrival is a wait that is told how its phase ended. A party is a member with a stake in the barrier: whoever has
 * waited, or was sent its handle. One that dies, other than in order, breaks it (recover.c). */
#ifndef PROCESSION_BARRIER_H
#define PROCESSION_BARRIER_H

#include "waits.h"

#define BARRIER_MOST 0x7fffu
#define BARRIER_COUNT 0x7fffu
#define BARRIER_PHASE (0x3fffu << 15)
#define BARRIER_ACTING (1u << 29)
#define BARRIER_BROKEN (1u << 30)
#define BARRIER_RESET (1u << 31)

enum barrier_answer { BARRIER_WAITS = 0, BARRIER_GO = 1, BARRIER_ACT = 2, BARRIER_LATER = 3 };

/* Arrive; `index` is how many came before. BARRIER_WAITS: sleep with `out`. GO: we were the last, and all go on. ACT: the
 * same, once `barrier_acted`. LATER: another phase is just being ended; sleep with `out`, then arrive again.
 * -EPIPE: it is broken. */
int barrier_arrive(struct cell *cell, bool action, uint32_t channel, struct wait **out, uint32_t *index);
/* The last one has done what was to be done: let all go on. -EPIPE: it was broken meanwhile. */
int barrier_acted(struct cell *cell);
/* Only to know when the present phase ends, or that the barrier is broken: `out` is the wait of one who is no party. */
int barrier_watch(struct cell *cell, uint32_t channel, struct wait **out);
/* Whether who waits so is a party. */
bool barrier_counts(struct wait *wait);
/* How it stands with the wait: 1 passed, -EPIPE, -EAGAIN (arrive again), 0 not known yet. */
int barrier_outcome(struct cell *cell, struct wait *wait);
/* Wait for it: as above, but 0 is not known by the deadline; -EINTR. */
int barrier_sleep(struct cell *cell, struct wait *wait, int64_t deadline);
/* The deadline came: break the barrier, unless this phase has ended, or is being ended by the last one. As outcome;
 * -ETIMEDOUT: it is broken now. */
int barrier_expire(struct cell *cell, struct wait *wait);
/* Leave: takes an arrival back if its phase goes on. */
void barrier_leave(struct cell *cell, struct wait *wait);
void barrier_break(struct cell *cell);
void barrier_reset(struct cell *cell);
/* Those whose phase has ended are told so: for who died before that. */
void barrier_tell(struct cell *cell);
static inline uint32_t barrier_waiting(struct cell *cell) {
    uint32_t word = word_read(&cell->word);
    return word & (BARRIER_BROKEN | BARRIER_ACTING) ? 0 : word & BARRIER_COUNT;
}

#endif
