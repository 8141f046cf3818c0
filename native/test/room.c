/* Room: what /proc and the control groups say, read from a folder that looks like a machine. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../arena.h"
#include "../room.h"
#include "check.h"

#define MIB (1ull << 20)

static char root[64];

static void write_file(const char *name, const char *format, ...) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    va_list args;
    va_start(args, format);
    CHECK(file && vfprintf(file, format, args) >= 0 && fclose(file) == 0);
    va_end(args);
}

/* A machine with 1000 MiB to be had, and nothing else. */
static void a_machine(void) {
    strcpy(root, "/tmp/procession-room-XXXXXX");
    CHECK(mkdtemp(root));
    write_file("/proc/meminfo", "MemTotal:  4096000 kB\nMemFree: 12 kB\nMemAvailable:    1024000 kB\nBuffers: 1 kB\n");
}

static void remove_it(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK(system(command) == 0);
}

static void group(const char *path, const char *limit, uint64_t used, uint64_t files) {
    char name[256];
    snprintf(name, sizeof name, "/sys/fs/cgroup%s/memory.max", path);
    write_file(name, "%s\n", limit);
    snprintf(name, sizeof name, "/sys/fs/cgroup%s/memory.current", path);
    write_file(name, "%llu\n", (unsigned long long)used);
    snprintf(name, sizeof name, "/sys/fs/cgroup%s/memory.stat", path);
    write_file(name, "anon 1\nfile 99\ninactive_anon 5\ninactive_file %llu\nactive_file %llu\nslab 7\n",
               (unsigned long long)(files / 2), (unsigned long long)(files - files / 2));
}

static void without_a_limit(void) {
    a_machine();
    CHECK(room_left(root) == 1000 * MIB);
    write_file("/proc/self/cgroup", "0::/a/b\n");
    CHECK(room_left(root) == 1000 * MIB); /* (no such folder: it is out of sight) */
    group("/a/b", "max", 50 * MIB, 0);
    CHECK(room_left(root) == 1000 * MIB);
    remove_it();
    strcpy(root, "/nowhere");
    CHECK(room_left(root) == ROOM_UNKNOWN);
}

static void version_two(void) {
    a_machine();
    write_file("/proc/self/cgroup", "0::/a/b\n");
    group("/a/b", "104857600", 50 * MIB, 30 * MIB);
    CHECK(room_left(root) == 80 * MIB); /* what the kernel can drop is not used */
    group("/a", "62914560", 55 * MIB, 0);
    CHECK(room_left(root) == 5 * MIB); /* the group above is closer to its limit */
    group("/a", "62914560", 70 * MIB, 0);
    CHECK(room_left(root) == 0);
    remove_it();
}

/* In a container with a namespace of its own, the root that it sees is its group. */
static void version_two_in_a_namespace(void) {
    a_machine();
    write_file("/proc/self/cgroup", "0::/\n");
    group("", "104857600", 60 * MIB, 0);
    CHECK(room_left(root) == 40 * MIB);
    write_file("/proc/self/cgroup", "0::/../../elsewhere\n");
    CHECK(room_left(root) == 40 * MIB);
    remove_it();
}

static void version_one(void) {
    a_machine();
    write_file("/proc/self/cgroup", "11:cpu,cpuacct:/x\n4:memory:/docker/me\n1:name=systemd:/y\n");
    write_file("/sys/fs/cgroup/memory/docker/me/memory.limit_in_bytes", "%llu\n", 100 * MIB);
    write_file("/sys/fs/cgroup/memory/docker/me/memory.usage_in_bytes", "%llu\n", 90 * MIB);
    write_file("/sys/fs/cgroup/memory/docker/me/memory.stat",
               "cache 1\nactive_file 3\ntotal_inactive_file 10485760\ntotal_active_file 5242880\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n");
    CHECK(room_left(root) == 25 * MIB);
    remove_it();
}

static void more_than_the_machine_has(void) {
    CHECK(commons_found() == 0);
    uint64_t offset, all = (uint64_t)sysconf(_SC_PHYS_PAGES) * 4096;
    CHECK(room_for(all + MIB) == -ENOMEM && room_for(4096) == 0);
    if (all + MIB < COMMONS_SIZE - COMMONS_ARENA) {
        CHECK(arena_take(all + MIB, 1, &offset) == -ENOMEM && arena_used(OWNER_ANY) == 0);
    }
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(without_a_limit);
    CASE(version_two);
    CASE(version_two_in_a_namespace);
    CASE(version_one);
    CASE(more_than_the_machine_has);
    return failed;
}
