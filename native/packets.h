/* Whole messages between processes: what lies below a Connection. An end is one of a pair of AF_UNIX SOCK_SEQPACKET sockets.
 *
 * A message that fits is one packet: its bytes, then one byte that says so. Of a longer one the packet has the beginning, the
 * size of the whole and a descriptor: the rest comes through a pair of sockets made for this message alone. So no two
 * messages can mix, whoever sends and whoever receives; a message whose sender died ends with its own sockets, and is dropped;
 * and the kernel takes all back of whoever was killed. Nothing here lies in shared memory. */
#ifndef PROCESSION_PACKETS_H
#define PROCESSION_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PACKETS_INLINE 131072 /* the most bytes of a message in one packet */
#define PACKETS_ROOM (PACKETS_INLINE + 16)

/* What is to be sent: pieces of memory, and how far they are sent. */
struct packet_out {
    const struct iovec *pieces;
    int count, at;     /* the piece that is next ... */
    size_t skip;       /* ... and how many of its bytes are sent */
    size_t size, sent; /* of all */
    int rest, theirs;  /* descriptors of our own, -1: none */
};

/* What came. */
struct packet_in {
    size_t size, got; /* of the whole, and how many bytes of it are here */
    int rest;         /* where the others come from, -1: it is whole */
};

int packets_pair(int ends[2]);
/* Whether it is an end of such a pair. */
bool packets_speak(int fd);

void packets_fill(struct packet_out *out, const struct iovec *pieces, int count);
/* Go on from there. */
void packets_skip(struct packet_out *out, size_t sent);
/* Send it or its beginning, without waiting: 1 if a rest remains (out->rest, which is the caller's), 0 if none does, or -errno:
 * nothing was sent; -EAGAIN may be tried again, after anything else comes packets_drop. -EPIPE: nobody can receive it. */
int packets_send(int fd, struct packet_out *out);
/* Send more of the rest, without waiting: 1 if some remains, 0 if none does, or -errno. -EPIPE: its receiver is gone, or does
 * not want it. */
int packets_more(struct packet_out *out);
/* Send all of the rest: 0, or -errno; after -EINTR one can go on. */
int packets_push(struct packet_out *out);
void packets_drop(struct packet_out *out);
/* Of a descriptor that is no such end (a stream's, a pipe's): write some bytes, without waiting. How many, or -errno; -EAGAIN:
 * there is no room. */
int64_t packets_stream(int fd, const void *bytes, size_t size);
/* Whether nobody is left at the other side. */
bool packets_alone(int fd);

/* Take the next message, or its beginning, into `room` of PACKETS_ROOM bytes: 1, 0 at the end, or -errno. -EBADMSG: it was no
 * message of ours; -EMFILE: no descriptor was free for its rest, so it is lost. Both leave the next one whole. -EAGAIN: there
 * is none, and it was not to wait, or the descriptor does not. */
int packets_take(int fd, char *room, struct packet_in *in, bool wait);
/* The same, looking for it for a while. */
int packets_expect(int fd, char *room, struct packet_in *in);
/* More of the rest, into the message's place, without waiting: 1 it is whole, 0 its sender is gone, or -errno. */
int packets_rest(struct packet_in *in, char *place);
/* All of the rest: the same; after -EINTR one can go on. */
int packets_pull(struct packet_in *in, char *place);

/* Whether it can be read (POLLIN) or written (POLLOUT) or is at its end: 1, 0 when the time is over, -EINTR. Before it sleeps
 * it spins a little, to be read. */
int packets_wait(int fd, short events, int64_t deadline);

#endif
