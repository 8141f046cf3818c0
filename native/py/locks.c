/* The types Lock and RLock: a thin face of native/mutex.h. */
#include "native.h"

#include "../mutex.h"

/* It was taken from the dead: the object tells of it, as it was made to. */
static PyObject *taken(PyObject *self, struct cell *cell, uint32_t tid, int died) {
    lock_note(cell, tid);
    if (!died) Py_RETURN_TRUE;
    PyObject *told = PyObject_CallMethod(self, "_owner_is_dead", NULL);
    if (!told) return NULL;
    Py_DECREF(told);
    Py_RETURN_TRUE;
}

static PyObject *acquire_slowly(PyObject *self, struct cell *cell, struct acquire *how, uint32_t tid) {
    int r = sync_enter();
    if (r == 0) r = how->block ? mutex_try_shortly(mutex_of(cell)) : mutex_try(mutex_of(cell));
    if (r == -EBUSY && !how->block) Py_RETURN_FALSE;
    if (r == -EBUSY) WAITING(r, mutex_lock(mutex_of(cell), how->deadline));
    if (r == -ETIMEDOUT) Py_RETURN_FALSE;
    return r < 0 ? raise_sync(r) : taken(self, cell, tid, r);
}

static PyObject *lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct acquire how = {true, PN_FOREVER};
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    if ((count || names) && acquire_from_py("acquire", args, count, names, &how) < 0) return NULL;
    if (mutex_try_fast(&cell->word)) {
        lock_note(cell, sync_tid());
        Py_RETURN_TRUE;
    }
    return acquire_slowly(self, cell, &how, sync_tid());
}

static PyObject *release_too_often(void) {
    PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
    return NULL;
}

/* (METH_FASTCALL although it takes nothing: the interpreter calls that the quickest.) */
static PyObject *lock_release(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = cell_of(self);
    (void)args;
    if (!cell) return NULL;
    if (count) return PyErr_Format(PyExc_TypeError, "release() takes no arguments (%zd given)", count);
    word_poke(&cell->tid, 0);
    if (sync_me && word_swap(&cell->word, sync_me, 0)) Py_RETURN_NONE;
    bool keep = word_read(&cell->flags) & CELL_RAISES;
    return mutex_unlock(mutex_of(cell), keep) < 0 ? release_too_often() : Py_NewRef(Py_None);
}

static PyObject *lock_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return lock_acquire(self, NULL, 0, NULL);
}

static PyObject *lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)args, (void)count;
    return lock_release(self, NULL, 0);
}

/* --- the recursive one: the cell's `tid` says which thread has it (or which task, by a token above all thread ids), `count`
 * how many times more than once; of a free lock it is 0, or its holder died --- */

static bool mine(struct cell *cell, uint32_t tid) { return mutex_mine(&cell->word) && word_read(&cell->tid) == tid; }

static PyObject *deeper(struct cell *cell) {
    uint32_t depth = word_peek(&cell->count);
    if (depth == UINT32_MAX) return PyErr_Format(PyExc_OverflowError, "the lock was acquired too often");
    word_poke(&cell->count, depth + 1);
    Py_RETURN_TRUE;
}

static PyObject *rlock_take(PyObject *self, struct cell *cell, struct acquire *how, uint32_t tid) {
    if (mine(cell, tid)) return deeper(cell);
    if (mutex_try_fast(&cell->word)) {
        lock_note(cell, tid);
        Py_RETURN_TRUE;
    }
    int r = sync_enter();
    if (r == 0) r = how->block ? mutex_try_shortly(mutex_of(cell)) : mutex_try(mutex_of(cell));
    if (r == -EBUSY && !how->block) Py_RETURN_FALSE;
    if (r == -EBUSY) WAITING(r, mutex_lock(mutex_of(cell), how->deadline));
    if (r == -ETIMEDOUT) Py_RETURN_FALSE;
    if (r < 0) return raise_sync(r);
    if (r == HOLDER_DIED) word_poke(&cell->count, 0);
    return taken(self, cell, tid, r);
}

