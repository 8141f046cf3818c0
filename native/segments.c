#define _GNU_SOURCE
#include "segments.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "proc.h"

#define AT(word) ((uint32_t)(word)) /* the low half of `back` and `front`: a place */
#define TAG_SIZE (2 * (uint32_t)sizeof(uint64_t))
#define PLACE(count, position) ((uint64_t)(count) << 32 | (position))
#define COUNT(word) ((uint32_t)((word) >> 32))

/* Beyond the window few segments are in use at a time: the last ones of this thread stay mapped. */
#define MAPPED 4
static _Thread_local struct {
    uint64_t offset, family;
    void *map;
} mapped[MAPPED];
static _Thread_local unsigned next_mapped;

struct segment *segment_at(uint64_t offset) {
    if (offset + SEGMENT_SIZE <= commons_mapped) return (struct segment *)((char *)commons + offset);
    for (unsigned i = 0; i < MAPPED; i++)
        if (mapped[i].offset == offset && mapped[i].family == commons->family) return mapped[i].map;
    void *map = arena_map(offset, SEGMENT_SIZE);
    if (!map) return NULL;
    unsigned i = next_mapped++ % MAPPED;
    if (mapped[i].map) munmap(mapped[i].map, SEGMENT_SIZE);
    mapped[i].offset = offset, mapped[i].family = commons->family, mapped[i].map = map;
    return map;
}

/* Word by word: somebody may be looking whether there is anything (queue_readable). */
static void clear(struct segment *segment, uint32_t from, uint32_t to) {
    for (uint32_t at = from; at < to; at += 8) word_poke(entry_at(segment, at), 0);
}

static void prepare(struct segment *segment, uint32_t count) {
    word_poke(&segment->back, PLACE(count, SEGMENT_HEAD));
    word_poke(&segment->front, PLACE(count, SEGMENT_HEAD));
}

static int fresh(struct queue_view *view, uint64_t *offset) {
    uint64_t spare = word_read(&view->queue->spare);
    if (spare && word_swap64(&view->queue->spare, spare, 0)) {
        pn_step("spare taken");
        *offset = spare;
        return 0;
    }
    return arena_take_clean(SEGMENT_SIZE, OWNER_OBJECT(view->holding.index), offset);
}

int segments_begin(struct queue_view *view) {
    uint64_t offset;
    int error = fresh(view, &offset);
    struct segment *segment = error ? NULL : segment_at(offset);
    if (!segment) return error ? error : -ENOMEM;
    prepare(segment, 0);
    word_poke(&view->queue->first, offset);
    word_poke(&view->queue->oldest, offset);
    word_publish(&view->queue->last, offset);
    return 0;
}

