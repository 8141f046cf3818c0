/* The chain of segments below a queue: entries written, read, and put in order after a death. All wants the lock of its side. */
#ifndef PROCESSION_SEGMENTS_H
#define PROCESSION_SEGMENTS_H

#include "queue.h"

/* A segment of the queue, mapped. It stays so until the next call with another offset. */
struct segment *segment_at(uint64_t offset);
/* The first segment of a new queue. */
int segments_begin(struct queue_view *view);
/* Write an entry. -ENOMEM: there is no room for another segment. */
int segments_write(struct queue_view *view, const struct message *message);
/* The next entry: its head (0: there is none), its place. Segments that are read to their end are retired on the way. */
uint64_t segments_next(struct queue_view *view, struct segment **segment, uint32_t *position, uint64_t *offset);
/* It is taken: by one store. */
void segments_take(struct segment *segment, uint64_t head);
/* With QUEUE_REDELIVERS it is noted first who has it. */
void segments_hold(struct segment *segment, uint32_t position, uint64_t head);
/* The first entry that was in dead hands, or given back: its head, or 0. */
uint64_t segments_returned(struct queue_view *view, struct segment **segment, uint32_t *position, uint64_t *offset);
/* The first number of the tag of the entry that would be taken next; 0: none is there, or it has none. Wants no lock: what it says
 * is true if nobody had the lock meanwhile. */
uint64_t segments_next_number(struct queue *queue);
/* The first entry that nobody has taken and whose tag begins with that number: it is withdrawn, so that no consumer gets it. */
bool segments_withdraw(struct queue_view *view, uint64_t number);
/* How many of the returned there are, after a death. */
void segments_recount(struct queue_view *view);
/* Who had that lock is dead: put its side in order. */
void segments_mend_back(struct queue_view *view);
void segments_mend_front(struct queue_view *view);
/* With both locks, after a death: give back the segments that it left outside the chain. */
void segments_sweep(struct queue_view *view);

static inline word64 *entry_at(struct segment *segment, uint32_t position) {
    return (word64 *)((char *)segment + position);
}
static inline uint32_t entry_size(uint64_t head) { return (uint32_t)(head & 0xfffff); }
static inline uint32_t entry_parcels(uint64_t head) { return (uint32_t)(head >> 28 & 0xfff); }
static inline uint32_t entry_length(uint64_t head) {
    return 8 + entry_parcels(head) * (uint32_t)sizeof(struct parcel) + (entry_size(head) + 7) / 8 * 8;
}
static inline bool entry_tagged(uint64_t head) { return head >> 20 & FORMAT_TAGGED; }
static inline struct parcel *entry_parcel(struct segment *segment, uint32_t position) {
    return (struct parcel *)((char *)segment + position + 8);
}
static inline const uint64_t *entry_tag(struct segment *segment, uint32_t position, uint64_t head) {
    return (const uint64_t *)(entry_parcel(segment, position) + entry_parcels(head));
}

#endif
