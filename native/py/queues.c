/* Queue, of which JoinableQueue and SimpleQueue are made: handles of a queue in the commons. */
#include "queues.h"

static PyObject *raise_named(const char *module, const char *name) {
    PyObject *home = PyImport_ImportModule(module), *type = home ? PyObject_GetAttrString(home, name) : NULL;
    if (type) PyErr_SetNone(type);
    Py_XDECREF(type);
    Py_XDECREF(home);
    return NULL;
}

/* What an operation of queue.h answered, as an exception. Returns NULL. */
PyObject *queue_raise(int error, bool put) {
    if (error == -ETIMEDOUT || error == -EAGAIN || error == -EBUSY) return raise_named("queue", put ? "Full" : "Empty");
    if (error == -EPIPE) return raise_named("procession.errors", "Closed");
    if (error == -ENOMEM) return PyErr_Format(PyExc_MemoryError, "no shared memory for a message"), NULL;
    return raise_sync(error);
}

/* The queue behind a handle, or NULL with an exception set. */
struct queue_view *queue_view_of(PyObject *self) {
    QueueObject *queue = (QueueObject *)self;
    if (queue->view.queue && holding_cell(&queue->view.holding)) return &queue->view;
    raise_ours("FamilyError", "this queue belongs to another family of processes, or its family is gone");
    return NULL;
}

struct queue_view *queue_open_view(PyObject *self) {
    if (!((QueueObject *)self)->closed) return queue_view_of(self);
    Py_XDECREF(PyObject_CallMethod(self, "_raise_closed", NULL)); /* (each kind of queue has its own) */
    if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "Queue %R is closed", self);
    return NULL;
}

/* --- making and sending --- */

static PyObject *wrap(PyTypeObject *type, int error, struct queue_view *view, PyObject *self) {
    (void)type;
    if (!error && view->queue) {
        ((QueueObject *)self)->nudges = word_read(&view->queue->nudges);
        return self;
    }
    Py_DECREF(self);
    return error == -ENOENT ? raise_gone() : queue_raise(error, true);
}

static PyObject *make(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    unsigned maxsize, flags;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!II", &PyType_Type, &type, &maxsize, &flags)) return NULL;
    QueueObject *self = (QueueObject *)type->tp_alloc(type, 0);
    return self ? wrap(type, queue_make(maxsize, flags, &self->view), &self->view, (PyObject *)self) : NULL;
}

/* _configure(maxsize, flags): before anybody uses it. */
static PyObject *configure(PyObject *self, PyObject *args) {
    struct queue_view *view = queue_view_of(self);
    unsigned maxsize, flags;
    if (!view || !PyArg_ParseTuple(args, "II", &maxsize, &flags)) return NULL;
    if (flags == (QUEUE_TASKS | QUEUE_REDELIVERS)) return PyErr_Format(PyExc_ValueError, "TASKS does not go with REDELIVERS"), NULL;
    view->queue->maxsize = maxsize;
    view->queue->flags = flags;
    Py_RETURN_NONE;
}

static PyObject *receive(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    struct parcel parcel;
    (void)module;
    if (parcel_from_py(args, &type, &parcel) < 0) return NULL;
    QueueObject *self = (QueueObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    if (receive_from_py(&parcel, CELL_QUEUE, &self->view.holding) == 0)
        return wrap(type, queue_open(&self->view), &self->view, (PyObject *)self);
    Py_DECREF(self);
    return NULL;
}

static PyObject *parcel(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? parcel_to_py(view->holding.index, view->holding.serial) : NULL;
}

static void dealloc(PyObject *object) {
    QueueObject *self = (QueueObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak) PyObject_ClearWeakRefs(object);
    if (commons) queue_shut(&self->view);
    type->tp_free(object);
    Py_DECREF(type);
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

/* --- putting --- */

/* put(obj, block=True, timeout=None), and what has the same arguments less the first. */
static int read_arguments(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **object,
                          struct acquire *out) {
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0, first = 0;
    *object = count > 0 ? args[0] : NULL;
    for (Py_ssize_t i = 0; i < named && !*object; i++)
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), "obj") == 0) *object = args[count + i], first = i + 1;
    if (!*object) return PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: 'obj'", name), -1;
    if (count == 0 && first == 1 && named == 1) {
        *out = (struct acquire){true, PN_FOREVER};
        return 0;
    }
    if (count == 0) return PyErr_Format(PyExc_TypeError, "%s(): give obj first", name), -1;
    return acquire_from_py(name, args + 1, count - 1, names, out);
}

