/* The lock: one word, in which stands who holds it. Taken by one compare-and-swap, given back by one. When its holder
 * dies, recover.c puts HOLDER_DIED in the holder's place. Not tied to a thread: any may release it. */
#ifndef PROCESSION_MUTEX_H
#define PROCESSION_MUTEX_H

#include "waits.h"

#define HOLDER 0x7fffu            /* in the word: slot + 1 of who holds it, 0 for nobody */
#define HOLDER_DIED (1u << 30)    /* a holder died, and nobody has said that all is well since */

/* Of a cell, the part that is locked. The guard of SHARES is a lock like the others, in another field. */
struct mutex {
    word32 *word;
    uint32_t key;
};

static inline struct mutex mutex_of(struct cell *cell) { return (struct mutex){&cell->word, cell_index(cell)}; }
static inline struct mutex guard_of(struct cell *cell) {
    return (struct mutex){&cell->tid, cell_index(cell) | KEY_GUARD};
}

/* Only when nothing is out of the ordinary: free, nobody waits, nobody died. */
static inline bool mutex_try_fast(word32 *word) {
    pn_step("about to lock");
    bool done = sync_me && word_swap(word, 0, sync_me);
    pn_step("locked");
    return done;
}

/* Take it if it is free: the former word's HOLDER_DIED, or -EBUSY. `sync_enter` was called. */
int mutex_try(struct mutex mutex);
/* The same, looking some 1 or 2 us for the one who holds it to give it back, if that is another process. */
int mutex_try_shortly(struct mutex mutex);
/* Take it, by `deadline`. 0 or HOLDER_DIED; -ETIMEDOUT, -EINTR, -ENOSPC (no wait is free). */
int mutex_lock(struct mutex mutex, int64_t deadline);
/* Give it back, whoever holds it; HOLDER_DIED is cleared unless `keep`. -EPERM: nobody holds it. */
int mutex_unlock(struct mutex mutex, bool keep);
static inline bool mutex_mine(word32 *word) { return sync_me && (word_read(word) & HOLDER) == sync_me; }

/* What a thread, or a task, needs to wait for the mutex by itself: it published its wait before. */
int mutex_try_waiting(struct mutex mutex);
/* A waiter gives up: what it was told goes to the next. */
void mutex_give_up(struct mutex mutex, struct wait *wait);

/* Note who holds the cell of a lock: after it was taken, and before it is given back. */
static inline void lock_note(struct cell *cell, uint32_t tid) {
    word_poke(&cell->since, sync_now());
    word_poke(&cell->tid, tid);
}

#endif
