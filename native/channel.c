#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int channel_pair(int *ours, int *theirs) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
    *ours = pair[0];
    *theirs = pair[1];
    return 0;
}

int channel_send(int sock, const void *message, size_t size, const int *fds, int count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
    struct iovec data = {(void *)message, size};
    struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
    if (count > CHANNEL_FDS) return -EINVAL;
    if (count > 0) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        memset(control, 0, header.msg_controllen);
        struct cmsghdr *part = CMSG_FIRSTHDR(&header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(part), fds, (size_t)count * sizeof(int));
    }
    while (sendmsg(sock, &header, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

static int take_fds(struct msghdr *header, int *fds, int room) {
    int got = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        int n = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int)), fd;
        for (int i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(part) + (size_t)i * sizeof(int), sizeof fd);
            if (got < room) fds[got++] = fd;
            else close(fd);
        }
    }
    return got;
}

static int drop(int *fds, int *count, int error) {
    while (fds && *count > 0) close(fds[--*count]);
    return error;
}

int channel_receive(int sock, void *message, size_t size, int *fds, int *count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
    struct iovec data = {message, size};
    struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
    if (fds) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }
    ssize_t n = recvmsg(sock, &header, MSG_CMSG_CLOEXEC);
    if (n < 0) return -errno;
    if (fds) *count = take_fds(&header, fds, *count);
    if (fds && (header.msg_flags & MSG_CTRUNC)) return drop(fds, count, -EMFILE); /* no room for descriptors here */
    if (header.msg_flags & MSG_TRUNC) return drop(fds, count, -EMSGSIZE);
    return (int)n;
}
