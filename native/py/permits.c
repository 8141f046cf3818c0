/* The types Semaphore, plain (native/semaphore.h) or robust (native/shares.h), and Shares. */
#include "native.h"

#include "../semaphore.h"
#include "../shares.h"

static PyObject *released_too_often(int error) {
    if (error != -EPERM && error != -EOVERFLOW) return raise_sync(error);
    PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
    return NULL;
}

/* --- permits of which it is known who has them --- */

/* Our stake, or 0 with an exception set. */
static uint32_t own_stake(struct cell *cell) {
    uint32_t stake = stake_of(cell);
    if (!stake) raise_sync(sync_enter() < 0 ? -ESRCH : -ENOSPC);
    return stake;
}

static PyObject *take(struct cell *cell, uint32_t units, struct acquire *how) {
    uint32_t stake = own_stake(cell);
    if (!stake) return NULL;
    int r = shares_try(cell, stake, units);
    if (r == 0) Py_RETURN_TRUE;
    if (r == -EBUSY && !how->block) Py_RETURN_FALSE;
    WAITING(r, shares_take(cell, stake, units, how->block ? how->deadline : 0));
    if (r == -ETIMEDOUT) Py_RETURN_FALSE;
    return r < 0 ? raise_sync(r) : Py_NewRef(Py_True);
}

/* _take(units, block=True, timeout=None) */
static PyObject *shares_take_(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct acquire how = {true, PN_FOREVER};
    struct cell *cell = cell_of(self);
    unsigned long units = count ? PyLong_AsUnsignedLong(args[0]) : 1;
    if (!cell || (units == (unsigned long)-1 && PyErr_Occurred())) return NULL;
    if ((count > 1 || names) && acquire_from_py("acquire", args + 1, count - 1, names, &how) < 0) return NULL;
    return take(cell, (uint32_t)units, &how);
}

static PyObject *give(struct cell *cell, uint32_t units, bool own) {
    uint32_t stake = own_stake(cell);
    int r;
    if (!stake) return NULL;
    WAITING(r, shares_give(cell, stake, units, own));
    return r < 0 ? released_too_often(r) : Py_NewRef(Py_None);
}

/* _give(units, own) */
static PyObject *shares_give_(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "_give(units, own)");
    unsigned long units = PyLong_AsUnsignedLong(args[0]);
    if (units == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    return give(cell, (uint32_t)units, PyObject_IsTrue(args[1]) == 1);
}

typedef int begin(struct cell *cell, uint32_t stake, uint32_t units, uint32_t channel, struct wait **out);

/* (units, channel): None: it need not wait; else the wait. */
static PyObject *begin_by(begin *how, PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = cell_of(self);
    struct wait *wait = NULL;
    if (!cell) return NULL;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "expected units and a channel");
    unsigned long units = PyLong_AsUnsignedLong(args[0]), channel = PyLong_AsUnsignedLong(args[1]);
    uint32_t stake = PyErr_Occurred() ? 0 : own_stake(cell);
    int r;
    if (!stake) return NULL;
    WAITING(r, how(cell, stake, (uint32_t)units, (uint32_t)channel, &wait));
    return r > 0 ? Py_NewRef(Py_None) : wait_to_py(r, wait);
}

static PyObject *shares_begin_(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    return begin_by(shares_begin, self, args, count);
}

static PyObject *shares_watch_(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    return begin_by(shares_watch, self, args, count);
}

/* _end(wait): whether it has what it waited for. */
static PyObject *shares_end_(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    bool has;
    if (!wait) return NULL;
    Py_BEGIN_ALLOW_THREADS
    has = shares_end(cell, wait);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(has);
}

