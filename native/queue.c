#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "queue_parts.h"
#include "segments.h"
#include "tasks.h"

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

int queue_enter_getting(struct queue_view *view, int64_t deadline) {
    return enter(view, getting(view), segments_mend_front, deadline);
}

static void leave(struct mutex lock) { mutex_unlock(lock, false); }

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

/* In this order: what happens meanwhile makes it too high, never too low. */
uint32_t queue_size(struct queue_view *view) {
    uint32_t gets = count_at(&view->queue->first, false), withdrawn = word_read(&view->queue->withdrawn);
    uint32_t size = puts_so_far(view) - gets - withdrawn;
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
        if (head & (ENTRY_END | ENTRY_DONE)) return queue_size(view) > 0;
        return head || word_read(&view->queue->returned);
    }
    return queue_size(view) > 0;
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
        queue_wake(view, PART_ITEMS);
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
        if (error == -EAGAIN) error = queue_wait(view, PART_SPACE, deadline);
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
    const char *body = (char *)entry_parcel(segment, position) + bytes;
    if (entry_tagged(head)) {
        memcpy(out->tag, body, sizeof out->tag);
        body += sizeof out->tag, out->size -= sizeof out->tag, out->format &= ~FORMAT_TAGGED;
    }
    if (out->size) memcpy(out->body, body, out->size);
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

static int take_next(struct queue_view *view, struct taken *out, bool in_hand) {
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
    if (in_hand) task_begin(view, out->tag[0]);
    if (!again) segments_take(segment, head);
    if (!(view->queue->flags & QUEUE_REDELIVERS)) claim_parcels(out);
    return 0;
}

static int get_one(struct queue_view *view, struct taken *out, bool in_hand) {
    int error = take_next(view, out, in_hand);
    leave(getting(view));
    if (!error && view->queue->maxsize) queue_wake(view, PART_SPACE);
    return error;
}

static int try_get(struct queue_view *view, struct taken *out, bool in_hand) {
    int error = try_enter(view, getting(view), segments_mend_front);
    return error ? error : get_one(view, out, in_hand);
}

static int get_now(struct queue_view *view, struct taken *out, bool in_hand) {
    int error = queue_enter_getting(view, clock_monotonic() + TURN);
    return error ? error : get_one(view, out, in_hand);
}

static int get_or_wait(struct queue_view *view, struct taken *out, bool in_hand, int64_t deadline, bool *alone) {
    for (;;) {
        int error = queue_enter_getting(view, deadline);
        if (!error) error = get_one(view, out, in_hand);
        if (error != -EAGAIN) return error;
        if (queue_finished(view)) return -EPIPE;
        error = queue_spin_for_items(view, alone) ? 0 : queue_sleep(view, PART_ITEMS, deadline);
        if (error) return error == -ETIMEDOUT && queue_finished(view) ? -EPIPE : error;
    }
}

static int get(struct queue_view *view, struct taken *out, bool in_hand, int64_t deadline) {
    bool alone = false;
    int error = get_or_wait(view, out, in_hand, deadline, &alone);
    if (alone) queue_pass_on(view);
    return error;
}

int queue_try_get(struct queue_view *view, struct taken *out) { return try_get(view, out, false); }
int queue_get_now(struct queue_view *view, struct taken *out) { return get_now(view, out, false); }
int queue_get(struct queue_view *view, struct taken *out, int64_t deadline) { return get(view, out, false, deadline); }
int queue_try_take(struct queue_view *view, struct taken *out) { return try_get(view, out, true); }
int queue_take_now(struct queue_view *view, struct taken *out) { return get_now(view, out, true); }
int queue_take(struct queue_view *view, struct taken *out, int64_t deadline) { return get(view, out, true, deadline); }

void queue_settle(struct queue_view *view, const struct taken *taken, bool again) {
    struct segment *segment = segment_at(taken->segment);
    if (!segment) return;
    word64 *entry = entry_at(segment, taken->position);
    uint64_t head = word_read(entry);
    if (again) {
        word_publish(&view->queue->look, 1);
        word_publish(entry, head & ~(0x7fffull << 42 | 63ull << 57));
        word_publish(&view->queue->look, 1);
        queue_wake(view, PART_ITEMS);
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
        if (done + 1 == puts_so_far(view)) queue_wake_all(view, PART_DONE);
        return 0;
    }
}

bool queue_all_done(struct queue_view *view) { return word_read(&view->queue->done) == puts_so_far(view); }

int queue_join(struct queue_view *view, int64_t deadline) {
    int r = 0;
    while (r == 0 && !queue_all_done(view)) r = queue_wait(view, PART_DONE, deadline);
    return r;
}
