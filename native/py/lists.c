/* The type List: a thin face of native/list.h. */
#include "heaps.h"

#include "../list.h"

#define WHOLE ((struct list_slice){0, PY_SSIZE_T_MAX, 1})

/* Values that are to be put, with what they lie in. */
struct values {
    struct value *values;
    PyObject **keeps;
    Py_ssize_t count;
};

static void drop_values(struct values *all) {
    for (Py_ssize_t i = 0; i < all->count; i++) {
        value_drop(&all->values[i]);
        Py_XDECREF(all->keeps[i]);
    }
    PyMem_Free(all->values);
    PyMem_Free(all->keeps);
}

static int values_from_py(PyObject *iterable, struct values *all) {
    *all = (struct values){NULL, NULL, 0};
    PyObject *items = PySequence_Tuple(iterable); /* (pickling one may change what it was) */
    if (!items) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(items);
    all->values = PyMem_Calloc((size_t)count + 1, sizeof *all->values);
    all->keeps = PyMem_Calloc((size_t)count + 1, sizeof *all->keeps);
    int error = all->values && all->keeps ? 0 : (PyErr_NoMemory(), -1);
    for (; !error && all->count < count; all->count += !error)
        error = value_from_py(PyTuple_GET_ITEM(items, all->count), &all->values[all->count], &all->keeps[all->count]);
    Py_DECREF(items);
    if (error) drop_values(all);
    return error;
}

static PyObject *raise_for(int error) {
    if (error != -ERANGE) return heap_raise(error);
    PyErr_SetString(PyExc_IndexError, "list index out of range");
    return NULL;
}

/* A single value, put by `act`. 0, or -1 with an exception set. */
static int put_one(PyObject *self, PyObject *object, struct list_slice slice, int (*act)(struct heap *heap, void *what)) {
    struct value value;
    PyObject *keep;
    if (value_from_py(object, &value, &keep) < 0) return -1;
    struct list_put put = {slice, &value, 1, NULL, 0};
    int r = heap_perform(self, act, &put);
    value_drop(&value);
    Py_XDECREF(keep);
    if (r) raise_for(r);
    return r ? -1 : 0;
}

static PyObject *list_of(uint64_t count, const char *at) {
    PyObject *all = PyList_New((Py_ssize_t)count);
    for (uint64_t i = 0; all && i < count; i++) {
        PyObject *one = value_to_py(&at);
        if (one) PyList_SET_ITEM(all, (Py_ssize_t)i, one);
        else Py_CLEAR(all);
    }
    return all;
}

static PyObject *read_slice(PyObject *self, struct list_slice slice) {
    struct buffer out;
    buffer_init(&out);
    struct list_get get = {slice, 0, 0, 0, &out};
    int r = heap_perform(self, list_read, &get);
    PyObject *all = r ? heap_raise(r) : list_of(get.count, out.bytes);
    buffer_free(&out);
    return all;
}

/* One item, read or taken out by `act`. */
static PyObject *one_item(PyObject *self, Py_ssize_t index, int (*act)(struct heap *heap, void *what)) {
    struct buffer out;
    buffer_init(&out);
    struct list_get get = {{index, 0, 1}, 0, 0, 0, &out};
    int r = heap_perform(self, act, &get);
    const char *at = out.bytes;
    PyObject *item = r ? raise_for(r) : act == list_take ? value_taken_to_py(&at) : value_to_py(&at);
    buffer_free(&out);
    return item;
}

/* --- what a sequence does --------------------------------------------------------------------------------------------- */

static int slice_from_py(PyObject *object, struct list_slice *slice) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(object, &start, &stop, &step) < 0) return -1;
    *slice = (struct list_slice){start, stop, step};
    return 0;
}

static int index_from_py(PyObject *object, Py_ssize_t *index) {
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "list indices must be integers or slices, not %.100s", Py_TYPE(object)->tp_name);
        return -1;
    }
    *index = PyNumber_AsSsize_t(object, PyExc_IndexError);
    return *index == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *subscript(PyObject *self, PyObject *index) {
    struct list_slice slice;
    Py_ssize_t at;
    if (PySlice_Check(index)) return slice_from_py(index, &slice) < 0 ? NULL : read_slice(self, slice);
    return index_from_py(index, &at) < 0 ? NULL : one_item(self, at, list_get);
}

