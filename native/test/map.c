/* Maps and lists: several processes and threads at once, kills among them, and what lies beyond the window. */
#define _GNU_SOURCE
#include "sync.h"

#include "heaps.h"

#define WORKERS 4
static struct heap map, list, handles[WORKERS];

static void prepare(void) {
    found();
    map = list = (struct heap){0};
    CHECK(map_make(&map) == 0 && list_make(&list) == 0);
}

static void all_is_given_back(void) {
    heap_forget(&map);
    heap_forget(&list);
    CHECK(arena_used(OWNER_ANY) == 0);
    no_wait_is_left();
}

static bool get_number(struct heap *heap, uint64_t key, int64_t *out) {
    struct buffer found;
    uint64_t word = 0;
    buffer_init(&found);
    int r = with_key(heap, key, map_get, &found);
    CHECK(r == 0 || r == -ENOENT);
    if (r == 0) memcpy(&word, found.bytes, sizeof word);
    *out = (int64_t)word >> 3;
    return r == 0;
}

static uint64_t count_of(struct heap *heap) {
    uint64_t count = 0;
    CHECK(do_simply(heap, cell_kind(heap->cell) == CELL_MAP ? map_count : list_count, &count) == 0);
    return count;
}

/* --- alone ------------------------------------------------------------------------------------------------------- */

static void keys_come_and_go(void) {
    prepare();
    enum { KEYS = 500 };
    static int64_t model[KEYS]; /* 0: not there */
    uint64_t there = 0;
    unsigned random = 1;
    for (int i = 0; i < ROUNDS(200000); i++) {
        random = random * 1103515245 + 12345;
        uint64_t key = random >> 8 & 255, what = random >> 20 & 3;
        int64_t value;
        CHECK(get_number(&map, key, &value) == (model[key] != 0));
        if (what == 0) {
            CHECK(with_key(&map, key, map_take, NULL) == (model[key] ? 0 : -ENOENT));
            there -= model[key] != 0;
            model[key] = 0;
        } else if (what == 1) {
            put_letters(&map, key, 'a', random >> 16 & 127);
            there += model[key] == 0;
            model[key] = -1;
        } else {
            put_number(&map, key, i + 1);
            there += model[key] == 0;
            model[key] = i + 1;
            CHECK(get_number(&map, key, &value) && value == i + 1);
        }
        CHECK(i % 64 || count_of(&map) == there);
    }
    CHECK(memory_is_right(&map));
    all_is_given_back();
}

static void a_table_grows_and_shrinks(void) {
    prepare();
    enum { MANY = 100000 };
    int64_t value;
    for (uint64_t i = 0; i < ROUNDS(MANY); i++) put_number(&map, i, (int64_t)i);
    for (uint64_t i = 0; i < ROUNDS(MANY); i++) CHECK(get_number(&map, i, &value) && value == (int64_t)i);
    uint64_t most = arena_used(OWNER_ANY);
    for (uint64_t i = 10; i < ROUNDS(MANY); i++) CHECK(with_key(&map, i, map_take, NULL) == 0);
    for (uint64_t i = 0; i < ROUNDS(MANY) * 4; i++) {
        put_letters(&map, 5, 'x', 40);
        CHECK(with_key(&map, 5, map_take, NULL) == 0);
    }
    CHECK(arena_used(OWNER_ANY) < most / 4 && count_of(&map) == 9);
    CHECK(do_simply(&map, map_clear, NULL) == 0 && arena_used(OWNER_ANY) == 2 * CHUNK_SIZE);
    all_is_given_back();
}

static void the_order_is_that_of_arrival(void) {
    prepare();
    for (uint64_t i = 0; i < 1000; i++) put_number(&map, i * 7919 % 1000, 1);
    for (uint64_t i = 0; i < 1000; i++) put_letters(&map, i, 'z', 50);
    struct buffer all;
    buffer_init(&all);
    CHECK(look(&map, &all) == 1000);
    const char *at = all.bytes;
    for (uint64_t i = 0, key; i < 1000; i++) {
        memcpy(&key, at + 8, sizeof key);
        CHECK(key == i * 7919 % 1000);
        at += 16 + read_size(at + 16);
    }
    for (uint64_t i = 1000; i-- > 0;) {
        struct map_list last = {true, false, 0, &all};
        buffer_free(&all);
        CHECK(do_simply(&map, map_take_last, &last) == 0 && *(uint64_t *)(all.bytes + 8) == i * 7919 % 1000);
    }
    buffer_free(&all);
    CHECK(count_of(&map) == 0);
    all_is_given_back();
}

