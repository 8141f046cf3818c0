/* Blocks: bytes in the commons, as a buffer. A block lives as long as anybody holds it. */
#include "native.h"

#include "../arena.h"
#include "../holdings.h"

typedef struct {
    PyObject_HEAD
    struct holding holding;
    PyObject *weak;
    char *map;
    uint64_t offset, size;
    Py_ssize_t views; /* buffers of it that somebody has */
} BlockObject;

static PyObject *raise_memory(int error, uint64_t size) {
    if (error == -ENOMEM || error == -ENOSPC || error == -EINVAL)
        return PyErr_Format(PyExc_MemoryError, "no shared memory for %llu bytes", (unsigned long long)size);
    return raise_sync(error);
}

/* --- blocks --- */

static int map_block(BlockObject *self) {
    struct cell *cell = holding_cell(&self->holding);
    self->offset = holding_offset(cell);
    self->size = block_size(cell);
    self->map = arena_map(self->offset, self->size);
    if (self->map) return 0;
    PyErr_NoMemory();
    return -1;
}

static PyObject *new_block(PyTypeObject *type) {
    if (!PyType_IsSubtype(type, block_type)) return PyErr_Format(PyExc_TypeError, "expected a type of blocks"), NULL;
    return type->tp_alloc(type, 0);
}

#define MUCH 65536 /* bytes: so many are cleared or copied without the GIL */

static int fill(BlockObject *self, const void *bytes, uint64_t size, bool clean, uint32_t flags) {
    PyThreadState *state = size < MUCH ? NULL : PyEval_SaveThread();
    int error = holding_prepare(CELL_BLOCK, size, bytes, clean, flags, &self->holding);
    if (state) PyEval_RestoreThread(state);
    if (!error) holding_list(&self->holding);
    return error;
}

static PyObject *new_filled(PyTypeObject *type, const void *bytes, uint64_t size, bool clean, uint32_t flags) {
    BlockObject *self = (BlockObject *)new_block(type);
    if (!self) return NULL;
    int error = fill(self, bytes, size, clean, flags);
    if (!error && map_block(self) == 0) return (PyObject *)self;
    Py_DECREF(self);
    return error ? raise_memory(error, size) : NULL;
}

/* A new one with the content of a buffer. */
PyObject *block_of(PyTypeObject *type, const void *bytes, uint64_t size, uint32_t flags) {
    return new_filled(type, bytes, size, true, flags);
}

static PyObject *make(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    unsigned long long size;
    unsigned flags;
    int clean;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!KIp", &PyType_Type, &type, &size, &flags, &clean)) return NULL;
    return new_filled(type, NULL, size, clean, flags);
}

static PyObject *copy(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    Py_buffer data;
    unsigned flags;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y*I", &PyType_Type, &type, &data, &flags)) return NULL;
    PyObject *self = block_of(type, data.buf, (uint64_t)data.len, flags);
    PyBuffer_Release(&data);
    return self;
}

static PyObject *receive(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    struct parcel parcel;
    (void)module;
    if (parcel_from_py(args, &type, &parcel) < 0) return NULL;
    return block_received(type, &parcel);
}

PyObject *block_received(PyTypeObject *type, const struct parcel *parcel) {
    BlockObject *self = (BlockObject *)new_block(type);
    if (self && receive_from_py(parcel, CELL_BLOCK, &self->holding) == 0 && map_block(self) == 0) return (PyObject *)self;
    Py_XDECREF(self);
    return NULL;
}

static PyObject *mapped(BlockObject *self, int error) {
    if (!error && map_block(self) == 0) return (PyObject *)self;
    Py_DECREF(self);
    return error == -ENOENT ? raise_gone() : error ? raise_sync(error) : NULL;
}

PyObject *block_claimed(const struct parcel *parcel) {
    BlockObject *self = parcel->stake ? (BlockObject *)new_block(block_type) : NULL;
    if (!self) {
        if (parcel->stake) parcel_refuse(parcel);
        return parcel->stake ? NULL : raise_gone();
    }
    parcel_claimed(parcel, &self->holding);
    return mapped(self, 0);
}

PyObject *block_added(const struct parcel *parcel) {
    BlockObject *self = (BlockObject *)new_block(block_type);
    return self ? mapped(self, holding_add(parcel->index, parcel->serial, &self->holding)) : NULL;
}

void *block_bytes(PyObject *self, uint64_t *size) {
    *size = ((BlockObject *)self)->size;
    return ((BlockObject *)self)->map;
}

int block_send(PyObject *self, struct parcel *out) {
    return parcel_make(((BlockObject *)self)->holding.index, ((BlockObject *)self)->holding.serial, true, out);
}

static PyObject *parcel(PyObject *self, PyObject *unused) {
    BlockObject *block = (BlockObject *)self;
    (void)unused;
    return parcel_to_py(block->holding.index, block->holding.serial);
}

