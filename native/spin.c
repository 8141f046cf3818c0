#define _GNU_SOURCE
#include "spin.h"

#include "clock.h"
#include "commons.h"

#define LONGEST 50000 /* ns: to wake a sleeper on another processor takes some 40 us */
#define SHORTEST 1000
#define PROBE 32 /* of so many turns one is long, whatever was learnt */

static _Atomic int64_t usual = LONGEST / 4; /* ns after which it was worth it, on average */
static _Atomic unsigned turn_count;

/* (Not ours alone: a process that is bound to one processor may wait for one that is bound to another.) */
static unsigned spare_processors(void) {
    unsigned spare = commons->processors - 1;
    return spare > SPIN_LEASES ? SPIN_LEASES : spare;
}

/* A lease ends by itself: a spinner that is killed keeps nobody from spinning later. */
static int take_lease(int64_t now, int64_t until) {
    unsigned spare = spare_processors();
    for (unsigned i = 0; i < spare; i++) {
        uint64_t seen = word_peek(&commons->spinning[i]);
        if ((int64_t)seen <= now && word_swap64(&commons->spinning[i], seen, (uint64_t)until)) return (int)i;
    }
    return -1;
}

void spin_begin(struct spin *turn) {
    int64_t limit = word_peek(&usual) * 2;
    if (limit < SHORTEST) limit = SHORTEST;
    if (limit > LONGEST || atomic_fetch_add_explicit(&turn_count, 1, memory_order_relaxed) % PROBE == 0) limit = LONGEST;
    spin_begin_for(turn, limit);
}

void spin_begin_for(struct spin *turn, int64_t limit) {
    turn->turns = 0;
    turn->began = clock_monotonic();
    turn->end = turn->began + limit;
    turn->lease = take_lease(turn->began, turn->end);
    if (turn->lease < 0) turn->end = 0;
}

bool spin_on(struct spin *turn) {
    if (turn->end == 0) return false;
    spin_relax();
    return ++turn->turns % 16 != 0 || clock_monotonic() < turn->end;
}

void spin_end(struct spin *turn) {
    if (turn->lease >= 0) word_swap64(&commons->spinning[turn->lease], (uint64_t)turn->end, 0);
}

void spin_won(struct spin *turn) {
    int64_t took = clock_monotonic() - turn->began;
    usual += (took - usual) / 8;
    spin_end(turn);
}

void spin_lost(struct spin *turn) {
    if (turn->end == 0) return;
    usual -= usual / 8;
    spin_end(turn);
}

#define BETWEEN 100000 /* ns: two turns of the kernel's waking, each of which the other side pays too when nobody spins */
#define HANDOVER 5000  /* ns: until who has just been told gives its lease back */
#define MOST_LUCK 16

static _Atomic int luck = MOST_LUCK;

void spin_begin_between(struct spin *turn) {
    bool hopeful = atomic_load_explicit(&luck, memory_order_relaxed) > 0 ||
                   atomic_fetch_add_explicit(&turn_count, 1, memory_order_relaxed) % PROBE == 0;
    int64_t until = clock_monotonic() + (hopeful ? HANDOVER : 0);
    do spin_begin_for(turn, hopeful ? BETWEEN : SHORTEST);
    while (turn->lease < 0 && turn->began < until);
}

void spin_end_between(struct spin *turn, bool won) {
    int now = atomic_load_explicit(&luck, memory_order_relaxed), then = won ? now + 4 : now - 1;
    if (turn->lease >= 0) atomic_store_explicit(&luck, then < 0 ? 0 : then > MOST_LUCK ? MOST_LUCK : then, memory_order_relaxed);
    spin_end(turn);
}
