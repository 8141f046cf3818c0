/* Cells: the 32-byte objects of the commons: locks, semaphores, conditions, events, barriers, and the stakes that members
 * have in them. README.md gives the bytes.
 *
 * A slot of the process table, not a pid, says whose something is. A record is not freed before what its member had is in
 * order again (recover.h), so a slot that stands in a cell is never that of a later member. */
#ifndef PROCESSION_CELLS_H
#define PROCESSION_CELLS_H

#include "commons.h"

#define CELL_NONE 0u /* no index of a cell: the first is never handed out */

enum cell_kind {
    CELL_FREE = 0,
    CELL_CLAIMED = 1, /* being filled in, or emptied */
    CELL_LOCK = 2,
    CELL_RLOCK = 3,
    CELL_SEMAPHORE = 4, /* a number of permits that belong to nobody */
    CELL_SHARES = 5,    /* a number of permits of which it is known who has them */
    CELL_CONDITION = 6,
    CELL_EVENT = 7,
    CELL_BARRIER = 8,
    CELL_STAKE = 9,   /* what one member has of one SHARES or BARRIER; one holding of an object with memory (holdings.h) */
    CELL_BLOCK = 10,  /* from here on: objects with memory. Bytes */
    CELL_QUEUE = 11,
    CELL_MAP = 12,
    CELL_LIST = 13,
};
#define HAS_MEMORY(kind) ((kind) >= CELL_BLOCK)

enum cell_flag {
    CELL_SENT = 1,    /* another process may have its handle: it lives as long as the family */
    CELL_RAISES = 2,  /* the death of a holder is an error until somebody says that all is well */
    CELL_BOUNDED = 4, /* never more permits than it began with */
    CELL_COMMON = 8,  /* of a block: to send it is to share it (an array); else its content is what was sent */
    CELL_NAMED = 16,  /* of a block: its first page has its name (names.h) */
};

struct cell {
    word32 state; /*  0  low 8 bits: cell_kind; high 24: its serial, or the claimer's slot + 1 */
    word32 word;  /*  4  what is tried and waited for; by kind */
    word32 tid;   /*  8  by kind: the thread that holds; the guard; whose stake */
    word32 count; /* 12  by kind: depth of recursion; limit; parties; object of the stake */
    word64 since; /* 16  monotonic ns, to a tick: when it was taken */
    word32 flags; /* 24  low 8 bits: cell_flag; high 24: slot + 1 of its maker */
    word32 link;  /* 28  by kind: the first stake, or the next */
};
_Static_assert(sizeof(struct cell) == 32, "the cell is part of a file format");

/* Who we are, in what we write into the commons: our slot + 1; 0 before the first use. */
extern uint32_t sync_me;
/* From now on this process is the member in this slot (PN_NO_SLOT: none). Forgets the threads of the process before. */
void sync_become(uint32_t slot);
/* Our process was copied, or is about to be: what we have made until now is not ours alone. */
void sync_forked(void);
/* Before the first use: note in the table that we may leave something behind. 0, or -ESRCH: we are in no family. */
int sync_enter(void);
uint32_t sync_tid_slowly(void);
uint64_t sync_now(void); /* what `since` means: CLOCK_MONOTONIC_COARSE */

extern _Thread_local uint32_t sync_tid_known, sync_tid_forks __attribute__((tls_model("initial-exec")));
extern uint32_t sync_forks;
static inline uint32_t sync_tid(void) {
    return sync_tid_forks == sync_forks + 1 ? sync_tid_known : sync_tid_slowly();
}

static inline struct cell *cell_at(uint32_t index) { return (struct cell *)((char *)commons + COMMONS_CELLS) + index; }
static inline uint32_t cell_index(struct cell *cell) { return (uint32_t)(cell - cell_at(0)); }
static inline enum cell_kind cell_kind(struct cell *cell) { return (enum cell_kind)(word_read(&cell->state) & 0xff); }
static inline uint32_t cell_serial(struct cell *cell) { return word_read(&cell->state) >> 8; }

/* A new cell, all zeros but for `count` and `word`; not yet published. -ENOSPC: all are taken; -ESRCH: no family. */
int cell_claim(uint32_t *out);
void cell_publish(uint32_t index, enum cell_kind kind, uint32_t flags);
/* The cell of a handle, or NULL when there is none of that serial. */
struct cell *cell_get(uint32_t index, uint32_t serial);
/* The last handle in the process that made it is gone: free it if nobody else can have one. */
void cell_drop(uint32_t index, uint32_t serial);
/* Made by that member, and nobody else has its handle. */
static inline bool cell_is_private(struct cell *cell, uint32_t owner) {
    uint32_t flags = word_read(&cell->flags);
    return !(flags & CELL_SENT) && flags >> 8 == owner;
}
void cell_free(struct cell *cell);
/* A private one that was in this state, with the stakes in it. */
void cell_free_private(struct cell *cell, uint32_t state);

#endif
