#define _GNU_SOURCE
#include "mutex.h"

#include <errno.h>

#include "spin.h"

int mutex_try(struct mutex mutex) {
    for (;;) {
        uint32_t seen = word_read(mutex.word);
        if (seen & HOLDER) return -EBUSY;
        if (!word_swap(mutex.word, seen, seen | sync_me)) continue;
        pn_step("locked");
        return (int)(seen & HOLDER_DIED);
    }
}

int mutex_try_waiting(struct mutex mutex) {
    word_or(mutex.word, WAITERS);
    pn_step("waiters noted");
    return mutex_try(mutex);
}

void mutex_give_up(struct mutex mutex, struct wait *wait) {
    if (wait_end(wait) == WAIT_WOKEN && !(word_read(mutex.word) & HOLDER)) waits_wake(mutex.word, mutex.key);
}

#define SHORTLY 12    /* looks, */
#define RARELY 8      /* at most so many turns apart: who holds it needs the cache line, too */

int mutex_try_shortly(struct mutex mutex) {
    int r = mutex_try(mutex);
    if (r != -EBUSY || mutex_mine(mutex.word) || commons->processors == 1) return r;
    for (int i = 0; i < SHORTLY && r == -EBUSY; i++) {
        for (int turn = 0; turn <= (i < RARELY ? i : RARELY); turn++) spin_relax();
        if (!(word_peek(mutex.word) & HOLDER)) r = mutex_try(mutex);
    }
    return r;
}

static int spin(struct mutex mutex) {
    struct spin turn;
    int r = -EBUSY;
    if (mutex_mine(mutex.word)) return r; /* by another thread of ours */
    for (spin_begin(&turn); spin_on(&turn);)
        if (!(word_peek(mutex.word) & HOLDER) && (r = mutex_try(mutex)) >= 0) break;
    if (r >= 0) spin_won(&turn);
    else spin_lost(&turn);
    return r;
}

int mutex_lock(struct mutex mutex, int64_t deadline) {
    int r = sync_enter();
    if (r == 0) r = mutex_try(mutex);
    if (r == -EBUSY) r = spin(mutex);
    if (r != -EBUSY) return r;
    struct wait *wait;
    r = wait_begin(mutex.key, 0, 0, NO_CHANNEL, &wait);
    if (r < 0) return r;
    while ((r = mutex_try_waiting(mutex)) == -EBUSY) {
        int told = wait_sleep(wait, deadline, false);
        if (told < 0) {
            mutex_give_up(mutex, wait);
            return told;
        }
        wait_again(wait);
    }
    wait_end(wait);
    return r;
}

int mutex_unlock(struct mutex mutex, bool keep) {
    sync_enter(); /* (it may be another's; if we die in here, the next must be woken) */
    for (;;) {
        uint32_t seen = word_read(mutex.word);
        if (!(seen & HOLDER)) return -EPERM;
        if (!word_swap(mutex.word, seen, seen & (keep ? WAITERS | HOLDER_DIED : WAITERS))) continue;
        pn_step("unlocked");
        if (seen & WAITERS) waits_wake(mutex.word, mutex.key);
        return 0;
    }
}
