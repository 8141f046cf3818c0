/* What a Connection is made of: native/packets.h for Python. What may wait lets go of the GIL only to wait, and looks at
 * signals in between. A message is given as one buffer or as a list of them. */
#include "native.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "../clock.h"
#include "../packets.h"

static PyObject *pair(PyObject *module, PyObject *unused) {
    int ends[2], error = packets_pair(ends);
    (void)module, (void)unused;
    return error ? raise_errno(error, "socketpair") : Py_BuildValue("ii", ends[0], ends[1]);
}

static PyObject *speaks(PyObject *module, PyObject *fd) {
    long number = PyLong_AsLong(fd);
    (void)module;
    if (number == -1 && PyErr_Occurred()) return NULL;
    return PyBool_FromLong(packets_speak((int)number));
}

/* --- sending --- */

#define FEW 4

struct held { /* its buffers, held */
    struct packet_out out;
    struct iovec few[FEW], *pieces;
    Py_buffer few_views[FEW], *views;
    int count;
};

static void release(struct held *m) {
    for (int i = 0; i < m->count; i++) PyBuffer_Release(&m->views[i]);
    if (m->views != m->few_views) PyMem_Free(m->views);
    if (m->pieces != m->few) PyMem_Free(m->pieces);
    m->count = 0;
    m->views = m->few_views;
    m->pieces = m->few;
}

static int make_room(struct held *m, Py_ssize_t count) {
    m->count = 0;
    m->views = m->few_views;
    m->pieces = m->few;
    if (count <= FEW) return 0;
    m->views = count > INT_MAX ? NULL : PyMem_New(Py_buffer, (size_t)count);
    m->pieces = count > INT_MAX ? NULL : PyMem_New(struct iovec, (size_t)count);
    if (m->views && m->pieces) return 0;
    release(m);
    PyErr_NoMemory();
    return -1;
}

static int hold(struct held *m, PyObject *piece) {
    Py_buffer *view = &m->views[m->count];
    if (PyObject_GetBuffer(piece, view, PyBUF_SIMPLE) < 0) return -1;
    m->pieces[m->count++] = (struct iovec){view->buf, (size_t)view->len};
    return 0;
}

/* 0, or -1 with an exception set and nothing held. */
static int message_from_py(PyObject *object, struct held *m) {
    bool several = PyList_CheckExact(object);
    Py_ssize_t count = several ? PyList_GET_SIZE(object) : 1;
    if (make_room(m, count) < 0) return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (several && i >= PyList_GET_SIZE(object)) break; /* (it shrank) */
        if (hold(m, several ? PyList_GET_ITEM(object, i) : object) == 0) continue;
        release(m);
        return -1;
    }
    packets_fill(&m->out, m->pieces, m->count);
    return 0;
}

#define WAITED(result, call)                                                                        \
    do {                                                                                            \
        Py_BEGIN_ALLOW_THREADS                                                                      \
        result = (call);                                                                            \
        Py_END_ALLOW_THREADS                                                                        \
    } while (result == -EINTR && (PyErr_CheckSignals() == 0))

/* The rest, to its end. The receiver may be gone with it: then nobody has the message, and that is an error only if nobody else
 * can receive the next one. */
static int push(int fd, struct packet_out *out) {
    int r;
    WAITED(r, packets_push(out));
    if (r == -EPIPE && !packets_alone(fd)) r = 0;
    packets_drop(out);
    return r;
}

static int send_all(int fd, struct packet_out *out) {
    int r;
    while ((r = packets_send(fd, out)) == -EAGAIN) {
        WAITED(r, packets_wait(fd, POLLOUT, PN_FOREVER));
        if (r < 0) break;
    }
    if (r > 0) return push(fd, out);
    packets_drop(out);
    return r;
}

static PyObject *answer(int r) {
    if (r >= 0) Py_RETURN_NONE;
    return PyErr_Occurred() ? NULL : raise_errno(r, "send");
}

static PyObject *send_(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    struct held m;
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "packet_send(fd, message)");
    int fd = (int)PyLong_AsLong(args[0]);
    if ((fd == -1 && PyErr_Occurred()) || message_from_py(args[1], &m) < 0) return NULL;
    int r = send_all(fd, &m.out);
    release(&m);
    return answer(r);
}

typedef struct { /* a message that is on its way, and holds its buffers until it is there or dropped */
    PyObject_HEAD
    struct held message;
    int fd; /* the end through which it goes */
} OutgoingObject;

static PyTypeObject *outgoing_type, *incoming_type;

static void outgoing_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    packets_drop(&((OutgoingObject *)self)->message.out);
    release(&((OutgoingObject *)self)->message);
    type->tp_free(self);
    Py_DECREF(type);
}

/* None: all of it is sent. */
static PyObject *begin(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "packet_begin(fd, message)");
    int fd = (int)PyLong_AsLong(args[0]);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    OutgoingObject *self = (OutgoingObject *)outgoing_type->tp_alloc(outgoing_type, 0);
    if (!self) return NULL;
    struct held *m = &self->message;
    m->out.rest = m->out.theirs = -1;
    self->fd = fd;
    int r = message_from_py(args[1], m) < 0 ? -1 : packets_send(fd, &m->out);
    if (r > 0) return (PyObject *)self;
    Py_DECREF(self);
    return answer(r);
}

