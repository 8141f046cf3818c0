#define _GNU_SOURCE
#include "waits.h"

#include <string.h>

#include "bell.h"
#include "futex.h"
#include "recover.h"
#include "spin.h"

static uint32_t turned(uint32_t state, enum wait_state what) { return (state & ~0xffu) | what; }

/* Claim a free wait for `owner`, and note that it is in use. The note has a count, so that `lower` cannot undo it. */
static struct wait *claim(uint32_t owner) {
    uint32_t from = word_peek(&commons->wait_hint);
    for (uint32_t i = 0; i < COMMONS_WAIT_COUNT; i++) {
        uint32_t index = (from + i) % COMMONS_WAIT_COUNT;
        uint32_t state = word_read(&wait_at(index)->state), turn = (state & ~(WAIT_TURN - 1)) + WAIT_TURN;
        if ((state & 0xff) != WAIT_FREE) continue;
        if (!word_swap(&wait_at(index)->state, state, turn | owner << 8 | WAIT_CLAIMED)) continue;
        pn_step("wait claimed");
        uint64_t seen, used;
        do {
            seen = word_read(&commons->waits_used);
            used = (uint32_t)seen > index ? (uint32_t)seen : index + 1;
        } while (!word_swap64(&commons->waits_used, seen, ((seen >> 32) + 1) << 32 | used));
        word_poke(&commons->wait_hint, index + 1);
        pn_step("wait noted");
        return wait_at(index);
    }
    return NULL;
}

/* Whoever finds the last ones in use free notes that readers need not look so far. Not when one was claimed since `seen`. */
static void lower(void) {
    uint64_t seen = word_read(&commons->waits_used);
    uint32_t used = (uint32_t)seen;
    while (used > 0 && wait_state(wait_at(used - 1)) == WAIT_FREE) used--;
    if (used != (uint32_t)seen) word_swap64(&commons->waits_used, seen, (seen >> 32) << 32 | used);
}

int wait_prepare(uint32_t key, uint32_t units, uint32_t stake, uint32_t channel, struct wait **out) {
    int error = sync_enter();
    if (error) return error;
    struct wait *wait = claim(sync_me);
    if (!wait) return -ENOSPC;
    word_poke(&wait->key, key);
    word_poke(&wait->tid, sync_tid());
    word_poke(&wait->channel, channel);
    word_poke(&wait->ticket, word_add(&commons->tickets, 1));
    word_poke(&wait->since, sync_now());
    word_poke(&wait->units, units);
    word_poke(&wait->stake, stake);
    pn_step("wait filled");
    *out = wait;
    return 0;
}

/* Partner: the acquire loads of who tells. Whoever then looks at what it waits for without changing that (a barrier) is seen
 * by who changed it, or sees the change. */
void wait_publish(struct wait *wait) {
    word_publish(&wait->state, turned(word_peek(&wait->state), word_peek(&wait->channel) ? WAIT_TASKED : WAIT_SPINNING));
    word_fence();
    pn_step("wait published");
}

int wait_begin(uint32_t key, uint32_t units, uint32_t stake, uint32_t channel, struct wait **out) {
    int error = wait_prepare(key, units, stake, channel, out);
    if (!error) wait_publish(*out);
    return error;
}

struct wait *wait_epitaph(uint32_t key, uint32_t slot, uint32_t tid, uint64_t since) {
    struct wait *wait = sync_enter() == 0 ? claim(sync_me) : NULL; /* (ours until it is published: we may die too) */
    if (!wait) return NULL;
    struct record *record = &commons_records()[slot];
    word_poke(&wait->key, key);
    word_poke(&wait->tid, tid);
    word_poke(&wait->channel, NO_CHANNEL);
    word_poke(&wait->since, since);
    word_poke(&wait->units, word_read(&record->pid));
    cut_text(wait->name, sizeof wait->name, record->name);
    word_publish(&wait->state, (word_peek(&wait->state) & ~(WAIT_TURN - 1)) | WAIT_EPITAPH);
    pn_step("epitaph");
    return wait;
}

void wait_take_back(struct wait *wait, uint32_t seen) {
    if (word_swap(&wait->state, seen, seen & ~(WAIT_TURN - 1))) lower();
}

static bool told(struct wait *wait) { return !wait_pending(word_read(&wait->state)); }

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

