/* The types Event, Condition and Barrier: thin faces of the files of these names in native/. */
#include "native.h"

#include "../barrier.h"
#include "../condition.h"
#include "../event.h"
#include "../mutex.h"
#include "../shares.h"

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static int channel_from_py(PyObject *object, uint32_t *out) {
    unsigned long number = PyLong_AsUnsignedLong(object);
    if (number == (unsigned long)-1 && PyErr_Occurred()) return -1;
    *out = (uint32_t)number;
    return 0;
}

/* wait(timeout=None), as the argument of a call. */
static int timeout_from_py(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names, int64_t *out) {
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    bool known = named == 0 || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") == 0;
    if (count + named > 1 || !known) return PyErr_Format(PyExc_TypeError, "%s() takes one argument: timeout", name), -1;
    return deadline_from_py(count + named ? args[0] : NULL, out);
}

/* --- Event --- */

static PyObject *event_wait_(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct cell *cell = cell_of(self);
    int64_t deadline;
    int r;
    if (!cell || timeout_from_py("wait", args, count, names, &deadline) < 0) return NULL;
    if (event_is_set(cell)) Py_RETURN_TRUE;
    if (deadline != PN_FOREVER && deadline <= clock_monotonic()) Py_RETURN_FALSE;
    WAITING(r, event_wait(cell, deadline));
    return r < 0 ? raise_sync(r) : PyBool_FromLong(r);
}

static PyObject *event_set_(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    event_set(cell);
    Py_RETURN_NONE;
}

static PyObject *event_clear_(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    event_clear(cell);
    Py_RETURN_NONE;
}

static PyObject *is_set(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(event_is_set(cell)) : NULL;
}

/* _await(channel): a task's wait, told at once if the event is set. */
static PyObject *event_await(PyObject *self, PyObject *channel) {
    struct cell *cell = cell_of(self);
    struct wait *wait;
    uint32_t number;
    if (!cell || channel_from_py(channel, &number) < 0) return NULL;
    int r = event_begin(cell, number, &wait);
    if (r == 0 && event_announce(cell, wait)) wait_tell(wait, WAIT_PASSED);
    return wait_to_py(r, wait);
}

static PyMethodDef event_methods[] = {
    {"wait", FAST(event_wait_), METH_FASTCALL | METH_KEYWORDS,
     "wait(timeout=None)\n--\n\nWait until it is set, at most `timeout` seconds; whether it is, or was meanwhile."},
    {"set", event_set_, METH_NOARGS, "set()\n--\n\nSet it, and let all who wait go on."},
    {"clear", event_clear_, METH_NOARGS, "clear()\n--\n\nUnset it."},
    {"is_set", is_set, METH_NOARGS, "is_set()\n--\n\nWhether it is set. Does not block."},
    {"_await", event_await, METH_O, NULL},
    {0},
};
static PyType_Slot event_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, event_methods},
                                    {Py_tp_members, cell_members}, {0}};
PyType_Spec event_spec = {"procession._native.Event", sizeof(CellObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                          event_slots};

/* --- Condition: as a whole, and in steps for tasks --- */

static PyObject *condition_enter_(PyObject *self, PyObject *channel) {
    struct cell *cell = cell_of(self);
    struct wait *wait;
    uint32_t number;
    if (!cell || channel_from_py(channel, &number) < 0) return NULL;
    int r = condition_enter(cell, number, &wait);
    return wait_to_py(r, wait);
}

/* The lock again, to the depth that it had. What a signal's handler raised meanwhile stays raised. 0; HOLDER_DIED; below 0:
 * an exception is set and the lock is not held. */
static int take_again(struct cell *lock, uint32_t depth) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    int r = mutex_try_shortly(mutex_of(lock));
    if (r == -EBUSY) WAITING(r, mutex_lock(mutex_of(lock), PN_FOREVER));
    if (r < 0) {
        if (r != -EINTR) raise_sync(r);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
        return r;
    }
    PyErr_Restore(type, value, trace);
    if (cell_kind(lock) == CELL_RLOCK) word_poke(&lock->count, depth);
    lock_note(lock, sync_tid());
    return r;
}

static void give_wholly(struct cell *lock) {
    word_poke(&lock->count, 0);
    word_publish(&lock->tid, 0);
    mutex_unlock(mutex_of(lock), word_read(&lock->flags) & CELL_RAISES);
}

