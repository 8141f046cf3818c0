#define _GNU_SOURCE
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define RESERVE (8 * MIB)       /* for all that is not ours: who is told that there is no room needs some to say so */
#define LOOK_RARELY (4 * MIB)   /* bytes: to look takes some 50 us, to promise so many 1 ms */
#define LOOK_FIRST MIB
#define PATH 1024

struct controller { /* what the files of a version of control groups are called */
    const char *folder, *limit, *usage, *active, *inactive;
};
static const struct controller v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                     "total_active_file", "total_inactive_file"};
static const struct controller v2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "active_file", "inactive_file"};

/* A file's text, zero-terminated. False: it cannot be read. */
static bool read_text(const char *folder, const char *name, char *text, size_t size) {
    char path[2 * PATH];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[n < 0 ? 0 : n] = 0;
    return n > 0;
}

static bool read_number(const char *folder, const char *name, uint64_t *out) {
    char text[64];
    return read_text(folder, name, text, sizeof text) && sscanf(text, "%" SCNu64, out) == 1; /* (not "max") */
}

/* The number after that word at the beginning of a line; 0 if there is none. */
static uint64_t field(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += length) {
        uint64_t value;
        if (at > text && at[-1] != '\n') continue;
        if ((at[length] == ' ' || at[length] == ':') && sscanf(at + length + 1, "%" SCNu64, &value) == 1) return value;
    }
    return 0;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t left_in_group(const struct controller *names, const char *folder) {
    uint64_t limit, used;
    char stat[8192];
    if (!read_number(folder, names->limit, &limit) || !read_number(folder, names->usage, &used)) return ROOM_UNKNOWN;
    uint64_t files = 0;
    if (read_text(folder, "memory.stat", stat, sizeof stat)) files = field(stat, names->active) + field(stat, names->inactive);
    used = files < used ? used - files : 0;
    return limit > used ? limit - used : 0;
}

/* Of the group of that path and of all above it. */
static uint64_t left_in_groups(const char *root, const struct controller *names, char *path) {
    uint64_t left = ROOM_UNKNOWN;
    char folder[2 * PATH];
    if (strcmp(path, "/") == 0) *path = 0;
    for (;;) {
        if ((size_t)snprintf(folder, sizeof folder, "%s%s%s", root, names->folder, path) < sizeof folder)
            left = least(left, left_in_group(names, folder));
        char *slash = strrchr(path, '/');
        if (!slash) return left;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "0::/path" is version 2, "4:memory:/path" version 1. */
static uint64_t left_in_container(const char *root) {
    char text[4096], proc[PATH], *rest = text;
    uint64_t left = ROOM_UNKNOWN;
    snprintf(proc, sizeof proc, "%s/proc/self", root);
    if (!read_text(proc, "cgroup", text, sizeof text)) return left;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *kinds = strchr(line, ':'), *path = kinds ? strchr(kinds + 1, ':') : NULL;
        if (!path || strlen(path + 1) >= PATH) continue;
        *path++ = 0;
        if (kinds[1] == 0) left = least(left, left_in_groups(root, &v2, path));
        else if (strstr(kinds + 1, "memory")) left = least(left, left_in_groups(root, &v1, path));
    }
    return left;
}

static uint64_t left_in_machine(const char *root) {
    char text[4096], proc[PATH];
    snprintf(proc, sizeof proc, "%s/proc", root);
    if (!read_text(proc, "meminfo", text, sizeof text) || !strstr(text, "MemAvailable:")) return ROOM_UNKNOWN;
    return field(text, "MemAvailable") * 1024;
}

uint64_t room_left(const char *root) { return least(left_in_machine(root), left_in_container(root)); }

/* The nearer the limit, the more often: others take, too, and each of them looks for itself. */
int room_for(uint64_t bytes) {
    static _Atomic uint64_t unseen, look_after = LOOK_FIRST; /* bytes promised since somebody here looked, and how many may be */
    if (atomic_fetch_add(&unseen, bytes) + bytes < atomic_load(&look_after)) return 0;
    uint64_t left = room_left("");
    atomic_store(&unseen, 0);
    atomic_store(&look_after, least(left / 16, LOOK_RARELY));
    return bytes > left || left - bytes < RESERVE ? -ENOMEM : 0;
}
