/* Tasks: what pools need of queues, and of the process table. The messages of a queue with QUEUE_TASKS are *tagged*: two numbers go
 * in front of the body, of which the first says which task it is, or whose result. What a worker has in hand stands in its record. It
 * is written before the store that takes the message and cleared after the one that puts the result. So a worker that is dead with a task
 * in its record either never took it, and the task is still in the queue, or had it in hand, and perhaps had put its result. */
#ifndef PROCESSION_TASKS_H
#define PROCESSION_TASKS_H

#include "queue.h"

/* In our own record: that task is in hand from now on; 0: none is. `sync_enter` was called. */
void task_note(uint64_t number);
/* Our own record, or NULL: we are in no family. */
struct record *task_record(void);

/* The first message that nobody has taken and whose tag begins with that number is taken out of the queue, its parcels dropped.
 * 1: done; 0: there is none; else as `mutex_lock`. Looks through all messages that are there. */
int queue_withdraw(struct queue_view *view, uint64_t number, int64_t deadline);

/* Whoever attends to the queue sees to its messages in time: until it is said that nobody does, putting wakes none who watch. */
int queue_attend(struct queue_view *view, bool yes);
/* Sleep until there is a message that nobody attends to: 1. 0: `queue_nudge` was called since it answered `*seen`, which
 * becomes what it is now. -ETIMEDOUT, -EINTR, -ENOSPC, -ESRCH. Takes nothing. */
int queue_watch(struct queue_view *view, uint32_t *seen, int64_t deadline);
void queue_nudge(struct queue_view *view);

#endif
