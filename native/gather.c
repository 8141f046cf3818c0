#define _GNU_SOURCE
#include "gather.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE ((uintptr_t)2 << 20)
#define REGION (16 * HUGE)
#define LEAST ((uintptr_t)640 << 10) /* of a huge page must be in use for it to be worth its memory */
#define MOST 64                      /* maps that are looked at */
#define ENOUGH (128 * HUGE)          /* a zygote with more has it from a preload, and has no time to copy all of that */
#define UNIT ((size_t)256 << 10) /* CPython's arenas were of this size, and are of 1 MiB now */

static char *region;
static unsigned char used[REGION / UNIT]; /* by units */

static uintptr_t round_up(uintptr_t at) { return (at + HUGE - 1) & ~(HUGE - 1); }
static uintptr_t round_down(uintptr_t at) { return at & ~(HUGE - 1); }

bool gather_reserve(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *map = mmap(NULL, REGION + HUGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (map == MAP_FAILED) return false;
    region = (char *)round_up((uintptr_t)map);
    if (region > map) munmap(map, (size_t)(region - map));
    munmap(region + REGION, HUGE - (size_t)(region - map));
    return true;
}

static bool is_free(size_t unit, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (used[unit + i]) return false;
    return true;
}

void *gather_take(size_t size) {
    size_t count = size / UNIT;
    if (!region || count == 0 || size % UNIT != 0) return NULL;
    for (size_t unit = 0; unit + count <= sizeof used; unit += count) {
        if (!is_free(unit, count)) continue;
        memset(used + unit, 1, count);
        return region + unit * UNIT;
    }
    return NULL;
}

bool gather_give(void *at, size_t size) {
    if (!region || (char *)at < region || (char *)at >= region + REGION) return false;
    memset(used + (size_t)((char *)at - region) / UNIT, 0, size / UNIT);
    madvise(at, size, MADV_DONTNEED); /* zeros when it is taken again */
    return true;
}

static size_t collapse(uintptr_t from, uintptr_t to) {
    size_t got = 0;
    for (uintptr_t at = from; at + HUGE <= to; at += HUGE)
        if (madvise((void *)at, HUGE, MADV_COLLAPSE) == 0) got += HUGE;
    return got;
}

/* A private map of written memory: what a clone has to copy page-table entries for. */
static bool is_ours(const char *line, uintptr_t *from, uintptr_t *to) {
    unsigned long start, end, inode;
    char flags[5];
    if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, flags, &inode) != 4) return false;
    *from = start;
    *to = end;
    return inode == 0 && strcmp(flags, "rw-p") == 0 && !strstr(line, "[stack]");
}

/* It begins and ends anywhere: fill it up to a whole huge page with a map that merges with it, where there is room for one and
 * the page is used for a good part. */
static void fill_up(uintptr_t *from, uintptr_t *to) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    uintptr_t below = round_down(*from), above = round_up(*to);
    if (below > 0 && *from - below < HUGE - LEAST && *from > below &&
        mmap((void *)below, *from - below, PROT_READ | PROT_WRITE, flags, -1, 0) == (void *)below)
        *from = below;
    if (above - *to < HUGE - LEAST && above > *to &&
        mmap((void *)*to, above - *to, PROT_READ | PROT_WRITE, flags, -1, 0) == (void *)*to)
        *to = above;
}

static size_t gather_used_region(void) {
    size_t last = 0;
    for (size_t unit = 0; unit < sizeof used; unit++)
        if (used[unit]) last = unit + 1;
    return collapse((uintptr_t)region, round_up((uintptr_t)region + last * UNIT));
}

/* The heap that brk(2) made grows: fill it up by a longer break. */
static void end_heap(void) {
    uintptr_t end = (uintptr_t)sbrk(0);
    if (round_up(end) > end && round_up(end) - end < HUGE - LEAST) sbrk((intptr_t)(round_up(end) - end));
}

size_t gather(void) {
    char line[512];
    uintptr_t from[MOST], to[MOST];
    int count = 0;
    size_t got = 0;
    end_heap();
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) return 0;
    while (count < MOST && fgets(line, sizeof line, maps))
        if (is_ours(line, &from[count], &to[count]) && to[count] - from[count] >= LEAST) count++;
    fclose(maps);
    for (int i = 0; i < count && got < ENOUGH; i++) {
        if ((char *)from[i] <= region && region < (char *)to[i]) continue;
        fill_up(&from[i], &to[i]);
        uintptr_t first = round_up(from[i]), last = round_down(to[i]);
        got += collapse(first, last > first + ENOUGH ? first + ENOUGH : last);
    }
    return got + (region ? gather_used_region() : 0);
}
