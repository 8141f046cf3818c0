#define _GNU_SOURCE
#include "semaphore.h"

#include <errno.h>

#include "spin.h"

int semaphore_try_waiting(struct cell *cell) {
    word_or(&cell->word, WAITERS);
    pn_step("waiters noted");
    return semaphore_try(cell);
}

void semaphore_give_up(struct cell *cell, struct wait *wait) {
    if (wait_end(wait) == WAIT_WOKEN && semaphore_value(cell) > 0) waits_wake(&cell->word, cell_index(cell));
}

#define SHORTLY 12 /* looks */

int semaphore_try_shortly(struct cell *cell) {
    int r = semaphore_try(cell);
    for (int i = 0; i < SHORTLY && r == -EBUSY && commons->processors > 1; i++) {
        for (int turn = 0; turn <= i; turn++) spin_relax();
        r = semaphore_try(cell);
    }
    return r;
}

static int spin(struct cell *cell) {
    struct spin turn;
    int r = -EBUSY;
    for (spin_begin(&turn); spin_on(&turn);)
        if ((word_peek(&cell->word) & SEMAPHORE_MOST) && (r = semaphore_try(cell)) == 0) break;
    if (r == 0) spin_won(&turn);
    else spin_lost(&turn);
    return r;
}

int semaphore_take(struct cell *cell, int64_t deadline) {
    int r = semaphore_try(cell);
    if (r == -EBUSY) r = spin(cell);
    if (r == 0) return 0;
    struct wait *wait;
    r = wait_begin(cell_index(cell), 1, 0, NO_CHANNEL, &wait);
    if (r < 0) return r;
    while ((r = semaphore_try_waiting(cell)) == -EBUSY) {
        int told = wait_sleep(wait, deadline, false);
        if (told < 0) {
            semaphore_give_up(cell, wait);
            return told;
        }
        wait_again(wait);
    }
    semaphore_give_up(cell, wait); /* (what we were told since the last try is another permit) */
    return r;
}

int semaphore_give(struct cell *cell, uint32_t count) {
    uint32_t seen, limit = word_read(&cell->flags) & CELL_BOUNDED ? word_peek(&cell->count) : SEMAPHORE_MOST;
    sync_enter(); /* (if we die in here, the others must be told) */
    do {
        seen = word_read(&cell->word);
        if (count > limit - (seen & SEMAPHORE_MOST)) return limit == SEMAPHORE_MOST ? -EOVERFLOW : -EPERM;
    } while (!word_swap(&cell->word, seen, seen + count));
    pn_step("permit given");
    if (seen & WAITERS)
        for (uint32_t i = 0; i < count && (word_read(&cell->word) & WAITERS); i++) waits_wake(&cell->word, cell_index(cell));
    return 0;
}
