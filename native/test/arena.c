/* The arena: extents taken, passed, given; pages that really come and go; many takers at once. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/stat.h>

#include "../arena.h"
#include "check.h"

#define MIB (1ull << 20)

static uint64_t kept_bytes(void) { /* what the kernel holds for the memfd */
    struct stat file;
    CHECK(fstat(commons_fd, &file) == 0);
    return (uint64_t)file.st_blocks * 512;
}

static uint64_t take(uint64_t size, uint32_t owner) {
    uint64_t offset;
    CHECK(arena_take_clean(size, owner, &offset) == 0);
    CHECK(offset % CHUNK_SIZE == 0 && offset >= COMMONS_ARENA);
    return offset;
}

static void take_and_give(void) {
    CHECK(commons_found() == 0);
    uint64_t one = take(1, 5), two = take(CHUNK_SIZE + 1, 6);
    CHECK(one != two && arena_used(5) == CHUNK_SIZE && arena_used(6) == 2 * CHUNK_SIZE);
    CHECK(arena_used(OWNER_ANY) == 3 * CHUNK_SIZE);
    arena_give(one);
    CHECK(arena_used(5) == 0);
    CHECK(take(CHUNK_SIZE, 5) == one); /* the first hole is used again */
    arena_give(two + CHUNK_SIZE);      /* not a head: nothing happens */
    CHECK(arena_used(6) == 2 * CHUNK_SIZE);
    arena_give(0); /* the header is no extent */
    arena_give(two);
    arena_give(two); /* twice is once */
    CHECK(arena_used(OWNER_ANY) == CHUNK_SIZE);
    commons_leave();
}

static void nonsense_is_refused(void) {
    CHECK(commons_found() == 0);
    uint64_t offset;
    CHECK(arena_take(0, 1, &offset) == -EINVAL);
    CHECK(arena_take(COMMONS_SIZE, 1, &offset) == -EINVAL && arena_take(UINT64_MAX, 1, &offset) == -EINVAL);
    CHECK(arena_take(1, 0, &offset) == -EINVAL && arena_take(1, CHUNK_HEAD | 1, &offset) == -EINVAL);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void pages_really_go_back(void) {
    CHECK(commons_found() == 0);
    take(1, 1); /* the chunk map's page is touched once for all */
    uint64_t before = kept_bytes(), offset = take(8 * MIB, 1);
    CHECK(kept_bytes() >= before + 8 * MIB); /* promised at once, not when touched */
    memset(arena_map(offset, 8 * MIB), 1, 8 * MIB);
    arena_give(offset);
    CHECK(kept_bytes() >= before + 8 * MIB && word_peek(&commons->warm) == 128); /* warm, for the next */
    CHECK(arena_trim(1) == 128 && kept_bytes() <= before && word_peek(&commons->warm) == 0);
    offset = take(8 * MIB, 1);
    memset(arena_map(offset, 8 * MIB), 1, 8 * MIB);
    arena_give(offset);
    CHECK(take(8 * MIB, 1) == offset && kept_bytes() <= before + 8 * MIB);
    char *bytes = arena_map(offset, 8 * MIB);
    for (uint64_t i = 0; i < 8 * MIB; i += 4096) CHECK(bytes[i] == 0); /* and nobody reads what another left */
    commons_leave();
}

/* Beyond the limit pages go back at once, and so do those of a chunk of which only a part is there. */
static void what_does_not_stay_warm(void) {
    CHECK(commons_found() == 0);
    take(1, 1);
    commons->warm_most = 16;
    uint64_t before = kept_bytes(), one = take(MIB, 1), two = take(MIB, 1), small = take(5000, 1);
    CHECK(kept_bytes() == before + 2 * MIB + 8192);
    arena_give(small);
    CHECK(kept_bytes() == before + 2 * MIB);
    arena_give(one);
    arena_give(two);
    CHECK(kept_bytes() == before + MIB && word_peek(&commons->warm) == 16);
    CHECK(take(2 * MIB, 1) == one && kept_bytes() == before + 2 * MIB && word_peek(&commons->warm) == 0);
    commons_leave();
}

static void a_copy_is_written_into_cold_and_warm_chunks(void) {
    static char bytes[300001];
    CHECK(commons_found() == 0);
    uint64_t offset;
    for (int round = 0; round < 4; round++) {
        memset(bytes, 'a' + round, sizeof bytes);
        CHECK(arena_take_copy(bytes, sizeof bytes, 1, &offset) == 0);
        CHECK(memcmp(arena_map(offset, sizeof bytes), bytes, sizeof bytes) == 0);
        CHECK(arena_used(1) == 5 * CHUNK_SIZE);
        arena_give(offset);
        if (round == 1) arena_trim(1);
    }
    CHECK(arena_take_copy(bytes, 1, 1, &offset) == 0 && *(char *)arena_map(offset, 1) == 'd');
    commons_leave();
}

static void the_dead_ones_extents_are_given_back(void) {
    CHECK(commons_found() == 0);
    take(1, 1);
    uint64_t before = kept_bytes(), kept = take(MIB, 2);
    for (int i = 0; i < 20; i++) take(100000 * (uint64_t)(i + 1), i % 2 ? 3 : 4);
    uint64_t used = arena_used(3);
    CHECK(arena_disown(3) == used / CHUNK_SIZE && arena_used(3) == 0 && arena_used(4) > 0);
    arena_disown(4);
    CHECK(arena_disown(4) == 0 && arena_used(2) == MIB);
    arena_give(kept);
    arena_trim(2);
    CHECK(kept_bytes() <= before);
    commons_leave();
}

static void an_extent_changes_hands(void) {
    CHECK(commons_found() == 0);
    uint64_t offset = take(5 * CHUNK_SIZE, 1), neighbour = take(CHUNK_SIZE, 1);
    arena_pass(offset, 2);
    CHECK(arena_used(1) == CHUNK_SIZE && arena_used(2) == 5 * CHUNK_SIZE);
    CHECK(arena_disown(1) == 1);
    arena_give(offset);
    CHECK(arena_used(OWNER_ANY) == 0);
    (void)neighbour;
    commons_leave();
}

static void neighbours_of_one_owner_are_two_extents(void) {
    CHECK(commons_found() == 0);
    uint64_t first = take(2 * CHUNK_SIZE, 1), second = take(2 * CHUNK_SIZE, 1);
    CHECK(second == first + 2 * CHUNK_SIZE);
    arena_give(first);
    CHECK(arena_used(1) == 2 * CHUNK_SIZE);
    arena_give(second);
    CHECK(arena_used(1) == 0);
    commons_leave();
}

static void beyond_the_window(void) {
    CHECK(commons_found() == 0);
    commons->chunk_hint = (3ull << 30) / CHUNK_SIZE; /* 3 GiB into the file */
    uint64_t offset = take(3 * MIB, 1);
    CHECK(offset >= 3ull << 30);
    char *bytes = arena_map(offset, 3 * MIB);
    memset(bytes, 'z', 3 * MIB);
    char *again = arena_map(offset + MIB, 5);
    CHECK(again != bytes + MIB && memcmp(again, "zzzzz", 5) == 0);
    arena_unmap(again, offset + MIB, 5);
    arena_unmap(bytes, offset, 3 * MIB);
    CHECK(mprotect(bytes, 4096, PROT_READ) < 0 && errno == ENOMEM); /* really unmapped */
    arena_give(offset);
    commons_leave();
}

/* Holes are found, also behind the hint; what fits nowhere is refused and leaves the map as it was. The map is filled by
 * writing its words: as much real memory nobody has. */
static void a_full_and_fragmented_arena(void) {
    CHECK(commons_found() == 0);
    uint32_t first = (uint32_t)(COMMONS_ARENA / CHUNK_SIZE), last = (uint32_t)COMMONS_CHUNK_COUNT;
    for (uint32_t chunk = first; chunk < last; chunk++) commons_chunks()[chunk] = CHUNK_HEAD | 9;
    commons->chunk_top = last;
    uint64_t offset;
    CHECK(arena_take(1, 1, &offset) == -ENOMEM);
    uint32_t holes[] = {first + 3, first + 10, first + 11, last - 1}; /* single, double, the very last */
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) commons_chunks()[holes[i]] = 0;
    CHECK(arena_take(3 * CHUNK_SIZE, 1, &offset) == -ENOMEM && arena_used(1) == 0);
    CHECK(take(2 * CHUNK_SIZE, 1) == (first + 10) * CHUNK_SIZE);
    uint64_t a = take(CHUNK_SIZE, 1), b = take(CHUNK_SIZE, 1);
    CHECK(a != b && arena_take(1, 1, &offset) == -ENOMEM);
    CHECK(a + b == (first + 3 + (uint64_t)last - 1) * CHUNK_SIZE);
    arena_disown(1);
    CHECK(arena_take(4 * CHUNK_SIZE, 1, &offset) == -ENOMEM && take(2 * CHUNK_SIZE, 1) == (first + 10) * CHUNK_SIZE);
    commons_leave();
}

