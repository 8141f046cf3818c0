/* Names of blocks: given once, found, taken; what holds a block that has one. */
#define _GNU_SOURCE
#include "../arena.h"
#include "../names.h"
#include "sync.h"

/* (Into its place: the holdings of a process are in a list.) */
static void make_block(const char *name, uint64_t size, struct holding *out) {
    CHECK(holding_make(CELL_BLOCK, NAME_PAGE + size, NULL, 0, out) == 0);
    strcpy(arena_map(holding_offset(holding_cell(out)), NAME_PAGE), name);
}

static int give(struct holding *block) {
    CHECK(names_enter(SOON) == 0);
    int error = names_give(holding_cell(block));
    names_leave();
    return error;
}

static int take(const char *name) {
    CHECK(names_enter(SOON) == 0);
    int error = names_take(name);
    names_leave();
    return error;
}

static struct cell *find(const char *name) {
    CHECK(names_enter(SOON) == 0);
    struct cell *cell = names_find(name);
    names_leave();
    return cell;
}

static void a_name_holds_its_block(void) {
    found();
    struct holding block;
    make_block("/one", 100000, &block);
    CHECK(find("/one") == NULL && give(&block) == 0);
    CHECK(find("/one") == holding_cell(&block) && find("/on") == NULL && find("") == NULL);
    holding_drop(&block);
    CHECK(find("/one") && arena_used(OWNER_ANY) == 2 * CHUNK_SIZE);
    CHECK(take("/one") == 0 && find("/one") == NULL && arena_used(OWNER_ANY) == 0);
    CHECK(take("/one") == -ENOENT);
    commons_leave();
}

static void a_name_is_given_once(void) {
    found();
    struct holding one, two;
    make_block("/same", 1, &one);
    make_block("/same", 1, &two);
    CHECK(give(&one) == 0 && give(&two) == -EEXIST);
    CHECK(take("/same") == 0 && give(&two) == 0);
    CHECK(find("/same") == holding_cell(&two));
    holding_drop(&one);
    holding_drop(&two);
    CHECK(take("/same") == 0 && arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void what_is_held_outlives_its_name(void) {
    found();
    struct holding block, again;
    make_block("/kept", 1, &block);
    CHECK(give(&block) == 0);
    struct cell *cell = find("/kept");
    CHECK(holding_add(cell_index(cell), cell_serial(cell), &again) == 0);
    CHECK(take("/kept") == 0);
    holding_drop(&block);
    CHECK(holding_cell(&again) && arena_used(OWNER_ANY) == CHUNK_SIZE);
    holding_drop(&again);
    CHECK(arena_used(OWNER_ANY) == 0);
    commons_leave();
}

static void a_name_of_the_greatest_length(void) {
    char longest[NAME_MOST + 1], shorter[NAME_MOST + 1];
    memset(longest, 'x', NAME_MOST);
    longest[NAME_MOST] = 0;
    strcpy(shorter, longest);
    shorter[NAME_MOST - 1] = 0;
    found();
    struct holding block;
    make_block(longest, 1, &block);
    CHECK(give(&block) == 0 && find(longest) && !find(shorter));
    commons_leave();
}

static word32 *had; /* by somebody, for each name */

static void give_and_take(int number) {
    (void)number;
    for (int i = 0; i < ROUNDS(1000); i++) {
        char name[8];
        snprintf(name, sizeof name, "/%d", i % 4);
        struct holding block;
        make_block(name, 1, &block);
        int error = give(&block);
        CHECK(error == 0 || error == -EEXIST);
        if (error == 0) {
            CHECK(word_swap(&had[i % 4], 0, 1) && word_swap(&had[i % 4], 1, 0));
            CHECK(take(name) == 0);
        }
        holding_drop(&block);
    }
}

/* Two at once, of the same few names: each is had by one at a time. */
static void two_at_once(void) {
    found();
    had = shared(4 * sizeof *had);
    pid_t one = process(give_and_take, 1, NULL), two = process(give_and_take, 2, NULL);
    end_of(one, 0);
    end_of(two, 0);
    CHECK(arena_used(OWNER_ANY) == 0);
}

int main(void) {
    int failed = 0;
    CASE(a_name_holds_its_block);
    CASE(a_name_is_given_once);
    CASE(what_is_held_outlives_its_name);
    CASE(a_name_of_the_greatest_length);
    CASE(two_at_once);
    return failed;
}
