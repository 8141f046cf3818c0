/* A channel of the doorbell, with the waits that ring it: none of them outlives it. A signal's handler may raise in Python between
 * any two calls, so what has begun waits cannot promise to end them; the death of this object does. */
#include "native.h"

#include <errno.h>
#include <stddef.h>
#include <structmember.h>
#include <unistd.h>

#include "../bell.h"
#include "../recover.h"

typedef struct {
    PyObject_HEAD
    PyObject *weak;
    uint32_t number;
    int fd;         /* -1: closed */
    uint32_t forks; /* a forked child's copy stands for the parent's */
} BellObject;

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names)) return NULL;
    BellObject *bell = (BellObject *)type->tp_alloc(type, 0);
    if (!bell) return NULL;
    bell->fd = -1;
    int error = bell_open(&bell->number, &bell->fd);
    bell->forks = bell_forks();
    if (!error) return (PyObject *)bell;
    bell->fd = -1;
    Py_DECREF(bell);
    return raise_sync(error);
}

static void shut(BellObject *bell) {
    int fd = bell->fd;
    bell->fd = -1;
    if (fd < 0 || bell->forks != bell_forks()) return;
    Py_BEGIN_ALLOW_THREADS
    recover_channel(bell->number);
    bell_close(bell->number);
    Py_END_ALLOW_THREADS
}

static PyObject *close_(PyObject *self, PyObject *unused) {
    (void)unused;
    shut((BellObject *)self);
    Py_RETURN_NONE;
}

/* (With the GIL, so that nobody closes it, and opens something else by its number, in between.) */
static PyObject *ring(PyObject *self, PyObject *unused) {
    BellObject *bell = (BellObject *)self;
    uint64_t one = 1;
    (void)unused;
    if (bell->fd >= 0 && bell->forks == bell_forks() && write(bell->fd, &one, sizeof one) < 0) errno = 0; /* full: it is readable */
    Py_RETURN_NONE;
}

static PyObject *get_number(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((BellObject *)self)->number);
}

static PyObject *get_fd(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(((BellObject *)self)->fd);
}

static PyMethodDef methods[] = {
    {"ring", ring, METH_NOARGS, "Make its descriptor readable, unless it is closed. In any thread."},
    {"close", close_, METH_NOARGS, "Close the channel; waits that ring it are ended, and what they were told goes to others."},
    {0},
};

static PyGetSetDef getters[] = {
    {"number", get_number, NULL, "For the waits.", NULL},
    {"fd", get_fd, NULL, "An eventfd, readable when a wait was told something; -1 when it is closed.", NULL},
    {0},
};

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (((BellObject *)self)->weak) PyObject_ClearWeakRefs(self);
    shut((BellObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(BellObject, weak), READONLY, NULL}, {0}};

static PyType_Slot slots[] = {{Py_tp_new, new},         {Py_tp_dealloc, dealloc}, {Py_tp_methods, methods},
                              {Py_tp_getset, getters}, {Py_tp_members, members}, {0}};

PyType_Spec bell_spec = {"procession._native.Bell", sizeof(BellObject), 0, Py_TPFLAGS_DEFAULT, slots};