static int put_messages(struct queue_view *view, const struct message *messages, uint32_t count, uint32_t *done,
                        const struct acquire *how) {
    int r = queue_try_put(view, messages, count, done);
    if (r == -EBUSY || (r == -EAGAIN && how->block)) {
        if (how->block) WAITING(r, queue_put(view, messages, count, done, how->deadline));
        else WAITING(r, queue_put_now(view, messages, count, done));
    }
    return r;
}

/* The exception that is set is for the hook of a class that has one (`_on_queue_feeder_error`), and else for the caller. */
static PyObject *failed(PyObject *self, PyObject *object) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace) PyException_SetTraceback(value, trace);
    PyObject *answer = PyObject_CallMethod(self, "_failed", "OO", value, object);
    if (answer && PyObject_IsTrue(answer) == 1) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(trace);
        return answer;
    }
    if (answer) PyErr_Restore(type, value, trace);
    Py_XDECREF(answer);
    return NULL;
}

static PyObject *put_one(PyObject *self, PyObject *object, const struct acquire *how) {
    struct outgoing out;
    uint32_t done = 0;
    struct queue_view *view = queue_open_view(self);
    if (!view) return NULL;
    if (message_encode(object, &out) < 0) {
        PyObject *answer = failed(self, object);
        Py_XDECREF(answer);
        return answer ? Py_NewRef(Py_None) : NULL;
    }
    int r = put_messages(view, &out.message, 1, &done, how);
    message_forget(&out, done);
    ((QueueObject *)self)->used = true;
    if (r == 0) Py_RETURN_NONE;
    return queue_raise(r, true);
}

static PyObject *put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    PyObject *object;
    struct acquire how;
    if (read_arguments("put", args, count, names, &object, &how) < 0) return NULL;
    return put_one(self, object, &how);
}

static const struct acquire for_ever = {true, PN_FOREVER};
static PyObject *put_simply(PyObject *self, PyObject *object) { return put_one(self, object, &for_ever); }

/* _put_many(sequence, block, timeout): how many were put. */
static PyObject *put_many(PyObject *self, PyObject *args) {
    PyObject *things, *how_py[2];
    struct acquire how;
    struct queue_view *view = queue_open_view(self);
    if (!view || !PyArg_ParseTuple(args, "O!OO", &PyList_Type, &things, &how_py[0], &how_py[1])) return NULL;
    if (acquire_from_py("put_many", how_py, 2, NULL, &how) < 0) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(things), encoded = 0;
    struct outgoing *out = PyMem_Calloc((size_t)count + 1, sizeof *out);
    struct message *messages = PyMem_Calloc((size_t)count + 1, sizeof *messages);
    uint32_t done = 0;
    int r = out && messages ? 0 : (PyErr_NoMemory(), -1);
    for (; r == 0 && encoded < count; encoded++) {
        r = message_encode(PyList_GET_ITEM(things, encoded), &out[encoded]);
        if (r < 0) break;
        messages[encoded] = out[encoded].message;
    }
    bool written = r == 0;
    if (written) r = put_messages(view, messages, (uint32_t)count, &done, &how);
    for (Py_ssize_t i = 0; i < encoded; i++) message_forget(&out[i], i < done);
    PyMem_Free(out);
    PyMem_Free(messages);
    ((QueueObject *)self)->used = true;
    if (!written || r == -EINTR) return NULL;
    if (r && r != -EAGAIN && r != -ETIMEDOUT && r != -EBUSY) return queue_raise(r, true);
    return PyLong_FromUnsignedLong(done);
}

/* --- getting --- */

/* What was got, as an object; a message that cannot be read is used up. */
static PyObject *received(struct queue_view *view, struct taken *taken) {
    bool redelivers = view->queue->flags & QUEUE_REDELIVERS;
    if (!redelivers) return message_decode(taken, false);
    struct taken place = {.segment = taken->segment, .position = taken->position, .parcel_count = taken->parcel_count};
    struct parcel *parcels = place.parcel_count ? PyMem_Malloc(place.parcel_count * sizeof *parcels) : NULL;
    if (parcels) memcpy(parcels, taken->parcels, place.parcel_count * sizeof *parcels);
    else place.parcel_count = 0; /* (they go with the segment) */
    place.parcels = parcels;
    PyObject *object = message_decode(taken, true);
    queue_settle(view, &place, !object && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt));
    PyMem_Free(parcels);
    return object;
}

