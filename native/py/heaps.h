/* What Map and List share: the handle, the guard, and how Python's values are written and read. */
#ifndef PROCESSION_PY_HEAPS_H
#define PROCESSION_PY_HEAPS_H

#include "native.h"

#include "../heap.h"
#include "../map.h"

typedef struct {
    PyObject_HEAD
    struct heap heap;
    PyObject *weak;
} HeapObject;

extern PyMemberDef heap_members[];
void heap_dealloc(PyObject *self);

/* `act` under the guard of that object. What it answers, or -1 with an exception set, which the caller passes on. */
#define RAISED 2
int heap_perform(PyObject *self, int (*act)(struct heap *heap, void *what), void *what);
/* An answer that is an error, as an exception; nothing if it is one already. Returns NULL. */
PyObject *heap_raise(int error);

/* --- values --- */

enum body_kind { /* in the low bits of a body's first word */
    BODY_FLOAT = 8,
    BODY_ASCII = 16,
    BODY_TEXT = 24,  /* UTF-8, in which surrogates may pass */
    BODY_BYTES = 32,
    BODY_TUPLE = 40, /* of a key: the rest says how many parts follow */
    BODY_MARSHAL = 48,
    BODY_PICKLE = 56,
};
#define WORD_NONE (0u << 3 | WORD_CONSTANT)
#define WORD_FALSE (1u << 3 | WORD_CONSTANT)
#define WORD_TRUE (2u << 3 | WORD_CONSTANT)
#define NUMBER_MOST ((1ll << 60) - 1)
static inline bool is_short(long long number) { return number <= NUMBER_MOST && number >= -NUMBER_MOST - 1; }

/* Its word, or its body, which lies in `*keep`. 0, or -1 with an exception set: it cannot be pickled, or there is no memory. */
int value_from_py(PyObject *object, struct value *out, PyObject **keep);
/* The value at `*at`, which goes on behind it. NULL with an exception set. */
PyObject *value_to_py(const char **at);
/* The same of a value that was taken out: what it refers to is the reader's alone. */
PyObject *value_taken_to_py(const char **at);
/* A body's content, of these kinds. */
PyObject *body_to_py(uint64_t what, const char *bytes);
/* The same with the parts that a value of text has: also for keys. */
int text_from_py(PyObject *text, uint64_t *what, const char **bytes, PyObject **keep);

/* --- keys --- */

struct key { /* its bytes are in the buffer */
    struct map_key key;
    struct buffer buffer;
};
/* 0, or -1 with an exception set (TypeError: it is no key). Ended by buffer_free. */
int key_from_py(PyObject *object, struct key *out);
/* The key at `*at`, as map_list gives it. */
PyObject *key_to_py(const char **at);

#endif