static void too_much_is_an_error(void) {
    prepare();
    put_letters(&map, 1, 'a', 100);
    struct value value = {.what = 300ull << 38 | KIND_LETTERS, .bytes = letters};
    CHECK(value_prepare(&value) == -ENOMEM);
    CHECK(with_key(&map, 1, map_get, NULL) == 0 && memory_is_right(&map));
    all_is_given_back();
}

/* All extents but the first come from where this process has no window. */
static void beyond_the_window(void) {
    prepare();
    word_poke(&commons->chunk_hint, commons_mapped / CHUNK_SIZE + 10);
    struct heap far = {0};
    CHECK(map_make(&far) == 0);
    int64_t value;
    for (uint64_t i = 0; i < 3000; i++) {
        put_number(&far, i, (int64_t)i);
        put_letters(&far, i + 10000, 'f', 50);
        push(&list, number_value((int64_t)i));
        if (i % 1000 == 0) put_letters(&far, i + 20000, 'g', 140000);
        if (i % 100 == 0) put_number(&map, i, 1);
    }
    CHECK(far.head_map && far.map);
    for (uint64_t i = 0; i < 3000; i++) CHECK(get_number(&far, i, &value) && value == (int64_t)i);
    CHECK(memory_is_right(&far) && memory_is_right(&list) && count_of(&list) == 3000);
    struct buffer all;
    buffer_init(&all);
    CHECK(with_key(&far, 22000, map_take, &all) == 0 && whole_letter(all.bytes) == 'g');
    buffer_free(&all);
    CHECK(do_simply(&far, map_clear, NULL) == 0 && memory_is_right(&far));
    heap_forget(&far);
    all_is_given_back();
}

/* --- at once ----------------------------------------------------------------------------------------------------- */

#define EACH ROUNDS(20000)

/* A number of all, keys of one's own, and keys of all with values that must be whole. */
static void work_on(struct heap *heap, int number) {
    uint64_t shared_key = 999999;
    struct map_key key = key_of(&shared_key);
    struct buffer found;
    int64_t value;
    for (int i = 0; i < EACH; i++) {
        uint64_t own = (uint64_t)((number + 1) * 1000000 + i);
        struct map_add add = {&key, 1, 0};
        CHECK(do_simply(heap, map_add, &add) == 0);
        put_number(heap, own, i);
        if (i % 2) CHECK(with_key(heap, own - 1, map_take, NULL) == 0);
        if (i % 16 == 0) put_letters(heap, (uint64_t)i % 7, (char)('a' + number), (uint64_t)(i % 500));
        buffer_init(&found);
        if (with_key(heap, (uint64_t)i % 7, map_get, &found) == 0) whole_letter(found.bytes);
        buffer_free(&found);
        CHECK(get_number(heap, own, &value) && value == i);
    }
}

static void work_in_process(int number) { work_on(&map, number); }
static void work_in_thread(int number) { work_on(&handles[number], number); }

static void verify_work(void) {
    int64_t value;
    CHECK(get_number(&map, 999999, &value) && value == WORKERS * EACH);
    for (uint64_t key = 0; key < 7; key++) CHECK(with_key(&map, key, map_take, NULL) == 0);
    CHECK(count_of(&map) == (uint64_t)WORKERS * EACH / 2 + 1);
    CHECK(memory_is_right(&map));
}

static void processes_share_a_map(void) {
    prepare();
    put_number(&map, 999999, 0);
    processes(WORKERS, work_in_process);
    verify_work();
    all_is_given_back();
}

static void threads_share_a_map(void) {
    prepare();
    put_number(&map, 999999, 0);
    for (int i = 0; i < WORKERS; i++) {
        handles[i] = (struct heap){.family = commons->family, .mend = map_mend};
        CHECK(holding_add(map.holding.index, map.holding.serial, &handles[i].holding) == 0);
    }
    threads(WORKERS, work_in_thread);
    verify_work();
    for (int i = 0; i < WORKERS; i++) heap_forget(&handles[i]);
    all_is_given_back();
}

