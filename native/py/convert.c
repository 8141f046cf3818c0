#include "native.h"

#include "../clock.h"

PyObject *raise_errno(int error, const char *call) {
    PyObject *text = PyUnicode_FromFormat("%s: %s", call, strerror(-error));
    PyObject *instance = text ? PyObject_CallFunction(PyExc_OSError, "iN", -error, text) : NULL;
    if (instance) {
        PyErr_SetObject((PyObject *)Py_TYPE(instance), instance);
        Py_DECREF(instance);
    }
    return NULL;
}

int member_from_py(PyObject *object, void *out) {
    unsigned long long packed = PyLong_AsUnsignedLongLong(object);
    if (packed == (unsigned long long)-1 && PyErr_Occurred()) return 0;
    struct member *who = out;
    who->slot = (uint32_t)packed;
    who->generation = (uint32_t)(packed >> 32);
    return 1;
}

int deadline_from_py(PyObject *seconds, int64_t *out) {
    *out = PN_FOREVER;
    if (seconds == NULL || seconds == Py_None) return 0;
    double s = PyFloat_AsDouble(seconds);
    if (s == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "timeout must be a number of seconds or None; got %R", seconds);
        return -1;
    }
    if (s != s) {
        PyErr_SetString(PyExc_ValueError, "timeout must be a number of seconds or None, not NaN");
        return -1;
    }
    if (s < 0) s = 0;
    if (s < 1e9) *out = clock_monotonic() + (int64_t)(s * PN_SECOND); /* (1e9 s are 31 years) */
    return 0;
}

int fds_from_py(PyObject *sequence, int *out, int room) {
    PyObject *fast = PySequence_Fast(sequence, "descriptors must be a sequence of ints");
    if (!fast) return -1;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(fast);
    if (count > room) {
        PyErr_Format(PyExc_ValueError, "%zd descriptors given, at most %d can be passed in one message", count, room);
        count = -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        out[i] = (int)PyLong_AsLong(PySequence_Fast_GET_ITEM(fast, i));
        if (out[i] == -1 && PyErr_Occurred()) count = -1;
    }
    Py_DECREF(fast);
    return (int)count;
}

PyObject *ints_to_py(const int *numbers, int count) {
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *number = PyLong_FromLong(numbers[i]);
        if (number) PyList_SET_ITEM(list, i, number);
        else Py_CLEAR(list);
    }
    return list;
}
