/* The type Map: a thin face of native/map.h. */
#include "heaps.h"

static PyObject *no_such_key(PyObject *key) {
    PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

/* What was read, or taken out, and the end of its buffer. */
static PyObject *end_value(struct buffer *buffer, bool taken) {
    const char *at = buffer->bytes;
    PyObject *value = taken ? value_taken_to_py(&at) : value_to_py(&at);
    buffer_free(buffer);
    return value;
}

/* The value of that key, read (or taken out) by `act`. `otherwise`, or KeyError if that is NULL. */
static PyObject *look_up(PyObject *self, PyObject *key, int (*act)(struct heap *heap, void *what), PyObject *otherwise) {
    struct key written;
    struct buffer out;
    if (key_from_py(key, &written) < 0) return NULL;
    buffer_init(&out);
    struct map_get get = {&written.key, &out};
    int r = heap_perform(self, act, &get);
    buffer_free(&written.buffer);
    if (r == 0) return end_value(&out, act == map_take);
    buffer_free(&out);
    if (r != -ENOENT) return heap_raise(r);
    return otherwise ? Py_NewRef(otherwise) : no_such_key(key);
}

/* 0; 1: `when` was not so; -1 with an exception set. `out` and `seen` as in map_put. */
static int store(PyObject *self, PyObject *key, PyObject *object, struct map_put *put) {
    struct key written;
    struct value value;
    PyObject *keep;
    if (key_from_py(key, &written) < 0) return -1;
    if (value_from_py(object, &value, &keep) < 0) {
        buffer_free(&written.buffer);
        return -1;
    }
    put->key = &written.key;
    put->value = &value;
    int r = heap_perform(self, map_put, put);
    value_drop(&value);
    Py_XDECREF(keep);
    buffer_free(&written.buffer);
    if (r == 0 || r == 1) return r;
    heap_raise(r);
    return -1;
}

static int delete_key(PyObject *self, PyObject *key) {
    struct key written;
    if (key_from_py(key, &written) < 0) return -1;
    struct map_get get = {&written.key, NULL};
    int r = heap_perform(self, map_take, &get);
    buffer_free(&written.buffer);
    if (r == 0) return 0;
    if (r == -ENOENT) no_such_key(key);
    else heap_raise(r);
    return -1;
}

/* --- what a mapping does ----------------------------------------------------------------------------------------- */

static PyObject *subscript(PyObject *self, PyObject *key) { return look_up(self, key, map_get, NULL); }

static int assign(PyObject *self, PyObject *key, PyObject *value) {
    if (!value) return delete_key(self, key);
    struct map_put put = {.when = MAP_ALWAYS};
    return store(self, key, value, &put);
}

static Py_ssize_t length(PyObject *self) {
    uint64_t count = 0;
    int r = heap_perform(self, map_count, &count);
    if (r == 0) return (Py_ssize_t)count;
    heap_raise(r);
    return -1;
}

static int contains(PyObject *self, PyObject *key) {
    struct key written;
    if (key_from_py(key, &written) < 0) return -1;
    struct map_get get = {&written.key, NULL};
    int r = heap_perform(self, map_get, &get);
    buffer_free(&written.buffer);
    if (r == 0 || r == -ENOENT) return r == 0;
    heap_raise(r);
    return -1;
}

static int check_count(const char *name, Py_ssize_t count, Py_ssize_t least, Py_ssize_t most) {
    if (count >= least && count <= most) return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd arguments (%zd given)", name, least, most, count);
    return -1;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (check_count("get", count, 1, 2) < 0) return NULL;
    return look_up(self, args[0], map_get, count == 2 ? args[1] : Py_None);
}

static PyObject *pop(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (check_count("pop", count, 1, 2) < 0) return NULL;
    return look_up(self, args[0], map_take, count == 2 ? args[1] : NULL);
}

static PyObject *pair(const char **at, bool taken) {
    PyObject *key = key_to_py(at), *value = !key ? NULL : taken ? value_taken_to_py(at) : value_to_py(at);
    if (value) return Py_BuildValue("(NN)", key, value);
    Py_XDECREF(key);
    return NULL;
}

static PyObject *pop_item(PyObject *self, PyObject *unused) {
    struct buffer out;
    (void)unused;
    buffer_init(&out);
    struct map_list list = {true, true, 0, &out};
    int r = heap_perform(self, map_take_last, &list);
    const char *at = out.bytes;
    PyObject *item = r == 0 ? pair(&at, true) : r == -ENOENT ? NULL : heap_raise(r);
    if (r == -ENOENT) PyErr_SetString(PyExc_KeyError, "popitem(): the dictionary is empty");
    buffer_free(&out);
    return item;
}

static PyObject *set_default(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct buffer out;
    if (check_count("setdefault", count, 1, 2) < 0) return NULL;
    PyObject *value = count == 2 ? args[1] : Py_None;
    buffer_init(&out);
    struct map_put put = {.when = MAP_IF_ABSENT, .out = &out};
    int r = store(self, args[0], value, &put);
    if (r == 1) return end_value(&out, false);
    buffer_free(&out);
    return r < 0 ? NULL : Py_NewRef(value);
}

static PyObject *clear(PyObject *self, PyObject *unused) {
    (void)unused;
    int r = heap_perform(self, map_clear, NULL);
    return r == 0 ? Py_NewRef(Py_None) : heap_raise(r);
}

static PyObject *list_of(struct map_list *list) {
    const char *at = list->out->bytes;
    PyObject *all = PyList_New((Py_ssize_t)list->count);
    for (uint64_t i = 0; all && i < list->count; i++) {
        PyObject *one = list->keys && list->values ? pair(&at, false) : list->keys ? key_to_py(&at) : value_to_py(&at);
        if (one) PyList_SET_ITEM(all, (Py_ssize_t)i, one);
        else Py_CLEAR(all);
    }
    return all;
}

static PyObject *snapshot(PyObject *self, bool keys, bool values) {
    struct buffer out;
    buffer_init(&out);
    struct map_list list = {keys, values, 0, &out};
    int r = heap_perform(self, map_list, &list);
    PyObject *all = r == 0 ? list_of(&list) : heap_raise(r);
    buffer_free(&out);
    return all;
}

static PyObject *keys(PyObject *self, PyObject *unused) { return (void)unused, snapshot(self, true, false); }
static PyObject *values(PyObject *self, PyObject *unused) { return (void)unused, snapshot(self, false, true); }
static PyObject *items(PyObject *self, PyObject *unused) { return (void)unused, snapshot(self, true, true); }

static PyObject *iterate(PyObject *self) {
    PyObject *all = snapshot(self, true, false), *iterator = all ? PyObject_GetIter(all) : NULL;
    Py_XDECREF(all);
    return iterator;
}

/* --- what changes a value by what it was ------------------------------------------------------------------------- */

/* _add(key, number): the sum, or None: it is not there, or one of the numbers is not small. */
static PyObject *add(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct key written;
    int overflow = 0;
    if (check_count("_add", count, 2, 2) < 0) return NULL;
    if (!PyLong_CheckExact(args[1])) Py_RETURN_NONE;
    long long by = PyLong_AsLongLongAndOverflow(args[1], &overflow);
    if (overflow) Py_RETURN_NONE;
    if (key_from_py(args[0], &written) < 0) return NULL;
    struct map_add what = {&written.key, by, 0};
    int r = heap_perform(self, map_add, &what);
    buffer_free(&written.buffer);
    if (r == -ENOENT || r == -EDOM) Py_RETURN_NONE;
    return r == 0 ? PyLong_FromLongLong(what.sum) : heap_raise(r);
}

/* _see(key): the value and what it was read as, or None. */
static PyObject *see(PyObject *self, PyObject *key) {
    struct key written;
    struct buffer out;
    if (key_from_py(key, &written) < 0) return NULL;
    buffer_init(&out);
    struct map_get what = {&written.key, &out};
    int r = heap_perform(self, map_get, &what);
    buffer_free(&written.buffer);
    const char *at = out.bytes;
    PyObject *value = r == 0 ? value_to_py(&at) : r == -ENOENT ? NULL : heap_raise(r);
    PyObject *both = value ? Py_BuildValue("(Ny#)", value, out.bytes, (Py_ssize_t)out.size) : NULL;
    buffer_free(&out);
    return r == -ENOENT ? Py_NewRef(Py_None) : both;
}

/* _swap(key, seen, value): put it, if the value is still what was seen (b"": none). Whether it was. */
static PyObject *swap(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (check_count("_swap", count, 3, 3) < 0) return NULL;
    if (!PyBytes_Check(args[1])) return PyErr_Format(PyExc_TypeError, "what was seen must be bytes");
    uint64_t size = (uint64_t)PyBytes_GET_SIZE(args[1]);
    struct map_put put = {.when = MAP_IF_SAME, .seen = PyBytes_AS_STRING(args[1]), .seen_size = size};
    int r = store(self, args[0], args[2], &put);
    return r < 0 ? NULL : PyBool_FromLong(r == 0);
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef methods[] = {
    {"get", FAST(get), METH_FASTCALL, "get(key, default=None, /)\n--\n\nThe value of `key`, or `default`."},
    {"pop", FAST(pop), METH_FASTCALL, "Remove `key` and return its value, or `default`; KeyError if there is neither."},
    {"popitem", pop_item, METH_NOARGS, "popitem()\n--\n\nRemove and return the item that came last."},
    {"setdefault", FAST(set_default), METH_FASTCALL,
     "setdefault(key, default=None, /)\n--\n\nThe value of `key`, which is `default` if there was none."},
    {"clear", clear, METH_NOARGS, "clear()\n--\n\nRemove all items, in one step."},
    {"_keys", keys, METH_NOARGS, "A list of the keys at one moment."},
    {"_values", values, METH_NOARGS, "A list of the values at one moment."},
    {"_items", items, METH_NOARGS, "A list of both at one moment."},
    {"_add", FAST(add), METH_FASTCALL, "_add(key, number): the sum, or None: it cannot be done so simply."},
    {"_see", see, METH_O, "_see(key): the value, and what _swap wants to see; or None."},
    {"_swap", FAST(swap), METH_FASTCALL, "_swap(key, seen, value): put it if nobody has changed what was seen."},
    {0},
};

static PyType_Slot slots[] = {{Py_tp_dealloc, heap_dealloc}, {Py_tp_methods, methods}, {Py_tp_members, heap_members},
                              {Py_mp_subscript, subscript}, {Py_mp_ass_subscript, assign}, {Py_mp_length, length},
                              {Py_sq_contains, contains}, {Py_tp_iter, iterate}, {0}};

PyType_Spec map_spec = {"procession._native.Map", sizeof(HeapObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
