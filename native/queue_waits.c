/* Who waits for a part of a queue, and who wakes them. */
#define _GNU_SOURCE
#include "queue_parts.h"

#include "spin.h"

/* --- waking --------------------------------------------------------------------------------------------------------- */

static word32 *word_of(struct queue_view *view, enum queue_part part) {
    switch (part) {
    case PART_ITEMS: return &view->queue->items;
    case PART_SPACE: return &view->queue->space;
    case PART_WATCH: return &view->queue->watches;
    default: return &view->queue->joins;
    }
}

void queue_wake_all(struct queue_view *view, enum queue_part part) {
    word_fence();
    word32 *word = word_of(view, part);
    if (!(word_read(word) & WAITERS)) return;
    word_and(word, ~WAITERS); /* (who waits on says so again) */
    pn_step("all noted");
    waits_tell(queue_key(view, part), UINT32_MAX, WAIT_WOKEN);
}

/* The one message that there is will be seen by a consumer that is awake and looks for it: see `queue_spin_for_items`. */
static bool is_looked_for(struct queue_view *view) { return word_read(&view->queue->spinner) && queue_size(view) <= 1; }

/* After something has changed: partner of `announce`. */
void queue_wake(struct queue_view *view, enum queue_part part) {
    word_fence();
    word32 *word = word_of(view, part);
    if ((word_read(word) & WAITERS) && !(part == PART_ITEMS && is_looked_for(view))) waits_wake(word, queue_key(view, part));
    if (part == PART_ITEMS && (word_read(&view->queue->watches) & WAITERS) && !word_read(&view->queue->attended))
        queue_wake_all(view, PART_WATCH);
}

void queue_announce(struct queue_view *view, enum queue_part part) {
    word_or(word_of(view, part), WAITERS);
    word_fence();
    pn_step("waits for queue");
}

/* --- waiting -------------------------------------------------------------------------------------------------------- */

static bool is_worth(struct queue_view *view, enum queue_part part) {
    if (part == PART_ITEMS || part == PART_WATCH) return queue_readable(view) || queue_finished(view);
    if (part == PART_SPACE) return !queue_full(view);
    return queue_all_done(view);
}

static bool spin(struct queue_view *view, enum queue_part part) {
    struct spin turn;
    bool won = false, tasks = part == PART_ITEMS && (view->queue->flags & QUEUE_TASKS);
    for ((tasks ? spin_begin_between : spin_begin)(&turn); !won && spin_on(&turn);)
        won = part == PART_ITEMS ? queue_readable(view) : is_worth(view, part);
    if (tasks) spin_end_between(&turn, won);
    else if (won) spin_won(&turn);
    else spin_lost(&turn);
    return won;
}

/* (Inlined, gcc would warn of the fence, which ThreadSanitizer does not see: nothing that it checks follows from this one.) */
__attribute__((noinline)) static void stop_alone(struct queue_view *view) {
    word_publish(&view->queue->spinner, 0);
    word_fence();
    pn_step("spun");
}

/* With QUEUE_TASKS: while one looks, putting wakes nobody for the one message that it will see, which spares the kernel a sleeper
 * that comes too late. Nothing is missed: who put has published the entry, then (after a fence) read `spinner`; if that was still set, the
 * entry is seen by what we do after it is cleared, and the fence: another look, or in the end `queue_pass_on`. */
bool queue_spin_for_items(struct queue_view *view, bool *alone_once) {
    bool alone = (view->queue->flags & QUEUE_TASKS) && word_swap(&view->queue->spinner, 0, sync_me);
    pn_step("spinning");
    bool won = spin(view, PART_ITEMS);
    if (!alone) return won;
    *alone_once = true;
    stop_alone(view);
    return won;
}

void queue_pass_on(struct queue_view *view) {
    if ((word_read(&view->queue->items) & WAITERS) && queue_readable(view)) queue_wake(view, PART_ITEMS);
}

/* Until it is worth trying again. `units` 1: for ever. */
int queue_sleep(struct queue_view *view, enum queue_part part, int64_t deadline) {
    struct wait *wait;
    int r = wait_begin(queue_key(view, part), deadline == PN_FOREVER, 0, NO_CHANNEL, &wait);
    if (r < 0) return r;
    queue_announce(view, part);
    while (!is_worth(view, part)) {
        r = wait_sleep(wait, deadline, false);
        if (r < 0) break;
        wait_again(wait);
        queue_announce(view, part);
    }
    queue_give_up(view, part, wait); /* (also when it is worth it: what we were told since we looked may be for another) */
    return r < 0 ? r : 0;
}

int queue_wait(struct queue_view *view, enum queue_part part, int64_t deadline) {
    return spin(view, part) ? 0 : queue_sleep(view, part, deadline);
}

void queue_give_up(struct queue_view *view, enum queue_part part, struct wait *wait) {
    if (wait_end(wait) == WAIT_WOKEN && part != PART_WATCH) queue_wake(view, part);
}

int queue_await(struct queue_view *view, enum queue_part part, bool for_ever, uint32_t channel, struct wait **out) {
    int r = wait_begin(queue_key(view, part), for_ever, 0, channel, out);
    if (r == 0) queue_announce(view, part);
    return r;
}