static int put_slice(PyObject *self, struct list_slice slice, PyObject *iterable) {
    struct values all = {NULL, NULL, 0};
    if (iterable && values_from_py(iterable, &all) < 0) return -1;
    struct list_put put = {slice, all.values, (uint64_t)all.count, NULL, 0};
    int r = heap_perform(self, list_splice, &put);
    if (r == -EINVAL)
        PyErr_Format(PyExc_ValueError, "attempt to assign sequence of size %zd to extended slice of size %zd", all.count,
                     (Py_ssize_t)put.count);
    else if (r) heap_raise(r);
    drop_values(&all);
    return r ? -1 : 0;
}

static int delete_item(PyObject *self, Py_ssize_t index) {
    struct list_get get = {{index, 0, 1}, 0, 0, 0, NULL};
    int r = heap_perform(self, list_take, &get);
    if (r) raise_for(r);
    return r ? -1 : 0;
}

static int assign(PyObject *self, PyObject *index, PyObject *value) {
    struct list_slice slice;
    Py_ssize_t at;
    if (PySlice_Check(index)) return slice_from_py(index, &slice) < 0 ? -1 : put_slice(self, slice, value);
    if (index_from_py(index, &at) < 0) return -1;
    return value ? put_one(self, value, (struct list_slice){at, 0, 1}, list_set) : delete_item(self, at);
}

static Py_ssize_t length(PyObject *self) {
    uint64_t count = 0;
    int r = heap_perform(self, list_count, &count);
    if (r == 0) return (Py_ssize_t)count;
    heap_raise(r);
    return -1;
}

static PyObject *iterate(PyObject *self) {
    PyObject *all = read_slice(self, WHOLE), *iterator = all ? PyObject_GetIter(all) : NULL;
    Py_XDECREF(all);
    return iterator;
}

