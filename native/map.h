/* A hash map of bytes to values in the commons. Its table has an index and a log of entries, in the order in which the keys
 * came. The log is the truth: a key is there when its entry lies before the log's end and has a value. The index (open
 * addressing, linear) and the figures follow from it. All functions but `map_make` want the guard (heap_do). */
#ifndef PROCESSION_MAP_H
#define PROCESSION_MAP_H

#include "heap.h"

struct map_table {
    uint64_t size;    /*  0  of the table, in bytes */
    word64 end;       /*  8  of the log: offset in the table */
    uint64_t slots;   /* 16  of the index: a power of two */
    word64 count;     /* 24  keys */
    word64 used;      /* 32  slots of the index that are not empty */
    word64 last;      /* 40  offset of an entry: no key's lies behind it; 0: there is none */
    word64 index[];   /* 48  0: empty; 1: was in use; else offset / 8 of an entry, with 29 bits of the hash above */
};

struct map_entry {
    uint64_t size;      /*  0  of the record, with RECORD_ENTRY */
    uint64_t hash;      /*  8 */
    word64 value;       /* 16  its word; 0: the key was deleted */
    word64 spare;       /* 24  offset of the record of a former value, to be used again; 0: none */
    uint64_t before;    /* 32  offset of the entry before this one; 0: it is the first */
    uint32_t key_size;  /* 40 */
    uint32_t form_size; /* 44  bytes behind the key's that say how it was written (1.0 for the key 1) */
    char key[];         /* 48 */
};

struct map_key {
    const char *bytes; /* the form's follow */
    uint32_t size, form_size;
    uint64_t hash;
};

enum map_when { MAP_ALWAYS, MAP_IF_ABSENT, MAP_IF_SAME, MAP_IF_THERE };

struct map_put {
    struct map_key *key;
    struct value *value;
    enum map_when when;
    const char *seen; /* MAP_IF_SAME: what value_read gave; size 0: the key was not there */
    uint64_t seen_size;
    struct buffer *out; /* MAP_IF_ABSENT: the value that is there. Else NULL */
};
struct map_get {
    struct map_key *key;
    struct buffer *out; /* NULL: only whether it is there */
};
struct map_add {
    struct map_key *key;
    int64_t by, sum;
};
struct map_list {
    bool keys, values;
    uint64_t count;
    struct buffer *out; /* of each key: key_size and form_size (32 bits each), the bytes of both; and the value */
};

int map_make(struct heap *heap);
int map_mend(struct heap *heap);
void map_hash(struct map_key *key);
/* 0; 1: `when` was not so, and nothing was changed; -ENOMEM, nothing was changed. */
int map_put(struct heap *heap, void *put);
/* 0, -ENOENT, -ENOMEM. `map_take` deletes it. */
int map_get(struct heap *heap, void *get);
int map_take(struct heap *heap, void *get);
/* The key that came last, with its value as map_list has it, deleted. */
int map_take_last(struct heap *heap, void *list);
/* A number that is in the word; -ENOENT; -EDOM: it is something else, or becomes too large. */
int map_add(struct heap *heap, void *add);
int map_list(struct heap *heap, void *list);
int map_clear(struct heap *heap, void *unused);
int map_count(struct heap *heap, void *count); /* a uint64_t */

#endif
