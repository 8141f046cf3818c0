/* The inner loop of a pool's worker: takes plain tasks, calls their functions, puts their results. All that is not plain (a task with a
 * limit, one of many items, what has to be unpickled, a function that is not known yet, anything that was raised) goes back to
 * procession.pool.worker, which knows what to do. What this saves is a few microseconds of Python for each task. */
#include "queues.h"

#include "../clock.h"
#include "../tasks.h"

enum { /* procession.pool.messages */
    KEY_BITS = 32,
    SHAPE_CALL = 1,
    SHAPE_ONE = 3,
    SHAPE_STAR = 4,
    KIND_VALUE = 1,
};

/* A process is one worker at most. */
static struct {
    uint64_t guarded; /* the number of the task that an order to stop may interrupt, 0 for none */
    uint64_t done;    /* tasks */
    bool idle;        /* waits for a task */
    bool leaving;     /* is to take no other */
} here;

struct working {
    PyObject *tasks, *results, *functions, *begin, *end; /* begin() before, end() after it has something to do */
    uint64_t worker;
    int64_t until; /* monotonic ns: then it has a look at itself */
    uint64_t most;
    int waits; /* for tasks */
    bool turn;
};

static int tell(PyObject *call) {
    PyObject *answer = PyObject_CallNoArgs(call);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* Its turn begins with a task and ends when there is none. */
static int turn(struct working *work, bool begin) {
    if (work->turn == begin) return 0;
    work->turn = begin;
    return tell(begin ? work->begin : work->end);
}

/* 1: taken; 0: there is none, and it does not wait; -1 with an exception set. While it waits an order to leave interrupts it. */
static int take(struct working *work, struct taken *taken) {
    struct queue_view *view = queue_open_view(work->tasks);
    if (!view) return -1;
    int r = queue_try_take(view, taken);
    if (r == -EBUSY) WAITING(r, queue_take_now(view, taken));
    if (r == 0) return turn(work, true) < 0 ? -1 : 1;
    if (PyErr_Occurred() || turn(work, false) < 0) return -1;
    if (r == -EAGAIN && !work->waits) return 0;
    here.idle = true;
    r = PyErr_CheckSignals() < 0 ? -EINTR : -EAGAIN;
    if (r == -EAGAIN) WAITING(r, queue_take(view, taken, PN_FOREVER));
    here.idle = false;
    if (r) return queue_raise(r, false), -1;
    return turn(work, true) < 0 ? -1 : 1;
}

static PyObject *function_of(struct working *work, uint64_t aux) {
    PyObject *key = PyLong_FromUnsignedLong((unsigned long)(aux & 0xffffffff));
    PyObject *function = key ? PyDict_GetItemWithError(work->functions, key) : NULL;
    Py_XDECREF(key);
    return function;
}

static PyObject *call(PyObject *function, uint64_t aux, PyObject *body) {
    if (aux >> KEY_BITS == SHAPE_ONE) return PyObject_CallOneArg(function, body);
    if (aux >> KEY_BITS == SHAPE_STAR) {
        PyObject *arguments = PySequence_Tuple(body), *value = arguments ? PyObject_CallObject(function, arguments) : NULL;
        Py_XDECREF(arguments);
        return value;
    }
    PyObject *named = PyTuple_GET_ITEM(body, 1);
    return PyObject_Call(function, PyTuple_GET_ITEM(body, 0), PyDict_GET_SIZE(named) ? named : NULL);
}

/* Whether it is for this loop; a function that is not known yet is not. */
static PyObject *plain_function(struct working *work, uint64_t aux, PyObject *body) {
    uint64_t shape = aux >> KEY_BITS; /* (with a limit it is none of these) */
    if ((shape != SHAPE_CALL && shape != SHAPE_ONE && shape != SHAPE_STAR) || Py_TYPE(body) == message_type) return NULL;
    return function_of(work, aux);
}

static uint64_t outcome(struct working *work, int64_t began) {
    uint64_t took = (uint64_t)(clock_monotonic() - began) / 1000;
    return KIND_VALUE | work->worker << 8 | (took > UINT32_MAX ? UINT32_MAX : took) << 24;
}

/* (number, aux, body, error, value): error None: the task is not begun; value None with an error: the function raised it; else the value
 * could not be put. */
static PyObject *hand_over(const uint64_t tag[2], PyObject *body, PyObject *value) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace) PyException_SetTraceback(error, trace);
    PyObject *all = Py_BuildValue("KKOOO", (unsigned long long)tag[0], (unsigned long long)tag[1], body, error ? error : Py_None,
                                  value ? value : Py_None);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return all;
}