static PyObject *append(PyObject *self, PyObject *value) {
    return put_one(self, value, WHOLE, list_append) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *extend(PyObject *self, PyObject *iterable) {
    struct list_slice end = {PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, 1};
    return put_slice(self, end, iterable) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *insert(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t at;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "insert expected 2 arguments, got %zd", count);
    if (index_from_py(args[0], &at) < 0) return NULL;
    struct list_slice here = {at, at, 1};
    return put_one(self, args[1], here, list_splice) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *pop(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Py_ssize_t at = -1;
    if (count > 1) return PyErr_Format(PyExc_TypeError, "pop expected at most 1 argument, got %zd", count);
    if (count && index_from_py(args[0], &at) < 0) return NULL;
    return one_item(self, at, list_take);
}

static PyObject *simply(PyObject *self, int (*act)(struct heap *heap, void *what)) {
    int r = heap_perform(self, act, NULL);
    return r ? heap_raise(r) : Py_NewRef(Py_None);
}

static PyObject *reverse(PyObject *self, PyObject *unused) { return (void)unused, simply(self, list_reverse); }
static PyObject *clear(PyObject *self, PyObject *unused) { return (void)unused, simply(self, list_clear); }

/* --- what looks first, and then changes ----------------------------------------------------------------------------------- */

/* _see(): the version, and a list of (value, what _delete_if wants to see). */
static PyObject *see(PyObject *self, PyObject *unused) {
    struct buffer out;
    (void)unused;
    buffer_init(&out);
    struct list_get get = {WHOLE, 0, 0, 0, &out};
    int r = heap_perform(self, list_read, &get);
    PyObject *all = r ? heap_raise(r) : PyList_New((Py_ssize_t)get.count);
    const char *at = out.bytes;
    for (uint64_t i = 0; all && i < get.count; i++) {
        const char *begin = at;
        PyObject *value = value_to_py(&at);
        PyObject *both = value ? Py_BuildValue("(Ny#)", value, begin, (Py_ssize_t)(at - begin)) : NULL;
        if (both) PyList_SET_ITEM(all, (Py_ssize_t)i, both);
        else Py_CLEAR(all);
    }
    buffer_free(&out);
    return all ? Py_BuildValue("(KN)", (unsigned long long)get.version, all) : NULL;
}

static PyObject *delete_if(PyObject *self, PyObject *args) {
    Py_ssize_t index, size;
    const char *seen;
    if (!PyArg_ParseTuple(args, "ny#", &index, &seen, &size)) return NULL;
    struct list_put put = {{index, 0, 1}, NULL, 0, seen, (uint64_t)size};
    int r = heap_perform(self, list_delete_if, &put);
    return r == 0 || r == 1 ? PyBool_FromLong(r == 0) : heap_raise(r);
}

/* Each number once, from 0 on. */
static int order_from_py(PyObject *list, uint64_t *order, bool *seen) {
    Py_ssize_t count = PyList_GET_SIZE(list);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t number = PyLong_AsSsize_t(PyList_GET_ITEM(list, i));
        if (number == -1 && PyErr_Occurred()) return -1;
        if (number < 0 || number >= count || seen[number]) return PyErr_Format(PyExc_ValueError, "this is no order"), -1;
        seen[number] = true;
        order[i] = (uint64_t)number;
    }
    return 0;
}

static PyObject *arrange_as(PyObject *self, unsigned long long version, PyObject *list, uint64_t *order, bool *seen) {
    if (!order || !seen) return PyErr_NoMemory();
    if (order_from_py(list, order, seen) < 0) return NULL;
    struct list_order what = {version, (uint64_t)PyList_GET_SIZE(list), order};
    int r = heap_perform(self, list_arrange, &what);
    return r == 0 || r == 1 ? PyBool_FromLong(r == 0) : heap_raise(r);
}

static PyObject *arrange(PyObject *self, PyObject *args) {
    unsigned long long version;
    PyObject *list;
    if (!PyArg_ParseTuple(args, "KO!", &version, &PyList_Type, &list)) return NULL;
    size_t count = (size_t)PyList_GET_SIZE(list) + 1;
    uint64_t *order = PyMem_Calloc(count, sizeof *order);
    bool *seen = PyMem_Calloc(count, sizeof *seen);
    PyObject *done = arrange_as(self, version, list, order, seen);
    PyMem_Free(order);
    PyMem_Free(seen);
    return done;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef methods[] = {
    {"append", append, METH_O, "append(value, /)\n--\n\nPut a value at the end."},
    {"extend", extend, METH_O, "extend(iterable, /)\n--\n\nPut all values at the end, in one step."},
    {"insert", FAST(insert), METH_FASTCALL, "insert(index, value, /)\n--\n\nPut a value before that item."},
    {"pop", FAST(pop), METH_FASTCALL, "pop(index=-1, /)\n--\n\nRemove and return an item. IndexError if there is none."},
    {"reverse", reverse, METH_NOARGS, "reverse()\n--\n\nTurn the order round, in one step."},
    {"clear", clear, METH_NOARGS, "clear()\n--\n\nRemove all items, in one step."},
    {"_see", see, METH_NOARGS, "_see(): the version, and [(value, what _delete_if wants to see)]."},
    {"_delete_if", delete_if, METH_VARARGS, "_delete_if(index, seen): delete the item if it is still the one that was seen."},
    {"_arrange", arrange, METH_VARARGS, "_arrange(version, order): put the items in that order, if nothing has changed."},
    {0},
};

static PyType_Slot slots[] = {{Py_tp_dealloc, heap_dealloc}, {Py_tp_methods, methods}, {Py_tp_members, heap_members},
                              {Py_mp_subscript, subscript}, {Py_mp_ass_subscript, assign}, {Py_mp_length, length},
                              {Py_tp_iter, iterate}, {0}};

PyType_Spec list_spec = {"procession._native.List", sizeof(HeapObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
