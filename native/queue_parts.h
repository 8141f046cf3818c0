/* What the files of a queue share: its locks, and those who wait for its parts. */
#ifndef PROCESSION_QUEUE_PARTS_H
#define PROCESSION_QUEUE_PARTS_H

#include "queue.h"

static inline uint32_t queue_key(struct queue_view *view, enum queue_part part) { return view->holding.index | KEY_PART(part); }
/* The lock of the consumers, by `deadline`: 0, or as `mutex_lock`. What a dead one left is put in order. */
int queue_enter_getting(struct queue_view *view, int64_t deadline);
/* After a change: one that waits for that part looks; or all. Begins with a fence. */
void queue_wake(struct queue_view *view, enum queue_part part);
void queue_wake_all(struct queue_view *view, enum queue_part part);

#endif
