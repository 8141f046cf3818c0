#define _GNU_SOURCE
#include "map.h"

#include <errno.h>
#include <stdlib.h>

#include "arena.h"

#define WAS_USED 1u
#define OFFSET_BITS 35
#define SLOTS_FIRST 64u
#define MORE 16384u /* bytes that a new table has beyond what it needs */

static struct map_table *table_of(struct heap *heap) { return (struct map_table *)heap->table; }
static struct map_entry *entry_at(struct map_table *table, uint64_t offset) {
    return (struct map_entry *)((char *)table + offset);
}
static uint64_t log_start(const struct map_table *table) { return sizeof *table + table->slots * sizeof(word64); }
static uint64_t record_size(const struct map_entry *entry) { return entry->size & ~(uint64_t)7; }
static uint64_t entry_need(const struct map_key *key) {
    return HEAP_ROUND(sizeof(struct map_entry) + (uint64_t)key->size + key->form_size);
}

/* --- the hash ---------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The family's number is random: nobody can choose keys that collide. */
void map_hash(struct map_key *key) {
    uint64_t hash = commons->family ^ key->size, word = 0;
    uint32_t at = 0;
    for (; key->size - at >= 8; at += 8) {
        memcpy(&word, key->bytes + at, 8);
        hash = mix(hash ^ word, 0x9e3779b97f4a7c15ull);
    }
    word = 0;
    memcpy(&word, key->bytes + at, key->size - at);
    key->hash = mix(mix(hash ^ word, 0xa0761d6478bd642full) ^ commons->family, 0xe7037ed1a0b428dbull);
}

/* --- the index --------------------------------------------------------------------------------------------------- */

static uint64_t tagged(uint64_t hash, uint64_t offset) { return hash >> OFFSET_BITS << OFFSET_BITS | offset / 8; }
static uint64_t offset_in(uint64_t word) { return (word & ((1ull << OFFSET_BITS) - 1)) * 8; }

static bool is_key(const struct map_entry *entry, const struct map_key *key) {
    return entry->hash == key->hash && entry->key_size == key->size && memcmp(entry->key, key->bytes, key->size) == 0;
}

/* Its entry and its slot, or NULL. */
static struct map_entry *find(struct map_table *table, const struct map_key *key, uint64_t *slot) {
    uint64_t mask = table->slots - 1;
    for (uint64_t i = key->hash & mask;; i = (i + 1) & mask) {
        uint64_t word = word_peek(&table->index[i]);
        if (word == 0) return NULL;
        if (word >> OFFSET_BITS != key->hash >> OFFSET_BITS || word == WAS_USED) continue;
        struct map_entry *entry = entry_at(table, offset_in(word));
        *slot = i;
        if (is_key(entry, key)) return entry;
    }
}

static void index_add(struct map_table *table, uint64_t hash, uint64_t offset) {
    uint64_t mask = table->slots - 1, i = hash & mask;
    while (word_peek(&table->index[i]) > WAS_USED) i = (i + 1) & mask;
    if (word_peek(&table->index[i]) == 0) word_poke(&table->used, word_peek(&table->used) + 1);
    word_poke(&table->index[i], tagged(hash, offset));
    word_poke(&table->count, word_peek(&table->count) + 1);
    if (offset > word_peek(&table->last)) word_poke(&table->last, offset);
}

static void index_remove(struct map_table *table, uint64_t slot) {
    bool ends = word_peek(&table->index[(slot + 1) & (table->slots - 1)]) == 0;
    word_poke(&table->index[slot], ends ? 0 : WAS_USED);
    if (ends) word_poke(&table->used, word_peek(&table->used) - 1);
    word_poke(&table->count, word_peek(&table->count) - 1);
}

static void index_clear(struct map_table *table) {
    memset((void *)table->index, 0, table->slots * sizeof(word64));
    word_poke(&table->count, 0);
    word_poke(&table->used, 0);
    word_poke(&table->last, 0);
}

/* --- going through the log --------------------------------------------------------------------------------------- */

