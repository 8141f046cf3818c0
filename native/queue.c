#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "segments.h"
#include "spin.h"

struct queue *queue_map(struct cell *cell) { return arena_map(holding_offset(cell), sizeof(struct queue)); }
void queue_unmap(struct queue *queue, struct cell *cell) {
    arena_unmap(queue, holding_offset(cell), sizeof(struct queue));
}

int queue_open(struct queue_view *view) {
    struct cell *cell = holding_cell(&view->holding);
    view->queue = cell ? queue_map(cell) : NULL;
    return view->queue ? 0 : cell ? -ENOMEM : -ENOENT;
}

int queue_make(uint32_t maxsize, uint32_t flags, struct queue_view *out) {
    int error = holding_make(CELL_QUEUE, sizeof(struct queue), NULL, 0, &out->holding);
    if (error) return error;
    error = queue_open(out);
    if (!error) {
        out->queue->maxsize = maxsize;
        out->queue->flags = flags;
        error = segments_begin(out);
    }
    if (error) queue_shut(out);
    return error;
}

void queue_shut(struct queue_view *view) {
    struct cell *cell = holding_cell(&view->holding);
    if (cell && view->queue) {
        queue_left(view);
        queue_unmap(view->queue, cell);
    }
    holding_drop(&view->holding);
}

/* --- the locks ------------------------------------------------------------------------------------------------------ */

typedef void mender(struct queue_view *view);

/* Both sides try, and none waits with a lock in its hands. */
static void mend_all(struct queue_view *view, mender *mend) {
    bool back = mend == segments_mend_back;
    struct mutex other = back ? getting(view) : putting(view);
    mend(view);
    int r = mutex_try_shortly(other);
    if (r < 0) return; /* (somebody is there: what the dead one left is found after the next death, or with the queue's end) */
    if (r == (int)HOLDER_DIED) (back ? segments_mend_front : segments_mend_back)(view);
    segments_sweep(view);
    mutex_unlock(other, false);
}

static int entered(struct queue_view *view, int r, mender *mend) {
    if (r == (int)HOLDER_DIED) mend_all(view, mend);
    return r < 0 ? r : 0;
}

/* Where nobody must wait: the lock is held for some microseconds, as a rule. */
static int try_enter(struct queue_view *view, struct mutex lock, mender *mend) {
    int error = sync_enter();
    if (error || mutex_try_fast(lock.word)) return error;
    return entered(view, mutex_try_shortly(lock), mend);
}

static int enter(struct queue_view *view, struct mutex lock, mender *mend, int64_t deadline) {
    return entered(view, mutex_lock(lock, deadline), mend);
}

static void leave(struct mutex lock) { mutex_unlock(lock, false); }

static word32 *word_of(struct queue_view *view, enum queue_part part) {
    switch (part) {
    case PART_ITEMS: return &view->queue->items;
    case PART_SPACE: return &view->queue->space;
    case PART_WATCH: return &view->queue->watches;
    default: return &view->queue->joins;
    }
}
static uint32_t key_of(struct queue_view *view, enum queue_part part) { return view->holding.index | KEY_PART(part); }

static void wake_all(struct queue_view *view, enum queue_part part) {
    word_fence();
    word32 *word = word_of(view, part);
    if (!(word_read(word) & WAITERS)) return;
    word_and(word, ~WAITERS); /* (who waits on says so again) */
    pn_step("all noted");
    waits_tell(key_of(view, part), UINT32_MAX, WAIT_WOKEN);
}

static void tell_of_end(struct queue_view *view) {
    wake_all(view, PART_ITEMS);
    wake_all(view, PART_WATCH);
}

/* After something has changed: partner of `announce`. */
static void wake(struct queue_view *view, enum queue_part part) {
    word_fence();
    word32 *word = word_of(view, part);
    if (word_read(word) & WAITERS) waits_wake(word, key_of(view, part));
    if (part == PART_ITEMS && (word_read(&view->queue->watches) & WAITERS)) wake_all(view, PART_WATCH);
}

void queue_announce(struct queue_view *view, enum queue_part part) {
    word_or(word_of(view, part), WAITERS);
    word_fence();
    pn_step("waits for queue");
}

/* --- figures -------------------------------------------------------------------------------------------------------- */

/* The segment that a word of the queue names, and a word of that: as they were at one moment. */
static uint32_t count_at(word64 *which, bool back) {
    for (;;) {
        uint64_t offset = word_read(which);
        struct segment *segment = segment_at(offset);
        if (!segment) return 0;
        uint64_t word = word_read(back ? &segment->back : &segment->front);
        if (word_read(which) == offset && (uint32_t)word >= SEGMENT_HEAD) return (uint32_t)(word >> 32);
    }
}

static uint32_t puts_so_far(struct queue_view *view) { return count_at(&view->queue->last, true); }

uint32_t queue_size(struct queue_view *view) {
    uint32_t gets = count_at(&view->queue->first, false), size = puts_so_far(view) - gets;
    return (size > INT32_MAX ? 0 : size) + word_read(&view->queue->returned);
}

