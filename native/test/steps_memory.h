/* What the programs share that kill at every step of objects with memory. */
#ifndef PROCESSION_TEST_STEPS_MEMORY_H
#define PROCESSION_TEST_STEPS_MEMORY_H

#include "../arena.h"
#include "../queue.h"
#include "steps_sync.h"

#define SIZE 200000

static struct queue_view queue; /* the witness's */

/* A queue, or a block, of which this process (the witness, or the victim after it) has a holding. */
static inline void make_queue(uint32_t maxsize, uint32_t flags) {
    CHECK(queue_make(maxsize, flags, &queue) == 0);
    plan->cell = queue.holding.index;
    plan->serial = queue.holding.serial;
}

static inline void join_queue(void) {
    holdings_of_process = NULL; /* (those are the witness's) */
    CHECK(holding_add(plan->cell, plan->serial, &queue.holding) == 0 && queue_open(&queue) == 0);
}

static inline void fill_block(struct holding *holding, char with) {
    CHECK(holding_make(CELL_BLOCK, SIZE, NULL, 0, holding) == 0);
    memset(arena_map(holding_offset(cell_at(holding->index)), SIZE), with, SIZE);
}

static inline void whole(struct cell *cell, char with) {
    char *bytes = arena_map(holding_offset(cell), SIZE);
    expect(block_size(cell) == SIZE && bytes[0] == with && bytes[SIZE - 1] == with, "a block is not whole");
}

/* No object, no stake, no memory. */
static inline void all_is_free(void) {
    arena_disown(OWNER_MEMBER(plan->victim.slot)); /* as the reaper does */
    for (uint32_t i = 1; i < word_read(&commons->cells_used); i++)
        expect(cell_kind(cell_at(i)) == CELL_FREE, "a cell is left");
    expect(arena_used(OWNER_ANY) == 0, "memory is lost");
}

#endif
