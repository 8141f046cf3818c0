/* What all synchronisation objects have in common: they are handles of cells, made, sent and awaited alike. */
#include "native.h"

#include "../bell.h"
#include "../recover.h"
#include "../shares.h"
#include "../waits.h"

/* An exception of procession.errors, with one argument. */
PyObject *raise_ours(const char *name, const char *text) {
    PyObject *errors = PyImport_ImportModule("procession.errors");
    PyObject *type = errors ? PyObject_GetAttrString(errors, name) : NULL;
    if (type) PyErr_SetString(type, text);
    Py_XDECREF(type);
    Py_XDECREF(errors);
    return NULL;
}

PyObject *raise_sync(int error) {
    if (error == -EINTR) return NULL; /* a signal's handler has raised */
    if (error == -ESRCH) return raise_ours("FamilyError", "this process is in no family, or has no place in its table");
    if (error == -ENOSPC) return raise_errno(error, "the family's memory for synchronisation objects and their waiters is full");
    return raise_errno(error, "waiting in the family's memory");
}

struct cell *cell_of(PyObject *self) {
    CellObject *object = (CellObject *)self;
    struct cell *cell = cell_get(object->index, object->serial);
    if (!cell) raise_ours("FamilyError", "this object belongs to another family of processes, or its family is gone");
    return cell;
}

/* --- making and sending --- */

static PyObject *wrap(PyTypeObject *type, uint32_t index, uint32_t serial) {
    PyObject *self = type->tp_alloc(type, 0);
    if (!self) return NULL;
    ((CellObject *)self)->index = index;
    ((CellObject *)self)->serial = serial;
    return self;
}

static PyObject *make(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    if (count != 5 || !PyType_Check(args[0])) return PyErr_Format(PyExc_TypeError, "cell_make(type, kind, word, count, flags)");
    unsigned long numbers[4];
    for (int i = 0; i < 4; i++) {
        numbers[i] = PyLong_AsUnsignedLong(args[i + 1]);
        if (numbers[i] == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    }
    uint32_t index;
    int error = cell_claim(&index);
    if (error) return raise_sync(error);
    word_poke(&cell_at(index)->word, (uint32_t)numbers[1]);
    word_poke(&cell_at(index)->count, (uint32_t)numbers[2]);
    cell_publish(index, (enum cell_kind)numbers[0], (uint32_t)numbers[3]);
    return wrap((PyTypeObject *)args[0], index, cell_serial(cell_at(index)));
}

static PyObject *attach(PyObject *module, PyObject *args) {
    PyTypeObject *type;
    unsigned long long family;
    unsigned index, serial;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!KII", &PyType_Type, &type, &family, &index, &serial)) return NULL;
    if (!commons || commons->family != family || !cell_get(index, serial))
        return raise_ours("FamilyError", "this object was made in another family of processes, which shares no memory with "
                                         "this one; pass it to processes that are started by procession");
    return wrap(type, index, serial);
}

static PyObject *handle(PyObject *self, PyObject *unused) {
    (void)unused;
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    word_or(&cell->flags, CELL_SENT);
    return Py_BuildValue("KII", (unsigned long long)commons->family, ((CellObject *)self)->index,
                         ((CellObject *)self)->serial);
}

void cell_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    CellObject *object = (CellObject *)self;
    if (object->weak) PyObject_ClearWeakRefs(self);
    if (commons) cell_drop(object->index, object->serial);
    type->tp_free(self);
    Py_DECREF(type);
}

/* After `wait_again`: whoever gives next is to look for us. */
PyObject *cell_announce(PyObject *self, PyObject *unused) {
    struct cell *cell = cell_of(self);
    (void)unused;
    if (!cell) return NULL;
    word_or(&cell->word, WAITERS);
    Py_RETURN_NONE;
}

/* _await(channel): a task's wait for something that is then tried. */
PyObject *cell_await(PyObject *self, PyObject *channel) {
    struct cell *cell = cell_of(self);
    struct wait *wait;
    unsigned long number = PyLong_AsUnsignedLong(channel);
    if (!cell || (number == (unsigned long)-1 && PyErr_Occurred())) return NULL;
    int r = wait_begin(cell_index(cell), 1, 0, (uint32_t)number, &wait);
    if (r == 0) word_or(&cell->word, WAITERS);
    return wait_to_py(r, wait);
}

/* --- what acquire was given --- */

static int read_block(PyObject *value, struct acquire *out) {
    int block = PyObject_IsTrue(value);
    out->block = block > 0;
    return block < 0 ? -1 : 0;
}