static int get_message(struct queue_view *view, struct taken *taken, const struct acquire *how) {
    int r = queue_try_get(view, taken);
    if (r == -EBUSY && !how->block) WAITING(r, queue_get_now(view, taken));
    else if ((r == -EAGAIN || r == -EBUSY) && how->block) WAITING(r, queue_get(view, taken, how->deadline));
    return r == -EAGAIN && queue_finished(view) ? -EPIPE : r;
}

static PyObject *get_one(PyObject *self, const struct acquire *how) {
    struct taken taken;
    struct queue_view *view = queue_open_view(self);
    if (!view) return NULL;
    int r = get_message(view, &taken, how);
    return r ? queue_raise(r, false) : received(view, &taken);
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names) {
    struct acquire how;
    return acquire_from_py("get", args, count, names, &how) < 0 ? NULL : get_one(self, &how);
}

static PyObject *get_simply(PyObject *self, PyObject *unused) {
    (void)unused;
    return get_one(self, &for_ever);
}

/* _get_more(most): a list of what is there. */
static PyObject *get_more(PyObject *self, PyObject *arg) {
    struct queue_view *view = queue_open_view(self);
    Py_ssize_t most = PyLong_AsSsize_t(arg);
    if (!view || (most == -1 && PyErr_Occurred())) return NULL;
    PyObject *list = PyList_New(0);
    struct acquire how = {false, 0};
    struct taken taken;
    int r = 0;
    while (list && PyList_GET_SIZE(list) < most && (r = get_message(view, &taken, &how)) == 0) {
        PyObject *object = received(view, &taken);
        if (!object || PyList_Append(list, object) < 0) Py_CLEAR(list);
        Py_XDECREF(object);
    }
    if (list && r && r != -EAGAIN && r != -EBUSY && r != -EPIPE) {
        Py_CLEAR(list);
        return queue_raise(r, false);
    }
    return list;
}

/* --- figures --- */

static PyObject *qsize(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    if (!view) return NULL;
    queue_look(view);
    return PyLong_FromUnsignedLong(queue_size(view));
}

static PyObject *empty(PyObject *self, PyObject *unused) {
    QueueObject *queue = (QueueObject *)self;
    (void)unused;
    if (queue->closed && queue->used) return PyErr_Format(PyExc_OSError, "Queue %R is closed", self);
    struct queue_view *view = queue_view_of(self);
    return view ? PyBool_FromLong(!queue_readable(view)) : NULL;
}

static PyObject *full(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? PyBool_FromLong(queue_full(view)) : NULL;
}

static PyObject *get_maxsize(PyObject *self, void *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? PyLong_FromUnsignedLong(view->queue->maxsize) : NULL;
}

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((QueueObject *)self)->closed);
}

static PyObject *get_finished(PyObject *self, void *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? PyBool_FromLong(queue_finished(view)) : NULL;
}

static PyObject *get_place(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((QueueObject *)self)->view.holding.index);
}

static PyObject *get_redelivers(PyObject *self, void *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? PyBool_FromLong(view->queue->flags & QUEUE_REDELIVERS) : NULL;
}

static PyObject *close_(PyObject *self, PyObject *unused) {
    QueueObject *queue = (QueueObject *)self;
    (void)unused;
    if (!queue->closed && queue->view.queue && holding_cell(&queue->view.holding)) queue_close(&queue->view);
    queue->closed = true;
    Py_RETURN_NONE;
}

/* --- tasks --- */

static PyObject *task_done(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    if (!view) return NULL;
    if (queue_task_done(view) == 0) Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
    return NULL;
}

static PyObject *join(PyObject *self, PyObject *timeout) {
    struct queue_view *view = queue_view_of(self);
    int64_t deadline;
    int r;
    if (!view || deadline_from_py(timeout, &deadline) < 0) return NULL;
    WAITING(r, queue_join(view, deadline));
    if (r == 0 || r == -ETIMEDOUT) return PyBool_FromLong(r == 0);
    return raise_sync(r);
}

static PyObject *all_done(PyObject *self, PyObject *unused) {
    struct queue_view *view = queue_view_of(self);
    (void)unused;
    return view ? PyBool_FromLong(queue_all_done(view)) : NULL;
}

