/* The doorbell: how one native thread serves all waits of this member's event loops and of `procession.wait`. Whoever tells
 * a task's wait something rings the word in its member's record; the thread sleeps on that word and turns a ring into a
 * write to the eventfd of the wait's channel. A channel is one eventfd: one event loop, or one call that waits.
 *
 * Around a fork the thread does not exist (forks.h). */
#ifndef PROCESSION_BELL_H
#define PROCESSION_BELL_H

#include <stdint.h>

/* A new channel and its eventfd. 0 or -errno. Starts the thread. */
int bell_open(uint32_t *channel, int *fd);
void bell_close(uint32_t channel);
/* How often this process, and those it comes from, have been forked since: channels from before are the parent's. */
uint32_t bell_forks(void);
/* Ring at the member with this slot + 1. */
void bell_ring(uint32_t owner);

/* Called by forks.h only. */
void bell_pause(void);
void bell_resume(void);
void bell_restart(void);
void bell_forget(void);

#endif