bool queue_full(struct queue_view *view) { return view->queue->maxsize && queue_size(view) >= view->queue->maxsize; }

/* A hint, until `first` is seen to be the same afterwards: the segment may be retired, and be written to, while we look. */
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize_thread))
#endif
static uint64_t head_at(struct segment *segment, uint32_t position) {
    return word_read(entry_at(segment, position)); /* (the look at `first` comes after it) */
}

/* Somebody died: what it had in hand may be to be had. Whoever is reading at the moment finds that out, too. */
void queue_look(struct queue_view *view) {
    if (!word_read(&view->queue->look) || try_enter(view, getting(view), segments_mend_front)) return;
    segments_recount(view);
    leave(getting(view));
}

bool queue_readable(struct queue_view *view) {
    queue_look(view);
    for (int i = 0; i < 3; i++) { /* (a segment may be retired while we look) */
        uint64_t offset = word_read(&view->queue->first);
        struct segment *segment = segment_at(offset);
        uint32_t position = segment ? (uint32_t)word_read(&segment->front) : 0;
        if (position < SEGMENT_HEAD || position >= SEGMENT_SIZE) continue;
        uint64_t head = head_at(segment, position);
        if (word_read(&view->queue->first) != offset) continue;
        if (head & ENTRY_END) return queue_size(view) > 0;
        return head || word_read(&view->queue->returned);
    }
    return queue_size(view) > 0;
}

/* --- waiting -------------------------------------------------------------------------------------------------------- */

static bool is_worth(struct queue_view *view, enum queue_part part) {
    if (part == PART_ITEMS || part == PART_WATCH) return queue_readable(view) || queue_finished(view);
    if (part == PART_SPACE) return !queue_full(view);
    return queue_all_done(view);
}

static bool spin(struct queue_view *view, enum queue_part part) {
    struct spin turn;
    bool won = false;
    for (spin_begin(&turn); !won && spin_on(&turn);)
        won = part == PART_ITEMS ? queue_readable(view) : is_worth(view, part);
    if (won) spin_won(&turn);
    else spin_lost(&turn);
    return won;
}

/* Until it is worth trying again. `units` 1: for ever. */
static int wait_for(struct queue_view *view, enum queue_part part, int64_t deadline) {
    if (spin(view, part)) return 0;
    struct wait *wait;
    int r = wait_begin(key_of(view, part), deadline == PN_FOREVER, 0, NO_CHANNEL, &wait);
    if (r < 0) return r;
    queue_announce(view, part);
    while (!is_worth(view, part)) {
        r = wait_sleep(wait, deadline, false);
        if (r < 0) break;
        wait_again(wait);
        queue_announce(view, part);
    }
    if (r < 0) queue_give_up(view, part, wait);
    else wait_end(wait);
    return r < 0 ? r : 0;
}

void queue_give_up(struct queue_view *view, enum queue_part part, struct wait *wait) {
    if (wait_end(wait) == WAIT_WOKEN && part != PART_WATCH) wake(view, part);
}

int queue_await(struct queue_view *view, enum queue_part part, bool for_ever, uint32_t channel, struct wait **out) {
    int r = wait_begin(key_of(view, part), for_ever, 0, channel, out);
    if (r == 0) queue_announce(view, part);
    return r;
}

/* --- putting -------------------------------------------------------------------------------------------------------- */

/* Somebody could put after all. */
static void reopen(struct queue_view *view) {
    if (word_read(&view->queue->closed)) word_publish(&view->queue->closed, 0);
}

/* As many as there is space for: 0, or why not all. */
static int write_some(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done) {
    int error = 0;
    reopen(view);
    while (*done < count && !error) {
        error = queue_full(view) ? -EAGAIN : segments_write(view, &messages[*done]);
        if (!error) ++*done;
    }
    return error;
}

static int put_some(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done) {
    uint32_t before = *done;
    int error = write_some(view, messages, count, done);
    leave(putting(view));
    for (uint32_t i = before; i < *done && (i == before || (word_read(&view->queue->items) & WAITERS)); i++)
        wake(view, PART_ITEMS);
    return error;
}

int queue_try_put(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done) {
    int error = try_enter(view, putting(view), segments_mend_back);
    return error ? error : put_some(view, messages, count, done);
}

int queue_put(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done, int64_t deadline) {
    for (;;) {
        int error = enter(view, putting(view), segments_mend_back, deadline);
        if (!error) error = put_some(view, messages, count, done);
        if (error == -EAGAIN) error = wait_for(view, PART_SPACE, deadline);
        else return error;
        if (error) return error;
    }
}

#define TURN (PN_SECOND / 10)

int queue_put_now(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done) {
    int error = enter(view, putting(view), segments_mend_back, clock_monotonic() + TURN);
    return error ? error : put_some(view, messages, count, done);
}

/* --- getting -------------------------------------------------------------------------------------------------------- */

void taken_free(struct taken *taken) {
    if (taken->body != taken->room) free(taken->body);
    free(taken->parcels);
}