int acquire_from_py(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names, struct acquire *out) {
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject *block = count > 0 ? args[0] : NULL, *timeout = count > 1 ? args[1] : NULL;
    if (count > 2) return PyErr_Format(PyExc_TypeError, "%s() takes at most 2 arguments (%zd given)", name, count), -1;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *key = PyTuple_GET_ITEM(names, i), *value = args[count + i];
        if (PyUnicode_CompareWithASCIIString(key, "block") == 0 && !block) block = value;
        else if (PyUnicode_CompareWithASCIIString(key, "timeout") == 0 && !timeout) timeout = value;
        else return PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", name, key), -1;
    }
    out->block = true;
    out->deadline = PN_FOREVER;
    if (block && read_block(block, out) < 0) return -1;
    if (!out->block) return 0;
    if (deadline_from_py(timeout, &out->deadline) < 0) return -1;
    if (timeout && timeout != Py_None && out->deadline <= clock_monotonic()) out->block = false;
    return 0;
}

/* --- waits --- */

struct wait *wait_from_py(PyObject *object) {
    unsigned long index = PyLong_AsUnsignedLong(object);
    if (index == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    if (commons && index < COMMONS_WAIT_COUNT && WAIT_OWNER(word_read(&wait_at((uint32_t)index)->state)) == sync_me)
        return wait_at((uint32_t)index);
    PyErr_SetString(PyExc_ValueError, "that is no wait of this process");
    return NULL;
}

PyObject *wait_to_py(int error, struct wait *wait) {
    return error < 0 ? raise_sync(error) : PyLong_FromUnsignedLong(wait_index(wait));
}

static PyObject *again(PyObject *module, PyObject *index) {
    (void)module;
    struct wait *wait = wait_from_py(index);
    if (!wait) return NULL;
    wait_again(wait);
    Py_RETURN_NONE;
}

static PyObject *end(PyObject *module, PyObject *index) {
    (void)module;
    struct wait *wait = wait_from_py(index);
    return wait ? PyLong_FromLong(wait_end(wait)) : NULL;
}

static PyObject *abandon(PyObject *module, PyObject *index) {
    (void)module;
    struct wait *wait = wait_from_py(index);
    if (!wait) return NULL;
    Py_BEGIN_ALLOW_THREADS
    recover_abandon(wait);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *is_told(PyObject *module, PyObject *index) {
    (void)module;
    struct wait *wait = wait_from_py(index);
    return wait ? PyBool_FromLong(!wait_pending(word_read(&wait->state))) : NULL;
}

static PyObject *told(PyObject *module, PyObject *arg) {
    unsigned long channel = PyLong_AsUnsignedLong(arg);
    (void)module;
    if (channel == (unsigned long)-1 && PyErr_Occurred()) return NULL;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && commons && i < waits_used(); i++) {
        uint32_t state = word_read(&wait_at(i)->state);
        if (WAIT_OWNER(state) != sync_me || (state & 0xff) <= WAIT_TASKED) continue;
        if (word_read(&wait_at(i)->channel) != channel) continue;
        PyObject *number = PyLong_FromUnsignedLong(i);
        if (!number || PyList_Append(list, number) < 0) Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

/* --- who --- */

static PyObject *person(uint32_t owner, uint32_t tid, uint64_t since) {
    uint64_t now = sync_now();
    double age = now > since && since ? (double)(now - since) / 1e9 : 0.0;
    if (owner == 0 || owner > PN_SLOTS) Py_RETURN_NONE;
    struct record *record = &commons_records()[owner - 1];
    char name[PN_NAME_SIZE];
    memcpy(name, record->name, sizeof name);
    name[sizeof name - 1] = 0;
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
    return Py_BuildValue("(NIIdO)", text, word_read(&record->pid), tid, age, owner == sync_me ? Py_True : Py_False);
}

static PyObject *holder(PyObject *module, PyObject *self) {
    (void)module;
    struct cell *cell = cell_of(self);
    if (!cell) return NULL;
    return person(word_read(&cell->word) & 0x7fff, word_peek(&cell->tid), word_peek(&cell->since));
}

static int by_ticket(const void *a, const void *b) {
    uint64_t x = word_peek(&wait_at(*(const uint32_t *)a)->ticket), y = word_peek(&wait_at(*(const uint32_t *)b)->ticket);
    return x < y ? -1 : x > y;
}

static PyObject *people(uint32_t *found, size_t count) {
    qsort(found, count, sizeof *found, by_ticket);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < count; i++) {
        struct wait *wait = wait_at(found[i]);
        PyObject *one = person(WAIT_OWNER(word_read(&wait->state)), word_peek(&wait->tid), word_peek(&wait->since));
        if (!one || (one != Py_None && PyList_Append(list, one) < 0)) Py_CLEAR(list);
        Py_XDECREF(one);
    }
    return list;
}

/* Those who wait for the cell; told or not, they have not come to use it. */
static PyObject *waiters(PyObject *module, PyObject *self) {
    (void)module;
    if (!cell_of(self)) return NULL;
    uint32_t used = waits_used();
    uint32_t *found = PyMem_Calloc(used + 1, sizeof *found);
    size_t count = 0;
    if (!found) return PyErr_NoMemory();
    for (uint32_t i = 0; i < used; i++) {
        uint32_t state = word_read(&wait_at(i)->state) & 0xff;
        if (state >= WAIT_SPINNING && state <= WAIT_WOKEN && word_peek(&wait_at(i)->key) == ((CellObject *)self)->index)
            found[count++] = i;
    }
    PyObject *list = people(found, count);
    PyMem_Free(found);
    return list;
}

/* The last note about one that died holding the cell, or None; unless `keep`, all such notes are taken away. */
static PyObject *epitaph(PyObject *module, PyObject *args) {
    PyObject *self;
    int keep;
    (void)module;
    if (!PyArg_ParseTuple(args, "Op", &self, &keep)) return NULL;
    if (!cell_of(self)) return NULL;
    PyObject *last = Py_NewRef(Py_None);
    uint64_t latest = 0, now = sync_now();
    for (uint32_t i = 0; last && i < waits_used(); i++) {
        struct wait *wait = wait_at(i);
        uint32_t seen = word_read(&wait->state);
        if ((seen & 0xff) != WAIT_EPITAPH || word_peek(&wait->key) != ((CellObject *)self)->index) continue;
        uint64_t since = word_peek(&wait->since);
        if (since >= latest)
            Py_SETREF(last, Py_BuildValue("(sIId)", wait->name, word_peek(&wait->units), word_peek(&wait->tid),
                                          now > since && since ? (double)(now - since) / 1e9 : 0.0));
        latest = since > latest ? since : latest;
        if (!keep) wait_take_back(wait, seen);
    }
    return last;
}

static PyObject *stakes(PyObject *module, PyObject *self) {
    (void)module;
    struct cell *cell = cell_of(self);
    PyObject *list = cell ? PyList_New(0) : NULL;
    uint32_t stake = cell ? word_read(&cell->link) : 0;
    for (; list && stake; stake = word_read(&cell_at(stake)->link)) {
        uint32_t owner = word_read(&cell_at(stake)->tid), held = stake_held(stake);
        if (held == 0 || owner == 0 || owner == STAKE_DEAD) continue;
        PyObject *one = Py_BuildValue("(NI)", person(owner, 0, 0), held);
        if (!one || PyList_Append(list, one) < 0) Py_CLEAR(list);
        Py_XDECREF(one);
    }
    return list;
}

static PyObject *place(PyObject *module, PyObject *self) {
    (void)module;
    return cell_of(self) ? PyLong_FromUnsignedLong(((CellObject *)self)->index) : NULL;
}

static PyObject *in_use(PyObject *module, PyObject *unused) {
    uint32_t cells = 0, waits = 0;
    (void)module, (void)unused;
    if (!commons) return Py_BuildValue("II", 0, 0);
    for (uint32_t i = 1; i < word_read(&commons->cells_used); i++) cells += word_read(&cell_at(i)->state) != CELL_FREE;
    for (uint32_t i = 0; i < waits_used(); i++) waits += word_read(&wait_at(i)->state) != WAIT_FREE;
    return Py_BuildValue("II", cells, waits);
}

PyMemberDef cell_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(CellObject, weak), READONLY, NULL}, {0}};

