#define _GNU_SOURCE
#include "commons.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

struct commons *commons;
int commons_fd = -1;
uint64_t commons_mapped;

static uint32_t mix(uint32_t hash, uint64_t value) { /* FNV-1a over the value's bytes */
    for (int i = 0; i < 8; i++) hash = (hash ^ (uint8_t)(value >> (8 * i))) * 16777619u;
    return hash;
}

uint32_t commons_layout(void) {
    const uint64_t facts[] = {COMMONS_SIZE,          COMMONS_TABLE,
                              COMMONS_CHUNKS,        COMMONS_ARENA,
                              PN_SLOTS,              sizeof(struct record),
                              CHUNK_SIZE,            offsetof(struct commons, obituaries),
                              OBITUARIES,            sizeof(struct obituary),
                              COMMONS_CELLS,         COMMONS_CELL_COUNT,
                              COMMONS_WAITS,         COMMONS_WAIT_COUNT,
                              offsetof(struct record, name), offsetof(struct record, run_base)};
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) hash = mix(hash, facts[i]);
    return hash;
}

static int map_window(int fd) {
    for (uint64_t size = COMMONS_WINDOW;; size /= 2) {
        if (size < COMMONS_WINDOW_LEAST) size = COMMONS_WINDOW_LEAST;
        void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (map != MAP_FAILED) {
            commons = map;
            commons_fd = fd;
            commons_mapped = size;
            return 0;
        }
        if (errno != ENOMEM || size == COMMONS_WINDOW_LEAST) return -errno;
    }
}

static uint32_t processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) < 0 ? 1 : (uint32_t)CPU_COUNT(&set);
}

/* A 64th of the machine's memory, and no more than 256 MiB. */
static uint32_t warm_most(void) {
    uint64_t chunks = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 64 / CHUNK_SIZE;
    return chunks < 4096 ? (uint32_t)chunks : 4096;
}

static int fill_header(void) {
    uint64_t family = 0;
    while (family == 0)
        if (getrandom(&family, sizeof family, 0) != sizeof family) return -errno;
    commons->version = COMMONS_VERSION;
    commons->layout = commons_layout();
    commons->family = family;
    commons->founded = (uint64_t)clock_boot();
    commons->founded_ticks = commons->founded / (uint64_t)(PN_SECOND / sysconf(_SC_CLK_TCK));
    commons->slots = PN_SLOTS;
    commons->processors = processors();
    commons->warm_most = warm_most();
    word_publish(&commons->magic, COMMONS_MAGIC);
    return 0;
}

int commons_found(void) {
    int fd = memfd_create("procession", MFD_CLOEXEC);
    if (fd < 0) return -errno;
    int error = ftruncate(fd, (off_t)COMMONS_SIZE) < 0 ? -errno : map_window(fd);
    if (error) {
        close(fd);
        return error;
    }
    error = fill_header();
    if (error) commons_leave();
    return error;
}

int commons_join(int fd) {
    struct stat file; /* (a read beyond the end of a shorter file would be SIGBUS) */
    if (fstat(fd, &file) < 0) return -errno;
    if ((uint64_t)file.st_size != COMMONS_SIZE) return -EPROTO;
    int error = map_window(fd);
    if (error) return error;
    if (word_read(&commons->magic) == COMMONS_MAGIC && commons->version == COMMONS_VERSION &&
        commons->layout == commons_layout())
        return 0;
    commons_fd = -1; /* the descriptor stays the caller's */
    commons_leave();
    return -EPROTO;
}

void commons_leave(void) {
    if (commons) munmap(commons, commons_mapped);
    if (commons_fd >= 0) close(commons_fd);
    commons = NULL;
    commons_fd = -1;
    commons_mapped = 0;
}

void commons_obituary(uint32_t pid, uint32_t status, uint32_t flags, const char *name, uint64_t run_time,
                      uint32_t peak_kib) {
    uint64_t serial = word_add(&commons->obituary_count, 1) + 1;
    struct obituary *entry = &commons->obituaries[(serial - 1) % OBITUARIES];
    word_poke(&entry->serial, 0); /* a reader that sees 0, or the serial change, skips the entry */
    atomic_thread_fence(memory_order_release); /* partner: the fence in commons_read_obituary */
    pn_step("obituary opened");
    word_poke(&entry->pid, pid);
    word_poke(&entry->status, status);
    word_poke(&entry->run_time, run_time);
    word_poke(&entry->peak_kib, peak_kib);
    word_poke(&entry->flags, flags);
    memcpy(entry->name, name, PN_NAME_SIZE);
    pn_step("obituary filled");
    word_publish(&entry->serial, serial);
}

bool commons_read_obituary(uint64_t serial, struct obituary *out) {
    struct obituary *entry = &commons->obituaries[(serial - 1) % OBITUARIES];
    if (word_read(&entry->serial) != serial) return false;
    memcpy((void *)out, (void *)entry, sizeof *out);
    atomic_thread_fence(memory_order_acquire); /* the second look comes after the copy */
    return word_peek(&entry->serial) == serial;
}

void commons_bury(struct record *record, uint32_t status) {
    uint64_t run = word_peek(&record->run_time), ready = word_peek(&record->ready_time);
    uint64_t age = (uint64_t)clock_boot() - word_peek(&record->born);
    word_add(&commons->alive, (uint64_t)-1);
    word_add(&commons->run_time, run);
    word_add(&commons->ready_time, ready);
    word_add(&commons->blocked_time, age > run + ready ? age - run - ready : 0);
    word_raise(&commons->peak_kib, word_peek(&record->peak_kib));
    if (status == 0) return;
    bool asked = word_read(&record->flags) & RECORD_TERMINATED;
    if (WIFSIGNALED((int)status)) {
        if (!asked) word_add(&commons->killed, 1);
    } else {
        word_add(&commons->failed, 1);
    }
    commons_obituary(word_peek(&record->pid), status, word_peek(&record->flags), record->name, run,
                     word_peek(&record->peak_kib));
}