static void dealloc(PyObject *object) {
    BlockObject *self = (BlockObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak) PyObject_ClearWeakRefs(object);
    if (self->map && commons) arena_unmap(self->map, self->offset, self->size);
    holding_drop(&self->holding);
    type->tp_free(object);
    Py_DECREF(type);
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int get_buffer(PyObject *self, Py_buffer *view, int flags) {
    BlockObject *block = (BlockObject *)self;
    int error = PyBuffer_FillInfo(view, self, block->map, (Py_ssize_t)block->size, 0, flags);
    block->views += error == 0;
    return error;
}

static void release_buffer(PyObject *self, Py_buffer *view) {
    (void)view;
    ((BlockObject *)self)->views--;
}

static Py_ssize_t length(PyObject *self) { return (Py_ssize_t)((BlockObject *)self)->size; }

/* The block, of those that this process has and whose content is common, in which these bytes lie; and where in it. */
static PyObject *find(PyObject *module, PyObject *args) {
    unsigned long long address, size;
    (void)module;
    if (!PyArg_ParseTuple(args, "KK", &address, &size)) return NULL;
    for (struct holding *h = commons ? holdings_of_process : NULL; h; h = h->next) {
        struct cell *cell = holding_cell(h);
        if (!cell || cell_kind(cell) != CELL_BLOCK || !(word_peek(&cell->flags) & CELL_COMMON)) continue;
        BlockObject *block = (BlockObject *)((char *)h - offsetof(BlockObject, holding));
        unsigned long long first = (unsigned long long)(uintptr_t)block->map;
        if (address < first || address + size > first + block->size) continue;
        return Py_BuildValue("OK", block, address - first);
    }
    Py_RETURN_NONE;
}

static PyObject *get_address(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromVoidPtr(((BlockObject *)self)->map);
}

static PyObject *get_place(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(((BlockObject *)self)->holding.index);
}

static PyObject *get_views(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSsize_t(((BlockObject *)self)->views);
}

static PyObject *trim(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int error = commons ? sync_enter() : 0;
    if (error) return raise_sync(error);
    return PyLong_FromUnsignedLongLong(commons ? arena_trim(OWNER_MEMBER(sync_me - 1)) * CHUNK_SIZE : 0);
}

/* --- forks --- */

static PyObject *fork_(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    int error = commons ? holdings_fork(who.slot) : 0;
    if (error) return raise_sync(error);
    Py_RETURN_NONE;
}

static PyObject *forked(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    holdings_forked();
    Py_RETURN_NONE;
}

static PyObject *not_forked(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (commons) holdings_not_forked();
    Py_RETURN_NONE;
}

static PyObject *any(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyBool_FromLong(holdings_of_process != NULL);
}

PyMethodDef block_functions[] = {
    {"block_make", make, METH_VARARGS, "block_make(type, size, flags, clean): new shared memory; zeros if `clean`."},
    {"block_copy", copy, METH_VARARGS, "block_copy(type, buffer, flags): new shared memory with these bytes."},
    {"block_receive", receive, METH_VARARGS, "block_receive(type, family, index, serial, stake, ticket): of a parcel."},
    {"block_find", find, METH_VARARGS, "block_find(address, size): (block, offset) of what is common, or None."},
    {"arena_trim", trim, METH_NOARGS, "Give free pages that were kept back to the kernel; how many bytes."},
    {"holdings_any", any, METH_NOARGS, "Whether this process holds any object with memory."},
    {"holdings_fork", fork_, METH_O, "holdings_fork(member): what the child will hold that is about to be forked."},
    {"holdings_forked", forked, METH_NOARGS, "In that child."},
    {"holdings_not_forked", not_forked, METH_NOARGS, "There was no fork."},
    {0},
};

static PyMethodDef methods[] = {
    {"parcel", parcel, METH_NOARGS, "parcel(): (family, index, serial, stake, ticket), to be received once in another process."},
    {0},
};

static PyGetSetDef getters[] = {
    {"address", get_address, NULL, "Where it lies in this process.", NULL},
    {"place", get_place, NULL, "The index of its cell; the same in all processes.", NULL},
    {"views", get_views, NULL, "How many buffers of it there are.", NULL},
    {0},
};

static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(BlockObject, weak), READONLY, NULL}, {0}};

static PyType_Slot slots[] = {{Py_tp_dealloc, dealloc},     {Py_tp_traverse, traverse},      {Py_tp_methods, methods},
                              {Py_tp_getset, getters},      {Py_tp_members, members},        {Py_bf_getbuffer, get_buffer},
                              {Py_sq_length, length},       {Py_bf_releasebuffer, release_buffer}, {0}};

PyType_Spec block_spec = {"procession._native.Block", sizeof(BlockObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                          slots};
PyTypeObject *block_type;
