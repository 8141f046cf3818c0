#define _GNU_SOURCE
#include "tasks.h"

#include <errno.h>

#include "queue_parts.h"
#include "segments.h"

struct record *task_record(void) { return sync_enter() == 0 ? &commons_records()[sync_me - 1] : NULL; }

/* Partner: whoever reads it of the living. Of the dead, it was written before what came after it. */
static void note(struct record *record, uint64_t number) {
    word_publish(&record->task, number);
    pn_step("task noted");
}

void task_begin(struct queue_view *view, uint64_t number) {
    struct record *record = &commons_records()[sync_me - 1];
    word_poke(&record->task_since, (uint64_t)clock_monotonic());
    word_poke(&record->task_queue, view->holding.index);
    note(record, number);
}

void task_end(void) { note(&commons_records()[sync_me - 1], 0); }

/* Whoever finds the lock free, or another's, comes after one that did this to the end. What was read is what the dead one saw only
 * if the lock was still its own afterwards. */
static bool is_next(struct queue *queue, uint64_t number, uint32_t owner) {
    uint64_t next = (word_read(&queue->getting) & HOLDER) == owner ? segments_next_number(queue) : 0;
    return next == number && (word_read(&queue->getting) & HOLDER) == owner;
}

void task_untake(uint32_t slot, struct cell *cell) {
    struct record *record = &commons_records()[slot];
    uint64_t number = word_read(&record->task);
    if (!number || word_peek(&record->task_queue) != cell_index(cell)) return;
    struct queue *queue = queue_map(cell);
    if (!queue) return;
    if (is_next(queue, number, slot + 1)) word_swap64(&record->task, number, 0);
    pn_step("task untaken");
    queue_unmap(queue, cell);
}

uint64_t task_of_dead(uint32_t slot) {
    struct record *record = &commons_records()[slot];
    struct cell *cell = word_read(&record->task) ? cell_at(word_peek(&record->task_queue)) : NULL;
    if (cell && cell_kind(cell) == CELL_QUEUE) task_untake(slot, cell);
    return word_read(&record->task);
}

int queue_withdraw(struct queue_view *view, uint64_t number, int64_t deadline) {
    int error = queue_enter_getting(view, deadline);
    if (error) return error;
    bool found = segments_withdraw(view, number);
    mutex_unlock(getting(view), false);
    if (found && view->queue->maxsize) queue_wake(view, PART_SPACE);
    return found;
}

/* The fence in `queue_wake_all` stands between the end of attending and the look: who puts sees that nobody attends, or its
 * message is seen here. */
int queue_attend(struct queue_view *view, bool yes) {
    int error = sync_enter();
    if (error) return error;
    word_publish(&view->queue->attended, yes ? sync_me : 0);
    pn_step("attended");
    if (yes) return 0;
    word_fence();
    if (queue_readable(view)) queue_wake_all(view, PART_WATCH);
    return 0;
}

/* To be looked at after PART_WATCH was announced, whose fence is the partner of those in `queue_wake` and `queue_nudge`. */
static bool is_to_be_seen(struct queue_view *view) {
    return !word_read(&view->queue->attended) && queue_readable(view);
}

static bool was_nudged(struct queue_view *view, uint32_t *seen) {
    uint32_t before = *seen;
    *seen = word_read(&view->queue->nudges);
    return *seen != before;
}

static int sleep_until_seen(struct queue_view *view, struct wait *wait, uint32_t *seen, int64_t deadline) {
    for (;;) {
        if (was_nudged(view, seen)) return 0;
        if (is_to_be_seen(view)) return 1;
        int r = wait_sleep(wait, deadline, false);
        if (r < 0) return r;
        wait_again(wait);
        queue_announce(view, PART_WATCH);
    }
}

int queue_watch(struct queue_view *view, uint32_t *seen, int64_t deadline) {
    if (was_nudged(view, seen)) return 0;
    if (is_to_be_seen(view)) return 1;
    struct wait *wait;
    int r = queue_await(view, PART_WATCH, false, NO_CHANNEL, &wait);
    if (r < 0) return r;
    r = sleep_until_seen(view, wait, seen, deadline);
    queue_give_up(view, PART_WATCH, wait);
    return r;
}

void queue_nudge(struct queue_view *view) {
    word_add(&view->queue->nudges, 1);
    pn_step("nudged");
    queue_wake_all(view, PART_WATCH);
}
