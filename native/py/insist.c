/* A call that takes place whatever a signal's handler raises. Python runs handlers between the steps of a function, and before the
 * first one, too: a `__exit__` in Python may be left before it has begun. One in C that calls it again cannot. */
#include "native.h"

#define MOST 1000 /* of what is raised: more is no person at the keyboard, but a bug */

/* What was raised just now, as an object. */
static PyObject *raised_now(void) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace) PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

static PyObject *call_once(PyObject *const *args, Py_ssize_t count, PyObject *raised) {
    PyObject *stack[8] = {raised};
    for (Py_ssize_t i = 1; i < count; i++) stack[i] = args[i];
    return PyObject_Vectorcall(args[0], stack, (size_t)count, NULL);
}

static PyObject *insist(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count < 1 || count > 8) {
        PyErr_SetString(PyExc_TypeError, "insist(function, ...) passes on up to 7 arguments");
        return NULL;
    }
    PyObject *raised = PyList_New(0);
    if (!raised) return NULL;
    for (int attempt = 0; attempt < MOST; attempt++) {
        PyObject *result = call_once(args, count, raised);
        if (result) {
            Py_DECREF(raised);
            if (!PyExceptionInstance_Check(result)) return result;
            PyErr_SetObject((PyObject *)Py_TYPE(result), result);
            Py_DECREF(result);
            return NULL;
        }
        PyObject *error = raised_now();
        int failed = PyList_Append(raised, error);
        if (!failed && attempt == MOST - 1) PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
        if (failed) break;
    }
    Py_DECREF(raised);
    return NULL;
}

PyMethodDef insist_functions[] = {
    {"insist", (PyCFunction)(void (*)(void))insist, METH_FASTCALL,
     "insist(function, *args): call function(raised, *args) until it returns; `raised` is a list of what it has raised so far. "
     "An exception that it returns is raised."},
    {0},
};
