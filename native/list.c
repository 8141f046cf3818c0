#define _GNU_SOURCE
#include "list.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_FIRST 64u
#define MORE 16384u /* bytes that a new table has beyond what it needs */

static struct list_table *table_of(struct heap *heap) { return (struct list_table *)heap->table; }
static uint64_t log_start(const struct list_table *table) { return sizeof *table + 2 * table->room * sizeof(word64); }
static word64 *vector(struct list_table *table, uint64_t which) { return table->words + which * table->room; }
static word64 *current(struct list_table *table) { return vector(table, word_peek(&table->which)); }
static uint64_t length_of(struct list_table *table) { return word_peek(&table->length[word_peek(&table->which)]); }

static void set_length(struct list_table *table, uint64_t length) {
    word_publish(&table->length[word_peek(&table->which)], length);
    pn_step("length changed");
}

static void count_change(struct heap *heap) {
    word_publish(&heap->head->version, word_peek(&heap->head->version) + 1);
    pn_step("change counted");
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static void init(struct list_table *table, uint64_t size, uint64_t room) {
    table->size = size;
    table->room = room;
    word_poke(&table->which, 0);
    word_poke(&table->length[0], 0);
    word_poke(&table->length[1], 0);
    word_poke(&table->end, log_start(table));
}

int list_make(struct heap *heap) {
    heap->mend = list_mend;
    int error = heap_make(heap, CELL_LIST);
    if (error) return error;
    init((struct list_table *)heap_first_table(heap), HEAP_FIRST_SIZE, ROOM_FIRST);
    pn_step("list made");
    return 0;
}

/* Nothing is derived; but what nothing names is given back. */
int list_mend(struct heap *heap) {
    struct list_table *table = table_of(heap);
    struct extents named = {0};
    int error = 0;
    count_change(heap); /* (the dead one may have made one) */
    for (uint64_t i = 0; i < length_of(table) && !error; i++) error = extents_add(&named, word_peek(&current(table)[i]));
    if (!error) heap_sweep(heap, &named);
    else free(named.offsets);
    return 0;
}

static void move_items(struct list_table *from, struct list_table *to) {
    uint64_t at = word_peek(&to->end), length = length_of(from);
    for (uint64_t i = 0; i < length; i++)
        word_poke(&to->words[i], value_move((void *)from, word_peek(&current(from)[i]), (void *)to, &at));
    word_poke(&to->end, at);
    word_poke(&to->length[0], length);
}

/* There is room for `length` items, and for `need` bytes in the log: in a new table, if not in this one. */
static int make_room(struct heap *heap, uint64_t length, uint64_t need) {
    struct list_table *from = table_of(heap);
    if (length <= from->room && heap_has_room(heap, need)) return 0;
    uint64_t live = need, room = (length > length_of(from) ? length : length_of(from)), wanted = room + room / 2 + ROOM_FIRST;
    for (uint64_t i = 0; i < length_of(from); i++) live += value_size((void *)from, word_peek(&current(from)[i]));
    uint64_t least = sizeof *from + 2 * room * sizeof(word64) + live;
    struct new_table next;
    int error = heap_new_table(heap, sizeof *from + 2 * wanted * sizeof(word64) + 2 * live - need + MORE, least, &next);
    if (error) return error;
    bool ample = next.size >= sizeof *from + 2 * wanted * sizeof(word64) + live;
    init((struct list_table *)next.table, next.size, ample ? wanted : room);
    move_items(from, (struct list_table *)next.table);
    heap_publish(heap, &next);
    return 0;
}

/* --- slices ------------------------------------------------------------------------------------------------------ */

static int64_t clip(int64_t at, int64_t length, bool backwards) {
    if (at < 0) at += length;
    if (at < 0) return backwards ? -1 : 0;
    if (at >= length) return backwards ? length - 1 : length;
    return at;
}

/* As PySlice_AdjustIndices; how many items it has. */
static uint64_t adjust(struct list_slice *slice, uint64_t length) {
    bool backwards = slice->step < 0;
    slice->start = clip(slice->start, (int64_t)length, backwards);
    slice->stop = clip(slice->stop, (int64_t)length, backwards);
    int64_t way = backwards ? slice->start - slice->stop : slice->stop - slice->start;
    return way > 0 ? (uint64_t)(way - 1) / (backwards ? 0 - (uint64_t)slice->step : (uint64_t)slice->step) + 1 : 0;
}

/* A single index; false: there is no such item. */
static bool locate(struct list_slice *slice, uint64_t length) {
    if (slice->start < 0) slice->start += (int64_t)length;
    slice->stop = slice->start + 1;
    slice->step = 1;
    return slice->start >= 0 && (uint64_t)slice->start < length;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

int list_get(struct heap *heap, void *what) {
    struct list_get *get = what;
    if (!locate(&get->slice, length_of(table_of(heap)))) return -ERANGE;
    return get->out ? value_read(heap->table, word_peek(&current(table_of(heap))[get->slice.start]), get->out) : 0;
}

int list_read(struct heap *heap, void *what) {
    struct list_get *get = what;
    struct list_table *table = table_of(heap);
    get->version = word_peek(&heap->head->version);
    get->length = length_of(table);
    get->count = adjust(&get->slice, get->length);
    int error = 0;
    for (uint64_t i = 0; get->out && i < get->count && !error; i++)
        error = value_read(heap->table, word_peek(&current(table)[get->slice.start + (int64_t)i * get->slice.step]), get->out);
    return error;
}

int list_count(struct heap *heap, void *count) {
    *(uint64_t *)count = length_of(table_of(heap));
    return 0;
}

/* --- changing at the end, or one --------------------------------------------------------------------------------- */

static uint64_t need_of(const struct list_put *put) {
    uint64_t need = 0;
    for (uint64_t i = 0; put->values && i < put->count; i++) need += value_need(&put->values[i]);
    return need;
}

/* Write these values; their words go to `words`. */
static void write_values(struct heap *heap, struct list_put *put, word64 *words, int64_t step) {
    struct list_table *table = table_of(heap);
    uint64_t at = word_peek(&table->end);
    for (uint64_t i = 0; i < put->count; i++) word_poke(words + (int64_t)i * step, value_write(heap, &at, &put->values[i]));
    word_publish(&table->end, at);
    pn_step("log grown");
}

int list_append(struct heap *heap, void *what) {
    struct list_put *put = what;
    uint64_t length = length_of(table_of(heap));
    int error = make_room(heap, length + put->count, need_of(put));
    if (error) return error;
    write_values(heap, put, current(table_of(heap)) + length, 1);
    set_length(table_of(heap), length + put->count);
    count_change(heap);
    return 0;
}

int list_set(struct heap *heap, void *what) {
    struct list_put *put = what;
    uint64_t length = length_of(table_of(heap));
    if (!locate(&put->slice, length)) return -ERANGE;
    int error = make_room(heap, length, need_of(put));
    if (error) return error;
    struct list_table *table = table_of(heap);
    uint64_t at = word_peek(&table->end), word = value_write(heap, &at, put->values);
    word_publish(&table->end, at);
    pn_step("log grown");
    word64 *item = &current(table)[put->slice.start];
    uint64_t before = word_peek(item);
    word_publish(item, word);
    pn_step("item replaced");
    value_give(before);
    count_change(heap);
    return 0;
}

/* --- changing in the middle: in the other vector ----------------------------------------------------------------- */

static void copy_words(word64 *to, const word64 *from, uint64_t count) {
    memcpy((void *)to, (const void *)from, count * sizeof *to);
}

/* The other vector is the list's from now on. */
static void turn(struct heap *heap, uint64_t length) {
    struct list_table *table = table_of(heap);
    uint64_t other = 1 - word_peek(&table->which);
    word_poke(&table->length[other], length);
    pn_step("vector filled");
    word_publish(&table->which, other);
    pn_step("vectors turned");
    count_change(heap);
}

/* What the slice had in the vector before this one is named no more. */
static void give_items(struct list_table *table, const struct list_slice *slice, uint64_t count) {
    word64 *before = vector(table, 1 - word_peek(&table->which));
    for (uint64_t i = 0; i < count; i++) value_give(word_peek(&before[slice->start + (int64_t)i * slice->step]));
}

/* The items of the slice out, and others in their place. */
static int splice(struct heap *heap, struct list_put *put, uint64_t removed) {
    uint64_t length = length_of(table_of(heap)), start = (uint64_t)put->slice.start;
    uint64_t added = put->values ? put->count : 0;
    int error = make_room(heap, length - removed + added, need_of(put));
    if (error) return error;
    struct list_table *table = table_of(heap);
    word64 *from = current(table), *to = vector(table, 1 - word_peek(&table->which));
    copy_words(to, from, start);
    if (added) write_values(heap, put, to + start, 1);
    copy_words(to + start + added, from + start + removed, length - start - removed);
    turn(heap, length - removed + added);
    give_items(table, &put->slice, removed);
    return 0;
}

/* Others in the place of each of a slice with steps. */
static int exchange(struct heap *heap, struct list_put *put, uint64_t count) {
    uint64_t length = length_of(table_of(heap));
    int error = make_room(heap, length, need_of(put));
    if (error) return error;
    struct list_table *table = table_of(heap);
    word64 *to = vector(table, 1 - word_peek(&table->which));
    copy_words(to, current(table), length);
    write_values(heap, put, to + put->slice.start, put->slice.step);
    turn(heap, length);
    give_items(table, &put->slice, count);
    return 0;
}

/* Those of a slice with steps out. */
static int thin(struct heap *heap, struct list_slice *slice, uint64_t count) {
    struct list_table *table = table_of(heap);
    uint64_t length = length_of(table), kept = 0;
    word64 *from = current(table), *to = vector(table, 1 - word_peek(&table->which));
    if (slice->step < 0) {
        slice->start += (int64_t)(count - 1) * slice->step;
        slice->step = -slice->step;
    }
    uint64_t next = (uint64_t)slice->start, left = count;
    for (uint64_t i = 0; i < length; i++) {
        if (left && i == next) {
            next += (uint64_t)slice->step;
            left--;
        } else {
            word_poke(&to[kept++], word_peek(&from[i]));
        }
    }
    turn(heap, kept);
    give_items(table, slice, count);
    return 0;
}

int list_splice(struct heap *heap, void *what) {
    struct list_put *put = what;
    uint64_t removed = adjust(&put->slice, length_of(table_of(heap)));
    if (!put->values && removed == 0) return 0;
    bool at_end = removed == 0 && (uint64_t)put->slice.start == length_of(table_of(heap));
    if (put->slice.step == 1) return at_end ? list_append(heap, put) : splice(heap, put, removed);
    if (!put->values) return thin(heap, &put->slice, removed);
    if (put->count == removed) return removed ? exchange(heap, put, removed) : 0;
    put->count = removed;
    return -EINVAL;
}

static int delete(struct heap *heap, int64_t at) {
    struct list_table *table = table_of(heap);
    uint64_t length = length_of(table);
    struct list_put put = {{at, at + 1, 1}, NULL, 0, NULL, 0};
    if ((uint64_t)at + 1 != length) return splice(heap, &put, 1);
    uint64_t word = word_peek(&current(table)[at]);
    set_length(table, length - 1);
    count_change(heap);
    value_give(word);
    return 0;
}

int list_take(struct heap *heap, void *what) {
    struct list_get *get = what;
    int error = list_get(heap, get);
    return error ? error : delete(heap, get->slice.start);
}

int list_delete_if(struct heap *heap, void *what) {
    struct list_put *put = what;
    struct list_table *table = table_of(heap);
    if (!locate(&put->slice, length_of(table))) return 1;
    if (!value_is(heap->table, word_peek(&current(table)[put->slice.start]), put->seen, put->seen_size)) return 1;
    return delete(heap, put->slice.start);
}

int list_arrange(struct heap *heap, void *what) {
    struct list_order *order = what;
    struct list_table *table = table_of(heap);
    if (order->version != word_peek(&heap->head->version) || order->count != length_of(table)) return 1;
    word64 *from = current(table), *to = vector(table, 1 - word_peek(&table->which));
    for (uint64_t i = 0; i < order->count; i++) word_poke(&to[i], word_peek(&from[order->order[i]]));
    turn(heap, order->count);
    return 0;
}

int list_reverse(struct heap *heap, void *unused) {
    struct list_table *table = table_of(heap);
    uint64_t length = length_of(table);
    word64 *from = current(table), *to = vector(table, 1 - word_peek(&table->which));
    (void)unused;
    for (uint64_t i = 0; i < length; i++) word_poke(&to[i], word_peek(&from[length - 1 - i]));
    turn(heap, length);
    return 0;
}

int list_clear(struct heap *heap, void *unused) {
    struct list_table *table = table_of(heap);
    uint64_t length = length_of(table);
    (void)unused;
    set_length(table, 0);
    count_change(heap);
    for (uint64_t i = 0; i < length; i++) value_give(word_peek(&current(table)[i]));
    if (heap->table == heap_first_table(heap)) {
        word_publish(&table->end, log_start(table));
        return 0;
    }
    struct new_table first = heap_first_again(heap);
    init((struct list_table *)first.table, first.size, ROOM_FIRST);
    heap_publish(heap, &first);
    return 0;
}
