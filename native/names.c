#include "names.h"

#include <errno.h>
#include <string.h>

#include "arena.h"
#include "mutex.h"

/* --- the lock ------------------------------------------------------------------------------------------------------ */

static struct mutex lock(void) { return mutex_of(cell_at(word_read(&commons->names))); }

/* The first who needs it makes it. Who dies before it is everybody's leaves a cell that is in no use. */
static int make_lock(void) {
    uint32_t index;
    int error = cell_claim(&index);
    if (error) return error;
    cell_publish(index, CELL_LOCK, CELL_SENT);
    if (!word_swap(&commons->names, CELL_NONE, index)) cell_free(cell_at(index));
    pn_step("lock of names made");
    return 0;
}

/* Nobody is to be told who died. */
static void drop_epitaphs(uint32_t index) {
    for (uint32_t i = 0; i < waits_used(); i++)
        if (wait_state(wait_at(i)) == WAIT_EPITAPH && word_peek(&wait_at(i)->key) == index) wait_end(wait_at(i));
}

static bool has_name_stake(struct cell *block) {
    for (uint32_t stake = word_read(&block->link); stake; stake = word_read(&cell_at(stake)->link))
        if (word_read(&cell_at(stake)->tid) == TID_NAME) return true;
    return false;
}

static bool is_named(struct cell *block) { return word_read(&block->flags) & CELL_NAMED; }

/* What is held by a name and not found under it: its giver, or taker, died between the two. */
static void put_in_order(void) {
    uint32_t used = word_read(&commons->cells_used);
    for (uint32_t i = 1; i < used; i++) {
        struct cell *block = cell_at(i);
        if (cell_kind(block) == CELL_BLOCK && !is_named(block) && has_name_stake(block)) holding_unname(i, cell_serial(block));
    }
    drop_epitaphs(word_read(&commons->names));
}

int names_enter(int64_t deadline) {
    int r = sync_enter();
    if (r == 0 && word_read(&commons->names) == CELL_NONE) r = make_lock();
    if (r < 0) return r;
    r = mutex_lock(lock(), deadline);
    if (r == HOLDER_DIED) put_in_order();
    return r < 0 ? r : 0;
}

void names_leave(void) { mutex_unlock(lock(), false); }

/* --- names --------------------------------------------------------------------------------------------------------- */

/* Into `out`, of NAME_MOST + 1 bytes. */
static bool read_name(struct cell *block, char *out) {
    char *page = arena_map(holding_offset(block), NAME_PAGE);
    if (!page) return false;
    memcpy(out, page, NAME_MOST);
    out[NAME_MOST] = 0;
    arena_unmap(page, holding_offset(block), NAME_PAGE);
    return true;
}

void names_each(void (*each)(struct cell *block, const char *name, void *with), void *with) {
    uint32_t used = word_read(&commons->cells_used);
    char name[NAME_MOST + 1];
    for (uint32_t i = 1; i < used; i++) {
        struct cell *block = cell_at(i);
        if (cell_kind(block) == CELL_BLOCK && is_named(block) && read_name(block, name)) each(block, name, with);
    }
}

struct search {
    const char *name;
    struct cell *found;
};

static void compare(struct cell *block, const char *name, void *with) {
    struct search *search = with;
    if (strcmp(name, search->name) == 0) search->found = block;
}

struct cell *names_find(const char *name) {
    struct search search = {name, NULL};
    names_each(compare, &search);
    return search.found;
}

int names_give(struct cell *block) {
    char name[NAME_MOST + 1];
    if (!read_name(block, name)) return -ENOMEM;
    if (names_find(name)) return -EEXIST;
    int error = holding_name(cell_index(block), cell_serial(block));
    if (error) return error;
    pn_step("name holds");
    word_or(&block->flags, CELL_NAMED);
    pn_step("name given");
    return 0;
}

int names_take(const char *name) {
    struct cell *block = names_find(name);
    if (!block) return -ENOENT;
    word_and(&block->flags, ~(uint32_t)CELL_NAMED);
    pn_step("name taken");
    holding_unname(cell_index(block), cell_serial(block));
    return 0;
}
