/* Time: CLOCK_BOOTTIME for what is written into shared memory (comparable between processes and with
 * the kernel's start times), CLOCK_MONOTONIC for deadlines. All in nanoseconds. */
#ifndef PROCESSION_CLOCK_H
#define PROCESSION_CLOCK_H

#include <stdint.h>
#include <time.h>

#define PN_SECOND 1000000000ll
#define PN_FOREVER INT64_MAX

static inline int64_t clock_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * PN_SECOND + now.tv_nsec;
}

static inline int64_t clock_boot(void) { return clock_of(CLOCK_BOOTTIME); }
static inline int64_t clock_monotonic(void) { return clock_of(CLOCK_MONOTONIC); }

/* Milliseconds until `deadline` for poll and epoll, rounded up so that nobody wakes early; -1 is for ever. */
static inline int clock_poll_timeout(int64_t deadline) {
    if (deadline == PN_FOREVER) return -1;
    int64_t left = deadline - clock_monotonic();
    if (left <= 0) return 0;
    int64_t ms = (left + 999999) / 1000000;
    return ms > 86400000 ? 86400000 : (int)ms;
}

#endif
