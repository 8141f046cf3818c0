/* Start channels: SOCK_SEQPACKET pairs that carry whole messages with descriptors (man 7 unix, SCM_RIGHTS). */
#ifndef PROCESSION_CHANNEL_H
#define PROCESSION_CHANNEL_H

#include <stddef.h>

#define CHANNEL_FDS 253 /* the kernel's SCM_MAX_FD */
#define CHANNEL_BYTES 65536

int channel_pair(int *ours, int *theirs);
/* 0 or -errno. Never raises SIGPIPE. Blocks only while the other side's buffer is full. */
int channel_send(int sock, const void *message, size_t size, const int *fds, int count);
/* Bytes received, 0 at the end, or -errno: -EMSGSIZE when the message did not fit, -EMFILE when its descriptors did not;
 * both are then lost. Descriptors arrive close-on-exec; `count` is room in, number out. */
int channel_receive(int sock, void *message, size_t size, int *fds, int *count);

#endif
