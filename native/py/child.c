/* The type Child: a thin face of native/child.h. */
#include "native.h"

#include "../channel.h"
#include "../child.h"

PyTypeObject *child_type;

typedef struct {
    PyObject_HEAD
    struct child *child;
} ChildObject;

static PyObject *wrap(struct child *child) {
    ChildObject *self = PyObject_New(ChildObject, child_type);
    if (!self) {
        child_drop(child);
        return NULL;
    }
    self->child = child;
    return (PyObject *)self;
}

static struct child *of(PyObject *self) { return ((ChildObject *)self)->child; }

static void dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    child_drop(of(self));
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *order(PyObject *type, PyObject *args) {
    int control;
    struct member who;
    struct child *child;
    (void)type;
    if (!PyArg_ParseTuple(args, "iO&:order", &control, member_from_py, &who)) return NULL;
    int error = child_order(control, who, &child);
    return error ? raise_errno(error, "ordering a process from the zygote") : wrap(child);
}

static PyObject *adopt(PyObject *type, PyObject *args) {
    int pid, sock;
    struct member who;
    struct child *child;
    (void)type;
    if (!PyArg_ParseTuple(args, "iiO&:adopt", &pid, &sock, member_from_py, &who)) return NULL;
    int error = child_adopt(pid, sock, who, &child);
    return error ? raise_errno(error, "watching a child (pidfd_open, epoll)") : wrap(child);
}

static PyObject *hello(PyObject *self, PyObject *unused) {
    int r;
    (void)unused;
    do {
        Py_BEGIN_ALLOW_THREADS
        r = child_hello(of(self));
        Py_END_ALLOW_THREADS
        if (r == -EINTR && PyErr_CheckSignals() < 0) return NULL;
    } while (r == -EINTR);
    if (r < 0 && r != -ECHILD) return raise_errno(r, "starting a process (clone)");
    return PyLong_FromLong(r > 0 ? of(self)->pid : 0);
}

static PyObject *hand_over(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    int fds[CHANNEL_FDS];
    char *message;
    Py_ssize_t size;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "hand_over() takes a message and descriptors"), NULL;
    if (PyBytes_AsStringAndSize(args[0], &message, &size) < 0) return NULL;
    int n = fds_from_py(args[1], fds, CHANNEL_FDS);
    if (n < 0) return NULL;
    int error = child_hand_over(of(self), message, (size_t)size, fds, n);
    return error ? raise_errno(error, "handing a start over (sendmsg)") : Py_NewRef(Py_None);
}

static PyObject *wait_(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    int64_t deadline;
    if (deadline_from_py(count ? args[0] : NULL, &deadline) < 0) return NULL;
    int r = child_poll(of(self));
    while (r == 0) {
        Py_BEGIN_ALLOW_THREADS
        r = child_wait(of(self), deadline);
        Py_END_ALLOW_THREADS
        if (r == 0) Py_RETURN_FALSE;
        if (r == -EINTR) {
            if (PyErr_CheckSignals() < 0) return NULL;
            r = 0;
        }
    }
    return r < 0 ? raise_errno(r, "waiting for a child") : Py_NewRef(Py_True);
}

static PyObject *poll_(PyObject *self, PyObject *unused) {
    (void)unused;
    return PyBool_FromLong(child_poll(of(self)));
}

static PyObject *signal_(PyObject *self, PyObject *sig) {
    int number = (int)PyLong_AsLong(sig);
    if (number == -1 && PyErr_Occurred()) return NULL;
    int error = child_signal(of(self), number);
    return error && error != -ESRCH ? raise_errno(error, "pidfd_send_signal") : PyBool_FromLong(error == 0);
}

static PyObject *terminate(PyObject *self, PyObject *seconds) {
    double grace = PyFloat_AsDouble(seconds);
    if (grace == -1.0 && PyErr_Occurred()) return NULL;
    if (grace > 1e9) grace = 1e9; /* (31 years) */
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = child_terminate(of(self), (int64_t)(grace * PN_SECOND));
    Py_END_ALLOW_THREADS
    return error && error != -ESRCH ? raise_errno(error, "pidfd_send_signal") : PyBool_FromLong(error == 0);
}