/* All of an entry's parcels that nobody received. */
static void drop_parcels(struct segment *segment, uint32_t position, uint64_t head, uint32_t queue) {
    for (uint32_t i = 0; i < entry_parcels(head); i++) {
        struct parcel parcel = entry_parcel(segment, position)[i];
        parcel_drop_posted(&parcel, queue);
    }
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

/* From here on entries go to the next segment, which is there. */
static void move_on(struct queue_view *view, struct segment *segment, uint32_t position) {
    word_publish(entry_at(segment, position), ENTRY_SET | ENTRY_END);
    pn_step("segment ended");
    word_publish(&view->queue->last, word_read(&segment->next));
    pn_step("segment begun");
}

static int extend(struct queue_view *view, struct segment **segment, uint64_t *back) {
    uint64_t offset;
    int error = fresh(view, &offset);
    struct segment *next = error ? NULL : segment_at(offset), *full = segment_at(word_read(&view->queue->last));
    if (!next || !full) return error ? error : -ENOMEM;
    prepare(next, COUNT(*back));
    pn_step("segment prepared");
    word_publish(&full->next, offset);
    pn_step("segment linked");
    move_on(view, full, AT(*back));
    *segment = next;
    *back = word_read(&next->back);
    return 0;
}

static void fill(struct segment *segment, uint32_t position, const struct message *message) {
    char *body = (char *)segment + position + 8 + message->parcel_count * sizeof(struct parcel);
    if (message->parcel_count)
        memcpy(entry_parcel(segment, position), message->parcels, message->parcel_count * sizeof(struct parcel));
    if (message->tag) memcpy(body, message->tag, TAG_SIZE), body += TAG_SIZE;
    if (message->size) memcpy(body, message->body, message->size);
    pn_step("entry filled");
}

static uint64_t head_of(const struct message *message) {
    uint32_t size = message->size + (message->tag ? TAG_SIZE : 0), format = message->format | (message->tag ? FORMAT_TAGGED : 0);
    return ENTRY_SET | size | (uint64_t)format << 20 | (uint64_t)message->parcel_count << 28;
}

int segments_write(struct queue_view *view, const struct message *message) {
    struct segment *segment = segment_at(word_read(&view->queue->last));
    if (!segment) return -ENOMEM;
    uint64_t head = head_of(message), back = word_read(&segment->back);
    if (AT(back) + entry_length(head) + 8 > SEGMENT_SIZE) {
        int error = extend(view, &segment, &back);
        if (error) return error;
    }
    fill(segment, AT(back), message);
    if (message->parcel_count) word_publish(&view->queue->draft, head);
    for (uint32_t i = 0; i < message->parcel_count; i++) parcel_post(&message->parcels[i], view->holding.index);
    word_publish(entry_at(segment, AT(back)), head); /* partner: segments_next */
    pn_step("entry published");
    word_publish(&segment->back, PLACE(COUNT(back) + 1, AT(back) + entry_length(head)));
    pn_step("entry counted");
    return 0;
}

void segments_mend_back(struct queue_view *view) {
    struct segment *segment = segment_at(word_read(&view->queue->last));
    if (!segment) return;
    uint64_t back = word_read(&segment->back);
    if (word_read(&segment->next)) { /* it died within `extend` */
        move_on(view, segment, AT(back));
        return;
    }
    uint64_t head = word_read(entry_at(segment, AT(back)));
    if (head) word_publish(&segment->back, back = PLACE(COUNT(back) + 1, AT(back) + entry_length(head)));
    else drop_parcels(segment, AT(back), word_read(&view->queue->draft), view->holding.index); /* (if there are any: see draft) */
    pn_step("back mended");
    clear(segment, AT(back), SEGMENT_SIZE); /* what it began to write */
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static bool is_redelivering(struct queue_view *view) { return view->queue->flags & QUEUE_REDELIVERS; }

/* Call for each entry up to `end`; stop when it answers false. */
typedef bool visitor(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head);
static bool visit(struct queue_view *view, struct segment *segment, uint32_t end, visitor *call) {
    for (uint32_t at = SEGMENT_HEAD; at < end;) {
        uint64_t head = word_read(entry_at(segment, at));
        if (!head || (head & ENTRY_END)) break;
        if (!call(view, segment, at, head)) return false;
        at += entry_length(head);
    }
    return true;
}

static bool is_done(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    (void)view, (void)segment, (void)position;
    return head & ENTRY_DONE;
}

static bool drop_rest(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    drop_parcels(segment, position, head, view->holding.index);
    return true;
}

/* It was read to its end: to be used again, or given back. */
static void retire(struct queue_view *view, uint64_t offset, struct segment *segment) {
    if (is_redelivering(view)) visit(view, segment, SEGMENT_SIZE, drop_rest);
    if (word_read(&view->queue->spare)) {
        arena_give(offset);
        return;
    }
    clear(segment, 0, AT(word_read(&segment->back)) + 8);
    pn_step("segment cleared");
    if (!word_swap64(&view->queue->spare, 0, offset)) arena_give(offset);
    pn_step("segment spared");
}

/* All before `first` of which every entry has come to its receiver. */
static void retire_read(struct queue_view *view) {
    for (;;) {
        uint64_t oldest = word_read(&view->queue->oldest);
        struct segment *segment = oldest == word_read(&view->queue->first) ? NULL : segment_at(oldest);
        if (!segment || (is_redelivering(view) && !visit(view, segment, SEGMENT_SIZE, is_done))) return;
        word_publish(&view->queue->oldest, word_read(&segment->next));
        pn_step("segment retired");
        retire(view, oldest, segment);
    }
}

/* One more or less, under the lock. It is never too low: counted up after the entry is withdrawn, down before it is passed. */
static void count_withdrawn(struct queue_view *view, int change) {
    word_publish(&view->queue->withdrawn, word_peek(&view->queue->withdrawn) + (uint32_t)change);
}

/* Nobody gets it. (Who withdrew it may have died before its parcels were dropped.) */
static void pass(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    drop_parcels(segment, position, head, view->holding.index);
    count_withdrawn(view, -1);
    pn_step("withdrawn passed");
    segments_take(segment, head);
}

uint64_t segments_next(struct queue_view *view, struct segment **segment, uint32_t *position, uint64_t *offset) {
    for (;;) {
        *offset = word_read(&view->queue->first);
        *segment = segment_at(*offset);
        if (!*segment) return 0;
        *position = AT(word_read(&(*segment)->front));
        uint64_t head = word_read(entry_at(*segment, *position));
        if (head & ENTRY_DONE) pass(view, *segment, *position, head);
        if (head & ENTRY_DONE) continue;
        if (!(head & ENTRY_END)) return head;
        word_publish(&view->queue->first, word_read(&(*segment)->next));
        pn_step("next segment");
        retire_read(view);
    }
}

static uint64_t in_my_hands(void) {
    uint64_t generation = word_read(&commons_records()[sync_me - 1].generation) & 63;
    return (uint64_t)sync_me << 42 | generation << 57;
}
#define IN_HANDS (0x7fffull << 42 | 63ull << 57)

uint64_t segments_next_number(struct queue *queue) {
    struct segment *segment = segment_at(word_read(&queue->first));
    uint32_t position = segment ? AT(word_read(&segment->front)) : SEGMENT_SIZE;
    if (position % 8 || position > SEGMENT_SIZE - 8) return 0;
    uint64_t head = word_read(entry_at(segment, position));
    uint64_t end = position + 8ull + entry_parcels(head) * sizeof(struct parcel) + TAG_SIZE;
    return entry_tagged(head) && !(head & ENTRY_END) && end <= SEGMENT_SIZE ? *entry_tag(segment, position, head) : 0;
}

void segments_take(struct segment *segment, uint64_t head) {
    uint64_t front = word_read(&segment->front);
    word_publish(&segment->front, PLACE(COUNT(front) + 1, AT(front) + entry_length(head)));
    pn_step("entry taken");
}

void segments_hold(struct segment *segment, uint32_t position, uint64_t head) {
    word_publish(entry_at(segment, position), (head & ~IN_HANDS) | in_my_hands());
    pn_step("entry in hand");
}

/* --- entries that are to be had again ------------------------------------------------------------------------------ */

static bool is_dead(uint64_t head) {
    uint32_t owner = (uint32_t)(head >> 42 & 0x7fff);
    if (owner == 0 || owner > PN_SLOTS) return owner != 0;
    struct record *record = &commons_records()[owner - 1];
    uint32_t state = word_read(&record->state) & 0xff, pid = word_read(&record->pid);
    if ((word_read(&record->generation) & 63) != (head >> 57 & 63)) return true;
    return state <= RECORD_CLAIMED || (pid && !proc_is((pid_t)pid, word_peek(&record->start_time)));
}

/* Whose hands are dead gives it back. Counts what is to be had. */
static bool give_back(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    bool dead = !(head & ENTRY_DONE) && is_dead(head);
    if (dead && word_swap64(entry_at(segment, position), head, head & ~IN_HANDS)) head &= ~IN_HANDS;
    if (!(head & (ENTRY_DONE | IN_HANDS))) word_poke(&view->queue->returned, word_peek(&view->queue->returned) + 1);
    return true;
}

static void visit_read(struct queue_view *view, visitor *call) {
    uint64_t first = word_read(&view->queue->first), offset = word_read(&view->queue->oldest);
    for (struct segment *segment; (segment = segment_at(offset)); offset = word_read(&segment->next)) {
        uint32_t end = offset == first ? AT(word_read(&segment->front)) : SEGMENT_SIZE;
        if (!visit(view, segment, end, call) || offset == first) return;
    }
}

static _Thread_local struct {
    struct segment *segment;
    uint32_t position;
    uint64_t head, offset;
} found;

static bool find_returned(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    (void)view;
    if (head & (ENTRY_DONE | IN_HANDS)) return true;
    found.segment = segment, found.position = position, found.head = head;
    return false;
}

/* Count what is to be had anew, after somebody died or gave back. */
void segments_recount(struct queue_view *view) {
    word_and(&view->queue->look, 0); /* before we look: who dies later is looked for again */
    word_publish(&view->queue->returned, 0);
    visit_read(view, give_back);
    pn_step("returned counted");
}

uint64_t segments_returned(struct queue_view *view, struct segment **segment, uint32_t *position, uint64_t *offset) {
    if (!is_redelivering(view)) return 0;
    if (word_read(&view->queue->look)) segments_recount(view);
    if (word_read(&view->queue->returned) == 0) return 0;
    found.head = 0;
    uint64_t first = word_read(&view->queue->first);
    for (uint64_t at = word_read(&view->queue->oldest);; at = word_read(&segment_at(at)->next)) {
        struct segment *here = segment_at(at);
        found.offset = at;
        if (!here || !visit(view, here, at == first ? AT(word_read(&here->front)) : SEGMENT_SIZE, find_returned)) break;
        if (at == first) break;
    }
    word_poke(&view->queue->returned, found.head ? word_read(&view->queue->returned) - 1 : 0);
    *segment = found.segment, *position = found.position, *offset = found.offset;
    return found.head;
}

/* --- entries that are withdrawn -------------------------------------------------------------------------------------- */

/* Call for each entry that nobody has taken; the place where it answered false, or NULL. */
static struct segment *visit_ahead(struct queue_view *view, visitor *call, uint32_t *at, uint64_t *head) {
    struct segment *segment = segment_at(word_read(&view->queue->first));
    *at = segment ? AT(word_read(&segment->front)) : 0;
    while (segment && (*head = word_read(entry_at(segment, *at)))) {
        if (*head & ENTRY_END) {
            segment = segment_at(word_read(&segment->next));
            *at = SEGMENT_HEAD;
        } else if (call(view, segment, *at, *head)) {
            *at += entry_length(*head);
        } else {
            return segment;
        }
    }
    return NULL;
}

static _Thread_local uint64_t sought;

static bool is_another(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    (void)view;
    return (head & ENTRY_DONE) || !entry_tagged(head) || entry_tag(segment, position, head)[0] != sought;
}

bool segments_withdraw(struct queue_view *view, uint64_t number) {
    uint32_t position;
    uint64_t head;
    sought = number;
    struct segment *segment = visit_ahead(view, is_another, &position, &head);
    if (!segment) return false;
    word_publish(entry_at(segment, position), head | ENTRY_DONE);
    pn_step("entry withdrawn");
    count_withdrawn(view, 1);
    pn_step("withdrawn counted");
    drop_parcels(segment, position, head, view->holding.index);
    uint64_t offset;
    segments_next(view, &segment, &position, &offset); /* (passes those in front) */
    return true;
}

static bool count_if_done(struct queue_view *view, struct segment *segment, uint32_t position, uint64_t head) {
    (void)segment, (void)position;
    if (head & ENTRY_DONE) count_withdrawn(view, 1);
    return true;
}

static void recount_withdrawn(struct queue_view *view) {
    uint32_t position;
    uint64_t head;
    word_publish(&view->queue->withdrawn, 0);
    visit_ahead(view, count_if_done, &position, &head);
}

/* It died with the lock of the consumers: what it had taken and not claimed is lost with it. */
void segments_mend_front(struct queue_view *view) {
    retire_read(view);
    if (is_redelivering(view)) word_publish(&view->queue->look, 1);
    else visit_read(view, drop_rest);
    if (view->queue->flags & QUEUE_TASKS) recount_withdrawn(view);
    pn_step("front mended");
}