/* _wait(lock, timeout): with the lock held by this thread. In one call, so that no signal's handler comes between. */
static PyObject *condition_wait(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = count == 2 ? cell_of(self) : NULL, *lock = cell ? cell_of(args[0]) : NULL;
    struct wait *wait;
    int64_t deadline;
    if (!lock || deadline_from_py(args[1], &deadline) < 0) return NULL;
    int r = condition_enter(cell, NO_CHANNEL, &wait);
    if (r < 0) return raise_sync(r);
    uint32_t depth = word_peek(&lock->count);
    give_wholly(lock);
    WAITING(r, condition_sleep(wait, deadline));
    r = take_again(lock, depth);
    bool notified = condition_leave(wait);
    if (PyErr_Occurred()) {
        if (notified) condition_notify(cell, 1); /* it is another's now */
        return NULL;
    }
    PyObject *told = r == HOLDER_DIED ? PyObject_CallMethod(args[0], "_owner_is_dead", NULL) : Py_NewRef(Py_None);
    if (!told) return NULL;
    Py_DECREF(told);
    return PyBool_FromLong(notified);
}

static PyObject *condition_leave_(PyObject *self, PyObject *index) {
    struct wait *wait = cell_of(self) ? wait_from_py(index) : NULL;
    return wait ? PyBool_FromLong(condition_leave(wait)) : NULL;
}

static PyObject *condition_notify_(PyObject *self, PyObject *number) {
    struct cell *cell = cell_of(self);
    long count = PyLong_AsLong(number);
    if (!cell || (count == -1 && PyErr_Occurred())) return NULL;
    return PyLong_FromUnsignedLong(condition_notify(cell, count < 0 ? UINT32_MAX : (uint32_t)count));
}

static PyMethodDef condition_methods[] = {
    {"_enter", condition_enter_, METH_O, "_enter(channel): with the lock held; a wait."},
    {"_wait", FAST(condition_wait), METH_FASTCALL, "_wait(lock, timeout): whether it was notified in time."},
    {"_leave", condition_leave_, METH_O, "_leave(wait): with it again; whether it was notified."},
    {"_notify", condition_notify_, METH_O, "_notify(n): with it; below 0: all."},
    {0},
};
static PyType_Slot condition_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, condition_methods},
                                        {Py_tp_members, cell_members}, {0}};
PyType_Spec condition_spec = {"procession._native.Condition", sizeof(CellObject), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, condition_slots};

/* --- Barrier: likewise --- */

static PyObject *broken(void) {
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *type = threading ? PyObject_GetAttrString(threading, "BrokenBarrierError") : NULL;
    if (type) PyErr_SetNone(type);
    Py_XDECREF(type);
    Py_XDECREF(threading);
    return NULL;
}

/* We are the last: do what is to be done while the others wait. */
static PyObject *act(struct cell *cell, struct wait *wait, PyObject *action, uint32_t index) {
    PyObject *result = PyObject_CallNoArgs(action);
    int r = -EPIPE;
    if (result) r = barrier_acted(cell);
    else barrier_break(cell);
    wait_end(wait);
    Py_XDECREF(result);
    if (!result) return NULL;
    return r < 0 ? broken() : PyLong_FromUnsignedLong(index);
}

/* Sleep until it is known how the phase ended: 1, -EPIPE, -EAGAIN (arrive again), -EINTR. */
static int meet(struct cell *cell, struct wait *wait, int64_t deadline) {
    int r;
    do {
        WAITING(r, barrier_sleep(cell, wait, deadline));
        if (r == 0) r = barrier_expire(cell, wait);
        deadline = PN_FOREVER; /* the last one is acting: that is waited for */
    } while (r == 0);
    return r == -ETIMEDOUT ? -EPIPE : r;
}

/* _wait(action or None, timeout). In one call, so that no signal's handler comes between. */
static PyObject *barrier_wait(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = count == 2 ? cell_of(self) : NULL;
    struct wait *wait;
    uint32_t index = 0;
    int64_t deadline;
    int r;
    if (!cell || deadline_from_py(args[1], &deadline) < 0) return NULL;
    do {
        r = barrier_arrive(cell, args[0] != Py_None, NO_CHANNEL, &wait, &index);
        if (r == -EPIPE) return broken();
        if (r < 0) return raise_sync(r);
        if (r == BARRIER_GO) return PyLong_FromUnsignedLong(index);
        if (r == BARRIER_ACT) return act(cell, wait, args[0], index);
        r = meet(cell, wait, deadline);
        if (r == -EINTR) barrier_leave(cell, wait);
        else wait_end(wait);
    } while (r == -EAGAIN);
    if (r == -EPIPE) return broken();
    return r < 0 ? raise_sync(r) : PyLong_FromUnsignedLong(index);
}

