/* Room: how many more bytes of memory can be had before the kernel has to kill somebody for them. The promise of a page
 * (fallocate) is charged at once, and where it goes beyond a container's limit, the answer is not an error but SIGKILL. So
 * whoever takes much asks first.
 *
 * A limit is that of our control group or of one above it, as far as they can be seen; file pages that the kernel can drop do
 * not count as used. Without one it is what the machine has left. */
#ifndef PROCESSION_ROOM_H
#define PROCESSION_ROOM_H

#include <stdint.h>

#define ROOM_UNKNOWN UINT64_MAX

/* Bytes that can still be had; ROOM_UNKNOWN when nothing can be read. `root` is in front of all paths ("" but in tests). */
uint64_t room_left(const char *root);
/* 0, or -ENOMEM when that many new bytes cannot be had, and a little for other things. Looks only when much was asked for since
 * it last did: some MiB, less where little is left. */
int room_for(uint64_t bytes);

#endif
