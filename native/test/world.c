/* The world of a process: read in one, taken on in another. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "../world.h"
#include "check.h"

static mode_t mask_now(void) {
    mode_t mask = umask(0);
    umask(mask);
    return mask;
}

static void read_it(void) {
    struct world alone, among;
    umask(027);
    CHECK(world_read(&alone, 1) == 0 && world_read(&among, 0) == 0);
    CHECK(alone.umask == 027 && among.umask == 027 && mask_now() == 027); /* unchanged by the reading */
    CHECK(world_size(&alone) == world_size(&among) && memcmp(&alone, &among, world_size(&alone)) == 0);
    cpu_set_t cpus;
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    CHECK(alone.cpu_bytes > 0 && memcmp(alone.cpus, &cpus, alone.cpu_bytes) == 0);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && alone.limits[RLIMIT_NOFILE].rlim_cur == limit.rlim_cur);
    CHECK(alone.nice == getpriority(PRIO_PROCESS, 0));
}

static void take_it_on(void) {
    struct world mine, wanted, then;
    CHECK(world_read(&mine, 1) == 0);
    wanted = mine;
    wanted.umask = 0111;
    wanted.nice = mine.nice + 1;
    wanted.limits[RLIMIT_NOFILE].rlim_cur = 50;
    wanted.limits[RLIMIT_CORE].rlim_cur = 0;
    memset(wanted.cpus, 0, sizeof wanted.cpus);
    for (int cpu = 0; cpu < 64; cpu++)
        if (mine.cpus[0] & 1ull << cpu) wanted.cpus[0] = 1ull << cpu; /* the last one that we may use */
    world_take(&wanted, &mine);
    CHECK(world_read(&then, 1) == 0 && memcmp(&then, &wanted, world_size(&then)) == 0);
    world_take(&wanted, &then); /* no difference: nothing to do */
    CHECK(mask_now() == 0111);
}

static void what_is_not_allowed_is_left_out(void) {
    struct world mine, wanted, then;
    struct rlimit low = {40, 40};
    if (setrlimit(RLIMIT_NOFILE, &low) < 0 || setuid(65534) < 0) return; /* (not root: it is not allowed anyway) */
    CHECK(world_read(&mine, 1) == 0);
    wanted = mine;
    wanted.limits[RLIMIT_NOFILE].rlim_max = 50;
    wanted.nice = mine.nice - 1;
    wanted.umask = 0123;
    world_take(&wanted, &mine);
    CHECK(world_read(&then, 1) == 0);
    CHECK(then.limits[RLIMIT_NOFILE].rlim_max == 40 && then.nice == mine.nice && then.umask == 0123);
}

static void *read_often(void *arg) {
    struct world world;
    for (int i = 0; i < 300; i++) {
        CHECK(world_read(&world, 0) == 0);
        CHECK(world.umask == 022);
    }
    return arg;
}

/* Many threads read at once: none ever sees, or makes, another umask than that which is set. */
static void reading_beside_others_changes_nothing(void) {
    umask(022);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, read_often, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CHECK(mask_now() == 022);
}

int main(void) {
    int failed = 0;
    CASE(read_it);
    CASE(take_it_on);
    CASE(what_is_not_allowed_is_left_out);
    CASE(reading_beside_others_changes_nothing);
    return failed;
}
