#define _GNU_SOURCE
#include "start.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "commons.h"
#include "leave.h"
#include "proc.h"
#include "reaper.h"
#include "self.h"

#define KEEPERS 4 /* as many as may be there at a start */

int start_fill(struct start *out, bool alone) {
    memset(out, 0, offsetof(struct start, world));
    int error = world_read(&out->world, alone);
    if (error) return error;
    out->size = (uint32_t)(offsetof(struct start, world) + world_size(&out->world));
    out->parent = getpid();
    out->keeper = reaper_keeping < KEEPERS;
    out->ignored = world_ignored();
    return 0;
}

const struct start *start_read(const void *message, size_t size) {
    const struct start *start = message;
    const size_t least = offsetof(struct start, world) + offsetof(struct world, cpus);
    if (size < least || start->size < least || start->size > sizeof *start || start->size > size) return NULL;
    if (start->changes > size - start->size || start->size - least != start->world.cpu_bytes) return NULL;
    return memchr(start->name, 0, PN_NAME_SIZE) ? start : NULL;
}

bool start_life(struct member who, uint32_t flags, const char *name) {
    struct record *record = table_get(who);
    if (!record) return false;
    table_rename(record, name);
    word_poke(&record->born, (uint64_t)clock_boot());
    word_or(&record->flags, flags | RECORD_PROCESS); /* (what the family has noted meanwhile stays) */
    if (!table_enter(who, RECORD_READY)) return false;
    word_add(&commons->started, 1);
    word_raise(&commons->most_alive, word_add(&commons->alive, 1) + 1);
    return true;
}

void start_sit(struct member who) {
    struct record *record = table_get(who);
    struct proc_stat stat;
    if (!record || word_peek(&record->start_time) != 0 || proc_stat(getpid(), &stat) < 0) return;
    table_sit(record, getpid(), stat.start_time);
}

int start_tie(const struct start *start) {
    if (start->flags & RECORD_DETACHED) return setsid() < 0 ? -errno : 0;
    return self_die_with(start->parent, SIGKILL);
}

static struct sigaction interrupt; /* what SIGINT does in the children */
static bool deaf;
static uint64_t deaf_to; /* what else the helper ignores: that does not change, so it is looked at once */

static struct world own_world; /* the same: only RLIMIT_NPROC is another's from time to time (zygote.c) */
static bool own_known;

void start_deafen(void) {
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    own_known = world_read(&own_world, true) == 0; /* (a helper has one thread) */
    sigaction(SIGINT, &ignore, deaf ? NULL : &interrupt);
    deaf = true;
    deaf_to = world_ignored() & ~(1ull << (SIGINT - 1));
}

static int take_streams(const struct start *start, const int *fds, int count, struct start_news *news) {
    int used = 0;
    for (int fd = 0; fd < 3; fd++) {
        if (!(start->standard & 1u << fd) || used == count) {
            close(fd); /* (the helper filled what was closed) */
            continue;
        }
        dup2(fds[used], fd);
        close(fds[used++]);
        if (isatty(fd)) news->terminals |= 1u << fd;
    }
    return used;
}

int start_take(const struct start *start, const int *fds, int count, bool rehearsal, struct start_news *news) {
    memset(news, 0, sizeof *news);
    int used = take_streams(start, fds, count, news);
    leave_may_keep = start->keeper;
    if (rehearsal) return used;
    getrlimit(RLIMIT_NPROC, &own_world.limits[RLIMIT_NPROC]);
    if (own_known) world_take(&start->world, &own_world);
    news->signals = start->ignored ^ deaf_to;
    if (deaf && !(start->ignored & 1ull << (SIGINT - 1))) sigaction(SIGINT, &interrupt, NULL);
    return used;
}
