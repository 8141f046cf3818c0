/* What a map and a list have in common: an object whose data lie in one *table* at a time, which begins with figures and ends
 * with a log of records. The object's first extent has its head and room for a small table; a larger one has an extent of its
 * own.
 *
 * All is done under the cell's guard. What is true changes by one store, after all that it announces is written: the
 * table that the head names, the end of the log, the word of one value. The rest (the index, figures) follows from that. Who
 * dies inside leaves HOLDER_DIED in the guard; the next makes the derived part anew and gives back the extents that nothing
 * names, before anything else. README.md gives the bytes. */
#ifndef PROCESSION_HEAP_H
#define PROCESSION_HEAP_H

#include <string.h>

#include "holdings.h"
#include "mutex.h"

#define HEAP_FIRST 4096u     /* bytes that an object begins with: head and first table */
#define HEAP_BIG 131072u     /* a value of more bytes has an extent of its own */
#define HEAP_ROUND(n) (((n) + 7) & ~(uint64_t)7)

/* The word of a value: all of it, or where its body is. 0: there is none. */
#define WORD_KIND(word) ((word) & 7)
#define WORD_RECORD 0u       /* the rest: offset of the record in the table */
#define WORD_INT 1u          /* the rest: a signed number */
#define WORD_CONSTANT 2u     /* the rest: which */
#define WORD_EXTENT 4u       /* the rest: offset of the extent in the arena */

/* The first word of a body, size << 8 | kind. The kinds are the business of who writes and reads them: multiples of 8. */
struct body {
    uint64_t what;
    char bytes[];
};
#define BODY_SIZE(what) ((what) >> 8)

/* The first word of a record: its size in bytes, with what it is in the low bits. */
#define RECORD_ENTRY 1u
#define RECORD_VALUE 2u
struct value_record {
    uint64_t size;
    struct body body;
};

struct heap_head {           /* at the beginning of the object's memory */
    word64 table;            /*  0  low 40 bits: its offset in the commons; high 24: its chunks, 0: it is in the first extent */
    word64 version;          /*  8  of a list: grows with each change */
    char reserved[48];       /* 16 */
};
_Static_assert(sizeof(struct heap_head) == 64, "the head is part of a file format");

struct heap_log {            /* at the beginning of a table */
    uint64_t size;           /*  0  of the table, in bytes */
    word64 end;              /*  8  of the log: offset in the table */
};

struct heap {                /* what a handle has; all but `holding` is used under the guard */
    struct holding holding;
    uint64_t family, first;  /* of the family; offset of the head */
    int (*mend)(struct heap *heap); /* put in order what is derived. 0 or -ENOMEM */
    struct cell *cell;
    struct heap_head *head;
    struct heap_log *table;  /* the current one */
    void *head_map;          /* where it lies beyond the window: a map of ours */
    void *map;               /* the same of a table; which one, and its size */
    uint64_t map_of, map_size;
};

/* A new object, without a table; our holding of one that is there. `first`: find the rest. */
int heap_make(struct heap *heap, enum cell_kind kind);
void heap_forget(struct heap *heap); /* the end of the handle */
/* The cell, or NULL: it is gone, or of another family. Sets heap->cell and heap->head. */
struct cell *heap_open(struct heap *heap);

/* The guard was taken, and `taken` is what that said: find the table, and mend after a death. On error it is given back. */
int heap_begin(struct heap *heap, int taken);
void heap_end(struct heap *heap);
/* Both, around that. */
int heap_act(struct heap *heap, int taken, int (*act)(struct heap *heap, void *what), void *what);
/* The same, with the guard, by `deadline`. */
int heap_do(struct heap *heap, int64_t deadline, int (*act)(struct heap *heap, void *what), void *what);

/* --- tables --- */

/* The room for a table that is in the first extent. */
static inline struct heap_log *heap_first_table(struct heap *heap) { return (struct heap_log *)(heap->head + 1); }
#define HEAP_FIRST_SIZE (HEAP_FIRST - sizeof(struct heap_head))

struct new_table {
    uint64_t word, size; /* as in the head; bytes */
    struct heap_log *table;
};
/* A table with room for `size` bytes; if there is not so much memory, for `least`. */
int heap_new_table(struct heap *heap, uint64_t size, uint64_t least, struct new_table *out);
struct new_table heap_first_again(struct heap *heap); /* the one in the first extent, which must not be the current one */
/* It is the object's from now on; the one before is given back. */
void heap_publish(struct heap *heap, struct new_table *next);
static inline bool heap_has_room(struct heap *heap, uint64_t need) {
    return heap->table->size - word_peek(&heap->table->end) >= need;
}

/* --- values --- */

struct value {               /* that is to be put */
    uint64_t word;           /* WORD_INT or WORD_CONSTANT, or 0: a body */
    uint64_t what;           /* first word of the body */
    const void *bytes;
    uint64_t extent;         /* of a big one, in our member's name until it is put; else 0 */
};
/* Before the guard is taken: an extent for a big one. 0 or -ENOMEM. */
int value_prepare(struct value *value);
/* It was not put. */
void value_drop(struct value *value);
/* Bytes of the log that it needs. */
uint64_t value_need(const struct value *value);
/* Write it at `*at` in the table, if it needs the log, and move `*at`. Its word. */
uint64_t value_write(struct heap *heap, uint64_t *at, struct value *value);
/* It is named no more. */
void value_give(uint64_t word);
/* Bytes of the log that the value of that word has. */
uint64_t value_size(const struct heap_log *table, uint64_t word);
/* The word of its copy in another table, at `*at`. */
uint64_t value_move(const struct heap_log *from, uint64_t word, struct heap_log *to, uint64_t *at);

struct buffer {              /* what is read under the guard, to be looked at afterwards */
    char *bytes;
    uint64_t size, room;
    char small[488];
};
static inline void buffer_init(struct buffer *buffer) {
    buffer->bytes = buffer->small;
    buffer->size = 0;
    buffer->room = sizeof buffer->small;
}
int buffer_add(struct buffer *buffer, const void *bytes, uint64_t size); /* and up to 7 zeros. 0 or -ENOMEM */
void buffer_free(struct buffer *buffer);
/* A value as it is read: its word, or its body. */
int value_read(const struct heap_log *table, uint64_t word, struct buffer *out);
/* Whether it would be read as these bytes. */
bool value_is(const struct heap_log *table, uint64_t word, const char *bytes, uint64_t size);

/* --- after a death --- */

struct extents { /* that are named */
    uint64_t *offsets, count, room;
};
int extents_add(struct extents *extents, uint64_t word); /* if that is one. 0 or -ENOMEM */
/* Give back all of the object's that are not among them, its head's or its table's. */
void heap_sweep(struct heap *heap, struct extents *named);

#endif