/* A copy of the entry: nobody else can write there, but it may go with its segment when it is taken. */
static int copy_out(struct segment *segment, uint32_t position, uint64_t head, struct taken *out) {
    uint32_t parcels = entry_parcels(head), bytes = parcels * (uint32_t)sizeof(struct parcel);
    *out = (struct taken){.body = out->room, .size = entry_size(head), .format = (uint32_t)(head >> 20 & 0xff)};
    if (out->size > sizeof out->room) out->body = malloc(out->size);
    if (parcels) out->parcels = malloc(bytes);
    if (!out->body || (parcels && !out->parcels)) {
        taken_free(out);
        return -ENOMEM;
    }
    if (parcels) memcpy(out->parcels, entry_parcel(segment, position), bytes);
    if (out->size) memcpy(out->body, (char *)entry_parcel(segment, position) + bytes, out->size);
    out->parcel_count = parcels;
    return 0;
}

/* In our name, before the lock is given back. One that is gone stands in its place with no stake. */
static void claim_parcels(struct taken *taken) {
    for (uint32_t i = 0; i < taken->parcel_count; i++) {
        struct parcel *parcel = &taken->parcels[i];
        if (parcel->serial & PARCEL_NESTED) parcel_address(parcel, sync_me - 1);
        else if (!parcel_claim(parcel)) parcel->stake = CELL_NONE;
    }
}

static int take_next(struct queue_view *view, struct taken *out) {
    struct segment *segment;
    uint32_t position;
    uint64_t offset, head = segments_returned(view, &segment, &position, &offset);
    bool again = head;
    if (!head) head = segments_next(view, &segment, &position, &offset);
    if (!head) return -EAGAIN;
    int error = copy_out(segment, position, head, out);
    if (error) return error;
    out->segment = offset;
    out->position = position;
    if (view->queue->flags & QUEUE_REDELIVERS) segments_hold(segment, position, head);
    if (!again) segments_take(segment, head);
    if (!(view->queue->flags & QUEUE_REDELIVERS)) claim_parcels(out);
    return 0;
}

static int get_one(struct queue_view *view, struct taken *out) {
    int error = take_next(view, out);
    leave(getting(view));
    if (!error && view->queue->maxsize) wake(view, PART_SPACE);
    return error;
}

int queue_try_get(struct queue_view *view, struct taken *out) {
    int error = try_enter(view, getting(view), segments_mend_front);
    return error ? error : get_one(view, out);
}

int queue_get_now(struct queue_view *view, struct taken *out) {
    int error = enter(view, getting(view), segments_mend_front, clock_monotonic() + TURN);
    return error ? error : get_one(view, out);
}

int queue_get(struct queue_view *view, struct taken *out, int64_t deadline) {
    for (;;) {
        int error = enter(view, getting(view), segments_mend_front, deadline);
        if (!error) error = get_one(view, out);
        if (error != -EAGAIN) return error;
        if (queue_finished(view)) return -EPIPE;
        error = wait_for(view, PART_ITEMS, deadline);
        if (error) return error == -ETIMEDOUT && queue_finished(view) ? -EPIPE : error;
    }
}

void queue_settle(struct queue_view *view, const struct taken *taken, bool again) {
    struct segment *segment = segment_at(taken->segment);
    if (!segment) return;
    word64 *entry = entry_at(segment, taken->position);
    uint64_t head = word_read(entry);
    if (again) {
        word_publish(&view->queue->look, 1);
        word_publish(entry, head & ~(0x7fffull << 42 | 63ull << 57));
        word_publish(&view->queue->look, 1);
        wake(view, PART_ITEMS);
        return;
    }
    word_publish(entry, head | ENTRY_DONE);
    pn_step("entry done");
    for (uint32_t i = 0; i < taken->parcel_count; i++) parcel_drop_posted(&taken->parcels[i], view->holding.index);
}

/* --- tasks ---------------------------------------------------------------------------------------------------------- */

int queue_task_done(struct queue_view *view) {
    for (;;) {
        uint32_t done = word_read(&view->queue->done);
        if (done == puts_so_far(view)) return -EINVAL;
        if (!word_swap(&view->queue->done, done, done + 1)) continue;
        pn_step("task done");
        if (done + 1 == puts_so_far(view)) wake_all(view, PART_DONE);
        return 0;
    }
}

bool queue_all_done(struct queue_view *view) { return word_read(&view->queue->done) == puts_so_far(view); }

int queue_join(struct queue_view *view, int64_t deadline) {
    int r = 0;
    while (r == 0 && !queue_all_done(view)) r = wait_for(view, PART_DONE, deadline);
    return r;
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

void queue_close(struct queue_view *view) {
    word_publish(&cell_at(view->holding.stake)->word, 1);
    word_add(&view->queue->closes, 1);
    pn_step("closed");
    tell_of_end(view);
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
    return tid > PN_SLOTS || !waits_for_ever(tid, key_of(view, PART_ITEMS));
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