/* One task: Py_None when it is done, what `hand_over` says, or NULL. */
static PyObject *work_on(struct working *work, struct taken *taken) {
    uint64_t tag[2] = {taken->tag[0], taken->tag[1]};
    PyObject *body = message_received(taken), *value = NULL, *answer = NULL;
    if (!body) return NULL;
    PyObject *function = tag[0] ? plain_function(work, tag[1], body) : NULL;
    if (function && tag[0]) {
        int64_t began = clock_monotonic();
        Py_INCREF(function);
        here.guarded = tag[0];
        value = call(function, tag[1], body);
        if (value) {
            uint64_t end[2] = {tag[0], outcome(work, began)};
            if (queue_put_tagged(work->results, end, value) == 0) {
                task_end();
                answer = Py_NewRef(Py_None);
            }
        }
        here.guarded = 0;
        Py_DECREF(function);
    }
    if (!answer) answer = hand_over(tag, body, value);
    Py_DECREF(body);
    Py_XDECREF(value);
    return answer;
}

/* _work(results, functions, worker, most, until, begin, end, waits): None when it waits not and there is nothing, when it is to have a look at itself, or a task (`hand_over`). */
PyObject *queue_py_work(PyObject *self, PyObject *args) {
    struct working work = {.tasks = self};
    struct taken taken;
    PyObject *answer = NULL;
    unsigned long long worker, most;
    long long until;
    if (!PyArg_ParseTuple(args, "OO!KKLOOp", &work.results, &PyDict_Type, &work.functions, &worker, &most, &until, &work.begin,
                          &work.end, &work.waits))
        return NULL;
    work.worker = worker, work.most = most, work.until = until;
    while (work.most-- > 0 && !here.leaving && (work.until == 0 || clock_monotonic() < work.until)) {
        int taking = take(&work, &taken);
        if (taking < 0) return NULL;
        if (taking == 0) break;
        answer = work_on(&work, &taken);
        if (answer != Py_None) return answer;
        here.done++;
        Py_DECREF(answer);
        if (PyErr_CheckSignals() < 0) return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *work_guard(PyObject *module, PyObject *number) {
    (void)module;
    here.guarded = PyLong_AsUnsignedLongLong(number);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *work_state(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return Py_BuildValue("KOK", (unsigned long long)here.guarded, here.idle ? Py_True : Py_False, (unsigned long long)here.done);
}

static PyObject *work_idle(PyObject *module, PyObject *yes) {
    (void)module;
    here.idle = PyObject_IsTrue(yes) == 1;
    if (PyErr_CheckSignals() < 0) return NULL;
    return PyBool_FromLong(!here.leaving);
}

static PyObject *work_leave(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    here.leaving = true;
    Py_RETURN_NONE;
}

static PyObject *work_done(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(++here.done);
}

PyMethodDef work_functions[] = {
    {"work_guard", work_guard, METH_O, "work_guard(number): an order to stop that task may interrupt what follows; 0: none may."},
    {"work_state", work_state, METH_NOARGS, "(number of the guarded task, whether this worker is idle, how many tasks it has done)"},
    {"work_idle", work_idle, METH_O, "work_idle(yes): an order to leave may interrupt what follows. Whether there was none."},
    {"work_leave", work_leave, METH_NOARGS, "This worker takes no other task."},
    {"work_done", work_done, METH_NOARGS, "One more task is done; how many are."},
    {0},
};
