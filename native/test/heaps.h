/* What the tests of maps and lists share: keys that are numbers, values that are a number or so many times one letter, and what
 * memory an object should have. */
#ifndef PROCESSION_TEST_HEAPS_H
#define PROCESSION_TEST_HEAPS_H

#include "../arena.h"
#include "../list.h"
#include "../map.h"

#define KIND_LETTERS 16u
#define MOST 300000u

static inline struct map_key key_of(const uint64_t *number) {
    struct map_key key = {(const char *)number, sizeof *number, 0, 0};
    map_hash(&key);
    return key;
}

static inline struct value number_value(int64_t number) { return (struct value){.word = (uint64_t)number << 3 | WORD_INT}; }

static _Thread_local char letters[MOST];
static inline struct value letters_value(char letter, uint64_t size) {
    CHECK(size <= MOST);
    memset(letters, letter, size);
    struct value value = {.what = size << 8 | KIND_LETTERS, .bytes = letters};
    CHECK(value_prepare(&value) == 0);
    return value;
}

#define IN_TIME (clock_monotonic() + 20 * PN_SECOND)

static inline int put_value(struct heap *heap, uint64_t number, struct value value, enum map_when when) {
    struct map_key key = key_of(&number);
    struct map_put put = {.key = &key, .value = &value, .when = when};
    CHECK(heap_open(heap));
    int r = heap_do(heap, IN_TIME, map_put, &put);
    value_drop(&value);
    return r;
}

static inline void put_number(struct heap *heap, uint64_t number, int64_t what) {
    CHECK(put_value(heap, number, number_value(what), MAP_ALWAYS) == 0);
}

static inline void put_letters(struct heap *heap, uint64_t number, char letter, uint64_t size) {
    CHECK(put_value(heap, number, letters_value(letter, size), MAP_ALWAYS) == 0);
}

static inline int with_key(struct heap *heap, uint64_t number, int (*act)(struct heap *heap, void *what), struct buffer *out) {
    struct map_key key = key_of(&number);
    struct map_get get = {&key, out};
    CHECK(heap_open(heap));
    return heap_do(heap, IN_TIME, act, &get);
}

/* The letter of a value as it was read, which is whole; 0 for a number. */
static inline char whole_letter(const char *at) {
    uint64_t what;
    memcpy(&what, at, sizeof what);
    if (WORD_KIND(what) == WORD_INT) return 0;
    CHECK((what & 0xff) == KIND_LETTERS);
    for (uint64_t i = 1; i < BODY_SIZE(what); i++) CHECK(at[8 + i] == at[8]);
    return BODY_SIZE(what) ? at[8] : ' ';
}

static inline uint64_t read_size(const char *at) {
    uint64_t what;
    memcpy(&what, at, sizeof what);
    return WORD_KIND(what) ? sizeof what : HEAP_ROUND(sizeof what + BODY_SIZE(what));
}

static inline int list_put_one(struct heap *heap, struct list_slice slice, struct value value,
                               int (*act)(struct heap *, void *)) {
    struct list_put put = {slice, &value, 1, NULL, 0};
    CHECK(heap_open(heap));
    int r = heap_do(heap, IN_TIME, act, &put);
    value_drop(&value);
    return r;
}

#define AT(index) ((struct list_slice){index, (index) + 1, 1})
#define BEFORE(index) ((struct list_slice){index, index, 1})

static inline void push(struct heap *heap, struct value value) { CHECK(list_put_one(heap, AT(0), value, list_append) == 0); }

static inline int do_simply(struct heap *heap, int (*act)(struct heap *heap, void *what), void *what) {
    CHECK(heap_open(heap));
    return heap_do(heap, IN_TIME, act, what);
}

/* All of it. */
static inline uint64_t look(struct heap *heap, struct buffer *out) {
    CHECK(heap_open(heap));
    if (cell_kind(heap->cell) == CELL_MAP) {
        struct map_list list = {true, true, 0, out};
        CHECK(heap_do(heap, IN_TIME, map_list, &list) == 0);
        return list.count;
    }
    struct list_get get = {{0, INT64_MAX, 1}, 0, 0, 0, out};
    CHECK(heap_do(heap, IN_TIME, list_read, &get) == 0);
    return get.count;
}

/* --- memory: the first extent, the table's, and those of big values --- */

static inline uint64_t chunks_of_body(uint64_t what) { return (sizeof what + BODY_SIZE(what) + CHUNK_SIZE - 1) / CHUNK_SIZE; }

static inline uint64_t chunks_that_are_named(struct heap *heap, struct buffer *all, uint64_t count) {
    uint64_t chunks = 1 + (word_read(&heap->head->table) >> 40);
    const char *at = all->bytes;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t what;
        if (cell_kind(heap->cell) == CELL_MAP) at += 16;
        memcpy(&what, at, sizeof what);
        if (!WORD_KIND(what) && BODY_SIZE(what) > HEAP_BIG) chunks += chunks_of_body(what);
        at += read_size(at);
    }
    return chunks;
}

static inline bool memory_is_right(struct heap *heap) {
    struct buffer all;
    buffer_init(&all);
    uint64_t count = look(heap, &all);
    uint64_t right = chunks_that_are_named(heap, &all, count) * CHUNK_SIZE;
    uint64_t used = arena_used(OWNER_OBJECT(heap->holding.index));
    buffer_free(&all);
    if (used != right) fprintf(stderr, "%llu bytes used, %llu named\n", (unsigned long long)used, (unsigned long long)right);
    return used == right;
}

#endif
