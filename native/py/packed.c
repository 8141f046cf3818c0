/* Packed, a message that is not put yet; Message, one that was got and is not decoded yet. Each is one small object, its body inline. */
#include "queues.h"

PyTypeObject *packed_type, *message_type;

/* --- before it is put --- */

typedef struct {
    PyObject_VAR_HEAD
    PyObject *blocks; /* a list, or NULL */
    PyObject *nested; /* a list of parcels, or NULL: they are ours until it is put */
    uint64_t bytes;   /* with those in blocks */
    uint32_t format, forks;
    bool spent;
    char body[];
} PackedObject;

static PyObject *list_or_nothing(PyObject **list) {
    PyObject *taken = *list;
    *list = NULL;
    if (taken && PyList_GET_SIZE(taken) == 0) Py_CLEAR(taken);
    return taken;
}

static uint64_t bytes_in(PyObject *blocks) {
    uint64_t sum = 0, size;
    for (Py_ssize_t i = 0; blocks && i < PyList_GET_SIZE(blocks); i++) {
        block_bytes(PyList_GET_ITEM(blocks, i), &size);
        sum += size;
    }
    return sum;
}

static PyObject *pack(PyObject *module, PyObject *object) {
    struct outgoing out;
    (void)module;
    if (message_write(object, &out) < 0) return NULL;
    PackedObject *self = (PackedObject *)packed_type->tp_alloc(packed_type, (Py_ssize_t)out.message.size);
    if (self) {
        if (out.message.size) memcpy(self->body, out.message.body, out.message.size);
        self->blocks = list_or_nothing(&out.blocks);
        self->nested = list_or_nothing(&out.nested);
        self->bytes = out.message.size + bytes_in(self->blocks);
        self->format = out.message.format;
        self->forks = sync_forks;
    }
    message_forget(&out, false);
    return (PyObject *)self;
}

/* Parcels are this process's, not those of a copy of it. */
static bool nested_are_ours(PackedObject *self) { return self->nested && !self->spent && self->forks == sync_forks; }

static void packed_dealloc(PyObject *object) {
    PackedObject *self = (PackedObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    struct outgoing out = {.blocks = self->blocks, .nested = nested_are_ours(self) && commons ? self->nested : NULL};
    if (!out.nested) Py_XDECREF(self->nested);
    message_forget(&out, false);
    type->tp_free(object);
    Py_DECREF(type);
}

int packed_encode(PyObject *object, struct outgoing *out) {
    if (!Py_IS_TYPE(object, packed_type)) return message_encode(object, out);
    PackedObject *self = (PackedObject *)object;
    *out = (struct outgoing){.message = {.body = self->body, .size = (uint32_t)Py_SIZE(self), .format = self->format}};
    if (!self->blocks && !self->nested) return 0;
    if (self->nested && !nested_are_ours(self))
        return PyErr_SetString(PyExc_ValueError, "what has shared objects in it can be put once"), -1;
    self->spent = self->nested;
    out->blocks = Py_XNewRef(self->blocks);
    out->nested = Py_XNewRef(self->nested);
    if (message_parcels(out) == 0) return 0;
    message_forget(out, false);
    return -1;
}

static PyObject *get_reusable(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(!((PackedObject *)self)->nested);
}

static PyObject *get_size(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((PackedObject *)self)->bytes);
}

static PyGetSetDef packed_getters[] = {
    {"reusable", get_reusable, NULL, "False: there are shared objects in it, and it can be put once", NULL},
    {"size", get_size, NULL, "in bytes, with what lies in blocks", NULL},
    {0},
};

static PyType_Slot packed_slots[] = {{Py_tp_dealloc, packed_dealloc}, {Py_tp_getset, packed_getters},
                                     {Py_tp_doc, "An object, written down to be put. Made by `pack`."}, {0}};

PyType_Spec packed_spec = {"procession._native.Packed", offsetof(PackedObject, body), 1,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, packed_slots};

/* --- after it was got --- */

typedef struct {
    PyObject_VAR_HEAD
    uint32_t format, size, parcel_count, forks;
    bool loaded;
    _Alignas(struct parcel) char bytes[]; /* the parcels, then the body */
} MessageObject;

static void drop_all(const struct parcel *parcels, uint32_t count) {
    for (uint32_t i = 0; commons && i < count; i++) {
        if (parcels[i].serial & PARCEL_NESTED) parcel_drop(&parcels[i]);
        else if (parcels[i].stake != CELL_NONE) parcel_refuse(&parcels[i]);
    }
}

static PyObject *message_of(const struct taken *taken) {
    size_t parcels = taken->parcel_count * sizeof *taken->parcels;
    MessageObject *self = (MessageObject *)message_type->tp_alloc(message_type, (Py_ssize_t)(parcels + taken->size));
    if (!self) {
        drop_all(taken->parcels, taken->parcel_count);
        return NULL;
    }
    self->format = taken->format, self->size = taken->size, self->parcel_count = taken->parcel_count;
    self->forks = sync_forks;
    if (parcels) memcpy(self->bytes, taken->parcels, parcels);
    if (taken->size) memcpy(self->bytes + parcels, taken->body, taken->size);
    return (PyObject *)self;
}

/* (What cannot be decoded for want of memory is not lost: it may be tried again.) */
PyObject *message_received(struct taken *taken) {
    PyObject *object = message_is_plain(taken) ? message_read(taken, false) : NULL;
    PyErr_Clear();
    if (!object) object = message_of(taken);
    taken_free(taken);
    return object;
}

static PyObject *load(PyObject *object, PyObject *unused) {
    MessageObject *self = (MessageObject *)object;
    struct taken taken;
    (void)unused;
    if (self->loaded) return PyErr_SetString(PyExc_ValueError, "this message was loaded already"), NULL;
    if (self->parcel_count && self->forks != sync_forks) return raise_gone();
    self->loaded = true;
    taken.parcels = (struct parcel *)self->bytes, taken.parcel_count = self->parcel_count;
    taken.body = self->bytes + self->parcel_count * sizeof(struct parcel), taken.size = self->size;
    taken.format = self->format;
    return message_read(&taken, false);
}

static void message_dealloc(PyObject *object) {
    MessageObject *self = (MessageObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (!self->loaded && self->forks == sync_forks) drop_all((struct parcel *)self->bytes, self->parcel_count);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyMethodDef message_methods[] = {
    {"load", load, METH_NOARGS, "load(): the object; once. Raises what unpickling raises."},
    {0},
};

static PyType_Slot message_slots[] = {{Py_tp_dealloc, message_dealloc}, {Py_tp_methods, message_methods},
                                      {Py_tp_doc, "A message that was taken out of a queue and not decoded yet."}, {0}};

PyType_Spec message_spec = {"procession._native.Message", offsetof(MessageObject, bytes), 1,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, message_slots};

PyMethodDef packed_functions[] = {
    {"pack", pack, METH_O, "pack(obj): written down as `put` would, to be put later, or again and again. Raises what `put` would."},
    {0},
};