static PyObject *handle_function(PyObject *module, PyObject *self) {
    (void)module;
    return handle(self, NULL);
}

PyMethodDef cell_functions[] = {
    {"cell_make", (PyCFunction)(void (*)(void))make, METH_FASTCALL, "cell_make(type, kind, word, count, flags): a new object."},
    {"cell_attach", attach, METH_VARARGS, "cell_attach(type, family, index, serial): the object of a handle."},
    {"cell_handle", handle_function, METH_O, "cell_handle(object): (family, index, serial); it lives on with the family."},
    {"cell_holder", holder, METH_O, "cell_holder(lock): (name, pid, thread, seconds, ours), or None."},
    {"cell_waiters", waiters, METH_O, "cell_waiters(object): a list of the same, the first first."},
    {"cell_place", place, METH_O, "cell_place(object): its index; the same in all processes."},
    {"cell_stakes", stakes, METH_O, "cell_stakes(object): [(the same, permits)] of those who have some."},
    {"cell_epitaph", epitaph, METH_VARARGS, "cell_epitaph(lock, keep): (name, pid, thread, seconds) of who died with it."},
    {"cells_in_use", in_use, METH_NOARGS, "How many cells and waits of the family are taken."},
    {"wait_again", again, METH_O, "wait_again(wait): it was woken in vain."},
    {"wait_end", end, METH_O, "wait_end(wait): what it was told (5 woken, 6 passed, 7 refused)."},
    {"wait_abandon", abandon, METH_O, "wait_abandon(wait): end it; what it was told, or got, is another's."},
    {"wait_is_told", is_told, METH_O, "wait_is_told(wait): whether it was told anything."},
    {"waits_told", told, METH_O, "waits_told(channel): those of our waits that were told something."},
    {0},
};
