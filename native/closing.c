/* The end of a queue: when nobody is left who could put. */
#define _GNU_SOURCE
#include "queue_parts.h"

static void tell_of_end(struct queue_view *view) {
    queue_wake_all(view, PART_ITEMS);
    queue_wake_all(view, PART_WATCH);
}

void queue_close(struct queue_view *view) {
    word_publish(&cell_at(view->holding.stake)->word, 1);
    word_add(&view->queue->closes, 1);
    pn_step("closed");
    tell_of_end(view);
    queue_wake_all(view, PART_SPACE); /* (tasks of this process find the handle closed; all others wait on) */
}

void queue_left(struct queue_view *view) {
    if (word_read(&view->queue->closes) == 0) return;
    word_publish(&cell_at(view->holding.stake)->word, 1);
    tell_of_end(view);
}

static bool waits_for_ever(uint32_t owner, uint32_t key) {
    for (uint32_t i = 0; i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state);
        if (wait_pending(state) && WAIT_OWNER(state) == owner && word_peek(&wait_at(i)->key) == key &&
            word_peek(&wait_at(i)->units))
            return true;
    }
    return false;
}

/* Somebody, other than this process, who may put something. */
static bool may_put(struct queue_view *view, struct cell *stake) {
    uint32_t tid = word_read(&stake->tid);
    if (tid == 0 || tid == sync_me || word_read(&stake->word)) return false;
    return tid > PN_SLOTS || !waits_for_ever(tid, queue_key(view, PART_ITEMS));
}

bool queue_finished(struct queue_view *view) {
    if (word_read(&view->queue->closed)) return true;
    struct cell *cell = word_read(&view->queue->closes) ? holding_cell(&view->holding) : NULL;
    if (!cell) return false;
    for (uint32_t stake = word_read(&cell->link); stake; stake = word_read(&cell_at(stake)->link))
        if (may_put(view, cell_at(stake))) return false;
    if (queue_readable(view)) return false;
    word_publish(&view->queue->closed, 1);
    tell_of_end(view);
    return true;
}
