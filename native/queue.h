/* Queues: messages of any size from any members to any members, in the commons. README.md gives the bytes.
 *
 * A queue is a chain of *segments*. Producers write entries to the last one, under a lock of theirs; consumers take them from the
 * first, under another. An entry's head is written last, by one store, and is 0 before: a consumer that sees it sees all
 * of the entry, and whoever dies before has put nothing. An entry is taken by one store, too: the place of the next. No place
 * is written twice while somebody may read it, so whoever takes a lock from the dead finds all that it needs.
 *
 * What is too long for a segment, or is to be handed over without a copy, lies in blocks, each of which goes with the
 * message as a parcel. */
#ifndef PROCESSION_QUEUE_H
#define PROCESSION_QUEUE_H

#include "holdings.h"
#include "mutex.h"

enum queue_flag {
    QUEUE_REDELIVERS = 1, /* what a dead consumer had in hand is given to another */
    QUEUE_TASKS = 2,      /* its messages are tasks, or their results (tasks.h). Not with the other */
};

/* Parts of a queue that are waited for (KEY_PART). */
enum queue_part { PART_PUTTING = 1, PART_GETTING = 2, PART_ITEMS = 3, PART_SPACE = 4, PART_DONE = 5, PART_WATCH = 6 };

struct queue { /* at the object's offset; the groups are 64 bytes apart: who writes one does not disturb the other */
    uint32_t maxsize; /*   0  0: none */
    uint32_t flags;   /*   4  queue_flag */
    word32 closes;    /*   8  how often somebody closed it */
    word32 closed;    /*  12  1: empty, and nobody is left who could put */
    word32 done;      /*  16  task_done() was called so often */
    word32 look;      /*  20  some consumer died: what it had in hand may be given to others */
    char pad0[40];
    word32 putting; /*  64  lock of the producers */
    char pad1[4];
    word64 last;  /*  72  offset of the segment that is written to */
    word64 draft; /*  80  head of the entry whose parcels are being posted, or of one before */
    char pad2[40];
    word32 getting; /* 128  lock of the consumers */
    word32 returned; /* 132  how many entries before `first` are to be had again */
    word64 first;   /* 136  offset of the segment that is read from */
    word64 oldest;  /* 144  of the first that is still there; before `first` only with QUEUE_REDELIVERS */
    word32 withdrawn; /* 152  how many entries that nobody has taken are withdrawn */
    char pad3[36];
    word32 items; /* 192  bit 31, WAITERS: somebody waits for a message, */
    word32 space; /* 196  for space, */
    word32 joins; /* 200  for all tasks to be done */
    word32 watches; /* 204  for a message that it will not take itself: it keeps nobody else from being woken */
    word64 spare; /* 208  offset of a segment full of zeros to be used next, 0 for none */
    word32 spinner;  /* 216  slot + 1 of a consumer that looks for the next message without sleeping, 0 for none (QUEUE_TASKS) */
    word32 attended; /* 220  slot + 1 of who sees to all messages: nobody who watches is woken; 0: nobody does */
    word32 nudges;   /* 224  how often those who watch were told to look up */
    char pad5[28];
};
_Static_assert(sizeof(struct queue) == 256, "the queue is part of a file format");

#define SEGMENT_SIZE 65536u
#define SEGMENT_HEAD 192u

struct segment {
    word64 next; /*   0  offset of the next one, 0 for none yet */
    char pad0[56];
    word64 back; /*  64  low half: where the next entry goes; high half: how many were ever put before that */
    char pad1[56];
    word64 front; /* 128  low half: where the next entry is; high half: how many were ever taken before that */
    char pad2[56];
};
_Static_assert(sizeof(struct segment) == SEGMENT_HEAD, "the segment is part of a file format");

/* An entry: its head, its parcels, its body, up to a multiple of 8 bytes. The head's bits:
 *   0-19   bytes of the body          20-27  format: the sender's affair, 1 to 255
 *   28-39  how many parcels           40     ENTRY_END: no entry, the next segment goes on
 *   41     ENTRY_DONE                 42-56  slot + 1 of the consumer that has it in hand (QUEUE_REDELIVERS)
 *   57-62  low bits of that member's generation      63  always 1 */