static PyObject *more(PyObject *self, PyObject *unused) {
    struct packet_out *out = &((OutgoingObject *)self)->message.out;
    (void)unused;
    int r = packets_more(out);
    if (r == -EPIPE && !packets_alone(((OutgoingObject *)self)->fd)) r = 0; /* as in push */
    return r < 0 ? answer(r) : PyBool_FromLong(r > 0);
}

static PyObject *outgoing_fileno(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(((OutgoingObject *)self)->message.out.rest);
}

/* --- receiving --- */

static _Atomic(char *) spare_room; /* one packet's room, kept for the next */

static char *take_room(void) {
    char *room = atomic_exchange(&spare_room, NULL);
    return room ? room : malloc(PACKETS_ROOM);
}

static void give_room(char *room) {
    char *none = NULL;
    if (!atomic_compare_exchange_strong(&spare_room, &none, room)) free(room);
}

typedef struct { /* a message of which only the beginning is here */
    PyObject_HEAD
    struct packet_in in;
    PyObject *message; /* bytes, not yet filled; or NULL: */
    char *block;       /* memory for a pickle, which is read where it lies; not yet filled */
    size_t room;       /* bytes of the block */
} IncomingObject;

/* A block of so many bytes at most is kept for the next pickle: fresh memory costs more than what is copied into it. */
#define KEPT (8 << 20)

static char *kept;
static size_t kept_room;

static int take_block(IncomingObject *self) {
    bool fits = kept && kept_room >= self->in.size;
    self->room = fits ? kept_room : self->in.size;
    self->block = fits ? kept : PyMem_RawMalloc(self->room);
    if (fits) kept = NULL;
    return self->block ? 0 : -1;
}

static void give_block(IncomingObject *self) {
    if (self->room <= KEPT && (!kept || kept_room < self->room)) {
        char *other = kept;
        kept = self->block;
        kept_room = self->room;
        self->block = other;
    }
    PyMem_RawFree(self->block);
}

static char *place_of(IncomingObject *self) { return self->message ? PyBytes_AS_STRING(self->message) : self->block; }

static void incoming_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (((IncomingObject *)self)->in.rest >= 0) close(((IncomingObject *)self)->in.rest);
    Py_XDECREF(((IncomingObject *)self)->message);
    if (((IncomingObject *)self)->block) give_block((IncomingObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* bytes, or an Incoming. */
static PyObject *received(const char *room, struct packet_in *in, bool pickle) {
    if (in->rest < 0) return PyBytes_FromStringAndSize(room, (Py_ssize_t)in->size);
    IncomingObject *self = (IncomingObject *)incoming_type->tp_alloc(incoming_type, 0);
    if (!self) {
        close(in->rest);
        return NULL;
    }
    self->in = *in;
    if (!pickle) self->message = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)in->size);
    else if (take_block(self) < 0) PyErr_NoMemory();
    if (place_of(self)) memcpy(place_of(self), room, in->got);
    else Py_CLEAR(self); /* (and so its sender is told that nobody wants it) */
    return (PyObject *)self;
}

static int take_slowly(int fd, char *room, struct packet_in *in) {
    int r;
    WAITED(r, packets_expect(fd, room, in));
    /* (A signal that came during the spin would not wake us any more.) */
    while (r == -EAGAIN && PyErr_CheckSignals() == 0) {
        WAITED(r, packets_take(fd, room, in, true));
        if (r != -EAGAIN) break;
        WAITED(r, packets_wait(fd, POLLIN, PN_FOREVER)); /* (a descriptor that was made not to wait) */
        if (r >= 0) r = packets_take(fd, room, in, false);
    }
    return r;
}

static int take(int fd, char *room, struct packet_in *in, bool wait) {
    int r = packets_take(fd, room, in, false);
    return r == -EAGAIN && wait ? take_slowly(fd, room, in) : r;
}

static PyObject *receive(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    struct packet_in in;
    (void)module;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "packet_receive(fd, wait, pickle)");
    int fd = (int)PyLong_AsLong(args[0]);
    if (fd == -1 && PyErr_Occurred()) return NULL;
    char *room = take_room();
    if (!room) return PyErr_NoMemory();
    int r = take(fd, room, &in, args[1] == Py_True);
    PyObject *result = r > 0 ? received(room, &in, args[2] == Py_True) : r == 0 ? Py_NewRef(Py_None) : NULL;
    give_room(room);
    if (r == -EBADMSG && !PyErr_Occurred()) PyErr_SetString(PyExc_OSError, "bad message: it was not sent by a Connection");
    return result || PyErr_Occurred() ? result : raise_errno(r, "recv");
}

