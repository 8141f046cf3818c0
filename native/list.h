/* A list of values in the commons. Its table has two vectors of words, one of which is the list's, and a log of values. What
 * goes to the end is written behind it, and then the length; what changes in the middle is written into the other vector, which
 * then takes the place of this one. All functions but `list_make` want the guard (heap_do). */
#ifndef PROCESSION_LIST_H
#define PROCESSION_LIST_H

#include "heap.h"

struct list_table {
    uint64_t size;     /*  0  of the table, in bytes */
    word64 end;        /*  8  of the log: offset in the table */
    uint64_t room;     /* 16  words of each vector */
    word64 which;      /* 24  vector is the list's: 0 or 1 */
    word64 length[2];  /* 32  of each */
    word64 words[];    /* 48  both; then the log */
};

struct list_slice { /* as Python's; of a single item: `stop` and `step` do not matter */
    int64_t start, stop, step;
};
struct list_get {
    struct list_slice slice;
    uint64_t count, version, length;
    struct buffer *out; /* values, as value_read gives them; NULL: none are wanted */
};
struct list_put {
    struct list_slice slice;
    struct value *values;
    uint64_t count; /* after -EINVAL: how many there should be */
    const char *seen; /* list_delete_if: the value must be this one */
    uint64_t seen_size;
};
struct list_order {
    uint64_t version, count; /* it must be this one */
    const uint64_t *order;
};

int list_make(struct heap *heap);
int list_mend(struct heap *heap);
/* One item; -ERANGE: there is none. `list_take` deletes it. */
int list_get(struct heap *heap, void *get);
int list_take(struct heap *heap, void *get);
int list_set(struct heap *heap, void *put);
/* Items of a slice, and put others in their place. -EINVAL: the slice has steps and another number of items. */
int list_read(struct heap *heap, void *get);
int list_splice(struct heap *heap, void *put);
/* Behind the last one. */
int list_append(struct heap *heap, void *put);
/* Delete the item `slice.start` if it is `seen`: 0, or 1 if not. */
int list_delete_if(struct heap *heap, void *put);
/* Put the items in that order: 0, or 1 if the list has changed. */
int list_arrange(struct heap *heap, void *order);
int list_reverse(struct heap *heap, void *unused);
int list_clear(struct heap *heap, void *unused);
int list_count(struct heap *heap, void *count); /* a uint64_t */

#endif
