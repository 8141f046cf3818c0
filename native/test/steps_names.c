/* Killed at every step of giving a name and of taking it away. Afterwards the names can be used, a name that is there is
 * that of a whole block, and when all names are taken, all memory is back. */
#define _GNU_SOURCE
#include "../arena.h"
#include "../names.h"
#include "steps_sync.h"

static struct holding block;

static void make_block(void) {
    CHECK(holding_make(CELL_BLOCK, NAME_PAGE + 100, NULL, 0, &block) == 0);
    strcpy(arena_map(holding_offset(holding_cell(&block)), NAME_PAGE), "/name");
}

static void enter(void) { CHECK(names_enter(SOON) == 0); }

static void run_give(void) {
    enter();
    CHECK(names_give(holding_cell(&block)) == 0);
    names_leave();
}

static void prepare_other(void) {
    make_block();
    run_give();
}

static void run_take(void) {
    enter();
    CHECK(names_take("/name") == 0);
    names_leave();
}

static void prepare_only_named(void) {
    prepare_other();
    holding_drop(&block);
}

static int times_seen;

static void see(struct cell *cell, const char *name, void *with) {
    (void)with;
    times_seen++;
    expect(strcmp(name, "/name") == 0 && block_size(cell) == NAME_PAGE + 100, "a name is not that of its block");
}

static void verify(void) {
    enter();
    times_seen = 0;
    names_each(see, NULL);
    expect(times_seen <= 1, "a name is there twice");
    if (times_seen) names_take("/name");
    expect(names_find("/name") == NULL, "a name cannot be taken");
    names_leave();
    if (block.stake) holding_drop(&block);
    block.stake = CELL_NONE;
    expect(arena_used(OWNER_ANY) == 0, "memory is left");
    make_block();
    run_give();
    run_take();
    holding_drop(&block);
    expect(arena_used(OWNER_ANY) == 0, "the names cannot be used any more");
}

static const struct operation operations[] = {
    {"first name given", NULL, NULL, make_block, run_give, NULL, verify},
    {"name taken, held by the witness", prepare_other, NULL, NULL, run_take, NULL, verify},
    {"name taken, held by nobody", prepare_only_named, NULL, NULL, run_take, NULL, verify},
};

int main(int argc, char **argv) {
    return kill_all(operations, sizeof operations / sizeof *operations, argc < 2 ? NULL : argv[1]);
}
