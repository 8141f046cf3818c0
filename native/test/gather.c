/* The region of the interpreter's arenas, and gathering: memory stays what it is, wherever it lies. */
#define _GNU_SOURCE
#include <sys/syscall.h>

#include "../gather.h"
#include "check.h"

#define ARENA ((size_t)1 << 20)

static void arenas_are_apart_and_come_back_empty(void) {
    CHECK(gather_take(ARENA) == NULL); /* nothing is reserved yet */
    CHECK(gather_reserve());
    char *first = gather_take(ARENA), *second = gather_take(ARENA);
    CHECK(first && second && (second >= first + ARENA || first >= second + ARENA));
    CHECK((uintptr_t)first % ARENA == 0 && (uintptr_t)second % ARENA == 0);
    memset(first, 1, ARENA);
    memset(second, 2, ARENA);
    CHECK(gather_give(first, ARENA));
    char *again = gather_take(ARENA);
    CHECK(again == first && again[0] == 0 && again[ARENA - 1] == 0 && second[0] == 2);
}

static void other_sizes_and_others_memory(void) {
    CHECK(gather_reserve());
    CHECK(gather_take(100) == NULL && gather_take(0) == NULL); /* no arena */
    CHECK(gather_take((size_t)256 << 10) != NULL);
    char *own = malloc(ARENA);
    CHECK(!gather_give(own, ARENA));
    free(own);
}

static void when_it_is_used_up_there_is_none(void) {
    CHECK(gather_reserve());
    int taken = 0;
    while (gather_take(ARENA)) taken++;
    CHECK(taken == 32);
}

/* Whether the kernel has huge pages or not. */
static void gathering_keeps_every_byte(void) {
    if (SANITIZED) return; /* their shadow memory is no interpreter's: it would all be gathered */
    CHECK(gather_reserve());
    unsigned char *arenas[3], *heap = malloc(100000);
    for (int i = 0; i < 3; i++) memset(arenas[i] = gather_take(ARENA), 'a' + i, ARENA);
    memset(heap, 'h', 100000);
    size_t gathered = gather();
    CHECK(gathered % ((size_t)2 << 20) == 0);
    for (int i = 0; i < 3; i++)
        for (size_t at = 0; at < ARENA; at++) CHECK(arenas[i][at] == 'a' + i);
    for (size_t at = 0; at < 100000; at++) CHECK(heap[at] == 'h');
    gather(); /* again: nothing more to do */
    pid_t pid = fork(); /* a child's writes are its own */
    if (pid == 0) {
        memset(arenas[0], 'z', ARENA);
        free(malloc(3 * ARENA));
        _exit(arenas[0][5] == 'z' && arenas[1][5] == 'b' ? 0 : 1);
    }
    end_of(pid, 0);
    CHECK(arenas[0][5] == 'a');
    free(heap);
}

int main(void) {
    int failed = 0;
    CASE(arenas_are_apart_and_come_back_empty);
    CASE(other_sizes_and_others_memory);
    CASE(when_it_is_used_up_there_is_none);
    CASE(gathering_keeps_every_byte);
    return failed;
}