int wait_sleep(struct wait *wait, int64_t deadline, bool spin) {
    if (told(wait)) return 0;
    if (spin) {
        struct spin turn;
        for (spin_begin(&turn); spin_on(&turn);)
            if (told(wait)) {
                spin_won(&turn);
                return 0;
            }
        spin_lost(&turn);
    }
    uint32_t state = word_read(&wait->state), asleep = turned(state, WAIT_ASLEEP);
    if (!word_swap(&wait->state, turned(state, WAIT_SPINNING), asleep) && told(wait)) return 0;
    pn_step("asleep");
    int64_t patience = LOOK_FIRST, look = clock_monotonic() + patience;
    for (;;) {
        int r = futex_wait(&wait->state, asleep, sooner(deadline, look));
        if (told(wait)) return 0;
        if (r == -EINTR) return -EINTR;
        if (r != -ETIMEDOUT) continue;
        int64_t now = clock_monotonic();
        if (now >= deadline) return -ETIMEDOUT;
        if (recover_look(word_peek(&wait->key))) return 0;
        patience = recover_patience(word_peek(&wait->key), patience);
        look = now + patience;
    }
}

void wait_again(struct wait *wait) {
    uint32_t state = word_read(&wait->state);
    if ((state & 0xff) != WAIT_WOKEN) return;
    word_swap(&wait->state, state, turned(state + WAIT_TURN, word_peek(&wait->channel) ? WAIT_TASKED : WAIT_SPINNING));
    pn_step("waits again");
}

enum wait_state wait_end(struct wait *wait) {
    uint32_t index = wait_index(wait);
    uint32_t last = word_read(&wait->state); /* what remains of it is its turn */
    while (!word_swap(&wait->state, last, last & ~(WAIT_TURN - 1))) last = word_read(&wait->state);
    pn_step("wait freed");
    if (index < word_peek(&commons->wait_hint)) word_poke(&commons->wait_hint, index);
    lower();
    return (enum wait_state)(last & 0xff);
}

void wait_rouse(struct wait *wait) {
    uint32_t state = word_read(&wait->state);
    if (word_read(&wait->channel) != NO_CHANNEL) bell_ring(WAIT_OWNER(state));
    else futex_wake(&wait->state, 1);
}

bool wait_tell_seen(struct wait *wait, uint32_t seen, enum wait_state what) {
    for (uint32_t state = seen; wait_pending(state); state = word_read(&wait->state)) {
        if ((state ^ seen) > 0xff) return false; /* it is another's now */
        uint32_t channel = word_read(&wait->channel);
        if (!word_swap(&wait->state, state, turned(state, what))) continue;
        pn_step("told");
        if ((state & 0xff) == WAIT_TASKED && channel) bell_ring(WAIT_OWNER(state));
        if ((state & 0xff) == WAIT_ASLEEP) futex_wake(&wait->state, 1);
        return true;
    }
    return false;
}

bool wait_tell(struct wait *wait, enum wait_state what) { return wait_tell_seen(wait, word_read(&wait->state), what); }

/* It waits for `key`; what was read is all of the use that `seen` tells of. */
static bool waits_for(struct wait *wait, uint32_t key, uint32_t *seen) {
    *seen = word_read(&wait->state);
    return wait_pending(*seen) && word_peek(&wait->key) == key;
}

struct wait *waits_first(uint32_t key, uint32_t *seen) {
    struct wait *first = NULL;
    uint32_t used = waits_used(), state;
    for (uint32_t i = 0; i < used; i++) {
        struct wait *wait = wait_at(i);
        if (!waits_for(wait, key, &state) || (first && word_peek(&wait->ticket) > word_peek(&first->ticket))) continue;
        first = wait;
        *seen = state;
    }
    return first;
}

uint32_t waits_tell(uint32_t key, uint32_t count, enum wait_state what) {
    uint32_t done = 0, seen;
    if (count == UINT32_MAX) { /* all: no need for their order */
        uint32_t used = waits_used();
        for (uint32_t i = 0; i < used; i++)
            done += waits_for(wait_at(i), key, &seen) && wait_tell_seen(wait_at(i), seen, what);
        return done;
    }
    for (struct wait *wait; done < count && (wait = waits_first(key, &seen));) done += wait_tell_seen(wait, seen, what);
    return done;
}

void waits_wake(word32 *word, uint32_t key) {
    uint32_t seen;
    while (waits_tell(key, 1, WAIT_WOKEN) == 0) {
        word_and(word, ~WAITERS);
        pn_step("nobody waits");
        if (!waits_first(key, &seen)) return;
        word_or(word, WAITERS);
        pn_step("somebody waits");
    }
}
