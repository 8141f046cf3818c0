/* Tasks: what pools need of queues, and of the process table. The messages of a queue with QUEUE_TASKS are *tagged*: two numbers go
 * in front of the body, of which the first says which task it is, or whose result. What a worker has in hand stands in its record. It
 * is written before the store that takes the message and cleared after the one that puts the result. One that dies between the
 * note and the store never took it: whoever recovers clears the note before the lock of the consumers is anybody else's, who may
 * take the task. So a worker that is dead with a task in its record had it in hand, and perhaps had put its result. */
#ifndef PROCESSION_TASKS_H
#define PROCESSION_TASKS_H

#include "queue.h"

/* In our own record: that task of the queue is in hand from now on; none is. `sync_enter` was called. */
void task_begin(struct queue_view *view, uint64_t number);
void task_end(void);
/* Who ran in that slot is dead: what it was about to take from the queue of that cell, and did not, is not in its hand. */
void task_untake(uint32_t slot, struct cell *cell);
/* What it had in hand, 0 for nothing. */
uint64_t task_of_dead(uint32_t slot);
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
