/* Waits for a queue by tasks of event loops, and for several things at once. */
#include "queues.h"

PyObject *queue_py_await(PyObject *self, PyObject *args) {
    struct queue_view *view = queue_view_of(self);
    unsigned channel;
    int part, for_ever = 0;
    struct wait *wait;
    if (!view || !PyArg_ParseTuple(args, "iI|p", &part, &channel, &for_ever)) return NULL;
    int r = queue_await(view, (enum queue_part)part, for_ever, channel, &wait);
    return wait_to_py(r, wait);
}

PyObject *queue_py_announce(PyObject *self, PyObject *part) {
    struct queue_view *view = queue_view_of(self);
    long number = PyLong_AsLong(part);
    if (!view || (number == -1 && PyErr_Occurred())) return NULL;
    queue_announce(view, (enum queue_part)number);
    Py_RETURN_NONE;
}

PyObject *queue_py_give_up(PyObject *self, PyObject *args) {
    struct queue_view *view = queue_view_of(self);
    PyObject *index;
    int part;
    if (!view || !PyArg_ParseTuple(args, "iO", &part, &index)) return NULL;
    struct wait *wait = wait_from_py(index);
    if (!wait) return NULL;
    queue_give_up(view, (enum queue_part)part, wait);
    Py_RETURN_NONE;
}

/* How many threads and tasks wait for that part. */
PyObject *queue_py_waiting(PyObject *self, PyObject *part) {
    struct queue_view *view = queue_view_of(self);
    long number = PyLong_AsLong(part);
    unsigned long found = 0;
    if (!view || (number == -1 && PyErr_Occurred())) return NULL;
    for (uint32_t i = 0; i < waits_used(); i++)
        found += wait_pending(word_read(&wait_at(i)->state)) &&
                 word_peek(&wait_at(i)->key) == (view->holding.index | KEY_PART(number));
    return PyLong_FromUnsignedLong(found);
}
