/* The futex calls (man 2 futex). All return 0 or a negative errno. */
#ifndef PROCESSION_FUTEX_H
#define PROCESSION_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "word.h"

/* Sleep while *word == value, until the monotonic `deadline`; -EAGAIN, -EINTR and -ETIMEDOUT as the kernel says. */
static inline int futex_wait(word32 *word, uint32_t value, int64_t deadline) {
    struct timespec at = {deadline / PN_SECOND, deadline % PN_SECOND};
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline == PN_FOREVER ? NULL : &at, NULL,
                     FUTEX_BITSET_MATCH_ANY);
    return r < 0 ? -errno : 0;
}

static inline int futex_wake(word32 *word, int how_many) {
    long r = syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0);
    return r < 0 ? -errno : 0;
}

#endif
