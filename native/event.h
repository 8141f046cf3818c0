/* The event: a flag that many can wait for. Its word counts, too, how often it was set: so whoever waits goes on even if it was
 * cleared before anybody looked. */
#ifndef PROCESSION_EVENT_H
#define PROCESSION_EVENT_H

#include "waits.h"

#define EVENT_SET 1u

static inline bool event_is_set(struct cell *cell) { return word_read(&cell->word) & EVENT_SET; }
void event_set(struct cell *cell);
void event_clear(struct cell *cell);
/* 1 set, or it was meanwhile; 0: the deadline came; -EINTR, -ENOSPC, -ESRCH. */
int event_wait(struct cell *cell, int64_t deadline);
/* A wait, of a task if `channel` is one; then, and after each look: let it be told. True: it need not wait. */
int event_begin(struct cell *cell, uint32_t channel, struct wait **out);
bool event_announce(struct cell *cell, struct wait *wait);

#endif
