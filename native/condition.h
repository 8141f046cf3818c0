/* The condition: a place to wait for a notification. Its lock is the caller's affair: to notify, it must be held; to wait,
 * one announces oneself while it is held, gives it back, sleeps, takes it again, and only then looks whether one was
 * notified. So a time-out and a notification cannot cross. */
#ifndef PROCESSION_CONDITION_H
#define PROCESSION_CONDITION_H

#include "waits.h"

/* With the lock held. */
int condition_enter(struct cell *cell, uint32_t channel, struct wait **out);
/* Without it. 0: told, or look; -ETIMEDOUT, -EINTR. */
int condition_sleep(struct wait *wait, int64_t deadline);
/* With the lock held again: whether it was notified. */
bool condition_leave(struct wait *wait);
/* With the lock held: tell the `count` that have waited longest; UINT32_MAX: all. How many there were. */
uint32_t condition_notify(struct cell *cell, uint32_t count);

#endif
