/* The start message: what a spare, or a fresh interpreter, is told when its life as a user's process begins, and how it becomes
 * that process as far as the kernel is concerned. README.md gives the bytes. */
#ifndef PROCESSION_START_H
#define PROCESSION_START_H

#include "table.h"
#include "world.h"

struct start { /* the head of the message; what Python has to tell follows, then the pickled process */
    uint32_t size;       /*  0  of the head: the processors at its end are as many as the machine has */
    uint32_t changes;    /*  4  bytes of what Python has to tell */
    uint32_t flags;      /*  8  DAEMON, DETACHED */
    uint32_t standard;   /* 12  bit n: standard stream n comes with the message */
    int32_t parent;      /* 16  pid */
    uint32_t keeper;     /* 20  1: it may leave a keeper when it ends (leave.h) */
    uint64_t ignored;    /* 24  signals that are ignored, bit n - 1 for signal n */
    char name[PN_NAME_SIZE]; /* 32 */
    struct world world;  /* 96 */
};
_Static_assert(offsetof(struct start, world) == 96, "the start message is part of a file format");

/* What Python has to put in order. */
struct start_news {
    uint32_t terminals; /* bit n: standard stream n is a terminal */
    uint64_t signals;   /* those that are to be ignored and are not, or the other way round */
};

/* Once, in a helper: from now on it is deaf to SIGINT, whose present disposition is what its children get. */
void start_deafen(void);

/* Fill in all but `changes`, `flags`, `standard` and `name`. `alone`: as for world_read. 0 or -errno. */
int start_fill(struct start *out, bool alone);
/* A message's head, or NULL when it is none. */
const struct start *start_read(const void *message, size_t size);
/* A user process's life begins: its record's name and flags, and the family's counters. False when the record is gone. */
bool start_life(struct member who, uint32_t flags, const char *name);
/* In the member: write its identity if its zygote died before it told it. */
void start_sit(struct member who);
/* Die with the parent, or in a session of one's own. -ESRCH: the parent is gone. */
int start_tie(const struct start *start);
/* Take on the streams, which are the first of `fds`, and the kernel's part of the parent's world. Returns how many of `fds` were
 * streams. What is not allowed (raising a limit) is left out. A rehearsal changes nothing but the streams. */
int start_take(const struct start *start, const int *fds, int count, bool rehearsal, struct start_news *news);

#endif
