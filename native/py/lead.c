/* A lock that is tried, not waited for, in a with statement: Python looks for signals after every call, but not between a with
 * statement's entry and its body. With `if lock.acquire(False):` a Ctrl-C in between would leave it locked for ever. */
#include "native.h"

typedef struct {
    PyObject_HEAD
    unsigned long holder; /* the thread that has it; the GIL guards it */
} LeadObject;

/* Whether it is ours now. Not when it is another's, or ours already. */
static PyObject *enter(PyObject *self, PyObject *unused) {
    LeadObject *lead = (LeadObject *)self;
    (void)unused;
    if (lead->holder) Py_RETURN_FALSE;
    lead->holder = PyThread_get_thread_ident();
    Py_RETURN_TRUE;
}

static PyObject *leave(PyObject *self, PyObject *args) {
    LeadObject *lead = (LeadObject *)self;
    (void)args;
    lead->holder = 0;
    Py_RETURN_NONE;
}

/* Leaving a with statement that did not get it changes nothing. */
static PyObject *leave_block(PyObject *self, PyObject *args) {
    if (((LeadObject *)self)->holder == PyThread_get_thread_ident()) return leave(self, args);
    Py_RETURN_NONE;
}

static PyObject *held(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((LeadObject *)self)->holder != 0);
}

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, "Whether it is ours now. Does not block."},
    {"__exit__", leave_block, METH_VARARGS, "Give it back, if it is this thread's."},
    {"forget", leave, METH_NOARGS, "It is nobody's: after a fork."},
    {0},
};

static PyGetSetDef getters[] = {{"held", held, NULL, "Whether anybody has it.", NULL}, {0}};

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc}, {Py_tp_methods, methods}, {Py_tp_getset, getters}, {0}};

PyType_Spec lead_spec = {"procession._native.Lead", sizeof(LeadObject), 0, Py_TPFLAGS_DEFAULT, slots};
