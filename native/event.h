/* The event: a flag that many can wait for. */
#ifndef PROCESSION_EVENT_H
#define PROCESSION_EVENT_H

#include "waits.h"

#define EVENT_SET 1u

static inline bool event_is_set(struct cell *cell) { return word_read(&cell->word) & EVENT_SET; }
void event_set(struct cell *cell);
void event_clear(struct cell *cell);
/* 1 set, or it was meanwhile; 0: the deadline came; -EINTR, -ENOSPC, -ESRCH. */
int event_wait(struct cell *cell, int64_t deadline);
/* After a task's wait was published. */
bool event_announce(struct cell *cell);

#endif
