/* Tasks in Python: what pools do with queues (the methods of Queue), and with the records of their workers. */
#include "queues.h"

#include "../tasks.h"

/* --- putting --- */

static int number_from_py(PyObject *object, uint64_t *out) {
    *out = PyLong_AsUnsignedLongLong(object);
    return *out == (uint64_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* Waits for its turn, not for space. */
static int put_messages(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done) {
    int r = queue_try_put(view, messages, count, done);
    if (r == -EBUSY || r == -EAGAIN) WAITING(r, queue_put(view, messages, count, done, PN_FOREVER));
    return r;
}

int queue_put_tagged(PyObject *self, const uint64_t tag[2], PyObject *object) {
    struct outgoing out;
    uint32_t done = 0;
    struct queue_view *view = queue_open_view(self);
    if (!view || packed_encode(object, &out) < 0) return -1;
    out.message.tag = tag;
    int r = put_messages(view, &out.message, 1, &done);
    message_forget(&out, done);
    ((QueueObject *)self)->used = true;
    return r ? queue_raise(r, true), -1 : 0;
}

/* (number, aux, obj): 0, or -1 with an exception set. */
static int encode(PyObject *const *parts, uint64_t tag[2], struct outgoing *out) {
    if (number_from_py(parts[0], &tag[0]) < 0 || number_from_py(parts[1], &tag[1]) < 0 || packed_encode(parts[2], out) < 0) return -1;
    out->message.tag = tag;
    return 0;
}

static int put_one(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t count) {
    uint64_t tag[2];
    if (count != 3) return PyErr_Format(PyExc_TypeError, "%s() takes a number, another, and an object", name), -1;
    if (number_from_py(args[0], &tag[0]) < 0 || number_from_py(args[1], &tag[1]) < 0) return -1;
    return queue_put_tagged(self, tag, args[2]);
}

PyObject *queue_py_put_task(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    return put_one(self, "_put_task", args, count) < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *queue_py_end_task(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (put_one(self, "_end_task", args, count) < 0) return NULL;
    task_end();
    Py_RETURN_NONE;
}

struct tagged {
    struct outgoing out;
    uint64_t tag[2];
};

/* How many could be encoded; fewer than all with an exception set. */
static Py_ssize_t encode_all(PyObject *tuple, struct tagged *all, struct message *messages) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 3)
            return PyErr_SetString(PyExc_TypeError, "expected tuples of (number, aux, obj)"), i;
        if (encode(&PyTuple_GET_ITEM(item, 0), all[i].tag, &all[i].out) < 0) return i;
        messages[i] = all[i].out.message;
    }
    return PyTuple_GET_SIZE(tuple);
}

static PyObject *put_all(PyObject *self, struct queue_view *view, PyObject *tuple) {
    Py_ssize_t count = PyTuple_GET_SIZE(tuple), encoded = 0;
    struct tagged *all = PyMem_Malloc(((size_t)count + 1) * sizeof *all);
    struct message *messages = PyMem_Malloc(((size_t)count + 1) * sizeof *messages);
    uint32_t done = 0;
    int r = 0;
    if (all && messages) encoded = encode_all(tuple, all, messages);
    else PyErr_NoMemory();
    bool whole = !PyErr_Occurred();
    if (whole && count) r = put_messages(view, messages, (uint32_t)count, &done);
    for (Py_ssize_t i = 0; i < encoded; i++) message_forget(&all[i].out, i < done);
    PyMem_Free(all);
    PyMem_Free(messages);
    ((QueueObject *)self)->used = true;
    if (!whole) return NULL;
    return r && done == 0 ? queue_raise(r, true) : PyLong_FromUnsignedLong(done);
}

/* (A copy of the list: to pickle something may run code that changes it.) */
PyObject *queue_py_put_tasks(PyObject *self, PyObject *list) {
    struct queue_view *view = queue_open_view(self);
    PyObject *tuple = view ? PySequence_Tuple(list) : NULL;
    PyObject *answer = tuple ? put_all(self, view, tuple) : NULL;
    Py_XDECREF(tuple);
    return answer;
}

/* --- taking --- */

/* (number, aux, obj) */
static PyObject *triple(struct taken *taken) {
    PyObject *number = PyLong_FromUnsignedLongLong(taken->tag[0]), *aux = PyLong_FromUnsignedLongLong(taken->tag[1]);
    PyObject *object = message_received(taken), *tuple = number && aux && object ? PyTuple_New(3) : NULL;
    if (!tuple) {
        Py_XDECREF(number);
        Py_XDECREF(aux);
        Py_XDECREF(object);
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, number);
    PyTuple_SET_ITEM(tuple, 1, aux);
    PyTuple_SET_ITEM(tuple, 2, object);
    return tuple;
}

/* The time limit: 0, or -1 with an exception set. `*waits`: not with 0 or less. */
static int limit_from_py(PyObject *timeout, int64_t *deadline, bool *waits) {
    *waits = true;
    if (deadline_from_py(timeout, deadline) < 0) return -1;
    if (timeout && timeout != Py_None) *waits = PyFloat_AsDouble(timeout) > 0;
    return PyErr_Occurred() ? -1 : 0;
}

struct ways { /* to get a message */
    int (*try)(struct queue_view *view, struct taken *out);
    int (*now)(struct queue_view *view, struct taken *out);
    int (*wait)(struct queue_view *view, struct taken *out, int64_t deadline);
};

