/* The types Guarded and GuardedName: a ctypes object with a lock, and a property of it that is read and written under the
 * lock. What the standard library makes of Python's own properties; here the usual cases, the lock is free or is ours, cost
 * no call. */
#include "native.h"

#include "../mutex.h"

typedef struct {
    PyObject_HEAD
    PyObject *object, *lock;
    PyObject *weak;
    bool native;    /* the lock is an RLock of ours, and not one of a class derived from it */
    char code;      /* of a simple number: what it is, as in the module struct; else 0 */
    Py_buffer view; /* of that number */
} GuardedObject;

typedef struct {
    PyObject_HEAD
    PyObject *name;
    bool is_value; /* it is "value" */
} NameObject;

static PyTypeObject *guarded_type;

/* --- the lock --- */

enum way { FAILED, DEEPER, TAKEN, CALLED };

static enum way take_by_call(GuardedObject *self) {
    PyObject *done = PyObject_CallMethod(self->lock, "acquire", NULL);
    Py_XDECREF(done);
    return done ? CALLED : FAILED;
}

static enum way take(GuardedObject *self) {
    if (!self->native) return take_by_call(self);
    struct cell *cell = cell_of(self->lock);
    if (!cell) return FAILED;
    if (mutex_mine(&cell->word) && word_read(&cell->tid) == sync_tid()) return DEEPER; /* (nobody sees that it is) */
    if (!mutex_try_fast(&cell->word)) {
        if (token_of(self->lock, cell)) return DEEPER;
        return PyErr_Occurred() ? FAILED : take_by_call(self);
    }
    lock_note(cell, sync_tid());
    return TAKEN;
}

static int give_by_call(GuardedObject *self) {
    PyObject *type, *value, *trace; /* of what failed under the lock: it goes first */
    PyErr_Fetch(&type, &value, &trace);
    PyObject *done = PyObject_CallMethod(self->lock, "release", NULL);
    if (type) PyErr_Restore(type, value, trace);
    Py_XDECREF(done);
    return done && !type ? 0 : -1;
}

static int give(GuardedObject *self, enum way how) {
    struct cell *cell = how == TAKEN ? cell_of(self->lock) : NULL;
    if (how == DEEPER) return 0;
    if (!cell) return give_by_call(self);
    word_publish(&cell->tid, 0);
    pn_step("owner cleared");
    if (!word_swap(&cell->word, sync_me, 0)) mutex_unlock(mutex_of(cell), word_read(&cell->flags) & CELL_RAISES);
    return 0;
}

/* --- a simple number: what ctypes does, without the way there. (A load or store of it is one instruction: nobody sees half
 * of it, with the lock or without.) --- */

static PyObject *load(GuardedObject *self) {
    const volatile void *at = self->view.buf;
    switch (self->code) {
    case 'b': return PyLong_FromLong(*(const volatile signed char *)at);
    case 'B': return PyLong_FromLong(*(const volatile unsigned char *)at);
    case 'h': return PyLong_FromLong(*(const volatile short *)at);
    case 'H': return PyLong_FromLong(*(const volatile unsigned short *)at);
    case 'i': return PyLong_FromLong(*(const volatile int *)at);
    case 'I': return PyLong_FromUnsignedLong(*(const volatile unsigned *)at);
    case 'l': return PyLong_FromLong(*(const volatile long *)at);
    case 'L': return PyLong_FromUnsignedLong(*(const volatile unsigned long *)at);
    case 'q': return PyLong_FromLongLong(*(const volatile long long *)at);
    case 'Q': return PyLong_FromUnsignedLongLong(*(const volatile unsigned long long *)at);
    default: return PyFloat_FromDouble(*(const volatile double *)at);
    }
}

/* False: it is not one that is stored just so; ctypes knows what to do with it. */
static bool store(GuardedObject *self, PyObject *value) {
    volatile void *at = self->view.buf;
    if (self->code == 'd') {
        if (!value || !PyFloat_CheckExact(value)) return false;
        *(volatile double *)at = PyFloat_AS_DOUBLE(value);
        return true;
    }
    if (!value || !PyLong_CheckExact(value)) return false;
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return false;
    switch (self->view.itemsize) { /* (what is too large is cut off, as ctypes does it) */
    case 1: *(volatile unsigned char *)at = (unsigned char)number; break;
    case 2: *(volatile unsigned short *)at = (unsigned short)number; break;
    case 4: *(volatile unsigned *)at = (unsigned)number; break;
    default: *(volatile unsigned long long *)at = (unsigned long long)number;
    }
    return true;
}

/* --- a property --- */

static GuardedObject *guarded(PyObject *self) {
    if (PyObject_TypeCheck(self, guarded_type) && ((GuardedObject *)self)->lock) return (GuardedObject *)self;
    PyErr_SetString(PyExc_TypeError, "this is no object with a lock");
    return NULL;
}

static PyObject *name_get(PyObject *name, PyObject *object, PyObject *type) {
    (void)type;
    if (!object || object == Py_None) return Py_NewRef(name);
    GuardedObject *self = guarded(object);
    enum way how = self ? take(self) : FAILED;
    if (how == FAILED) return NULL;
    NameObject *which = (NameObject *)name;
    PyObject *value = which->is_value && self->code ? load(self) : PyObject_GetAttr(self->object, which->name);
    if (give(self, how) < 0) Py_CLEAR(value);
    return value;
}