/* _arrive(action, channel): (answer, wait or None, index) */
static PyObject *arrive(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = count == 2 ? cell_of(self) : NULL;
    struct wait *wait = NULL;
    uint32_t channel, index = 0;
    if (!cell || channel_from_py(args[1], &channel) < 0) return NULL;
    int r = barrier_arrive(cell, PyObject_IsTrue(args[0]) == 1, channel, &wait, &index);
    if (r == -EPIPE) return Py_BuildValue("iOI", -1, Py_None, 0);
    if (r < 0) return raise_sync(r);
    if (r == BARRIER_GO) return Py_BuildValue("iOI", r, Py_None, index);
    return Py_BuildValue("iII", r, wait_index(wait), index);
}

/* How a wait stands: 1 passed, -1 broken, 2 arrive again, 0 not known yet, -2 broken by our own time-out. */
static PyObject *outcome_to_py(int r) {
    if (r == -EPIPE) r = -1;
    else if (r == -EAGAIN) r = 2;
    else if (r == -ETIMEDOUT) r = -2;
    return r < -2 ? raise_sync(r) : PyLong_FromLong(r);
}

/* _observe(channel): a wait of one who is no party. */
static PyObject *observe(PyObject *self, PyObject *channel) {
    struct cell *cell = cell_of(self);
    struct wait *wait;
    uint32_t number;
    if (!cell || channel_from_py(channel, &number) < 0) return NULL;
    int r = barrier_watch(cell, number, &wait);
    return wait_to_py(r, wait);
}

static PyObject *outcome(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    return wait ? outcome_to_py(barrier_outcome(cell, wait)) : NULL;
}

static PyObject *expire(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    return wait ? outcome_to_py(barrier_expire(cell, wait)) : NULL;
}

static PyObject *leave_(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    if (!wait) return NULL;
    barrier_leave(cell, wait);
    Py_RETURN_NONE;
}

static PyObject *acted(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(barrier_acted(cell) == 0) : NULL;
}

static PyObject *abort_(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    barrier_break(cell);
    Py_RETURN_NONE;
}

static PyObject *reset(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    barrier_reset(cell);
    Py_RETURN_NONE;
}

/* _join(yes): this process is a party: the others must know when it dies. */
static PyObject *join(PyObject *self, PyObject *yes) {
    struct cell *cell = cell_of(self);
    uint32_t stake = cell ? stake_of(cell) : 0;
    if (!stake) return PyErr_Occurred() ? NULL : raise_sync(sync_enter() < 0 ? -ESRCH : -ENOSPC);
    word_publish(&cell_at(stake)->word, (uint32_t)PyObject_IsTrue(yes));
    Py_RETURN_NONE;
}

static PyObject *get_parties(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyLong_FromUnsignedLong(word_read(&cell->count)) : NULL;
}

static PyObject *get_waiting(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyLong_FromUnsignedLong(barrier_waiting(cell)) : NULL;
}

static PyObject *get_broken(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(word_read(&cell->word) & BARRIER_BROKEN) : NULL;
}

static PyMethodDef barrier_methods[] = {
    {"abort", abort_, METH_NOARGS, "abort()\n--\n\nBreak the barrier: all who wait, or will, get BrokenBarrierError."},
    {"reset", reset, METH_NOARGS, "reset()\n--\n\nMake it as new; those who wait get BrokenBarrierError."},
    {"_arrive", FAST(arrive), METH_FASTCALL, NULL},
    {"_wait", FAST(barrier_wait), METH_FASTCALL, "_wait(action, timeout): how many were there before."},
    {"_observe", observe, METH_O, NULL},
    {"_outcome", outcome, METH_O, NULL},
    {"_expire", expire, METH_O, NULL},
    {"_leave", leave_, METH_O, NULL},
    {"_acted", acted, METH_NOARGS, NULL},
    {"_join", join, METH_O, NULL},
    {0},
};
static PyGetSetDef barrier_getters[] = {
    {"parties", get_parties, NULL, "How many must meet.", NULL},
    {"n_waiting", get_waiting, NULL, "How many wait now.", NULL},
    {"broken", get_broken, NULL, "Whether it is broken.", NULL},
    {0},
};
static PyType_Slot barrier_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, barrier_methods},
                                      {Py_tp_getset, barrier_getters}, {Py_tp_members, cell_members}, {0}};
PyType_Spec barrier_spec = {"procession._native.Barrier", sizeof(CellObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                            barrier_slots};