static int get_one(struct queue_view *view, const struct ways *ways, PyObject *timeout, struct taken *taken) {
    int64_t deadline;
    bool waits;
    int r = ways->try(view, taken);
    if (r != -EAGAIN && r != -EBUSY) return r;
    if (limit_from_py(timeout, &deadline, &waits) < 0) return -EINTR; /* (an exception is set) */
    if (waits) WAITING(r, ways->wait(view, taken, deadline));
    else if (r == -EBUSY) WAITING(r, ways->now(view, taken));
    return r == -EAGAIN && queue_finished(view) ? -EPIPE : r;
}

PyObject *queue_py_take_task(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    static const struct ways ways = {queue_try_take, queue_take_now, queue_take};
    struct taken taken;
    struct queue_view *view = queue_open_view(self);
    if (!view) return NULL;
    int r = get_one(view, &ways, count ? args[0] : NULL, &taken);
    return r ? queue_raise(r, false) : triple(&taken);
}

/* (Into a list of the caller's: what was taken is there even if a signal's handler raises before the call has returned.) */
PyObject *queue_py_get_tasks(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    static const struct ways ways = {queue_try_get, queue_get_now, queue_get};
    struct taken taken;
    struct queue_view *view = queue_open_view(self);
    if (!view) return NULL;
    if (count < 2 || count > 3 || (count == 3 && !PyList_Check(args[2])))
        return PyErr_Format(PyExc_TypeError, "_get_tasks() takes how many at most, a time limit, and a list"), NULL;
    Py_ssize_t most = PyLong_AsSsize_t(args[0]);
    if (most < 1) return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "at least 1 must be wanted"), NULL;
    PyObject *list = count == 3 ? Py_NewRef(args[2]) : PyList_New(0);
    Py_ssize_t got = 0;
    int r = list ? get_one(view, &ways, args[1], &taken) : 0;
    while (list && r == 0) {
        PyObject *item = triple(&taken);
        if (!item || PyList_Append(list, item) < 0) Py_CLEAR(list);
        Py_XDECREF(item);
        if (!list || ++got >= most) break;
        r = queue_try_get(view, &taken);
    }
    if (!list || got) return list;
    Py_DECREF(list);
    return queue_raise(r, false);
}

PyObject *queue_py_withdraw(PyObject *self, PyObject *object) {
    struct queue_view *view = queue_view_of(self);
    uint64_t number;
    int r;
    if (!view || number_from_py(object, &number) < 0) return NULL;
    WAITING(r, queue_withdraw(view, number, PN_FOREVER));
    return r < 0 ? raise_sync(r) : PyBool_FromLong(r);
}

/* --- watching --- */

PyObject *queue_py_attend(PyObject *self, PyObject *yes) {
    struct queue_view *view = queue_view_of(self);
    int truth = view ? PyObject_IsTrue(yes) : -1;
    if (truth < 0) return NULL;
    int error = queue_attend(view, truth);
    return error ? raise_sync(error) : Py_NewRef(Py_None);
}

PyObject *queue_py_watch_tasks(PyObject *self, PyObject *timeout) {
    struct queue_view *view = queue_view_of(self);
    uint32_t seen = ((QueueObject *)self)->nudges; /* (several threads may watch: each has its own) */
    int64_t deadline;
    int r;
    if (!view || deadline_from_py(timeout, &deadline) < 0) return NULL;
    WAITING(r, queue_watch(view, &seen, deadline));
    ((QueueObject *)self)->nudges = seen;
    return r < 0 && r != -ETIMEDOUT ? raise_sync(r) : PyBool_FromLong(r > 0);
}

PyObject *queue_py_nudge(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    if (!view) return NULL;
    queue_nudge(view);
    Py_RETURN_NONE;
}

/* --- the records --- */

static struct record *record_from_py(PyObject *member) {
    struct member who;
    return member_from_py(member, &who) ? table_get(who) : NULL;
}

static PyObject *task_of(PyObject *module, PyObject *member) {
    struct record *record = record_from_py(member);
    (void)module;
    if (!record) return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    unsigned long long number = word_read(&record->task); /* (the rest is of the same task, or of a later one) */
    return Py_BuildValue("KKK", number, (unsigned long long)word_peek(&record->task_since),
                         (unsigned long long)word_read(&record->task_stop));
}

/* (Should the record be another's by now, that one is asked to stop a task that it will never have.) */
static PyObject *task_ask_stop(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    uint64_t number;
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "task_ask_stop() takes a member and a number"), NULL;
    struct record *record = record_from_py(args[0]);
    if (PyErr_Occurred() || number_from_py(args[1], &number) < 0) return NULL;
    if (record) word_publish(&record->task_stop, number);
    return PyBool_FromLong(record != NULL);
}

static PyObject *task_stop(PyObject *module, PyObject *unused) {
    struct record *record = task_record();
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(record ? word_read(&record->task_stop) : 0);
}

static PyObject *task_mine(PyObject *module, PyObject *unused) {
    struct record *record = task_record();
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(record ? word_read(&record->task) : 0);
}

static PyObject *task_clear(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (task_record()) task_end();
    Py_RETURN_NONE;
}

PyMethodDef task_functions[] = {
    {"task_of", task_of, METH_O, "task_of(member): (number in hand or 0, monotonic ns since when, number to stop or 0); None: it is gone."},
    {"task_ask_stop", (PyCFunction)(void (*)(void))task_ask_stop, METH_FASTCALL,
     "task_ask_stop(member, number): ask it to stop that task. False: it is gone."},
    {"task_stop", task_stop, METH_NOARGS, "The number of the task that this process is asked to stop, 0 for none."},
    {"task_mine", task_mine, METH_NOARGS, "The number of the task that this process has in hand, 0 for none."},
    {"task_clear", task_clear, METH_NOARGS, "This process has no task in hand any more."},
    {0},
};
