#define _GNU_SOURCE
#include "heap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"

#define TABLE_OFFSET(word) ((word) & ((1ull << 40) - 1))
#define TABLE_CHUNKS(word) ((word) >> 40)

/* --- the handle -------------------------------------------------------------------------------------------------- */

static void *map_head(struct heap *heap) {
    if (heap->first + HEAP_FIRST <= commons_mapped) return (char *)commons + heap->first;
    if (!heap->head_map) heap->head_map = arena_map(heap->first, HEAP_FIRST);
    return heap->head_map;
}

struct cell *heap_open(struct heap *heap) {
    if (!commons || commons->family != heap->family) return NULL;
    heap->cell = holding_cell(&heap->holding);
    if (!heap->cell) return NULL;
    if (!heap->first) heap->first = holding_offset(heap->cell);
    heap->head = map_head(heap);
    return heap->head ? heap->cell : NULL;
}

int heap_make(struct heap *heap, enum cell_kind kind) {
    int error = holding_make(kind, HEAP_FIRST, NULL, 0, &heap->holding);
    if (error) return error;
    heap->family = commons->family;
    if (heap_open(heap)) return 0;
    holding_drop(&heap->holding);
    return -ENOMEM;
}

void heap_forget(struct heap *heap) {
    holding_drop(&heap->holding);
    if (heap->head_map) munmap(heap->head_map, HEAP_FIRST);
    if (heap->map) munmap(heap->map, heap->map_size);
    heap->head_map = heap->map = NULL;
}

/* --- under the guard --------------------------------------------------------------------------------------------- */

static void keep_map(struct heap *heap, void *map, uint64_t word) {
    if (heap->map) munmap(heap->map, heap->map_size);
    heap->map = map;
    heap->map_of = word;
    heap->map_size = map ? TABLE_CHUNKS(word) * CHUNK_SIZE : 0;
}

static struct heap_log *find_table(struct heap *heap) {
    uint64_t word = word_read(&heap->head->table), size = TABLE_CHUNKS(word) * CHUNK_SIZE;
    if (size == 0) return heap_first_table(heap);
    if (TABLE_OFFSET(word) + size <= commons_mapped) return (void *)((char *)commons + TABLE_OFFSET(word));
    if (heap->map && heap->map_of == word) return heap->map;
    void *map = arena_map(TABLE_OFFSET(word), size);
    if (map) keep_map(heap, map, word);
    return map;
}

void heap_end(struct heap *heap) {
    struct mutex guard = guard_of(heap->cell);
    if (!word_swap(guard.word, sync_me, 0)) mutex_unlock(guard, false);
}

int heap_begin(struct heap *heap, int taken) {
    heap->table = find_table(heap);
    int error = heap->table ? 0 : -ENOMEM;
    if (!error && taken == HOLDER_DIED) error = heap->mend(heap);
    if (error) mutex_unlock(guard_of(heap->cell), true);
    return error;
}

int heap_act(struct heap *heap, int taken, int (*act)(struct heap *heap, void *what), void *what) {
    int error = heap_begin(heap, taken);
    if (error) return error;
    error = act(heap, what);
    heap_end(heap);
    return error;
}