static PyObject *shares_held(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyLong_FromUnsignedLong(sync_me ? stake_held(stake_find(cell, sync_me)) : 0) : NULL;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)
#define STEPS                                                                                       \
    {"_take", FAST(shares_take_), METH_FASTCALL | METH_KEYWORDS, "_take(units, block, timeout)"},   \
    {"_give", FAST(shares_give_), METH_FASTCALL, "_give(units, own)"},                              \
    {"_begin", FAST(shares_begin_), METH_FASTCALL, "_begin(units, channel): None, or a wait."},     \
    {"_observe", FAST(shares_watch_), METH_FASTCALL, "_observe(units, channel): None: there are; or a wait."}, \
    {"_end", shares_end_, METH_O, "_end(wait): whether it has what it waited for."},                \
    {"_held", shares_held, METH_NOARGS, "How many permits this process has."},

/* --- Semaphore --- */

static PyObject *acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct acquire how = {true, PN_FOREVER};
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    if ((count || names) && acquire_from_py("acquire", args, count, names, &how) < 0) return NULL;
    if (cell_kind(cell) == CELL_SHARES) return take(cell, 1, &how);
    int r = semaphore_try(cell);
    if (r == 0) Py_RETURN_TRUE;
    if (!how.block) Py_RETURN_FALSE;
    r = semaphore_try_shortly(cell);
    if (r == -EBUSY) WAITING(r, semaphore_take(cell, how.deadline));
    if (r == -ETIMEDOUT) Py_RETURN_FALSE;
    return r < 0 ? raise_sync(r) : Py_NewRef(Py_True);
}

static PyObject *release(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = cell_of(self);
    (void)args;
    if (!cell) return NULL;
    if (count) return PyErr_Format(PyExc_TypeError, "release() takes no arguments (%zd given)", count);
    if (cell_kind(cell) == CELL_SHARES) return give(cell, 1, false);
    int r = semaphore_give(cell, 1);
    return r < 0 ? released_too_often(r) : Py_NewRef(Py_None);
}

static PyObject *enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return acquire(self, NULL, 0, NULL);
}

static PyObject *exit_(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)args, (void)count;
    return release(self, NULL, 0);
}

static PyObject *try_(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(semaphore_try(cell) == 0) : NULL;
}

static PyObject *give_up(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    if (!wait) return NULL;
    semaphore_give_up(cell, wait);
    Py_RETURN_NONE;
}

static PyObject *value(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyLong_FromUnsignedLong(shares_free(cell)) : NULL;
}

static PyObject *robust(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(cell_kind(cell) == CELL_SHARES) : NULL;
}

static PyObject *limit(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyLong_FromUnsignedLong(word_read(&cell->count)) : NULL;
}


static PyMethodDef semaphore_methods[] = {
    {"acquire", FAST(acquire), METH_FASTCALL | METH_KEYWORDS,
     "acquire(block=True, timeout=None)\n--\n\nTake a permit; whether there was one within `timeout` seconds."},
    {"release", FAST(release), METH_FASTCALL, "release()\n--\n\nGive a permit."},
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", FAST(exit_), METH_FASTCALL, NULL},
    {"get_value", value, METH_NOARGS, "How many permits are free. Does not block."},
    {"_try", try_, METH_O, NULL},
    {"_await", cell_await, METH_O, NULL},
    {"_announce", cell_announce, METH_NOARGS, NULL},
    {"_give_up", give_up, METH_O, NULL},
    STEPS {0},
};

static PyGetSetDef getters[] = {
    {"_limit", limit, NULL, NULL, NULL},
    {"_robust", robust, NULL, "Whether the permits of the dead are given back.", NULL},
    {0},
};
static PyType_Slot semaphore_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, semaphore_methods},
                                        {Py_tp_getset, getters}, {Py_tp_members, cell_members}, {0}};
PyType_Spec semaphore_spec = {"procession._native.Semaphore", sizeof(CellObject), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, semaphore_slots};

/* --- Shares: below a lock of readers and writers --- */

static PyMethodDef shares_methods[] = {STEPS {0}};
static PyType_Slot shares_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, shares_methods},
                                     {Py_tp_members, cell_members}, {0}};
PyType_Spec shares_spec = {"procession._native.Shares", sizeof(CellObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                           shares_slots};
