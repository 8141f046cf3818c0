/* What memory there is, who has it, and how it is called. */
#include "native.h"

#include "../arena.h"
#include "../names.h"
#include "../room.h"
#include "../sweep.h"
#include "../waits.h"

/* Enter the names, waiting without the GIL: 0, or -1 with an exception set. */
static int enter(void) {
    int r;
    if (!commons) return raise_sync(-ESRCH), -1;
    WAITING(r, names_enter(PN_FOREVER));
    return r < 0 ? raise_sync(r), -1 : 0;
}

/* name_give(block, name): whether nothing else had it. */
static PyObject *give(PyObject *module, PyObject *args) {
    PyObject *block;
    Py_buffer page;
    const char *name;
    Py_ssize_t size;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y#", block_type, &block, &name, &size)) return NULL;
    if (PyObject_GetBuffer(block, &page, PyBUF_WRITABLE) < 0) return NULL;
    bool fits = size > 0 && (size_t)size <= NAME_MOST && page.len >= NAME_PAGE;
    if (fits) memcpy(page.buf, name, (size_t)size); /* (a new block is full of zeros) */
    PyBuffer_Release(&page);
    if (!fits) return PyErr_Format(PyExc_ValueError, "a name has 1 to %u bytes, in a page of its own", NAME_MOST);
    PyObject *place = PyObject_GetAttrString(block, "place");
    if (!place || enter() < 0) return Py_XDECREF(place), NULL;
    int error = names_give(cell_at((uint32_t)PyLong_AsUnsignedLong(place)));
    names_leave();
    Py_DECREF(place);
    if (error == -EEXIST) Py_RETURN_FALSE;
    return error ? raise_sync(error) : Py_NewRef(Py_True);
}

/* name_find(type, name): the block, or None. (No object is made under the lock: that may collect garbage, and run anything.) */
static PyObject *find(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    const char *name;
    struct parcel parcel;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!y", &PyType_Type, &type, &name) || enter() < 0) return NULL;
    struct cell *cell = names_find(name);
    int error = cell ? parcel_make(cell_index(cell), cell_serial(cell), true, &parcel) : -ENOENT;
    names_leave();
    if (error == -ENOENT) Py_RETURN_NONE;
    if (error) return raise_sync(error);
    PyObject *block = block_received(type, &parcel);
    if (!block) parcel_drop(&parcel);
    return block;
}

static PyObject *take(PyObject *module, PyObject *args) {
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "y", &name) || enter() < 0) return NULL;
    int error = names_take(name);
    names_leave();
    return PyBool_FromLong(error == 0);
}

struct found {
    struct entry {
        char name[NAME_MOST + 1];
        uint64_t size;
    } *entries;
    size_t count, room;
};

static void append(struct cell *block, const char *name, void *with) {
    struct found *found = with;
    if (found->count == found->room) {
        size_t room = found->room ? 2 * found->room : 16;
        void *more = PyMem_RawRealloc(found->entries, room * sizeof *found->entries);
        if (!more) return; /* (then some are left out) */
        found->entries = more;
        found->room = room;
    }
    struct entry *entry = &found->entries[found->count++];
    strcpy(entry->name, name);
    entry->size = block_size(block);
}

static PyObject *list(PyObject *module, PyObject *unused) {
    struct found found = {0};
    (void)module, (void)unused;
    if (enter() < 0) return NULL;
    names_each(append, &found);
    names_leave();
    PyObject *all = PyList_New((Py_ssize_t)found.count);
    for (size_t i = 0; all && i < found.count; i++) {
        PyObject *one = Py_BuildValue("(yK)", found.entries[i].name, (unsigned long long)found.entries[i].size);
        if (one) PyList_SET_ITEM(all, (Py_ssize_t)i, one);
        else Py_CLEAR(all);
    }
    PyMem_RawFree(found.entries);
    return all;
}

/* --- who has how much --- */

static PyObject *owners(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *all = PyDict_New();
    uint64_t top = commons ? word_read(&commons->chunk_top) : 0;
    for (uint64_t chunk = COMMONS_ARENA / CHUNK_SIZE; all && chunk < top;) {
        uint32_t owner = word_read(&commons_chunks()[chunk]) & ~(CHUNK_HEAD | CHUNK_PART);
        uint64_t first = chunk;
        while (chunk < top && (word_read(&commons_chunks()[chunk]) & ~(CHUNK_HEAD | CHUNK_PART)) == owner) chunk++;
        if (chunk == first) continue; /* (it changed meanwhile: look again) */
        if (owner == 0 || owner == CHUNK_WARM) continue;
        PyObject *key = PyLong_FromUnsignedLong(owner);
        PyObject *before = key ? PyDict_GetItemWithError(all, key) : NULL;
        unsigned long long bytes = (chunk - first) * CHUNK_SIZE + (before ? PyLong_AsUnsignedLongLong(before) : 0);
        PyObject *sum = PyLong_FromUnsignedLongLong(bytes);
        if (!key || !sum || PyDict_SetItem(all, key, sum) < 0) Py_CLEAR(all);
        Py_XDECREF(key);
        Py_XDECREF(sum);
    }
    return all;
}

/* holders(index): (kind, [tid of each stake]) of an object with memory, or None. */
static PyObject *holders(PyObject *module, PyObject *arg) {
    unsigned long index = PyLong_AsUnsignedLong(arg);
    (void)module;
    if (index == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    struct cell *cell = commons && index < COMMONS_CELL_COUNT ? cell_at((uint32_t)index) : NULL;
    if (!cell || !HAS_MEMORY(cell_kind(cell))) Py_RETURN_NONE;
    PyObject *all = PyList_New(0);
    for (uint32_t stake = word_read(&cell->link); all && stake; stake = word_read(&cell_at(stake)->link)) {
        uint32_t tid = word_read(&cell_at(stake)->tid);
        PyObject *one = tid ? PyLong_FromUnsignedLong(tid) : NULL;
        if (tid && (!one || PyList_Append(all, one) < 0)) Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all ? Py_BuildValue("(iN)", cell_kind(cell), all) : NULL;
}

static PyObject *scavenge(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromUnsignedLong(commons ? sweep_forks() : 0);
}

static PyObject *room(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    uint64_t left = room_left("");
    return left == ROOM_UNKNOWN ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(left);
}

PyMethodDef memory_functions[] = {
    {"name_give", give, METH_VARARGS, "name_give(block, name): whether it is found under that name now; False: another is."},
    {"name_find", find, METH_VARARGS, "name_find(type, name): the block of that name, or None."},
    {"name_take", take, METH_VARARGS, "name_take(name): whether there was one; there is none now."},
    {"name_list", list, METH_NOARGS, "[(name, bytes with the name's page)] of all."},
    {"arena_owners", owners, METH_NOARGS, "Bytes in use by owner: a member's slot + 1, or bit 30 and an object's index."},
    {"holders", holders, METH_O, "holders(index): (kind, whose holdings there are) of an object with memory, or None."},
    {"kin_scavenge", scavenge, METH_NOARGS, "Free the records, and what they hold, of forks that are gone; how many."},
    {"room", room, METH_NOARGS, "How many bytes of memory can still be had; None: nobody knows."},
    {0},
};