/* The next entry with a value from `*at` on, of a log that ends at `end`; NULL at its end. */
static struct map_entry *next_entry(struct map_table *table, uint64_t *at, uint64_t end) {
    while (*at < end) {
        struct map_entry *entry = entry_at(table, *at);
        *at += record_size(entry);
        if ((entry->size & 7) == RECORD_ENTRY && word_peek(&entry->value)) return entry;
    }
    return NULL;
}

static uint64_t offset_of(struct map_table *table, struct map_entry *entry) {
    return (uint64_t)((char *)entry - (char *)table);
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static void init(struct map_table *table, uint64_t size, uint64_t slots) {
    table->size = size;
    table->slots = slots;
    index_clear(table);
    word_poke(&table->end, log_start(table));
}

static uint64_t slots_for(uint64_t count) {
    uint64_t slots = SLOTS_FIRST;
    while (slots < count * 3) slots *= 2;
    return slots;
}

static void move_entry(struct map_table *from, struct map_entry *entry, struct map_table *to) {
    uint64_t at = word_peek(&to->end), size = record_size(entry);
    struct map_entry *copy = entry_at(to, at);
    memcpy(copy, entry, size);
    uint64_t after = at + size;
    word_poke(&copy->value, value_move((void *)from, word_peek(&entry->value), (void *)to, &after));
    word_poke(&copy->spare, 0);
    copy->before = word_peek(&to->last);
    index_add(to, copy->hash, at);
    word_poke(&to->end, after);
}

static uint64_t live_bytes(struct map_table *table) {
    uint64_t at = log_start(table), live = 0, end = word_peek(&table->end);
    for (struct map_entry *entry; (entry = next_entry(table, &at, end));)
        live += record_size(entry) + value_size((void *)table, word_peek(&entry->value));
    return live;
}

/* All of it in a new table, in which there is room for `need` bytes and another key. */
static int remake(struct heap *heap, uint64_t need) {
    struct map_table *from = table_of(heap);
    uint64_t live = live_bytes(from), slots = slots_for(word_peek(&from->count) + 1);
    uint64_t least = sizeof *from + slots * sizeof(word64) + live + need;
    struct new_table next;
    int error = heap_new_table(heap, least + live + MORE, least, &next);
    if (error) return error;
    struct map_table *to = (struct map_table *)next.table;
    init(to, next.size, slots);
    uint64_t at = log_start(from), end = word_peek(&from->end);
    for (struct map_entry *entry; (entry = next_entry(from, &at, end));) move_entry(from, entry, to);
    heap_publish(heap, &next);
    return 0;
}

int map_make(struct heap *heap) {
    heap->mend = map_mend;
    int error = heap_make(heap, CELL_MAP);
    if (error) return error;
    init((struct map_table *)heap_first_table(heap), HEAP_FIRST_SIZE, SLOTS_FIRST);
    pn_step("map made");
    return 0;
}

int map_mend(struct heap *heap) {
    struct map_table *table = table_of(heap);
    struct extents named = {0};
    uint64_t at = log_start(table), end = word_peek(&table->end);
    int error = 0;
    index_clear(table);
    pn_step("index cleared");
    for (struct map_entry *entry; (entry = next_entry(table, &at, end));) {
        uint64_t word = word_peek(&entry->value);
        if (word_peek(&entry->spare) == word) word_poke(&entry->spare, 0);
        index_add(table, entry->hash, offset_of(table, entry));
        error = error ? error : extents_add(&named, word);
    }
    pn_step("index made anew");
    if (!error) heap_sweep(heap, &named);
    else free(named.offsets); /* (what nothing names stays until the object's end) */
    return 0;
}

/* --- putting ----------------------------------------------------------------------------------------------------- */

/* A replaced value's record may take the next one. The word is stored first: who mends sees a spare that is the value. */
static void replace(struct heap *heap, struct map_entry *entry, uint64_t word) {
    uint64_t before = word_peek(&entry->value), spare = word_peek(&entry->spare);
    word_publish(&entry->value, word);
    pn_step("value replaced");
    if (value_size(heap->table, before) > 0) word_poke(&entry->spare, before);
    else if (word == spare) word_poke(&entry->spare, 0);
    value_give(before);
}

static bool fits_spare(struct heap *heap, struct map_entry *entry, const struct value *value) {
    uint64_t need = value_need(value), spare = word_peek(&entry->spare);
    return need && spare && value_size(heap->table, spare) >= need;
}

static uint64_t write_spare(struct heap *heap, struct map_entry *entry, const struct value *value) {
    uint64_t spare = word_peek(&entry->spare);
    struct value_record *record = (struct value_record *)((char *)heap->table + spare);
    record->body.what = value->what;
    pn_step("spare begun");
    memcpy(record->body.bytes, value->bytes, BODY_SIZE(value->what));
    pn_step("spare written");
    return spare;
}

static uint64_t write_value(struct heap *heap, struct value *value) {
    struct map_table *table = table_of(heap);
    uint64_t at = word_peek(&table->end), word = value_write(heap, &at, value);
    word_publish(&table->end, at);
    pn_step("log grown");
    return word;
}

static int put_again(struct heap *heap, struct map_entry *entry, struct map_put *put) {
    if (fits_spare(heap, entry, put->value)) {
        replace(heap, entry, write_spare(heap, entry, put->value));
        return 0;
    }
    if (!heap_has_room(heap, value_need(put->value))) {
        uint64_t slot;
        int error = remake(heap, value_need(put->value));
        if (error) return error;
        entry = find(table_of(heap), put->key, &slot);
    }
    replace(heap, entry, write_value(heap, put->value));
    return 0;
}

static void fill_entry(struct map_table *table, struct map_entry *entry, const struct map_key *key, uint64_t word) {
    entry->size = entry_need(key) | RECORD_ENTRY;
    entry->hash = key->hash;
    word_poke(&entry->value, word);
    word_poke(&entry->spare, 0);
    entry->before = word_peek(&table->last);
    entry->key_size = key->size;
    entry->form_size = key->form_size;
    memcpy(entry->key, key->bytes, (size_t)key->size + key->form_size);
}

static int put_new(struct heap *heap, struct map_put *put) {
    uint64_t need = entry_need(put->key) + value_need(put->value);
    struct map_table *table = table_of(heap);
    if (!heap_has_room(heap, need) || (word_peek(&table->used) + 1) * 3 > table->slots * 2) {
        int error = remake(heap, need);
        if (error) return error;
        table = table_of(heap);
    }
    uint64_t at = word_peek(&table->end), word = value_write(heap, &at, put->value);
    fill_entry(table, entry_at(table, at), put->key, word);
    pn_step("entry written");
    word_publish(&table->end, at + entry_need(put->key));
    pn_step("entry published");
    index_add(table, put->key->hash, at);
    pn_step("entry in the index");
    return 0;
}

int map_put(struct heap *heap, void *what) {
    struct map_put *put = what;
    uint64_t slot;
    struct map_entry *entry = find(table_of(heap), put->key, &slot);
    uint64_t word = entry ? word_peek(&entry->value) : 0;
    if (put->when == MAP_IF_ABSENT && entry) {
        int error = put->out ? value_read(heap->table, word, put->out) : 0;
        return error ? error : 1;
    }
    if (put->when == MAP_IF_THERE && !entry) return 1;
    if (put->when == MAP_IF_SAME) {
        bool same = put->seen_size ? value_is(heap->table, word, put->seen, put->seen_size) : !entry;
        if (!same) return 1;
    }
    return entry ? put_again(heap, entry, put) : put_new(heap, put);
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

int map_get(struct heap *heap, void *what) {
    struct map_get *get = what;
    uint64_t slot;
    struct map_entry *entry = find(table_of(heap), get->key, &slot);
    if (!entry) return -ENOENT;
    return get->out ? value_read(heap->table, word_peek(&entry->value), get->out) : 0;
}

static void delete(struct map_table *table, struct map_entry *entry, uint64_t slot) {
    uint64_t word = word_peek(&entry->value);
    word_publish(&entry->value, 0);
    pn_step("key deleted");
    index_remove(table, slot);
    pn_step("key out of the index");
    value_give(word);
}

int map_take(struct heap *heap, void *what) {
    struct map_get *get = what;
    uint64_t slot;
    struct map_entry *entry = find(table_of(heap), get->key, &slot);
    if (!entry) return -ENOENT;
    int error = get->out ? value_read(heap->table, word_peek(&entry->value), get->out) : 0;
    if (!error) delete(table_of(heap), entry, slot);
    return error;
}

static int list_entry(struct heap *heap, struct map_entry *entry, struct map_list *list) {
    int error = 0;
    if (list->keys) error = buffer_add(list->out, &entry->key_size, 8); /* (both sizes) */
    if (list->keys && !error) error = buffer_add(list->out, entry->key, (uint64_t)entry->key_size + entry->form_size);
    if (list->values && !error) error = value_read(heap->table, word_peek(&entry->value), list->out);
    list->count += !error;
    return error;
}

static struct map_entry *last_entry(struct map_table *table) {
    uint64_t at = word_peek(&table->last);
    while (at && !word_peek(&entry_at(table, at)->value)) at = entry_at(table, at)->before;
    word_poke(&table->last, at);
    return at ? entry_at(table, at) : NULL;
}

int map_take_last(struct heap *heap, void *what) {
    struct map_entry *entry = last_entry(table_of(heap));
    if (!entry) return -ENOENT;
    int error = list_entry(heap, entry, what);
    if (error) return error;
    struct map_key key = {entry->key, entry->key_size, entry->form_size, entry->hash};
    uint64_t slot = 0;
    find(table_of(heap), &key, &slot);
    delete(table_of(heap), entry, slot);
    return 0;
}

#define NUMBER_MOST ((1ll << 60) - 1)

int map_add(struct heap *heap, void *what) {
    struct map_add *add = what;
    uint64_t slot;
    struct map_entry *entry = find(table_of(heap), add->key, &slot);
    if (!entry) return -ENOENT;
    uint64_t word = word_peek(&entry->value);
    if (WORD_KIND(word) != WORD_INT) return -EDOM;
    if (__builtin_add_overflow((int64_t)word >> 3, add->by, &add->sum)) return -EDOM;
    if (add->sum > NUMBER_MOST || add->sum < -NUMBER_MOST - 1) return -EDOM;
    word_publish(&entry->value, (uint64_t)add->sum << 3 | WORD_INT);
    pn_step("number changed");
    return 0;
}

int map_list(struct heap *heap, void *what) {
    struct map_list *list = what;
    struct map_table *table = table_of(heap);
    uint64_t at = log_start(table), end = word_peek(&table->end);
    int error = 0;
    for (struct map_entry *entry; !error && (entry = next_entry(table, &at, end));) error = list_entry(heap, entry, list);
    return error;
}

static void give_values(struct map_table *table, uint64_t end) {
    uint64_t at = log_start(table);
    for (struct map_entry *entry; (entry = next_entry(table, &at, end));) value_give(word_peek(&entry->value));
}

/* One store makes all keys vanish. A larger table is then exchanged for the first one, which is empty in its turn. */
int map_clear(struct heap *heap, void *unused) {
    struct map_table *table = table_of(heap);
    uint64_t end = word_peek(&table->end);
    (void)unused;
    word_publish(&table->end, log_start(table));
    pn_step("log cut");
    give_values(table, end);
    if (heap->table == heap_first_table(heap)) {
        index_clear(table);
        return 0;
    }
    struct new_table first = heap_first_again(heap);
    init((struct map_table *)first.table, first.size, SLOTS_FIRST);
    heap_publish(heap, &first);
    return 0;
}

int map_count(struct heap *heap, void *count) {
    *(uint64_t *)count = word_peek(&table_of(heap)->count);
    return 0;
}