static PyObject *sentinel(PyObject *self, PyObject *unused) {
    (void)unused;
    int fd = child_sentinel(of(self));
    return fd < 0 ? raise_errno(fd, "opening a sentinel") : PyLong_FromLong(fd);
}

static PyObject *get_pid(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(of(self)->pid);
}

static PyObject *get_exited(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(word_read(&of(self)->exited));
}

static PyObject *get_status(PyObject *self, void *unused) {
    (void)unused;
    return word_read(&of(self)->exited) ? PyLong_FromLong(of(self)->status) : Py_NewRef(Py_None);
}

static PyObject *get_member(PyObject *self, void *unused) {
    (void)unused;
    return member_to_py(of(self)->who);
}

static PyObject *get_figures(PyObject *self, void *unused) {
    (void)unused;
    struct child *c = of(self);
    return Py_BuildValue("KKlLL", (unsigned long long)c->run_time, (unsigned long long)c->ready_time, c->usage.ru_maxrss,
                         (long long)c->started, word_read(&c->exited) ? (long long)c->ended : 0ll);
}

/* (It is copied before `exited` is set, and the record is freed after that.) */
static PyObject *get_task(PyObject *self, void *unused) {
    (void)unused;
    struct child *c = of(self);
    struct record *record = word_read(&c->exited) ? NULL : table_get(c->who);
    uint64_t task = record ? word_read(&record->task) : 0;
    return PyLong_FromUnsignedLongLong(word_read(&c->exited) ? c->task : task);
}

static PyObject *get_peak_kib(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(word_read(&of(self)->exited) ? of(self)->usage.ru_maxrss : 0);
}

static PyMethodDef methods[] = {
    {"order", order, METH_VARARGS | METH_STATIC, "order(control, member): ask the zygote for a spare."},
    {"adopt", adopt, METH_VARARGS | METH_STATIC, "adopt(pid, sock, member): take charge of a child that exists."},
    {"hello", hello, METH_NOARGS, "Wait until the spare exists; its pid, or 0 when it died or never came."},
    {"hand_over", (PyCFunction)(void (*)(void))hand_over, METH_FASTCALL, "hand_over(message, fds): start it."},
    {"wait", (PyCFunction)(void (*)(void))wait_, METH_FASTCALL, "wait(timeout=None): True once it has exited."},
    {"poll", poll_, METH_NOARGS, "True once it has exited. Does not wait."},
    {"signal", signal_, METH_O, "signal(number): False when it has exited already."},
    {"terminate", terminate, METH_O, "terminate(grace): SIGTERM to it and its kin, SIGKILL after `grace` seconds."},
    {"sentinel", sentinel, METH_NOARGS, "A descriptor that is readable once it has exited."},
    {0},
};

static PyGetSetDef getters[] = {
    {"pid", get_pid, NULL, "0 until known", NULL},
    {"exited", get_exited, NULL, NULL, NULL},
    {"status", get_status, NULL, "as wait(2) gives it; None while it lives", NULL},
    {"member", get_member, NULL, NULL, NULL},
    {"task", get_task, NULL, "number of the task that it has in hand, or had when it died; 0: none", NULL},
    {"peak_kib", get_peak_kib, NULL, "peak of its resident memory; 0 while it lives", NULL},
    {"figures", get_figures, NULL, "(ns run, ns ready, KiB peak, start, end or 0): boot-time ns", NULL},
    {0},
};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, dealloc}, {Py_tp_methods, methods}, {Py_tp_getset, getters},
    {Py_tp_doc, "A child of this process; see native/child.h."}, {0},
};

PyType_Spec child_spec = {"procession._native.Child", sizeof(ChildObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