/* The message; None: not all of it is here yet; False: its sender is gone, and no more will come. */
static PyObject *fill(PyObject *object, PyObject *wait) {
    IncomingObject *self = (IncomingObject *)object;
    char *place = place_of(self);
    int r;
    if (wait == Py_True) {
        Py_BEGIN_ALLOW_THREADS
        r = packets_pull(&self->in, place);
        Py_END_ALLOW_THREADS
    } else r = packets_rest(&self->in, place);
    if (r == 0) Py_RETURN_FALSE;
    if (r > 0) return Py_NewRef(self->message ? self->message : object);
    if (r != -EAGAIN && r != -EINTR) return raise_errno(r, "recv");
    if (PyErr_CheckSignals() < 0) return NULL;
    Py_RETURN_NONE;
}

static int incoming_buffer(PyObject *object, Py_buffer *view, int flags) {
    IncomingObject *self = (IncomingObject *)object;
    if (self->in.got == self->in.size)
        return PyBuffer_FillInfo(view, object, place_of(self), (Py_ssize_t)self->in.size, 1, flags);
    PyErr_SetString(PyExc_BufferError, "not all of the message is here");
    return -1;
}

static PyObject *incoming_fileno(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyLong_FromLong(((IncomingObject *)self)->in.rest);
}

static PyObject *incoming_size(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(((IncomingObject *)self)->in.size);
}

static PyObject *poll_(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    int64_t deadline;
    int r;
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "packet_poll(fd, timeout)");
    int fd = (int)PyLong_AsLong(args[0]);
    if ((fd == -1 && PyErr_Occurred()) || deadline_from_py(args[1], &deadline) < 0) return NULL;
    struct pollfd one = {fd, POLLIN, 0};
    if (poll(&one, 1, 0) > 0) Py_RETURN_TRUE;
    if (deadline <= clock_monotonic()) Py_RETURN_FALSE;
    WAITED(r, packets_wait(fd, POLLIN, deadline));
    if (PyErr_Occurred()) return NULL;
    return r < 0 ? raise_errno(r, "poll") : PyBool_FromLong(r);
}

static PyObject *stream(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_buffer view;
    int64_t r;
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "packet_stream(fd, bytes)");
    int fd = (int)PyLong_AsLong(args[0]);
    if ((fd == -1 && PyErr_Occurred()) || PyObject_GetBuffer(args[1], &view, PyBUF_SIMPLE) < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
    do r = packets_stream(fd, view.buf, (size_t)view.len);
    while (r == -EINTR);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    return r < 0 ? raise_errno((int)r, "send") : PyLong_FromLongLong(r);
}

static PyMethodDef outgoing_methods[] = {
    {"more", more, METH_NOARGS, "Send more of it, without waiting: whether some remains. BlockingIOError: no room."},
    {"fileno", outgoing_fileno, METH_NOARGS, "What becomes writable when there is room for more."},
    {0},
};
static PyMethodDef incoming_methods[] = {
    {"fill", fill, METH_O, "fill(wait): the message (of a pickle: itself); None: not all is here yet; False: it never will be."},
    {"fileno", incoming_fileno, METH_NOARGS, "What becomes readable when more is here."},
    {0},
};
static PyGetSetDef incoming_getters[] = {{"size", incoming_size, NULL, "Of the whole message, in bytes.", NULL}, {0}};
static PyType_Slot outgoing_slots[] = {{Py_tp_dealloc, outgoing_dealloc}, {Py_tp_methods, outgoing_methods}, {0}};
static PyType_Slot incoming_slots[] = {{Py_tp_dealloc, incoming_dealloc}, {Py_tp_methods, incoming_methods},
                                       {Py_tp_getset, incoming_getters}, {Py_bf_getbuffer, incoming_buffer}, {0}};
#define FLAGS Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION
static PyType_Spec outgoing_spec = {"procession._native.Outgoing", sizeof(OutgoingObject), 0, FLAGS, outgoing_slots};
static PyType_Spec incoming_spec = {"procession._native.Incoming", sizeof(IncomingObject), 0, FLAGS, incoming_slots};

int add_packet_types(PyObject *module) {
    outgoing_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &outgoing_spec, NULL);
    if (!outgoing_type || PyModule_AddType(module, outgoing_type) < 0) return -1;
    incoming_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &incoming_spec, NULL);
    return !incoming_type || PyModule_AddType(module, incoming_type) < 0 ? -1 : 0;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL

PyMethodDef packet_functions[] = {
    {"packets_pair", pair, METH_NOARGS, "Two ends for whole messages; see native/packets.h."},
    {"packets_speak", speaks, METH_O, "packets_speak(fd): whether it is such an end."},
    {"packet_send", FAST(send_), "packet_send(fd, message): all of it. Waits while there is no room."},
    {"packet_begin", FAST(begin), "packet_begin(fd, message): None if all is sent, or an Outgoing. BlockingIOError: no room."},
    {"packet_receive", FAST(receive), "packet_receive(fd, wait, pickle): bytes, an Incoming, or None at the end."},
    {"packet_stream", FAST(stream), "packet_stream(fd, bytes): how many were written, not waiting. BlockingIOError: no room."},
    {"packet_poll", FAST(poll_), "packet_poll(fd, timeout): whether there is something to read, or the end."},
    {0},
};