#define ENTRY_SET (1ull << 63)
#define ENTRY_END (1ull << 40)
#define ENTRY_DONE (1ull << 41)
#define MESSAGE_MOST 16384u /* bytes of a body; longer ones are the first parcel's block */
#define PARCELS_MOST 256u   /* per message */
#define FORMAT_TAGGED 64u   /* in an entry's format: its body begins with a tag, two numbers of 8 bytes */
#define PARCEL_NESTED (1u << 31) /* in a parcel's serial: it is not for who takes the message, but for who reads its body */

struct message {
    const void *body;
    uint32_t size, format, parcel_count;
    const struct parcel *parcels;
    const uint64_t *tag; /* two numbers that go with it, or NULL */
};

struct taken { /* a message that was got */
    char *body; /* `room` if it is short enough, else to be freed */
    uint32_t size, format, parcel_count;
    struct parcel *parcels; /* to be freed, or NULL */
    uint64_t segment;       /* with QUEUE_REDELIVERS: where it is, until queue_settle */
    uint32_t position;
    uint64_t tag[2];        /* zeros if it had none */
    char room[512];
};

struct queue_view { /* one handle's */
    struct holding holding;
    struct queue *queue; /* mapped */
};

int queue_make(uint32_t maxsize, uint32_t flags, struct queue_view *out);
/* Map the queue of the holding. */
int queue_open(struct queue_view *view);
void queue_shut(struct queue_view *view);

/* Put without waiting for space. 0; -EAGAIN: full; -EBUSY: somebody else is putting; -ENOMEM. With `deadline` other
 * than 0 it waits for its turn, or for space: -ETIMEDOUT, -EINTR. The parcels are the queue's then. */
int queue_try_put(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done);
int queue_put(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done, int64_t deadline);
/* Get. 0; -EAGAIN: empty; -EBUSY; -ENOMEM; -EPIPE: empty, and nobody is left who could put. The parcels are ours then: claimed
 * (`parcel_claim`), or if they are nested addressed to us; with QUEUE_REDELIVERS they are still the queue's. */
int queue_try_get(struct queue_view *view, struct taken *out);
int queue_get(struct queue_view *view, struct taken *out, int64_t deadline);
/* Not waiting for space, or messages; but for its turn, which comes in some microseconds unless that process is stopped. */
int queue_put_now(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done);
int queue_get_now(struct queue_view *view, struct taken *out);
/* The same three for a worker: before a message is taken, its tag's first number is noted as the task in hand (tasks.h). */
int queue_try_take(struct queue_view *view, struct taken *out);
int queue_take(struct queue_view *view, struct taken *out, int64_t deadline);
int queue_take_now(struct queue_view *view, struct taken *out);
void taken_free(struct taken *taken);
/* With QUEUE_REDELIVERS: the message has come to its receiver, or (`again`) is to be had by others. */
void queue_settle(struct queue_view *view, const struct taken *taken, bool again);

/* Figures, of this moment. Before the first: see to what the dead had in hand. */
void queue_look(struct queue_view *view);
uint32_t queue_size(struct queue_view *view);
bool queue_readable(struct queue_view *view);
bool queue_full(struct queue_view *view);
/* One task less. -EINVAL: there was none. */
int queue_task_done(struct queue_view *view);
bool queue_all_done(struct queue_view *view);
int queue_join(struct queue_view *view, int64_t deadline);
/* This holding's user puts nothing any more. */
void queue_close(struct queue_view *view);
/* Somebody who could have put is gone. */
void queue_left(struct queue_view *view);
/* Nobody is left who could put, after somebody has closed, and it is empty. */
bool queue_finished(struct queue_view *view);

/* For tasks: a wait for that part, after which to look once more; `for_ever`: without a time limit. */
int queue_await(struct queue_view *view, enum queue_part part, bool for_ever, uint32_t channel, struct wait **out);
void queue_announce(struct queue_view *view, enum queue_part part);
/* A wait ends; what it was told goes to another. */
void queue_give_up(struct queue_view *view, enum queue_part part, struct wait *wait);

/* Recovery. The locks of a queue are freed like others; these tell where they are, if it is one that is waited for. */
void queue_unmap(struct queue *queue, struct cell *cell);
struct queue *queue_map(struct cell *cell);

static inline struct mutex putting(struct queue_view *view) {
    return (struct mutex){&view->queue->putting, view->holding.index | KEY_PART(PART_PUTTING)};
}
static inline struct mutex getting(struct queue_view *view) {
    return (struct mutex){&view->queue->getting, view->holding.index | KEY_PART(PART_GETTING)};
}

#endif
