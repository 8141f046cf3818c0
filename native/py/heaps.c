/* The handles of maps and lists: made, sent, and how all that they do is done under the guard. */
#include "heaps.h"

#include "../list.h"

PyTypeObject *map_type, *list_type;

PyObject *heap_raise(int error) {
    if (error == RAISED) return NULL;
    if (error == -ENOMEM) return PyErr_Format(PyExc_MemoryError, "there is no room in the family's memory");
    return raise_sync(error);
}

static int raise_not_ours(void) {
    raise_ours("FamilyError", "this object belongs to another family of processes, or its family is gone");
    return RAISED;
}

/* With the GIL, if the guard is free or soon will be: nothing in here calls Python. */
static int perform_slowly(struct heap *heap, int (*act)(struct heap *heap, void *what), void *what) {
    struct mutex guard = guard_of(heap->cell);
    int r;
    do {
        Py_BEGIN_ALLOW_THREADS
        r = mutex_lock(guard, PN_FOREVER);
        if (r >= 0) r = heap_act(heap, r, act, what);
        Py_END_ALLOW_THREADS
        if (r == -EINTR && PyErr_CheckSignals() < 0) return RAISED;
    } while (r == -EINTR);
    return r;
}

int heap_perform(PyObject *self, int (*act)(struct heap *heap, void *what), void *what) {
    struct heap *heap = &((HeapObject *)self)->heap;
    struct cell *cell = heap_open(heap);
    if (!cell) return raise_not_ours();
    struct mutex guard = guard_of(cell);
    int r = 0;
    if (!mutex_try_fast(guard.word)) {
        r = sync_enter();
        if (r == 0) r = mutex_try_shortly(guard);
    }
    if (r == -EBUSY) return perform_slowly(heap, act, what);
    return r < 0 ? r : heap_act(heap, r, act, what);
}

/* --- making and sending ----------------------------------------------------------------------------------------------- */

static PyObject *make(PyObject *type, PyTypeObject *base, int (*make_heap)(struct heap *heap)) {
    if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, base))
        return PyErr_Format(PyExc_TypeError, "a subclass of %s is needed", base->tp_name);
    PyObject *self = ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    int error = self ? make_heap(&((HeapObject *)self)->heap) : 0;
    if (!error) return self;
    Py_DECREF(self);
    return heap_raise(error);
}

static PyObject *make_map(PyObject *module, PyObject *type) {
    (void)module;
    return make(type, map_type, map_make);
}

static PyObject *make_list(PyObject *module, PyObject *type) {
    (void)module;
    return make(type, list_type, list_make);
}

static PyObject *parcel(PyObject *module, PyObject *self) {
    (void)module;
    if (!PyObject_TypeCheck(self, map_type) && !PyObject_TypeCheck(self, list_type))
        return PyErr_Format(PyExc_TypeError, "a Map or a List is needed");
    struct heap *heap = &((HeapObject *)self)->heap;
    if (!heap_open(heap)) return raise_not_ours(), NULL;
    return parcel_to_py(heap->holding.index, heap->holding.serial);
}

static PyObject *attach(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    struct parcel parcel;
    (void)module;
    if (parcel_from_py(args, &type, &parcel) < 0) return NULL;
    bool map = PyType_IsSubtype(type, map_type);
    if (!map && !PyType_IsSubtype(type, list_type))
        return PyErr_Format(PyExc_TypeError, "a subclass of Map or List is needed");
    PyObject *self = type->tp_alloc(type, 0);
    if (!self) return NULL;
    struct heap *heap = &((HeapObject *)self)->heap;
    if (receive_from_py(&parcel, map ? CELL_MAP : CELL_LIST, &heap->holding) == 0) {
        heap->family = commons->family;
        heap->mend = map ? map_mend : list_mend;
        return self;
    }
    Py_DECREF(self);
    return NULL;
}

void heap_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    HeapObject *object = (HeapObject *)self;
    if (object->weak) PyObject_ClearWeakRefs(self);
    heap_forget(&object->heap);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef heap_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(HeapObject, weak), READONLY, NULL}, {0}};

PyMethodDef heap_functions[] = {
    {"map_make", make_map, METH_O, "map_make(type): a new map."},
    {"list_make", make_list, METH_O, "list_make(type): a new list."},
    {"heap_parcel", parcel, METH_O, "heap_parcel(object): what is sent of it; it holds the object until it is received."},
    {"heap_attach", attach, METH_VARARGS, "heap_attach(type, family, index, serial, stake, ticket): what was sent."},
    {0},
};
