/* The commons: one sparse memfd per family, mapped shared by every member. README.md gives the bytes.
 *
 * The file is as large as the family may ever need (sparse: it costs what was touched). A member maps a
 * window at its head, with the header, the process table, the chunk map and the first part of the arena; what
 * lies beyond is mapped where it is used. A map of the whole file would be as cheap, but it counts in full
 * against RLIMIT_AS, and a program that limits its own address space would have none left. */
#ifndef PROCESSION_COMMONS_H
#define PROCESSION_COMMONS_H

#include "table.h"

#define COMMONS_MAGIC 0x4e4f495353434f52ull /* "ROCSSION" */
#define COMMONS_VERSION 3u
#define COMMONS_SIZE (256ull << 30)
#define COMMONS_WINDOW (1024ull << 20)
#define COMMONS_WINDOW_LEAST (40ull << 20)
#define COMMONS_TABLE 65536ull                                          /* offset of the process table */
#define COMMONS_CHUNKS (COMMONS_TABLE + PN_SLOTS * sizeof(struct record)) /* offset of the chunk map */
#define CHUNK_SIZE 65536ull
#define COMMONS_CHUNK_COUNT (COMMONS_SIZE / CHUNK_SIZE)
#define COMMONS_CELLS (COMMONS_CHUNKS + COMMONS_CHUNK_COUNT * 4) /* offset of the cells (cells.h) */
#define COMMONS_CELL_COUNT 262144u
#define COMMONS_WAITS (COMMONS_CELLS + COMMONS_CELL_COUNT * 32ull) /* offset of the waits (waits.h) */
#define COMMONS_WAIT_COUNT 65536u
#define COMMONS_ARENA (COMMONS_WAITS + COMMONS_WAIT_COUNT * 64ull) /* offset of the arena */
#define SPIN_LEASES 8u

#define OBITUARIES 256u

struct obituary { /* one process that ended badly: 96 bytes */
    word64 serial; /* 1-based number of the entry; written last */
    word32 pid;
    word32 status;
    word64 run_time;
    word32 peak_kib;
    word32 flags;
    char name[PN_NAME_SIZE];
};
_Static_assert(sizeof(struct obituary) == 96, "the obituary is part of a file format");

struct commons {              /* the header, at offset 0 */
    word64 magic;             /*   0  written last: a file without it is not one of ours */
    uint32_t version;         /*   8 */
    uint32_t layout;          /*  12  hash of every size and offset in this file */
    uint64_t family;          /*  16  random, never 0 */
    uint64_t founded;         /*  24  boot-time ns */
    uint64_t founded_ticks;   /*  32  the same in clock ticks: no process of the family is older */
    uint32_t slots;           /*  40 */
    uint32_t root_slot;       /*  44  the slot of the family's root */
    word32 slot_hint;         /*  48  where the search for a free slot begins */
    word32 slots_used;        /*  52  slots below this were used at some time: readers stop there */
    word64 chunk_hint;        /*  56  where the search for free chunks begins */
    word64 started;           /*  64  user processes started in the family's life */
    word64 alive;             /*  72 */
    word64 most_alive;        /*  80 */
    word64 failed;            /*  88  exit code other than 0 */
    word64 killed;            /*  96  ended by a signal that nobody in the family asked for */
    word64 left_over;         /* 104  processes that had to be ended because what started them was gone */
    word64 run_time;          /* 112  sums over ended processes, ns */
    word64 ready_time;        /* 120 */
    word64 blocked_time;      /* 128 */
    word64 peak_kib;          /* 136  largest peak of one process */
    word64 obituary_count;    /* 144 */
    word64 chunk_top;         /* 152  no chunk from here on was ever taken */
    word32 sweeper;           /* 160  thread id of who sweeps, 0 for nobody (sweep.c) */
    word32 sweeps_asked;      /* 164  grows with every call for a sweep */
    word32 cell_hint;         /* 168  where the search for a free cell begins */
    word32 cells_used;        /* 172  no cell from here on was ever taken */
    word32 cell_serial;       /* 176  serial of the next new cell */
    word32 wait_hint;         /* 180  where the search for a free wait begins */
    word64 waits_used;        /* 184  low half: no wait from here on is taken; high half: how often one was */
    word64 tickets;           /* 192  the order in which those who wait have come */
    word64 spinning[SPIN_LEASES]; /* 200  monotonic ns until which somebody may be spinning */
    uint32_t processors;      /* 264  that the founder could use: what may spin follows from it (spin.c) */
    word32 warm;              /* 268  about how many chunks are warm (arena.h) */
    uint32_t warm_most;       /* 272  so many may be */
    word32 names;             /* 276  the lock of those who name memory: index of its cell, 0 for none yet */
    word64 swept;             /* 280  low half: `sweeps_asked` when the last complete sweep began; high half: its user id */
    char reserved[224];       /* 288 */
    struct obituary obituaries[OBITUARIES]; /* 512 */
};
_Static_assert(offsetof(struct commons, obituaries) == 512, "the header is part of a file format");
_Static_assert(sizeof(struct commons) <= COMMONS_TABLE, "the header must end before the table");

extern struct commons *commons;  /* this process's map, or NULL */
extern int commons_fd;           /* the memfd, close-on-exec, or -1 */
extern uint64_t commons_mapped;  /* bytes of the window */

/* Make a new family's commons. 0 or -errno; -ENOMEM when not even the least window can be mapped. */
int commons_found(void);
/* Map the commons of `fd`, which is ours from then on. -EPROTO when its size, magic, version or layout is not ours: it
 * stays the caller's. */
int commons_join(int fd);
/* Unmap and close: for a forked child that leaves its family, and for tests. */
void commons_leave(void);
uint32_t commons_layout(void);

static inline struct record *commons_records(void) {
    return (struct record *)((char *)commons + COMMONS_TABLE);
}
static inline word32 *commons_chunks(void) { return (word32 *)((char *)commons + COMMONS_CHUNKS); }

enum obituary_flag { OBITUARY_LEFT_OVER = 1u << 31 };
void commons_obituary(uint32_t pid, uint32_t status, uint32_t flags, const char *name, uint64_t run_time,
                      uint32_t peak_kib);
/* Copy the obituary with that serial. False when it is being written or was overwritten. */
bool commons_read_obituary(uint64_t serial, struct obituary *out);
/* Count a process that ended, and keep its obituary if it ended badly. */
void commons_bury(struct record *record, uint32_t status);

#endif
