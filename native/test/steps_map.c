/* Killed at every step: maps and lists. The victim does one thing to an object; afterwards that must be as before or as a twin
 * to which it was done, the next can do the same to it, and no memory is left that nothing names. */
#define _GNU_SOURCE
#include "steps_sync.h"

#include "heaps.h"

static struct heap ours, twin;
static void (*fill)(struct heap *heap);
static void (*change)(struct heap *heap);
static int (*make_object)(struct heap *heap);
static struct buffer before, after;

/* --- maps: the keys ---------------------------------------------------------------------------------------------- */

static void fill_some(struct heap *heap) {
    for (uint64_t i = 0; i < 10; i++) {
        put_number(heap, i, (int64_t)i);
        if (i % 3 == 0) put_letters(heap, i, (char)('a' + i), 20 + i);
    }
    CHECK(with_key(heap, 4, map_take, NULL) == 0);
}

static uint64_t room_of(struct heap *heap) { return heap->table->size - word_read(&heap->table->end); }

/* The next key that comes finds no room: one comes and goes until then. */
static void use_up(struct heap *heap) {
    while (room_of(heap) >= 512) {
        put_letters(heap, 50, 'd', 200);
        CHECK(with_key(heap, 50, map_take, NULL) == 0);
    }
}
static void fill_log(struct heap *heap) {
    fill_some(heap);
    use_up(heap);
}
static void fill_index(struct heap *heap) {
    for (uint64_t i = 0; i < 42; i++) put_number(heap, i, 1);
}
/* Of a table that is not the first. */
static void fill_more(struct heap *heap) {
    for (uint64_t i = 0; i < 60; i++) put_number(heap, i, 1);
    for (uint64_t i = 0; i < 60; i += 7) put_letters(heap, i, 'm', 100 * i);
    put_letters(heap, 20, 'b', 200000);
    put_letters(heap, 21, 'c', 150000);
}
static void fill_more_log(struct heap *heap) {
    fill_more(heap);
    put_letters(heap, 22, 'm', 600);
    CHECK(with_key(heap, 50, map_take, NULL) == 0);
    use_up(heap);
}
static void fill_twice(struct heap *heap) { /* (the former value's room is used again) */
    fill_some(heap);
    put_letters(heap, 3, 'x', 23);
    put_letters(heap, 3, 'y', 23);
}

static void put_new_number(struct heap *heap) { put_number(heap, 100, 7); }
static void put_new_letters(struct heap *heap) { put_letters(heap, 100, 'n', 500); }
static void put_new_big(struct heap *heap) { put_letters(heap, 100, 'n', 140000); }
static void replace_number(struct heap *heap) { put_number(heap, 1, 99); }
static void replace_by_letters(struct heap *heap) { put_letters(heap, 1, 'r', 40); }
static void replace_letters(struct heap *heap) { put_letters(heap, 3, 'r', 23); }
static void replace_by_fewer(struct heap *heap) { put_letters(heap, 3, 'r', 20); }
static void replace_many_letters(struct heap *heap) { put_letters(heap, 22, 'r', 5000); }
static void replace_by_big(struct heap *heap) { put_letters(heap, 3, 'r', 140000); }
static void replace_big(struct heap *heap) { put_letters(heap, 20, 'r', 140000); }
static void replace_big_by_number(struct heap *heap) { put_number(heap, 20, 5); }
static void put_if_absent(struct heap *heap) { CHECK(put_value(heap, 101, number_value(3), MAP_IF_ABSENT) >= 0); }
static void add_one(struct heap *heap) {
    uint64_t number = 1;
    struct map_key key = key_of(&number);
    struct map_add add = {&key, 5, 0};
    CHECK(do_simply(heap, map_add, &add) == 0);
}
static void take_one(struct heap *heap) { with_key(heap, 3, map_take, NULL); }
static void take_big(struct heap *heap) { with_key(heap, 20, map_take, NULL); }
static void take_last(struct heap *heap) {
    struct buffer out;
    buffer_init(&out);
    struct map_list list = {true, true, 0, &out};
    CHECK(do_simply(heap, map_take_last, &list) == 0);
    buffer_free(&out);
}
static void clear_map(struct heap *heap) { CHECK(do_simply(heap, map_clear, NULL) == 0); }

