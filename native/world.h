/* The world of a process as far as the kernel keeps it: umask, niceness, affinity, resource limits. */
#ifndef PROCESSION_WORLD_H
#define PROCESSION_WORLD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#define WORLD_LIMITS 16
#define WORLD_CPU_WORDS 128 /* 8192 processors */

struct world {
    uint32_t umask;
    int32_t nice;
    uint32_t cpu_bytes;
    uint32_t reserved;
    struct rlimit limits[WORLD_LIMITS];
    uint64_t cpus[WORLD_CPU_WORDS]; /* of which cpu_bytes are used */
};
/* The bytes of it that say something. */
static inline size_t world_size(const struct world *world) { return offsetof(struct world, cpus) + world->cpu_bytes; }

/* Read the calling process's world. With `alone` (no other thread runs user code) the umask is read by setting it and
 * setting it back; otherwise from /proc, which is slower but leaves no moment with another umask. 0 or -errno. */
int world_read(struct world *out, int alone);
/* The signals that the calling process ignores: bit n - 1 for signal n. */
uint64_t world_ignored(void);
/* Take `wanted` on, where it differs from `mine`. What the process may not do (raise a limit) is left out. */
void world_take(const struct world *wanted, const struct world *mine);

#endif