int heap_do(struct heap *heap, int64_t deadline, int (*act)(struct heap *heap, void *what), void *what) {
    int taken = mutex_lock(guard_of(heap->cell), deadline);
    return taken < 0 ? taken : heap_act(heap, taken, act, what);
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static int take_table(struct heap *heap, uint64_t size, struct new_table *out) {
    uint64_t offset, chunks = (size + CHUNK_SIZE - 1) / CHUNK_SIZE;
    int error = arena_take(chunks * CHUNK_SIZE, OWNER_OBJECT(heap->holding.index), &offset);
    if (error) return -ENOMEM;
    *out = (struct new_table){chunks << 40 | offset, chunks * CHUNK_SIZE, arena_map(offset, chunks * CHUNK_SIZE)};
    if (out->table) return 0;
    arena_give(offset);
    return -ENOMEM;
}

int heap_new_table(struct heap *heap, uint64_t size, uint64_t least, struct new_table *out) {
    int error = take_table(heap, size, out);
    return error && least < size ? take_table(heap, least, out) : error;
}

struct new_table heap_first_again(struct heap *heap) {
    return (struct new_table){heap->first + sizeof(struct heap_head), HEAP_FIRST_SIZE, heap_first_table(heap)};
}

void heap_publish(struct heap *heap, struct new_table *next) {
    uint64_t before = word_peek(&heap->head->table);
    pn_step("table filled");
    word_publish(&heap->head->table, next->word);
    pn_step("table published");
    bool beyond = TABLE_OFFSET(next->word) + next->size > commons_mapped && TABLE_CHUNKS(next->word);
    keep_map(heap, beyond ? next->table : NULL, next->word);
    heap->table = next->table;
    if (TABLE_CHUNKS(before)) arena_give(TABLE_OFFSET(before));
}

/* --- values ------------------------------------------------------------------------------------------------------ */

int value_prepare(struct value *value) {
    uint64_t size = BODY_SIZE(value->what);
    value->extent = 0;
    if (value->word || size <= HEAP_BIG) return 0;
    int error = sync_enter();
    if (!error && arena_take(sizeof value->what + size, OWNER_MEMBER(sync_me - 1), &value->extent)) error = -ENOMEM;
    if (error) return error;
    struct body *body = arena_map(value->extent, sizeof value->what + size);
    if (!body) {
        value_drop(value);
        return -ENOMEM;
    }
    body->what = value->what;
    memcpy(body->bytes, value->bytes, size);
    arena_unmap(body, value->extent, sizeof value->what + size);
    return 0;
}

void value_drop(struct value *value) {
    if (value->extent) arena_give(value->extent);
    value->extent = 0;
}

uint64_t value_need(const struct value *value) {
    if (value->word || value->extent) return 0;
    return (sizeof(struct value_record) + BODY_SIZE(value->what) + 15) & ~(uint64_t)15;
}

static struct value_record *record_at(const struct heap_log *table, uint64_t offset) {
    return (struct value_record *)((char *)table + offset);
}

uint64_t value_write(struct heap *heap, uint64_t *at, struct value *value) {
    if (value->word) return value->word;
    if (value->extent) {
        uint64_t word = value->extent | WORD_EXTENT;
        arena_pass(value->extent, OWNER_OBJECT(heap->holding.index));
        value->extent = 0;
        return word;
    }
    uint64_t word = *at;
    struct value_record *record = record_at(heap->table, word);
    record->size = value_need(value) | RECORD_VALUE;
    record->body.what = value->what;
    memcpy(record->body.bytes, value->bytes, BODY_SIZE(value->what));
    pn_step("value written");
    *at += value_need(value);
    return word;
}

void value_give(uint64_t word) {
    if (WORD_KIND(word) == WORD_EXTENT) arena_give(word & ~(uint64_t)7);
}

uint64_t value_size(const struct heap_log *table, uint64_t word) {
    return word && WORD_KIND(word) == WORD_RECORD ? record_at(table, word)->size & ~(uint64_t)7 : 0;
}

uint64_t value_move(const struct heap_log *from, uint64_t word, struct heap_log *to, uint64_t *at) {
    uint64_t size = value_size(from, word), moved = *at;
    if (!size) return word;
    memcpy(record_at(to, moved), record_at(from, word), size);
    *at += size;
    return moved;
}

/* --- reading --- */

int buffer_add(struct buffer *buffer, const void *bytes, uint64_t size) {
    uint64_t whole = HEAP_ROUND(size);
    if (buffer->room - buffer->size < whole) {
        uint64_t room = buffer->size + buffer->size / 2 + whole;
        char *more = realloc(buffer->bytes == buffer->small ? NULL : buffer->bytes, room);
        if (!more) return -ENOMEM;
        if (buffer->bytes == buffer->small) memcpy(more, buffer->small, buffer->size);
        buffer->bytes = more;
        buffer->room = room;
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    memset(buffer->bytes + buffer->size + size, 0, whole - size);
    buffer->size += whole;
    return 0;
}

void buffer_free(struct buffer *buffer) {
    if (buffer->bytes != buffer->small) free(buffer->bytes);
    buffer_init(buffer);
}

/* The body of that value; `*size` is what to unmap, 0 for nothing. NULL: no memory. */
static struct body *find_body(const struct heap_log *table, uint64_t word, uint64_t *size) {
    uint64_t offset = word & ~(uint64_t)7;
    *size = 0;
    if (WORD_KIND(word) == WORD_RECORD) return &record_at(table, word)->body;
    struct body *body = arena_map(offset, CHUNK_SIZE);
    if (!body) return NULL;
    uint64_t whole = sizeof body->what + BODY_SIZE(body->what);
    arena_unmap(body, offset, CHUNK_SIZE);
    *size = whole;
    return arena_map(offset, whole);
}

static void lose_body(struct body *body, uint64_t word, uint64_t size) {
    if (size) arena_unmap(body, word & ~(uint64_t)7, size);
}

static bool is_whole(uint64_t word) { return WORD_KIND(word) == WORD_INT || WORD_KIND(word) == WORD_CONSTANT; }

int value_read(const struct heap_log *table, uint64_t word, struct buffer *out) {
    if (is_whole(word)) return buffer_add(out, &word, sizeof word);
    uint64_t size;
    struct body *body = find_body(table, word, &size);
    int error = body ? buffer_add(out, body, sizeof body->what + BODY_SIZE(body->what)) : -ENOMEM;
    if (body) lose_body(body, word, size);
    return error;
}

bool value_is(const struct heap_log *table, uint64_t word, const char *bytes, uint64_t size) {
    uint64_t first, mapped;
    if (size < sizeof first || !word) return false;
    memcpy(&first, bytes, sizeof first);
    if (is_whole(word)) return first == word;
    struct body *body = find_body(table, word, &mapped);
    if (!body) return false;
    uint64_t whole = sizeof first + BODY_SIZE(body->what);
    bool same = body->what == first && size >= whole && memcmp(body->bytes, bytes + sizeof first, whole - sizeof first) == 0;
    lose_body(body, word, mapped);
    return same;
}

/* --- after a death ----------------------------------------------------------------------------------------------- */

int extents_add(struct extents *extents, uint64_t word) {
    if (WORD_KIND(word) != WORD_EXTENT) return 0;
    if (extents->count == extents->room) {
        uint64_t room = extents->room * 2 + 64;
        uint64_t *more = realloc(extents->offsets, room * sizeof *more);
        if (!more) return -ENOMEM;
        extents->offsets = more;
        extents->room = room;
    }
    extents->offsets[extents->count++] = word & ~(uint64_t)7;
    return 0;
}

static int by_offset(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_named(struct heap *heap, const struct extents *named, uint64_t offset) {
    if (offset == heap->first || offset == TABLE_OFFSET(word_peek(&heap->head->table))) return true;
    return named->count && bsearch(&offset, named->offsets, named->count, sizeof offset, by_offset);
}

/* One that lost its head in the middle of being passed on gets one, so that it can be given back. */
static void sweep_chunk(struct heap *heap, const struct extents *named, uint32_t chunk, uint32_t before) {
    uint32_t owner = OWNER_OBJECT(heap->holding.index), word = word_read(&commons_chunks()[chunk]);
    if ((word & ~(CHUNK_HEAD | CHUNK_PART)) != owner) return;
    if (!(word & CHUNK_HEAD)) {
        if ((before & ~(CHUNK_HEAD | CHUNK_PART)) == owner) return;
        word_or(&commons_chunks()[chunk], CHUNK_HEAD);
    }
    if (!is_named(heap, named, chunk * CHUNK_SIZE)) arena_give(chunk * CHUNK_SIZE);
}

void heap_sweep(struct heap *heap, struct extents *named) {
    if (named->count) qsort(named->offsets, named->count, sizeof *named->offsets, by_offset);
    uint32_t first = (uint32_t)(COMMONS_ARENA / CHUNK_SIZE), before = 0;
    uint64_t top = word_read(&commons->chunk_top);
    for (uint32_t chunk = first; chunk < top; chunk++) {
        uint32_t word = word_read(&commons_chunks()[chunk]);
        sweep_chunk(heap, named, chunk, before);
        before = word;
    }
    pn_step("extents swept");
    free(named->offsets);
    *named = (struct extents){0};
}