/* --- lists ------------------------------------------------------------------------------------------------------- */

static void fill_list(struct heap *heap) {
    for (int i = 0; i < 20; i++) push(heap, i % 3 ? number_value(i) : letters_value((char)('a' + i), 30));
}
static void fill_vector(struct heap *heap) {
    for (int i = 0; i < 64; i++) push(heap, number_value(i));
}
static void fill_list_log(struct heap *heap) {
    fill_list(heap);
    while (room_of(heap) >= 256) CHECK(list_put_one(heap, AT(3), letters_value('d', 100), list_set) == 0);
}
static void fill_long(struct heap *heap) {
    for (int i = 0; i < 200; i++) push(heap, i % 3 ? number_value(i) : letters_value((char)('a' + i % 20), 100));
    push(heap, letters_value('b', 140000));
    push(heap, letters_value('c', 200000));
    push(heap, number_value(5));
}

static void append_number(struct heap *heap) { push(heap, number_value(77)); }
static void append_letters(struct heap *heap) { push(heap, letters_value('n', 300)); }
static void append_big(struct heap *heap) { push(heap, letters_value('n', 140000)); }
static void append_three(struct heap *heap) {
    struct value values[] = {number_value(1), letters_value('t', 50), number_value(3)};
    struct list_put put = {AT(0), values, 3, NULL, 0};
    CHECK(do_simply(heap, list_append, &put) == 0);
}
static void insert_one(struct heap *heap) { CHECK(list_put_one(heap, BEFORE(2), letters_value('i', 50), list_splice) == 0); }
static void set_number(struct heap *heap) { CHECK(list_put_one(heap, AT(1), number_value(9), list_set) == 0); }
static void set_letters(struct heap *heap) { CHECK(list_put_one(heap, AT(1), letters_value('s', 300), list_set) == 0); }
static void set_big(struct heap *heap) { CHECK(list_put_one(heap, AT(-2), letters_value('s', 150000), list_set) == 0); }
static void take_at(struct heap *heap, int64_t at) {
    struct list_get get = {AT(at), 0, 0, 0, NULL};
    CHECK(do_simply(heap, list_take, &get) == 0);
}
static void pop_last(struct heap *heap) { take_at(heap, -1); }
static void delete_first(struct heap *heap) { take_at(heap, 0); }
static void delete_big(struct heap *heap) { take_at(heap, -2); }
static void delete_steps(struct heap *heap) {
    struct list_put put = {{-1, INT64_MIN / 2, -2}, NULL, 0, NULL, 0};
    CHECK(do_simply(heap, list_splice, &put) == 0);
}
static void exchange_steps(struct heap *heap) {
    struct value values[] = {number_value(1), letters_value('t', 50), number_value(3)};
    struct list_put put = {{1, 10, 4}, values, 3, NULL, 0};
    CHECK(do_simply(heap, list_splice, &put) == 0);
}
static void replace_slice(struct heap *heap) {
    struct value values[] = {number_value(1), letters_value('t', 50), number_value(3)};
    struct list_put put = {{3, -1, 1}, values, 3, NULL, 0};
    CHECK(do_simply(heap, list_splice, &put) == 0);
}
static void reverse(struct heap *heap) { CHECK(do_simply(heap, list_reverse, NULL) == 0); }
static void clear_list(struct heap *heap) { CHECK(do_simply(heap, list_clear, NULL) == 0); }

/* --- the run ----------------------------------------------------------------------------------------------------- */

