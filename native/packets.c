#define _GNU_SOURCE
#include "packets.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "commons.h"
#include "spin.h"

#define WHOLE 'W' /* the last byte of a packet */
#define BEGUN 'B'
#define SURE 2048 /* bytes that every socket takes at once */
#define PARTS 64  /* pieces of memory in one packet */
#define SNDBUF (1 << 18) /* bytes; the kernel doubles it, and allows what is allowed */

struct tail { /* after the bytes of a message that has only begun */
    uint64_t size;
    char kind;
} __attribute__((packed));

int packets_pair(int ends[2]) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    const int size = SNDBUF; /* (room for more small messages before a sender has to wait; not to be had everywhere) */
    for (int i = 0; i < 2; i++) setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

static int option(int fd, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &length) < 0 ? -1 : value;
}

bool packets_speak(int fd) { return option(fd, SO_TYPE) == SOCK_SEQPACKET && option(fd, SO_DOMAIN) == AF_UNIX; }

/* Half of the buffer, so that one packet can be filled while the other one is emptied. */
static size_t room_of(int fd) {
    int buffer = option(fd, SO_SNDBUF);
    size_t half = buffer > 0 ? (size_t)buffer / 2 : SURE;
    return half > PACKETS_INLINE ? PACKETS_INLINE : half < SURE ? SURE : half;
}

/* --- sending --- */

void packets_fill(struct packet_out *out, const struct iovec *pieces, int count) {
    *out = (struct packet_out){.pieces = pieces, .count = count, .rest = -1, .theirs = -1};
    for (int i = 0; i < count; i++) out->size += pieces[i].iov_len;
}

void packets_skip(struct packet_out *out, size_t sent) {
    out->sent += sent;
    while (out->at < out->count && sent >= out->pieces[out->at].iov_len - out->skip) {
        sent -= out->pieces[out->at++].iov_len - out->skip;
        out->skip = 0;
    }
    out->skip += sent;
}

/* The next `room` bytes at most, as parts of a packet; how many they are. */
static size_t next_parts(const struct packet_out *out, size_t room, struct iovec parts[PARTS], size_t *count) {
    size_t total = 0, skip = out->skip;
    *count = 0;
    for (int i = out->at; i < out->count && *count < PARTS && total < room; i++, skip = 0) {
        size_t length = out->pieces[i].iov_len - skip;
        if (length > room - total) length = room - total;
        if (length == 0) continue;
        parts[(*count)++] = (struct iovec){(char *)out->pieces[i].iov_base + skip, length};
        total += length;
    }
    return total;
}

static int put(int fd, struct msghdr *header) {
    if (sendmsg(fd, header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    return errno == ECONNRESET ? -EPIPE : -errno; /* (reset: it went with something unread) */
}

static int put_whole(int fd, struct iovec *parts, size_t count) {
    char kind = WHOLE;
    parts[count] = (struct iovec){&kind, 1};
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = count + 1};
    return put(fd, &header);
}

/* The beginning, with the descriptor from which the rest is to be had. */
static int put_begun(int fd, struct iovec *parts, size_t count, const struct packet_out *out) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct tail tail = {out->size, BEGUN};
    parts[count] = (struct iovec){&tail, sizeof tail};
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = count + 1, .msg_control = control,
                            .msg_controllen = sizeof control};
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &out->theirs, sizeof(int));
    return put(fd, &header);
}

static int private_pair(struct packet_out *out) {
    int ends[2], error = out->rest >= 0 ? 0 : packets_pair(ends);
    if (error || out->rest >= 0) return error;
    out->rest = ends[0];
    out->theirs = ends[1];
    return 0;
}

int packets_send(int fd, struct packet_out *out) {
    struct iovec parts[PARTS + 1];
    size_t count, length = next_parts(out, out->size <= SURE ? SURE : room_of(fd), parts, &count);
    if (length == out->size) return put_whole(fd, parts, count);
    int error = private_pair(out);
    if (error == 0) error = put_begun(fd, parts, count, out);
    if (error) return error;
    close(out->theirs); /* from now on it is only the receiver's: if that dies, or we do, the other one learns of it */
    out->theirs = -1;
    packets_skip(out, length);
    return 1;
}

int packets_more(struct packet_out *out) {
    struct iovec parts[PARTS];
    size_t count, length = next_parts(out, room_of(out->rest), parts, &count);
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = count};
    int error = put(out->rest, &header);
    if (error) return error;
    packets_skip(out, length);
    return out->sent < out->size;
}

void packets_drop(struct packet_out *out) {
    if (out->rest >= 0) close(out->rest);
    if (out->theirs >= 0) close(out->theirs);
    out->rest = out->theirs = -1;
}

int64_t packets_stream(int fd, const void *bytes, size_t size) {
    struct pollfd one = {fd, POLLOUT, 0};
    ssize_t n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) { /* (what can be written to has room for so much, as long as nobody else writes) */
        if (poll(&one, 1, 0) == 0) return -EAGAIN;
        n = write(fd, bytes, size < PIPE_BUF ? size : PIPE_BUF);
    }
    return n < 0 ? -errno : n;
}

bool packets_alone(int fd) {
    struct pollfd one = {fd, 0, 0};
    return poll(&one, 1, 0) > 0 && one.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* --- receiving --- */

/* The first descriptor that came, or -1. Whatever else came is closed. */
static int only_fd(struct msghdr *header) {
    int fd, first = -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            if (first < 0) first = fd;
            else close(fd);
        }
    }
    return first;
}

