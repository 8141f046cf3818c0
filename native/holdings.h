/* Objects with memory (blocks, queues, maps, lists) live as long as somebody holds them. A *holding* is what one handle has:
 * a stake in the object's cell, in the name of its member. A *parcel* is a holding that is under way to another process. It
 * is in the sender's name, or in that of the queue that it lies in, until somebody receives it. When the last stake is
 * nobody's, the object is taken apart and its memory given back. README.md gives the bytes.
 *
 * How the last one is found: whoever adds a stake first makes it, then counts up the cell's word, then lets go of what it
 * had before. Whoever has given up a stake reads that word, sees that all stakes are nobody's, and swaps the word for GONE. Had
 * somebody added one meanwhile that it overlooked, the word would be another. */
#ifndef PROCESSION_HOLDINGS_H
#define PROCESSION_HOLDINGS_H

#include "cells.h"

#define HOLDING_GONE (1u << 31)   /* in the cell's word; the rest is slot + 1 of who takes it apart. Else: how often one was added */
#define TID_PARCEL (1u << 30)     /* in a stake's tid: under way, in the name of the member of the low bits */
#define TID_QUEUE (1u << 31)      /* the same, in a queue's name: the low bits are the index of its cell */
#define TID_NAME (3u << 30)       /* the name of a block holds it (names.h) */

struct holding {
    uint32_t index, serial;       /* of the object */
    uint32_t stake;               /* index of ours */
    uint32_t for_fork;            /* another one, for the child that is about to be forked */
    struct holding *next, *before; /* all of this process: holdings_of_process */
};

struct parcel { /* what travels */
    uint32_t index, serial, stake;
    uint64_t ticket; /* in the stake's `since`: which use of it is meant */
};

/* A new object with memory of `size` bytes, all zeros or (`bytes`) a copy, and our holding of it. 0, -ENOMEM, -ENOSPC
 * (no cell), -ESRCH (no family), -EINVAL. */
int holding_make(enum cell_kind kind, uint64_t size, const void *bytes, uint32_t flags, struct holding *out);
/* The same, of which nothing is cleared. */
int holding_make_raw(enum cell_kind kind, uint64_t size, uint32_t flags, struct holding *out);
/* The same in two parts, for who does the first beside other threads of this process: what takes long, and the entry into
 * the list of holdings, which one thread at a time may touch (in Python: with the GIL). */
int holding_prepare(enum cell_kind kind, uint64_t size, const void *bytes, bool clean, uint32_t flags, struct holding *out);
void holding_list(struct holding *holding);
/* One more of an object that is there. -ENOENT: it is gone. */
int holding_add(uint32_t index, uint32_t serial, struct holding *out);
/* Give it up, and the object with it if it was the last. Once. */
void holding_drop(struct holding *holding);
/* The object, or NULL when our holding is no more (the family is gone, or another). */
struct cell *holding_cell(const struct holding *holding);

/* Its memory. */
static inline uint64_t holding_offset(struct cell *cell) { return word_peek(&cell->since); }
/* Of a block: how many bytes it has. (Of others `tid` and `count` are their own.) */
static inline uint64_t block_size(struct cell *cell) {
    return (uint64_t)word_peek(&cell->tid) << 32 | word_peek(&cell->count);
}

/* One more of a living object of which somebody here has one, to be sent. When its sender dies it goes to the sender's parent,
 * for it may be in some pipe; or (`own`) it goes with the sender, who will say where it is. */
int parcel_make(uint32_t index, uint32_t serial, bool own, struct parcel *out);
/* It is not its sender's own any more, but may be in some pipe. */
void parcel_let_go(const struct parcel *parcel);
/* It lies in that queue now. False: it is not ours to put there (it was received by another, or is gone). */
bool parcel_post(const struct parcel *parcel, uint32_t queue);
/* It is for that member, which has yet to receive it, and is nobody's any more when that is dead. False: as above. */
bool parcel_address(const struct parcel *parcel, uint32_t slot);
/* It becomes ours. A second time: one more of the object, if it still lives. -ENOENT: it is gone. */
int parcel_receive(const struct parcel *parcel, struct holding *out);
/* The same in two steps, for who must not allocate in between: it is in our name (false: it is gone), then a holding. */
bool parcel_claim(const struct parcel *parcel);
void parcel_claimed(const struct parcel *parcel, struct holding *out);
void parcel_refuse(const struct parcel *parcel); /* (claimed, but not wanted) */
/* It was not sent, or nobody will receive it. */
void parcel_drop(const struct parcel *parcel);

/* The same, if it lies in that queue. */
void parcel_drop_posted(const struct parcel *parcel, uint32_t queue);

/* A stake that holds the object as long as it has a name. */
int holding_name(uint32_t index, uint32_t serial);
void holding_unname(uint32_t index, uint32_t serial);

/* About to fork: what the child (the member in `slot`) will hold. In the child: these are ours. No fork: give them up. */
int holdings_fork(uint32_t slot);
void holdings_forked(void);
void holdings_not_forked(void);
extern struct holding *holdings_of_process;

/* Recovery after the member owner - 1. What it had sent and nobody received yet goes to its parent, as slot + 1, if that lives. */
void holdings_recover_stake(struct cell *stake, uint32_t owner, uint32_t parent);
/* The object of this cell may have to be taken apart, or to be so to the end. */
void holdings_recover_object(struct cell *cell, uint32_t owner);
/* It died while it made that cell. */
void holdings_recover_claimed(struct cell *cell, uint32_t owner);

#endif
