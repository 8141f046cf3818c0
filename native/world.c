#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int umask_from_proc(uint32_t *out) {
    FILE *file = fopen("/proc/thread-self/status", "re");
    if (!file) return -errno;
    char line[256];
    int error = -EPROTO;
    while (error && fgets(line, sizeof line, file))
        if (sscanf(line, "Umask: %o", out) == 1) error = 0;
    fclose(file);
    return error;
}

static int read_umask(uint32_t *out, int alone) {
    if (!alone && umask_from_proc(out) == 0) return 0;
    mode_t mask = umask(077); /* never more open than it was, even for this moment */
    umask(mask);
    *out = mask;
    return 0;
}

int world_read(struct world *out, int alone) {
    memset(out, 0, offsetof(struct world, limits));
    int error = read_umask(&out->umask, alone);
    if (error) return error;
    errno = 0;
    out->nice = getpriority(PRIO_PROCESS, 0);
    if (errno) return -errno;
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof out->cpus, out->cpus);
    if (bytes < 0) return -errno;
    out->cpu_bytes = (uint32_t)bytes;
    for (int i = 0; i < WORLD_LIMITS; i++)
        if (getrlimit(i, &out->limits[i]) < 0) return -errno;
    return 0;
}

uint64_t world_ignored(void) {
    uint64_t ignored = 0;
    struct sigaction action;
    for (int sig = 1; sig < 32; sig++) /* (nobody lets a child ignore real-time signals) */
        if (sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN) ignored |= 1ull << (sig - 1);
    return ignored;
}

void world_take(const struct world *wanted, const struct world *mine) {
    if (wanted->umask != mine->umask) umask(wanted->umask);
    if (wanted->cpu_bytes != mine->cpu_bytes || memcmp(wanted->cpus, mine->cpus, wanted->cpu_bytes) != 0)
        syscall(SYS_sched_setaffinity, 0, (size_t)wanted->cpu_bytes, wanted->cpus);
    for (int i = 0; i < WORLD_LIMITS; i++)
        if (memcmp(&wanted->limits[i], &mine->limits[i], sizeof(struct rlimit)) != 0) setrlimit(i, &wanted->limits[i]);
    if (wanted->nice != mine->nice) setpriority(PRIO_PROCESS, 0, wanted->nice);
}