static int refuse(struct packet_in *in, int error) {
    if (in->rest >= 0) close(in->rest);
    in->rest = -1;
    return error;
}

/* What a packet of n bytes says. */
static int understand(const char *room, size_t n, int flags, struct packet_in *in) {
    struct tail tail;
    if (flags & MSG_TRUNC) return refuse(in, -EBADMSG);
    if (room[n - 1] == WHOLE) {
        refuse(in, 0); /* (a descriptor does not belong to it) */
        in->size = in->got = n - 1;
        return 1;
    }
    if (room[n - 1] != BEGUN || n < sizeof tail) return refuse(in, -EBADMSG);
    if (in->rest < 0) return flags & MSG_CTRUNC ? -EMFILE : -EBADMSG;
    memcpy(&tail, room + n - sizeof tail, sizeof tail);
    in->size = tail.size;
    in->got = n - sizeof tail;
    return in->got < in->size && in->size <= PTRDIFF_MAX ? 1 : refuse(in, -EBADMSG);
}

int packets_take(int fd, char *room, struct packet_in *in, bool wait) {
    int flags = MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT);
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    struct iovec data = {room, PACKETS_ROOM};
    struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &header, flags);
    /* Reset: the other side is gone and left something unread. What it sent before is still there for us. */
    if (n < 0 && errno == ECONNRESET) n = recvmsg(fd, &header, flags);
    if (n < 0) return -errno;
    in->rest = only_fd(&header);
    if (n == 0) return refuse(in, 0);
    return understand(room, (size_t)n, header.msg_flags, in);
}

int packets_rest(struct packet_in *in, char *place) {
    while (in->got < in->size) {
        ssize_t n = recv(in->rest, place + in->got, in->size - in->got, MSG_DONTWAIT);
        if (n < 0) return errno == ECONNRESET ? 0 : -errno;
        if (n == 0) return 0;
        in->got += (size_t)n;
    }
    return 1;
}

/* --- waiting --- */

static int ready(int fd, short events, int timeout) {
    struct pollfd one = {fd, events, 0};
    int n = poll(&one, 1, timeout);
    return n < 0 ? -errno : n;
}

#define LONGEST 50000 /* ns: to be woken takes about as long */
#define SOON 3000     /* ns: whoever we have just sent something is about to give its lease back */
#define ENOUGH 8      /* after so many vain spins in a row only one is made in ... */
#define RARELY 64

static _Thread_local unsigned vain;

/* All or nothing: if two processes answer each other, either both spin and each waits for some microseconds, or both sleep and
 * each waits for some fifty. A short spin finds no way from the one to the other, a long one now and then does; and where all
 * processors are busy, and a spin only keeps the other side from running, it costs little. (Without a family there is nobody
 * to spin for, and no leases.) */
static bool begin(struct spin *turn) {
    if (!commons || (vain >= ENOUGH && ++vain % RARELY)) return false;
    const int64_t now = clock_monotonic();
    do spin_begin_for(turn, LONGEST);
    while (turn->end == 0 && turn->began < now + SOON);
    return turn->end != 0;
}

static void end(struct spin *turn, bool won) {
    vain = won ? 0 : vain + 1;
    spin_end(turn);
}

static int spin_to_read(int fd, int64_t deadline) {
    struct spin turn;
    int n = 0;
    if (!begin(&turn)) return 0;
    while (n == 0 && clock_monotonic() < deadline && spin_on(&turn)) n = ready(fd, POLLIN, 0);
    end(&turn, n > 0);
    return n;
}

int packets_expect(int fd, char *room, struct packet_in *in) {
    struct spin turn;
    int r = -EAGAIN;
    if (!begin(&turn)) return r;
    while (r == -EAGAIN && spin_on(&turn)) r = packets_take(fd, room, in, false);
    end(&turn, r != -EAGAIN);
    return r;
}

int packets_wait(int fd, short events, int64_t deadline) {
    int n = events & POLLIN ? spin_to_read(fd, deadline) : 0;
    while (n == 0) {
        int timeout = clock_poll_timeout(deadline);
        n = ready(fd, events, timeout);
        if (timeout == 0) break;
    }
    return n;
}

/* Try for a while: POLLOUT would come only when the buffer is nearly empty, and then the receiver has nothing to do. */
static int spin_to_send(struct packet_out *out) {
    struct spin turn;
    int r = -EAGAIN;
    if (!begin(&turn)) return r;
    while (r == -EAGAIN && spin_on(&turn)) r = packets_more(out);
    end(&turn, r != -EAGAIN);
    return r;
}

int packets_push(struct packet_out *out) {
    int r = 1;
    while (r > 0 || r == -EAGAIN) {
        r = packets_more(out);
        if (r == -EAGAIN) r = spin_to_send(out);
        if (r == -EAGAIN && (r = packets_wait(out->rest, POLLOUT, PN_FOREVER)) < 0) break;
    }
    return r;
}

int packets_pull(struct packet_in *in, char *place) {
    int r;
    while ((r = packets_rest(in, place)) == -EAGAIN)
        if ((r = packets_wait(in->rest, POLLIN, PN_FOREVER)) < 0) break;
    return r;
}