static PyObject *rlock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct acquire how = {true, PN_FOREVER};
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    if ((count || names) && acquire_from_py("acquire", args, count, names, &how) < 0) return NULL;
    return rlock_take(self, cell, &how, sync_tid());
}

static PyObject *rlock_give(struct cell *cell) {
    uint32_t depth = word_peek(&cell->count);
    if (depth > 0) {
        word_poke(&cell->count, depth - 1);
        Py_RETURN_NONE;
    }
    word_publish(&cell->tid, 0); /* before another thread of ours can have it */
    pn_step("owner cleared");
    if (word_swap(&cell->word, sync_me, 0)) Py_RETURN_NONE;
    mutex_unlock(mutex_of(cell), word_read(&cell->flags) & CELL_RAISES);
    Py_RETURN_NONE;
}

/* 0: not a task's that has the lock; its token if it is. */
uint32_t token_of(PyObject *self, struct cell *cell) {
    uint32_t tid = word_read(&cell->tid);
    if (!mutex_mine(&cell->word) || !(tid >> 31)) return 0;
    PyObject *token = PyObject_CallMethod(self, "_token", NULL);
    unsigned long number = token ? PyLong_AsUnsignedLong(token) : 0;
    Py_XDECREF(token);
    return number == tid ? tid : 0;
}

static PyObject *rlock_release(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct cell *cell = cell_of(self);
    (void)args;
    if (!cell) return NULL;
    if (count) return PyErr_Format(PyExc_TypeError, "release() takes no arguments (%zd given)", count);
    if (mine(cell, sync_tid()) || token_of(self, cell)) return rlock_give(cell);
    if (PyErr_Occurred()) return NULL;
    PyErr_SetString(PyExc_AssertionError, "attempt to release recursive lock not owned by thread");
    return NULL;
}

static PyObject *rlock_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return rlock_acquire(self, NULL, 0, NULL);
}

static PyObject *rlock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)args, (void)count;
    return rlock_release(self, NULL, 0);
}

/* --- both --- */

/* _try(token): without waiting; `token` 0: for this thread. */
static PyObject *lock_try(PyObject *self, PyObject *token) {
    struct cell *cell = cell_of(self);
    struct acquire how = {false, 0};
    unsigned long number = PyLong_AsUnsignedLong(token);
    if (!cell || (number == (unsigned long)-1 && PyErr_Occurred())) return NULL;
    uint32_t tid = number ? (uint32_t)number : sync_tid();
    return cell_kind(cell) == CELL_RLOCK ? rlock_take(self, cell, &how, tid) : acquire_slowly(self, cell, &how, tid);
}

static PyObject *lock_give_up(PyObject *self, PyObject *index) {
    struct cell *cell = cell_of(self);
    struct wait *wait = cell ? wait_from_py(index) : NULL;
    if (!wait) return NULL;
    mutex_give_up(mutex_of(cell), wait);
    Py_RETURN_NONE;
}

static PyObject *is_mine(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    bool yes = mine(cell, sync_tid()) || token_of(self, cell);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(yes);
}

static PyObject *count_(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    if (!mutex_mine(&cell->word)) return PyLong_FromLong(0);
    return PyLong_FromUnsignedLong(cell_kind(cell) == CELL_RLOCK ? word_peek(&cell->count) + 1 : 1);
}

/* Give a recursive lock back altogether, or take that depth up again: for Condition. */
static PyObject *set_count(PyObject *self, PyObject *depth) {
    struct cell *cell = cell_of(self);
    unsigned long number = PyLong_AsUnsignedLong(depth);
    if (!cell || (number == (unsigned long)-1 && PyErr_Occurred())) return NULL;
    if (cell_kind(cell) == CELL_RLOCK) word_poke(&cell->count, (uint32_t)number - 1);
    Py_RETURN_NONE;
}