/* --- many at once: each writes its own mark into all it has, and finds nothing else there --- */

static void churn(uint32_t owner, unsigned rounds) {
    unsigned seed = owner;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t size = (uint64_t)(rand_r(&seed) % 5 + 1) * CHUNK_SIZE, offset = take(size, owner);
        uint32_t *words = arena_map(offset, size);
        for (uint64_t i = 0; i < size / 4; i += 1024) {
            CHECK(words[i] == 0);
            words[i] = owner;
        }
        for (uint64_t i = 0; i < size / 4; i += 1024) CHECK(words[i] == owner);
        arena_give(offset);
    }
}

static void *churner(void *arg) {
    churn((uint32_t)(intptr_t)arg, SANITIZED ? 200 : 1500);
    return NULL;
}

static void concurrent_threads_never_overlap(void) {
    CHECK(commons_found() == 0);
    pthread_t threads[6];
    for (intptr_t i = 0; i < 6; i++) pthread_create(&threads[i], NULL, churner, (void *)(i + 1));
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void concurrent_processes_never_overlap(void) {
    CHECK(commons_found() == 0);
    pid_t pids[5];
    for (uint32_t i = 0; i < 5; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            churn(i + 1, 800);
            _exit(0);
        }
    }
    for (int i = 0; i < 5; i++) end_of(pids[i], 0);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void on_alarm(int sig) { (void)sig; }

static void signals_do_not_disturb(void) {
    CHECK(commons_found() == 0);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGVTALRM, &action, NULL);
    struct itimerspec often = {{0, 200000}, {0, 200000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    for (int i = 0; i < 5; i++) arena_give(take(32 * MIB, 1)); /* each takes many periods of the timer */
    timer_delete(timer);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

int main(void) {
    int failed = 0;
    CASE(take_and_give);
    CASE(nonsense_is_refused);
    CASE(pages_really_go_back);
    CASE(what_does_not_stay_warm);
    CASE(a_copy_is_written_into_cold_and_warm_chunks);
    CASE(the_dead_ones_extents_are_given_back);
    CASE(an_extent_changes_hands);
    CASE(neighbours_of_one_owner_are_two_extents);
    CASE(beyond_the_window);
    CASE(a_full_and_fragmented_arena);
    CASE(concurrent_threads_never_overlap);
    CASE(concurrent_processes_never_overlap);
    CASE(signals_do_not_disturb);
    return failed;
}
