/* The plain semaphore: a number of permits, which belong to nobody and so cannot be given back for the dead. */
#ifndef PROCESSION_SEMAPHORE_H
#define PROCESSION_SEMAPHORE_H

#include <errno.h>

#include "waits.h"

#define SEMAPHORE_MOST 0x7fffffffu /* permits; bit 31 of the word is WAITERS */

static inline uint32_t semaphore_value(struct cell *cell) { return word_read(&cell->word) & SEMAPHORE_MOST; }
/* Take a permit if there is one: 0 or -EBUSY. */
static inline int semaphore_try(struct cell *cell) {
    for (uint32_t seen = word_read(&cell->word); seen & SEMAPHORE_MOST; seen = word_read(&cell->word)) {
        if (!word_swap(&cell->word, seen, seen - 1)) continue;
        pn_step("permit taken");
        return 0;
    }
    return -EBUSY;
}
/* 0; -ETIMEDOUT, -EINTR, -ENOSPC. */
int semaphore_try_shortly(struct cell *cell); /* the same, looking for some 1 or 2 us */
int semaphore_take(struct cell *cell, int64_t deadline);
/* `limit` 0: none. -EPERM: there would be more than the limit; -EOVERFLOW: more than can be counted. */
int semaphore_give(struct cell *cell, uint32_t count);
int semaphore_try_waiting(struct cell *cell);
void semaphore_give_up(struct cell *cell, struct wait *wait);

#endif
