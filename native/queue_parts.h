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
/* Until it is worth trying again: 0. A look without sleeping comes first; or not. As `wait_sleep`. */
int queue_wait(struct queue_view *view, enum queue_part part, int64_t deadline);
int queue_sleep(struct queue_view *view, enum queue_part part, int64_t deadline);
/* The look alone. `alone` becomes true when others were perhaps not woken because of us: in the end we pass on. */
bool queue_spin_for_items(struct queue_view *view, bool *alone);
/* A consumer for which others were not woken has taken one, or gives up: another for what is left. */
void queue_pass_on(struct queue_view *view);

#endif