PyMethodDef queue_functions[] = {
    {"queue_make", make, METH_VARARGS, "queue_make(type, maxsize, flags): a new queue."},
    {"queue_receive", receive, METH_VARARGS, "queue_receive(type, family, index, serial, stake, ticket): of a parcel."},
    {0},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function)
static PyMethodDef methods[] = {
    {"put", FAST(put), METH_FASTCALL | METH_KEYWORDS, "put($self, obj, block=True, timeout=None)\n--\n\nPut it into the queue."},
    {"get", FAST(get), METH_FASTCALL | METH_KEYWORDS, "get($self, block=True, timeout=None)\n--\n\nThe next message."},
    {"qsize", qsize, METH_NOARGS, "How many messages there are at this moment."},
    {"empty", empty, METH_NOARGS, "Whether there is no message at this moment."},
    {"full", full, METH_NOARGS, "Whether there are `maxsize` messages at this moment."},
    {"_put_simply", put_simply, METH_O, "_put_simply($self, obj, /)\n--\n\nPut it into the queue. Never waits for space."},
    {"_get_simply", get_simply, METH_NOARGS,
     "_get_simply($self, /)\n--\n\nThe next message; waits for it. Raises Closed when it can never come (see Queue)."},
    {"_configure", configure, METH_VARARGS, "_configure(maxsize, flags): before anybody uses it."},
    {"_put_many", put_many, METH_VARARGS, NULL},
    {"_get_more", get_more, METH_O, NULL},
    {"_close", close_, METH_NOARGS, NULL},
    {"_task_done", task_done, METH_NOARGS, NULL},
    {"_join", join, METH_O, NULL},
    {"_all_done", all_done, METH_NOARGS, NULL},
    {"_await", queue_py_await, METH_VARARGS, "_await(part, channel, for_ever=False): a task's wait."},
    {"_announce", queue_py_announce, METH_O, "After wait_again, before another look."},
    {"_waiting", queue_py_waiting, METH_O, "_waiting(part): how many wait for it."},
    {"_give_up", queue_py_give_up, METH_VARARGS, "_give_up(part, wait): the end of a wait."},
    {"_put_task", FAST(queue_py_put_task), METH_FASTCALL, "_put_task(number, aux, obj): put it, tagged. Never waits for space."},
    {"_put_tasks", queue_py_put_tasks, METH_O, "_put_tasks(list of (number, aux, obj)): all, or none; how many there was memory for."},
    {"_end_task", FAST(queue_py_end_task), METH_FASTCALL, "_end_task(number, aux, obj): put it, and have no task in hand."},
    {"_work", queue_py_work, METH_VARARGS, "_work(results, functions, worker, most, until, begin, end, waits): the inner loop of a worker."},
    {"_take_task", FAST(queue_py_take_task), METH_FASTCALL, "_take_task(timeout=None): (number, aux, obj), which is in hand now."},
    {"_get_tasks", FAST(queue_py_get_tasks), METH_FASTCALL, "_get_tasks(most, timeout): a list of (number, aux, obj)."},
    {"_withdraw", queue_py_withdraw, METH_O, "_withdraw(number): take it out of the queue. False: it is not there."},
    {"_attend", queue_py_attend, METH_O, "_attend(yes): from now on we see to what comes, and nobody who watches is woken."},
    {"_watch_tasks", queue_py_watch_tasks, METH_O, "_watch_tasks(timeout): wait for what nobody attends to. False: nudged, or too late."},
    {"_nudge", queue_py_nudge, METH_NOARGS, "Every wait by _watch_tasks ends, or the next one."},
    {"parcel", parcel, METH_NOARGS, "parcel(): (family, index, serial, stake, ticket), to be received once in another process."},
    {0},
};

static PyGetSetDef getters[] = {
    {"_maxsize", get_maxsize, NULL, NULL, NULL},
    {"_closed", get_closed, NULL, NULL, NULL},
    {"_finished", get_finished, NULL, NULL, NULL},
    {"_redelivers", get_redelivers, NULL, NULL, NULL},
    {"_place", get_place, NULL, NULL, NULL},
    {0},
};

static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(QueueObject, weak), READONLY, NULL}, {0}};

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc}, {Py_tp_traverse, traverse}, {Py_tp_methods, methods},
                              {Py_tp_getset, getters},  {Py_tp_members, members},   {0}};

PyType_Spec queue_spec = {"procession._native.Queue", sizeof(QueueObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
