/* The process table: one record per member of the family, as an operating system keeps its process
 * control blocks. It lies in the commons; README.md gives the bytes and what a crash leaves.
 *
 * A member is named by (slot, generation), never by its slot alone; a process by (pid, start time), never by
 * its pid alone. */
#ifndef PROCESSION_TABLE_H
#define PROCESSION_TABLE_H

#include <stddef.h>
#include <sys/types.h>

#include "word.h"

#define PN_SLOTS 16384u
#define PN_NO_SLOT UINT32_MAX
#define PN_NAME_SIZE 64

enum record_state {
    RECORD_FREE = 0,    /* nobody's */
    RECORD_CLAIMED = 1, /* being filled in */
    RECORD_ORDERED = 2, /* a spare was asked for, it does not exist yet */
    RECORD_IDLE = 3,    /* a spare that waits for its start */
    RECORD_READY = 4,   /* started, its first user line not yet reached */
    RECORD_RUNNING = 5, /* runs user code */
    RECORD_EXITED = 6,  /* gone; what it left is being put in order */
};

enum record_flag {
    RECORD_ROOT = 1,        /* the process that founded the family, or the program of `procession run` */
    RECORD_ZYGOTE = 2,      /* a helper that makes processes */
    RECORD_DAEMON = 4,      /* ends with its parent's normal exit */
    RECORD_DETACHED = 8,    /* outlives its parent on purpose */
    RECORD_FORKED = 16,     /* came from the user's own os.fork() */
    RECORD_CHILDLESS = 32,  /* left in order, and never had a child: nothing to sweep */
    RECORD_RUNNER = 64,     /* `procession run` itself */
    RECORD_PROCESS = 256,   /* a Process of the user's: counted in the family's figures */
    RECORD_TERMINATED = 512, /* asked to end by its family (terminate, kill): not reported as a failure */
    RECORD_BURIED = 1024,    /* its parent has counted it and given back what it had: the record may be freed */
    RECORD_SYNC = 4096,      /* it may hold or wait for something in the cells: recover after it */
    RECORD_LEFT_OVER = 2048, /* a sweep ended it: counted once */
};

enum record_wait { WAIT_NOTHING = 0, WAIT_JOIN = 1, WAIT_ANY = 2 };

struct record {
    word32 state;             /*   0  low 8 bits: record_state; the rest: the claimer's pid while CLAIMED, else generation */
    word32 generation;        /*   4  grows by one each time the slot is claimed */
    word32 pid;               /*   8  0 until known */
    word32 flags;             /*  12 */
    word64 start_time;        /*  16  /proc/PID/stat field 22 (clock ticks since boot) */
    word32 parent_slot;       /*  24 */
    word32 parent_generation; /*  28 */
    word64 born;              /*  32  boot-time ns at start() */
    word32 status;            /*  40  as wait(2) gives it; valid with STATUS_KNOWN */
    word32 keeper;            /*  44  pid of what holds its memory a moment longer (leave.h), 0 for none */
    word32 wait_kind;         /*  48  record_wait: what it waits for */
    word32 wait_slot;         /*  52  the member it waits for */
    word64 wait_since;        /*  56  boot-time ns */
    word64 wait_object;       /*  64  offset of the object it waits for (sync, share) */
    word64 holds;             /*  72  offset of the first thing it holds (sync, share) */
    word64 doorbell;          /*  80  low 32 bits: the member's futex word */
    word64 run_base;          /*  88  scheduler's figures when its life as a user's process began, ns */
    word64 ready_base;        /*  96 */
    word64 run_time;          /* 104  its figures at the end, bases taken off, ns */
    word64 ready_time;        /* 112 */
    word32 peak_kib;          /* 120  peak resident memory */
    word32 status_known;      /* 124  1: the member wrote `status` itself before it left */
    char name[PN_NAME_SIZE];  /* 128  UTF-8, zero-terminated */
    word64 task;              /* 192  number of the task that it has in hand, 0 for none (tasks.h) */
    word64 task_since;        /* 200  monotonic ns since when */
    word64 task_stop;         /* 208  number of the task that it is asked to stop, 0 for none */
    word32 task_queue;        /* 216  cell of the queue that the task comes from */
    char reserved[36];        /* 220 */
};
_Static_assert(sizeof(struct record) == 256, "the record is part of a file format");
_Static_assert(offsetof(struct record, name) == 128, "the record is part of a file format");

struct member { /* a handle */
    uint32_t slot, generation;
};

/* Claim a free slot and fill it in; published in `state` by the last store. -EAGAIN when the table is full. */
int table_add(struct member *out, enum record_state state, uint32_t flags, struct member parent, const char *name);
/* The record of a handle, or NULL when that member is gone. */
struct record *table_get(struct member who);
/* Change the member's state. False, and nothing happens, when it is gone or EXITED, which is for ever. */
bool table_enter(struct member who, enum record_state state);
/* Give the slot back, in one store. Nothing happens if `who` is gone already. */
void table_free(struct member who);
/* Write who runs in the slot: pid and its start time. */
void table_sit(struct record *record, pid_t pid, uint64_t start_time);
/* Text in `size` bytes: zero-terminated, padded with zeros, cut at a whole letter. */
void cut_text(char *out, size_t size, const char *text);
/* A name as a record has it: zero-terminated, padded with zeros, cut at a whole letter. */
void table_cut_name(char out[PN_NAME_SIZE], const char *name);
void table_rename(struct record *record, const char *name);
static inline enum record_state record_state(struct record *record) { return word_read(&record->state) & 0xff; }

#endif
