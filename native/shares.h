/* Shares: permits of which it is known who has them, so that those of the dead can be given back. The robust semaphore, and
 * the lock of readers and writers: a reader takes one of very many, a writer takes all.
 *
 * What counts is in the stakes, one for each member that ever took some: free are as many as `count` less the sum of all
 * stakes; `word` only remembers the difference. Changed is all that by the holder of the guard alone, a mutex in `tid`.
 * Strictly in the order of arrival: whoever cannot have what it wants at once waits, all who come later behind it, and
 * whoever gives permits back hands them on. */
#ifndef PROCESSION_SHARES_H
#define PROCESSION_SHARES_H

#include "waits.h"

#define SHARES_ALL 0x3fffffffu /* of a lock of readers and writers: what a writer takes */
#define STAKE_DEAD 0x7fffu     /* whose stake: a dead member's, to be given back */

/* Our stake in the cell, made if there is none. CELL_NONE: all cells are taken. */
uint32_t stake_of(struct cell *cell);
/* Another's or ours; CELL_NONE: that member has none. */
uint32_t stake_find(struct cell *cell, uint32_t owner);
static inline uint32_t stake_held(uint32_t stake) { return stake ? word_read(&cell_at(stake)->word) : 0; }

/* Take some if nobody waits and there are as many: 0 or -EBUSY. -EAGAIN: somebody is at it; use shares_take. */
int shares_try(struct cell *cell, uint32_t stake, uint32_t units);
/* 0; -ETIMEDOUT, -EINTR, -ENOSPC. */
int shares_take(struct cell *cell, uint32_t stake, uint32_t units, int64_t deadline);
/* For a task: 1: it has them; 0: it waits, with `out`. */
int shares_begin(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out);
/* The same for one who only wants to know: 1: it could have them, and has not. One that waits may get them: `shares_end`. */
int shares_watch(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out);
/* The end of that wait: whether it has them. */
bool shares_end(struct cell *cell, struct wait *wait);
/* Give back. `own`: only what we have, -EPERM otherwise; else it may be another's, or new ones (-EPERM where the semaphore is
 * bounded, -EOVERFLOW). -EINTR. */
int shares_give(struct cell *cell, uint32_t stake, uint32_t units, bool own);
/* A member died: if nobody is at the cell, put it in order. */
void shares_help(struct cell *cell);
static inline uint32_t shares_free(struct cell *cell) { return word_read(&cell->word) & ~WAITERS; }

#endif
