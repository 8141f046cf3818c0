/* The zygote's loop and a spare's wait, in C: while they wait for work neither writes a page of the interpreter's heap, so the
 * zygote's huge pages stay whole (gather.h) and a spare has little of its own.
 *
 *   control: orders (a message with the spare's end of its socket), lessons (a message), the end
 *   parent:  a pidfd, readable when the parent is gone */
#ifndef PROCESSION_ZYGOTE_H
#define PROCESSION_ZYGOTE_H

#include <stdint.h>
#include <sys/resource.h>

#include "channel.h"
#include "table.h"

struct zygote_order { /* the message of an order */
    struct member who;
    struct rlimit processes; /* RLIMIT_NPROC of the parent: the clone counts against it */
};

enum zygote_news {
    ZYGOTE_LESSON, /* a message for Python */
    ZYGOTE_LET_GO, /* the control socket is at its end: there will be no orders */
    ZYGOTE_ORPHAN, /* the parent is gone */
    ZYGOTE_BORN,   /* we are a new spare (`who` and `sock` are ours), and nothing came in its patience */
    ZYGOTE_START,  /* (a spare) the start message is there */
    ZYGOTE_NOTHING, /* nothing came in the time it was patient, or with `once` */
};

struct zygote_call { /* what came, and who we are */
    bool in_spare; /* we are a new spare */
    struct member who;
    int sock;
    int size; /* of the message */
    int fd_count;
    int fds[CHANNEL_FDS];
    char message[CHANNEL_BYTES];
};

struct zygote {
    int control, parent;
    int64_t patience; /* ns that a new spare waits for its start before it says that it is there */
    /* Run before a clone, after it in the zygote, and after it in the spare; NULL for nothing. */
    void (*before)(void), (*after)(void), (*in_spare)(void);
};

/* Answer orders until something else comes. It returns in each spare, too, with what its own wait brought. With `once` it does
 * not wait: when nothing is left to answer, ZYGOTE_NOTHING. */
enum zygote_news zygote_serve(const struct zygote *zygote, struct zygote_call *call, int once);
/* In a spare: wait for the start message for at most `patience` ns. */
enum zygote_news spare_wait(int sock, int parent, int64_t patience, struct zygote_call *call);

#endif