static void push_in_process(int number) {
    for (int i = 0; i < EACH; i++) push(&list, number_value(number * 1000000ll + i));
}

static void processes_share_a_list(void) {
    prepare();
    processes(WORKERS, push_in_process);
    struct buffer all;
    buffer_init(&all);
    CHECK(look(&list, &all) == (uint64_t)WORKERS * EACH);
    int64_t next[WORKERS] = {0};
    for (int i = 0; i < WORKERS * EACH; i++) {
        int64_t item = (int64_t)((uint64_t *)(void *)all.bytes)[i] >> 3;
        CHECK(item % 1000000 == next[item / 1000000]++);
    }
    buffer_free(&all);
    CHECK(memory_is_right(&list));
    all_is_given_back();
}

/* What one takes from the front and what another puts in the middle is whole, and nothing is twice there. */
static void turn_in_process(int number) {
    struct buffer out;
    for (int i = 0; i < EACH / 10; i++) {
        CHECK(list_put_one(&list, BEFORE(i % 5), letters_value((char)('a' + number), (uint64_t)(i % 300)), list_splice) == 0);
        buffer_init(&out);
        struct list_get get = {AT(i % 2 ? 0 : -1), 0, 0, 0, &out};
        CHECK(do_simply(&list, list_take, &get) == 0);
        whole_letter(out.bytes);
        buffer_free(&out);
        if (i % 10 == 0) CHECK(do_simply(&list, list_reverse, NULL) == 0);
    }
}

static void processes_change_the_middle(void) {
    prepare();
    for (int i = 0; i < 50; i++) push(&list, number_value(i));
    processes(WORKERS, turn_in_process);
    CHECK(count_of(&list) == 50 && memory_is_right(&list));
    all_is_given_back();
}

/* --- and killed -------------------------------------------------------------------------------------------------- */

static void for_ever(int number) {
    for (uint64_t i = 0;; i++) {
        put_letters(&map, i % 50, (char)('a' + number), i * 37 % 700);
        if (i % 3 == 0) with_key(&map, i * 7 % 50, map_take, NULL);
        if (i % 100 == 0) put_letters(&map, 77, 'B', 140000);
        if (i % 1000 == 999) do_simply(&map, map_clear, NULL);
        push(&list, letters_value((char)('a' + number), i * 31 % 400));
        if (count_of(&list) > 100) {
            struct list_put out = {{5, 95, 1}, NULL, 0, NULL, 0};
            do_simply(&list, list_splice, &out);
        }
    }
}

static void everything_is_whole(struct heap *heap) {
    struct buffer all;
    buffer_init(&all);
    uint64_t count = look(heap, &all);
    const char *at = all.bytes;
    for (uint64_t i = 0; i < count; i++) {
        if (heap == &map) {
            uint64_t key;
            memcpy(&key, at + 8, sizeof key);
            CHECK(with_key(heap, key, map_get, NULL) == 0);
            at += 16;
        }
        whole_letter(at);
        at += read_size(at);
    }
    CHECK(at == all.bytes + all.size && count_of(heap) == count && memory_is_right(heap));
    buffer_free(&all);
}

static void many_are_killed(void) {
    prepare();
    for (int round = 0; round < (SANITIZED ? 20 : 60); round++) {
        struct member members[3];
        pid_t pids[3];
        for (int i = 0; i < 3; i++) pids[i] = process(for_ever, i, &members[i]);
        nap(20000 + round * 331 % 7000);
        for (int i = 0; i < 3; i++) {
            kill(pids[i], SIGKILL);
            end_of(pids[i], SIGKILL);
            recover(members[i].slot, false);
            arena_disown(OWNER_MEMBER(members[i].slot));
            table_free(members[i]);
        }
        everything_is_whole(&map);
        everything_is_whole(&list);
    }
    all_is_given_back();
}

int main(void) {
    int failed = 0;
    CASE(keys_come_and_go);
    CASE(a_table_grows_and_shrinks);
    CASE(the_order_is_that_of_arrival);
    CASE(too_much_is_an_error);
    CASE(beyond_the_window);
    CASE(processes_share_a_map);
    CASE(threads_share_a_map);
    CASE(processes_share_a_list);
    CASE(processes_change_the_middle);
    CASE(many_are_killed);
    return failed;
}
