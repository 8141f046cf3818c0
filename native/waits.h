/* Waits: one 64-byte note in the commons for each thread, or task of an event loop, that waits for a cell. Whoever wakes
 * chooses the one that came first, whatever process it is of; whoever asks sees who waits. README.md gives the bytes.
 *
 *   claimed --> spinning --> asleep --woken--> woken, passed or refused --> free
 *                  └─ or: tasked (a task; its member's doorbell is rung) ─┘
 *
 * How nothing is missed: a waiter publishes its wait, then sets WAITERS in the word that it waits for, then tries once
 * more. Whoever gives changes the same word and looks for waits if it saw WAITERS. One of the two comes second, and sees
 * what the other did. */
#ifndef PROCESSION_WAITS_H
#define PROCESSION_WAITS_H

#include "cells.h"
#include "clock.h"

#define WAITERS (1u << 31)   /* in a cell's word: somebody may wait */
#define WAIT_OWNER(state) ((state) >> 8 & 0x7fffu)
#define WAIT_TURN (1u << 23) /* grows with each use: who looks at a wait, and tells it something, means the same use */
#define KEY_GUARD (1u << 31) /* in a wait's key: it waits for the cell's guard, not for the cell */
#define KEY_PART(n) ((uint32_t)(n) << 24) /* of an object with memory: for which of its parts it waits, 1 to 15 */
#define KEY_CELL(key) ((key) & 0xffffffu)

enum wait_state {
    WAIT_FREE = 0,
    WAIT_CLAIMED = 1,
    WAIT_SPINNING = 2,
    WAIT_ASLEEP = 3,
    WAIT_TASKED = 4,
    WAIT_WOKEN = 5,   /* its turn to try */
    WAIT_PASSED = 6,  /* it has what it waited for */
    WAIT_REFUSED = 7, /* it will not get it (a broken barrier) */
    WAIT_EPITAPH = 8, /* nobody waits: it tells who died while holding the cell */
};

struct wait {
    word32 state;   /*  0  bits 0-7: wait_state; 8-22: slot + 1 of whose it is, 0 of an epitaph; 23-31: its turn */
    word32 key;     /*  4  the cell's index, perhaps with KEY_GUARD */
    word32 tid;     /*  8 */
    word32 channel; /* 12  of a task: which channel of its process to ring (bell.h) */
    word64 ticket;  /* 16  order of arrival */
    word64 since;   /* 24  monotonic ns, to a tick */
    word32 units;   /* 32  how many permits; the barrier's phase; an epitaph's pid */
    word32 stake;   /* 36  the stake that a permit goes to */
    char name[24];  /* 40  an epitaph's: UTF-8, zero-terminated */
};
_Static_assert(sizeof(struct wait) == 64, "the wait is part of a file format");

#define NO_CHANNEL 0u

static inline struct wait *wait_at(uint32_t index) { return (struct wait *)((char *)commons + COMMONS_WAITS) + index; }
static inline uint32_t wait_index(struct wait *wait) { return (uint32_t)(wait - wait_at(0)); }
static inline enum wait_state wait_state(struct wait *wait) { return (enum wait_state)(word_read(&wait->state) & 0xff); }
static inline uint32_t waits_used(void) { return (uint32_t)word_read(&commons->waits_used); }
/* Somebody is waiting there, and was not told anything yet. */
static inline bool wait_pending(uint32_t state) {
    enum wait_state s = (enum wait_state)(state & 0xff);
    return s == WAIT_SPINNING || s == WAIT_ASLEEP || s == WAIT_TASKED;
}

/* A new wait of this thread; a task's if `channel` is one. Nobody sees it yet. 0, -ENOSPC or -ESRCH. */
int wait_prepare(uint32_t key, uint32_t units, uint32_t stake, uint32_t channel, struct wait **out);
void wait_publish(struct wait *wait);
/* Both. */
int wait_begin(uint32_t key, uint32_t units, uint32_t stake, uint32_t channel, struct wait **out);
/* Write down that `who` died while holding the cell `key`. Nothing happens when all waits are taken. */
struct wait *wait_epitaph(uint32_t key, uint32_t slot, uint32_t tid, uint64_t since);
/* Free it, if it is still what it was when its state was `seen`. */
void wait_take_back(struct wait *wait, uint32_t seen);
/* Wait to be told something: spin a little if `spin`, then sleep. 0: told, or it is time to look; -ETIMEDOUT, -EINTR. */
int wait_sleep(struct wait *wait, int64_t deadline, bool spin);
/* Woken in vain: wait on, in the same place. */
void wait_again(struct wait *wait);
/* Done. Tells what it was told: WOKEN or PASSED or REFUSED, or one of the pending states. */
enum wait_state wait_end(struct wait *wait);

/* Tell one that waits, unless it was told something before. */
bool wait_tell(struct wait *wait, enum wait_state what);
/* The same, if it is still what it was when its state was `seen`: it may have ended, and begun anew for something else. */
bool wait_tell_seen(struct wait *wait, uint32_t seen, enum wait_state what);
/* Still the same use of it. */
static inline bool wait_same(struct wait *wait, uint32_t seen) {
    return (word_read(&wait->state) ^ seen) <= 0xff;
}
/* Tell the `count` first that wait for `key`; how many there were. */
uint32_t waits_tell(uint32_t key, uint32_t count, enum wait_state what);
/* The first that waits for `key`, or NULL; its state when it was found. */
struct wait *waits_first(uint32_t key, uint32_t *seen);
/* After a change of `word` that had WAITERS: wake the first, or note that nobody waits. */
void waits_wake(word32 *word, uint32_t key);
/* The kernel's part of having told: for who died between the telling and this. */
void wait_rouse(struct wait *wait);

#endif
