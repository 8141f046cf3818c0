/* What the files of Queue share. */
#ifndef PROCESSION_PY_QUEUES_H
#define PROCESSION_PY_QUEUES_H

#include "native.h"

typedef struct {
    PyObject_HEAD
    struct queue_view view;
    PyObject *weak;
    bool closed, used; /* by this handle: no more use of it; it has put something */
    uint32_t nudges;   /* of the queue's, this handle has seen so many */
} QueueObject;

/* The queue behind a handle, or NULL with an exception set; of one that is closed, too. */
struct queue_view *queue_view_of(PyObject *self);
struct queue_view *queue_open_view(PyObject *self);
/* What an operation of queue.h answered, as an exception. Returns NULL. */
PyObject *queue_raise(int error, bool put);

/* queue_waits.c */
PyObject *queue_py_await(PyObject *self, PyObject *args);
PyObject *queue_py_announce(PyObject *self, PyObject *part);
PyObject *queue_py_give_up(PyObject *self, PyObject *args);
PyObject *queue_py_waiting(PyObject *self, PyObject *part);

/* tasks.c */
PyObject *queue_py_put_task(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *queue_py_put_tasks(PyObject *self, PyObject *list);
PyObject *queue_py_end_task(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *queue_py_take_task(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *queue_py_get_tasks(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *queue_py_withdraw(PyObject *self, PyObject *number);
PyObject *queue_py_attend(PyObject *self, PyObject *yes);
PyObject *queue_py_watch_tasks(PyObject *self, PyObject *timeout);
PyObject *queue_py_nudge(PyObject *self, PyObject *unused);

/* Put it, waiting for our turn. 0, or -1 with an exception set. */
int queue_put_tagged(PyObject *self, const uint64_t tag[2], PyObject *object);

/* work.c */
PyObject *queue_py_work(PyObject *self, PyObject *args);

/* packed.c: a message before it is put, and after it was got. */
/* As message_encode, of a Packed or of anything. A Packed must live until the message is put. */
int packed_encode(PyObject *object, struct outgoing *out);
/* What was got: decoded if that runs no code of users', else as a Message. The `taken` is used up. */
PyObject *message_received(struct taken *taken);

#endif
