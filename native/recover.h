/* Recovery: to put in order what a dead member left in cells and waits. By whoever learns of its death first: its parent's
 * reaper, a sweep, or one that waits and looks. May be done by several at once, and again; never waits for anybody. */
#ifndef PROCESSION_RECOVER_H
#define PROCESSION_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "table.h"

struct wait;

/* A waiter looks by itself in case that no reaper tells: its process may be stopped, or be no parent of the dead one's. */
#define LOOK_FIRST (5 * PN_SECOND / 1000)
#define LOOK_SECOND PN_SECOND
#define LOOK_LONGEST (30 * PN_SECOND)

/* The member in `slot` is dead, its record not yet free. `orderly`: it came to its end by itself, without an error. */
void recover(uint32_t slot, bool orderly);
/* The same for one whose record another may be about to free: nothing is done to who has the slot after it. */
void recover_member(struct member who, bool orderly);
/* For one that has waited for `key` for a while: recover after those of whom it waits who are dead. True: look again. */
bool recover_look(uint32_t key);
/* For all tasks of `owner`, a member of this process, that wait: the same, in one pass, whatever their number. One thread's. */
void recover_look_for_tasks(uint32_t owner);
/* How long to wait for `key` until the next look, after a `last` time: twice as long each time, but no longer than a second
 * where the holder has no reaper (it came from the user's own fork, or outlived its parent). */
int64_t recover_patience(uint32_t key, int64_t last);
/* The waits of ours that ring `channel` (bell.h) are given up: nobody comes back to them. May wait for a guard, for a moment. */
void recover_channel(uint32_t channel);
/* The same for one of them. */
void recover_abandon(struct wait *wait);

#endif