static int name_set(PyObject *name, PyObject *object, PyObject *value) {
    GuardedObject *self = guarded(object);
    enum way how = self ? take(self) : FAILED;
    if (how == FAILED) return -1;
    NameObject *which = (NameObject *)name;
    int error = 0;
    if (!(which->is_value && self->code && store(self, value))) error = PyObject_SetAttr(self->object, which->name, value);
    return give(self, how) < 0 ? -1 : error;
}

static PyObject *name_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *keywords[] = {"name", NULL};
    PyObject *text;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U", keywords, &text)) return NULL;
    NameObject *self = (NameObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->name = Py_NewRef(text);
    PyUnicode_InternInPlace(&self->name);
    self->is_value = PyUnicode_CompareWithASCIIString(text, "value") == 0;
    return (PyObject *)self;
}

static void name_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((NameObject *)self)->name);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- the object --- */

static void let_go(GuardedObject *self) {
    if (self->code) PyBuffer_Release(&self->view);
    self->code = 0;
}

static PyObject *hold(PyObject *object, PyObject *args) {
    GuardedObject *self = (GuardedObject *)object;
    PyObject *thing, *lock;
    const char *code;
    int native;
    if (!PyArg_ParseTuple(args, "OOps", &thing, &lock, &native, &code)) return NULL;
    let_go(self);
    if (*code && strchr("bBhHiIlLqQd", *code)) {
        if (PyObject_GetBuffer(thing, &self->view, PyBUF_WRITABLE) < 0) return NULL;
        self->code = *code;
    }
    Py_XSETREF(self->object, Py_NewRef(thing));
    Py_XSETREF(self->lock, Py_NewRef(lock));
    self->native = native;
    Py_RETURN_NONE;
}

static PyObject *get_item(PyObject *object, PyObject *key) {
    GuardedObject *self = guarded(object);
    enum way how = self ? take(self) : FAILED;
    if (how == FAILED) return NULL;
    PyObject *value = PyObject_GetItem(self->object, key);
    if (give(self, how) < 0) Py_CLEAR(value);
    return value;
}

static PyObject *set_item(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) return PyErr_Format(PyExc_TypeError, "_set_item(key, value)");
    GuardedObject *self = guarded(object);
    enum way how = self ? take(self) : FAILED;
    if (how == FAILED) return NULL;
    int error = PyObject_SetItem(self->object, args[0], args[1]);
    return give(self, how) < 0 || error < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *get_obj(PyObject *self, PyObject *unused) {
    (void)unused;
    return guarded(self) ? Py_NewRef(((GuardedObject *)self)->object) : NULL;
}

static PyObject *get_lock(PyObject *self, PyObject *unused) {
    (void)unused;
    return guarded(self) ? Py_NewRef(((GuardedObject *)self)->lock) : NULL;
}

static int traverse(PyObject *object, visitproc visit, void *arg) {
    GuardedObject *self = (GuardedObject *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->object);
    Py_VISIT(self->lock);
    return 0;
}

static int clear(PyObject *object) {
    let_go((GuardedObject *)object);
    Py_CLEAR(((GuardedObject *)object)->object);
    Py_CLEAR(((GuardedObject *)object)->lock);
    return 0;
}

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((GuardedObject *)self)->weak) PyObject_ClearWeakRefs(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"_hold", hold, METH_VARARGS, "_hold(object, lock, native, code)"},
    {"_get_item", get_item, METH_O, "_get_item(key): of the object, under the lock."},
    {"_set_item", (PyCFunction)(void (*)(void))set_item, METH_FASTCALL, "_set_item(key, value)"},
    {"get_obj", get_obj, METH_NOARGS, "get_obj()\n--\n\nThe object itself, without the lock."},
    {"get_lock", get_lock, METH_NOARGS, "get_lock()\n--\n\nThe lock."},
    {0},
};

static PyMemberDef members[] = {
    {"_obj", T_OBJECT_EX, offsetof(GuardedObject, object), READONLY, NULL},
    {"_lock", T_OBJECT_EX, offsetof(GuardedObject, lock), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GuardedObject, weak), READONLY, NULL},
    {0},
};

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc}, {Py_tp_traverse, traverse}, {Py_tp_clear, clear},
                              {Py_tp_methods, methods}, {Py_tp_members, members},   {0}};
static PyType_Slot name_slots[] = {{Py_tp_new, name_new}, {Py_tp_dealloc, name_dealloc}, {Py_tp_descr_get, name_get},
                                   {Py_tp_descr_set, name_set}, {0}};

static PyType_Spec guarded_spec = {"procession._native.Guarded", sizeof(GuardedObject), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
static PyType_Spec name_spec = {"procession._native.GuardedName", sizeof(NameObject), 0, Py_TPFLAGS_DEFAULT, name_slots};

int guarded_add(PyObject *module) {
    guarded_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &guarded_spec, NULL);
    if (!guarded_type || PyModule_AddType(module, guarded_type) < 0) return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &name_spec, NULL);
    int error = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return error;
}