static PyObject *locked(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(word_read(&cell->word) & HOLDER) : NULL;
}

static PyObject *get_died(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(word_read(&cell->word) & HOLDER_DIED) : NULL;
}

static PyObject *get_raises(PyObject *self, void *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    return cell ? PyBool_FromLong(word_read(&cell->flags) & CELL_RAISES) : NULL;
}

/* _marked(False): all is well again; _marked(True): it is not. */
static PyObject *mark(PyObject *self, PyObject *value) {
    struct cell *cell = cell_of(self);
    int on = PyObject_IsTrue(value);
    if (!cell || on < 0) return NULL;
    if (on) word_or(&cell->word, HOLDER_DIED);
    else word_and(&cell->word, ~HOLDER_DIED);
    Py_RETURN_NONE;
}

/* Give back what was just taken from the dead, and keep the mark. */
static PyObject *refuse(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    word_poke(&cell->count, 0);
    word_publish(&cell->tid, 0);
    mutex_unlock(mutex_of(cell), true);
    Py_RETURN_NONE;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)
#define COMMON                                                                                      \
    {"_try", lock_try, METH_O, "_try(token): without waiting."},                                    \
    {"_await", cell_await, METH_O, "_await(channel): a task's wait."},                              \
    {"_announce", cell_announce, METH_NOARGS, "After wait_again, before another _try."},            \
    {"_give_up", lock_give_up, METH_O, "_give_up(wait): it was not used."},                         \
    {"_is_mine", is_mine, METH_NOARGS, "Whether this thread, or task, holds it."},                  \
    {"_count", count_, METH_NOARGS, "How many times this process holds it."},                       \
    {"_set_count", set_count, METH_O, NULL},                                                        \
    {"_mark", mark, METH_O, NULL},                                                                  \
    {"_refuse", refuse, METH_NOARGS, NULL},                                                         \
    {"locked", locked, METH_NOARGS, "Whether anybody holds it. Does not block."},

static PyMethodDef lock_methods[] = {
    {"acquire", FAST(lock_acquire), METH_FASTCALL | METH_KEYWORDS,
     "acquire(block=True, timeout=None)\n--\n\nTake the lock; whether it was taken within `timeout` seconds."},
    {"release", FAST(lock_release), METH_FASTCALL,
     "release()\n--\n\nGive the lock back, whoever took it. Raises ValueError if nobody did."},
    {"__enter__", lock_enter, METH_NOARGS, NULL},
    {"__exit__", FAST(lock_exit), METH_FASTCALL, NULL},
    COMMON {0},
};

static PyMethodDef rlock_methods[] = {
    {"acquire", FAST(rlock_acquire), METH_FASTCALL | METH_KEYWORDS,
     "acquire(block=True, timeout=None)\n--\n\nTake the lock, once more if this thread has it."},
    {"release", FAST(rlock_release), METH_FASTCALL,
     "release()\n--\n\nGive the lock back once. Raises AssertionError unless this thread has it."},
    {"__enter__", rlock_enter, METH_NOARGS, NULL},
    {"__exit__", FAST(rlock_exit), METH_FASTCALL, NULL},
    COMMON {0},
};

static PyGetSetDef getters[] = {
    {"owner_died", get_died, NULL, "Whether a holder died, and nobody has put right since what it may have left.", NULL},
    {"_raises", get_raises, NULL, NULL, NULL},
    {0},
};

static PyType_Slot lock_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, lock_methods}, {Py_tp_getset, getters},
                                   {Py_tp_members, cell_members}, {0}};
static PyType_Slot rlock_slots[] = {{Py_tp_dealloc, cell_dealloc}, {Py_tp_methods, rlock_methods},
                                    {Py_tp_getset, getters}, {Py_tp_members, cell_members}, {0}};

PyType_Spec lock_spec = {"procession._native.Lock", sizeof(CellObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                         lock_slots};
PyType_Spec rlock_spec = {"procession._native.RLock", sizeof(CellObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                          rlock_slots};