static void prepare(void) {
    heap_forget(&ours);
    heap_forget(&twin);
    ours = twin = (struct heap){0};
    CHECK(make_object(&ours) == 0 && make_object(&twin) == 0);
    fill(&ours);
    fill(&twin);
    change(&twin);
    buffer_free(&before);
    buffer_free(&after);
    look(&ours, &before);
    look(&twin, &after);
    CHECK(memory_is_right(&ours) && memory_is_right(&twin));
    plan->cell = ours.holding.index;
}

static void run_change(void) { change(&ours); }

static bool same(const struct buffer *a, const struct buffer *b) {
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Each key is found by the index, and the figures are right. */
static void index_is_right(struct buffer *all, uint64_t count) {
    const char *at = all->bytes;
    uint64_t counted = 0, number;
    for (uint64_t i = 0; i < count; i++) {
        struct buffer found;
        buffer_init(&found);
        memcpy(&number, at + 8, sizeof number);
        expect(with_key(&ours, number, map_get, &found) == 0, "a key is not found");
        whole_letter(at + 16);
        at += 16;
        expect(memcmp(found.bytes, at, read_size(at)) == 0, "a key has another value");
        at += read_size(at);
        buffer_free(&found);
    }
    do_simply(&ours, map_count, &counted);
    expect(counted == count, "the keys are not as many as are counted");
}

static void verify(void) {
    struct buffer now;
    buffer_init(&now);
    arena_disown(OWNER_MEMBER(plan->victim.slot)); /* (as whoever buries it does) */
    arena_disown(OWNER_MEMBER(plan->dead.slot));
    uint64_t count = look(&ours, &now);
    expect(same(&now, &before) || same(&now, &after), "it is neither as before nor as after it");
    if (cell_kind(ours.cell) == CELL_MAP) index_is_right(&now, count);
    expect(memory_is_right(&ours), "memory that nothing names");
    if (same(&now, &before)) change(&ours);
    buffer_free(&now);
    count = look(&ours, &now);
    expect(same(&now, &after), "the next could not do it");
    if (cell_kind(ours.cell) == CELL_MAP) index_is_right(&now, count);
    expect(memory_is_right(&ours), "memory that nothing names, later");
    expect(word_read(&ours.cell->tid) == 0, "the guard is not free");
    buffer_free(&now);
    heap_forget(&ours);
    heap_forget(&twin);
    expect(arena_used(OWNER_ANY) == 0, "memory is left when nobody has it");
}

/* Another dies with the guard, after it did half; the victim is who comes next, and mends. */
static void die_within(void) {
    CHECK(heap_open(&ours) && mutex_lock(guard_of(ours.cell), SOON) == 0);
    uint64_t offset;
    CHECK(arena_take(3 * CHUNK_SIZE, OWNER_OBJECT(plan->cell), &offset) == 0);
    if (cell_kind(ours.cell) == CELL_MAP) {
        struct map_table *table = (struct map_table *)((char *)commons + (word_read(&ours.head->table) & ((1ull << 40) - 1)));
        if (word_read(&ours.head->table) == 0) table = (struct map_table *)heap_first_table(&ours);
        memset((void *)table->index, 0xff, table->slots * 4);
        for (uint64_t at = sizeof *table + table->slots * 8; at < word_peek(&table->end);) {
            struct map_entry *entry = (struct map_entry *)((char *)table + at);
            at += entry->size & ~7ull;
            if ((entry->size & 7) == RECORD_ENTRY && entry->spare) word_poke(&entry->spare, word_peek(&entry->value));
        }
        word_poke(&table->count, 12345);
    }
}
static void prepare_dead(void) {
    prepare();
    die_as(die_within);
    recover(plan->dead.slot, false);
}

/* --- making one --- */

static void run_make(void) { CHECK(make_object(&(struct heap){0}) == 0); }
static void verify_make(void) {
    expect(arena_used(OWNER_ANY) == 0, "memory of an object that nobody has");
    expect(word_read(&commons->cells_used) < 8, "cells from nowhere");
}

#define MAP(name, filler, changer) {name, map_make, filler, changer}
#define LIST(name, filler, changer) {name, list_make, filler, changer}
static const struct {
    const char *name;
    int (*make)(struct heap *heap);
    void (*fill)(struct heap *heap);
    void (*change)(struct heap *heap);
} cases[] = {
    MAP("map: new number", fill_some, put_new_number),
    MAP("map: new letters", fill_some, put_new_letters),
    MAP("map: new big value", fill_some, put_new_big),
    MAP("map: new, the log is full", fill_log, put_new_letters),
    MAP("map: new, the index is full", fill_index, put_new_number),
    MAP("map: new, a large log is full", fill_more_log, put_new_letters),
    MAP("map: number for number", fill_some, replace_number),
    MAP("map: letters for number", fill_some, replace_by_letters),
    MAP("map: letters for letters", fill_some, replace_letters),
    MAP("map: letters for letters, again", fill_twice, replace_by_fewer),
    MAP("map: many letters, the log is full", fill_more_log, replace_many_letters),
    MAP("map: big for letters", fill_some, replace_by_big),
    MAP("map: big for big", fill_more, replace_big),
    MAP("map: number for big", fill_more, replace_big_by_number),
    MAP("map: if absent", fill_some, put_if_absent),
    MAP("map: add", fill_some, add_one),
    MAP("map: take", fill_some, take_one),
    MAP("map: take a big one", fill_more, take_big),
    MAP("map: take the last", fill_some, take_last),
    MAP("map: clear", fill_some, clear_map),
    MAP("map: clear a large one", fill_more, clear_map),
    LIST("list: append", fill_list, append_number),
    LIST("list: append letters", fill_list, append_letters),
    LIST("list: append a big one", fill_long, append_big),
    LIST("list: append three", fill_list, append_three),
    LIST("list: append, the vector is full", fill_vector, append_number),
    LIST("list: append, the log is full", fill_list_log, append_letters),
    LIST("list: insert", fill_list, insert_one),
    LIST("list: insert, the vector is full", fill_vector, insert_one),
    LIST("list: set", fill_list, set_number),
    LIST("list: set letters", fill_list, set_letters),
    LIST("list: set, the log is full", fill_list_log, set_letters),
    LIST("list: big for big", fill_long, set_big),
    LIST("list: pop", fill_list, pop_last),
    LIST("list: delete the first", fill_list, delete_first),
    LIST("list: delete a big one", fill_long, delete_big),
    LIST("list: delete with steps", fill_long, delete_steps),
    LIST("list: exchange with steps", fill_long, exchange_steps),
    LIST("list: replace a slice", fill_long, replace_slice),
    LIST("list: reverse", fill_list, reverse),
    LIST("list: clear", fill_list, clear_list),
    LIST("list: clear a long one", fill_long, clear_list),
};

int main(int argc, char **argv) {
    int failed = 0;
    const char *only = argc < 2 ? NULL : argv[1];
    plan = shared(sizeof *plan);
    place = shared(sizeof *place);
    buffer_init(&before);
    buffer_init(&after);
    const struct operation makes[] = {{"make a map", NULL, NULL, NULL, run_make, NULL, verify_make},
                                      {"make a list", NULL, NULL, NULL, run_make, NULL, verify_make}};
    for (int i = 0; i < 2 && !only; i++) {
        make_object = i ? list_make : map_make;
        failed += kill_at_every_step(makes[i].name, run_until, &makes[i]);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_object = cases[i].make, fill = cases[i].fill, change = cases[i].change;
        if (only && strcmp(only, cases[i].name) != 0) continue;
        struct operation alone = {cases[i].name, prepare, NULL, NULL, run_change, NULL, verify};
        failed += kill_at_every_step(alone.name, run_until, &alone);
        char name[80];
        snprintf(name, sizeof name, "%s, after a death", cases[i].name);
        struct operation after_another = {name, prepare_dead, NULL, NULL, run_change, NULL, verify};
        failed += kill_at_every_step(name, run_until, &after_another);
    }
    printf("%zu changes killed at %d points\n", sizeof cases / sizeof *cases, points);
    return failed;
}
