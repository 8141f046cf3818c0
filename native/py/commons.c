/* The commons, the arena and the process table, as functions. */
#include "native.h"

#include "../arena.h"
#include "../clock.h"
#include "../commons.h"
#include "../hunt.h"
#include "../proc.h"
#include "../start.h"
#include "../sweep.h"

static int need_commons(void) {
    if (commons) return 0;
    PyErr_SetString(PyExc_RuntimeError, "this process belongs to no family yet");
    return -1;
}

static PyObject *raise_map(int error) {
    if (error == -ENOMEM)
        return PyErr_Format(PyExc_MemoryError,
                            "no room to map the family's shared memory (at least %llu MiB of address space); "
                            "raise RLIMIT_AS",
                            COMMONS_WINDOW_LEAST >> 20);
    if (error == -EPROTO)
        return PyErr_Format(PyExc_ValueError, "the shared memory is not a family's, or of another version of procession");
    return raise_errno(error, "mapping the family's shared memory");
}

static PyObject *found(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int error = commons ? 0 : commons_found();
    return error ? raise_map(error) : Py_NewRef(Py_None);
}

static PyObject *join(PyObject *module, PyObject *fd) {
    (void)module;
    int number = (int)PyLong_AsLong(fd);
    if (number == -1 && PyErr_Occurred()) return NULL;
    int error = commons_join(number);
    return error ? raise_map(error) : Py_NewRef(Py_None);
}

static PyObject *leave(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    commons_leave();
    Py_RETURN_NONE;
}

static PyObject *fd_(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong(commons_fd);
}

static PyObject *facts(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (need_commons() < 0) return NULL;
    char family[17];
    snprintf(family, sizeof family, "%016llx", (unsigned long long)commons->family);
    return Py_BuildValue(
        "{sssKsIsKsKsKsKsKsKsKsKsKsKsKsKsK}", "family", family, "founded", (unsigned long long)commons->founded,
        "root_slot", commons->root_slot, "started", (unsigned long long)word_peek(&commons->started), "alive",
        (unsigned long long)word_peek(&commons->alive), "most_alive", (unsigned long long)word_peek(&commons->most_alive),
        "failed", (unsigned long long)word_peek(&commons->failed), "killed",
        (unsigned long long)word_peek(&commons->killed), "left_over", (unsigned long long)word_peek(&commons->left_over),
        "run_time", (unsigned long long)word_peek(&commons->run_time), "ready_time",
        (unsigned long long)word_peek(&commons->ready_time), "blocked_time",
        (unsigned long long)word_peek(&commons->blocked_time), "peak_kib",
        (unsigned long long)word_peek(&commons->peak_kib), "mapped", (unsigned long long)commons_mapped, "arena_used",
        (unsigned long long)arena_used(OWNER_ANY), "obituaries",
        (unsigned long long)word_peek(&commons->obituary_count));
}

static PyObject *obituaries(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (need_commons() < 0) return NULL;
    PyObject *list = PyList_New(0);
    uint64_t last = word_read(&commons->obituary_count);
    uint64_t first = last > OBITUARIES ? last - OBITUARIES + 1 : 1;
    for (uint64_t serial = first; list && serial <= last; serial++) {
        struct obituary entry;
        if (!commons_read_obituary(serial, &entry)) continue;
        entry.name[PN_NAME_SIZE - 1] = 0;
        PyObject *name = PyUnicode_DecodeUTF8(entry.name, (Py_ssize_t)strlen(entry.name), "replace");
        PyObject *item = Py_BuildValue("(NIIIKI)", name, word_peek(&entry.pid), word_peek(&entry.status),
                                       word_peek(&entry.flags), (unsigned long long)word_peek(&entry.run_time),
                                       word_peek(&entry.peak_kib));
        if (!item || PyList_Append(list, item) < 0) Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *note_root(PyObject *module, PyObject *args) {
    struct member who;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&", member_from_py, &who) || need_commons() < 0) return NULL;
    commons->root_slot = who.slot;
    Py_RETURN_NONE;
}

static PyObject *put(PyObject *module, PyObject *args) {
    Py_buffer data;
    struct member owner;
    uint64_t offset;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*O&", &data, member_from_py, &owner)) return NULL;
    int error = arena_take((uint64_t)data.len, OWNER_MEMBER(owner.slot), &offset);
    void *map = error ? NULL : arena_map(offset, (uint64_t)data.len);
    if (map) {
        memcpy(map, data.buf, (size_t)data.len);
        arena_unmap(map, offset, (uint64_t)data.len);
    } else if (!error) {
        arena_give(offset);
        error = -ENOMEM;
    }
    Py_ssize_t size = data.len;
    PyBuffer_Release(&data);
    if (error == -ENOMEM || error == -ENOSPC)
        return PyErr_Format(PyExc_MemoryError, "no shared memory for a payload of %zd bytes", size);
    return error ? raise_errno(error, "taking shared memory") : PyLong_FromUnsignedLongLong(offset);
}

static PyObject *fetch(PyObject *module, PyObject *args) {
    unsigned long long offset, size;
    (void)module;
    if (!PyArg_ParseTuple(args, "KK", &offset, &size) || need_commons() < 0) return NULL;
    void *map = arena_map(offset, size);
    if (!map) return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize(map, (Py_ssize_t)size);
    arena_unmap(map, offset, size);
    arena_give(offset);
    return bytes;
}

PyMethodDef commons_functions[] = {
    {"commons_found", found, METH_NOARGS, "Make a new family's shared memory, unless this process has one."},
    {"commons_join", join, METH_O, "commons_join(fd): map a family's shared memory."},
    {"commons_leave", leave, METH_NOARGS, "Unmap and close it."},
    {"commons_fd", fd_, METH_NOARGS, "The memfd, or -1."},
    {"commons_facts", facts, METH_NOARGS, "The header's figures as a dict; times in ns."},
    {"commons_obituaries", obituaries, METH_NOARGS, "[(name, pid, status, flags, ns run, KiB peak)] of bad ends."},
    {"commons_root", note_root, METH_VARARGS, "commons_root(member): say who the family's root is."},
    {"arena_put", put, METH_VARARGS, "arena_put(bytes, owner): copy a payload into the arena; its offset."},
    {"arena_fetch", fetch, METH_VARARGS, "arena_fetch(offset, size): copy a payload out and give its memory back."},
    {0},
};

/* --- the table --- */

static PyObject *add(PyObject *module, PyObject *args) {
    int state;
    unsigned flags;
    struct member parent, who;
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "iIO&s", &state, &flags, member_from_py, &parent, &name) || need_commons() < 0)
        return NULL;
    int error = table_add(&who, (enum record_state)state, flags, parent, name);
    if (error == -EAGAIN && sweep_forks() > 0) error = table_add(&who, (enum record_state)state, flags, parent, name);
    return error ? raise_errno(error, "the family's process table is full") : member_to_py(who);
}

static PyObject *free_(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    table_free(who);
    Py_RETURN_NONE;
}

static PyObject *start(PyObject *module, PyObject *args) {
    struct member who;
    unsigned flags;
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&Is", member_from_py, &who, &flags, &name)) return NULL;
    return PyBool_FromLong(start_life(who, flags, name));
}

/* The parent knows who it is before the member itself is up. */
static PyObject *sit(PyObject *module, PyObject *args) {
    struct member who;
    struct proc_stat stat;
    int pid;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&i", member_from_py, &who, &pid)) return NULL;
    struct record *record = table_get(who);
    if (record && proc_stat(pid, &stat) == 0) table_sit(record, pid, stat.start_time);
    Py_RETURN_NONE;
}

static PyObject *flag(PyObject *module, PyObject *args) {
    struct member who;
    unsigned flags;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&I", member_from_py, &who, &flags)) return NULL;
    struct record *record = table_get(who);
    if (record) word_or(&record->flags, flags);
    Py_RETURN_NONE;
}

static PyObject *set_state(PyObject *module, PyObject *args) {
    struct member who;
    int state;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&i", member_from_py, &who, &state)) return NULL;
    table_enter(who, (enum record_state)state);
    Py_RETURN_NONE;
}

static PyObject *rename_(PyObject *module, PyObject *args) {
    struct member who;
    const char *name;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&s", member_from_py, &who, &name)) return NULL;
    struct record *record = table_get(who);
    if (record) table_rename(record, name);
    Py_RETURN_NONE;
}

static PyObject *waiting(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    struct member who, other;
    (void)module;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "table_waiting(member, kind, other)"), NULL;
    if (!member_from_py(args[0], &who) || !member_from_py(args[2], &other)) return NULL;
    long kind = PyLong_AsLong(args[1]);
    struct record *record = table_get(who);
    if (record) {
        word_poke(&record->wait_slot, other.slot);
        word_poke(&record->wait_since, kind ? (uint64_t)clock_boot() : 0);
        word_publish(&record->wait_kind, (uint32_t)kind);
    }
    Py_RETURN_NONE;
}

static PyObject *describe(uint32_t slot, struct record *r) {
    char name[PN_NAME_SIZE];
    memcpy(name, r->name, sizeof name);
    name[sizeof name - 1] = 0;
    struct member who = {slot, word_read(&r->generation)}, parent = {word_peek(&r->parent_slot),
                                                                     word_peek(&r->parent_generation)};
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace");
    return Py_BuildValue(
        "{sNsNsIsIsIsKsKsNsIsIsKsKsIsKsKsI}", "member", member_to_py(who), "parent", member_to_py(parent), "state",
        record_state(r), "flags", word_read(&r->flags), "pid", word_read(&r->pid), "start_time",
        (unsigned long long)word_peek(&r->start_time), "born", (unsigned long long)word_peek(&r->born), "name", text,
        "wait_kind", word_read(&r->wait_kind), "wait_slot", word_peek(&r->wait_slot), "wait_since",
        (unsigned long long)word_peek(&r->wait_since), "run_base", (unsigned long long)word_peek(&r->run_base), "slot",
        slot, "ready_base", (unsigned long long)word_peek(&r->ready_base), "run_time",
        (unsigned long long)word_peek(&r->run_time), "peak_kib", word_peek(&r->peak_kib));
}

static PyObject *get(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    struct record *record = table_get(who);
    return record ? describe(who.slot, record) : Py_NewRef(Py_None);
}

static PyObject *list(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (need_commons() < 0) return NULL;
    PyObject *all = PyList_New(0);
    uint32_t used = word_read(&commons->slots_used);
    for (uint32_t slot = 0; all && slot < used; slot++) {
        struct record *record = &commons_records()[slot];
        if (!table_get((struct member){slot, word_read(&record->generation)})) continue;
        PyObject *one = describe(slot, record);
        if (!one || PyList_Append(all, one) < 0) Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}

static PyObject *cookie(PyObject *module, PyObject *arg) {
    struct member who;
    char text[KIN_COOKIE_SIZE];
    (void)module;
    if (!member_from_py(arg, &who) || need_commons() < 0) return NULL;
    kin_cookie(who, text);
    return PyUnicode_FromString(text);
}

static PyObject *mark_dead(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    if (commons) sweep_mark_dead(who);
    Py_RETURN_NONE;
}

static PyObject *look_at_forks(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (commons) sweep_look_at_forks();
    Py_RETURN_NONE;
}

static PyObject *sweep(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (need_commons() < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
    sweep_all();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *signal_kin(PyObject *module, PyObject *args) {
    struct member who;
    int sig, hits;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&i", member_from_py, &who, &sig) || need_commons() < 0) return NULL;
    Py_BEGIN_ALLOW_THREADS
    hits = hunt_signal(who, sig);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(hits);
}

PyMethodDef table_functions[] = {
    {"table_add", add, METH_VARARGS, "table_add(state, flags, parent, name): a new member's handle."},
    {"table_free", free_, METH_O, "Give a member's slot back."},
    {"table_start", start, METH_VARARGS, "table_start(member, flags, name): a user process's life begins."},
    {"table_sit", sit, METH_VARARGS, "table_sit(member, pid): say which process the member is."},
    {"table_flag", flag, METH_VARARGS, "table_flag(member, flags): add flags."},
    {"table_state", set_state, METH_VARARGS, "table_state(member, state)"},
    {"table_rename", rename_, METH_VARARGS, "table_rename(member, name)"},
    {"table_waiting", (PyCFunction)(void (*)(void))waiting, METH_FASTCALL, "table_waiting(member, kind, other)"},
    {"table_get", get, METH_O, "A member's record as a dict, or None when it is gone."},
    {"table_list", list, METH_NOARGS, "All records."},
    {"kin_cookie", cookie, METH_O, "The value of the environment variable that marks what a member starts."},
    {"kin_mark_dead", mark_dead, METH_O, "Say that a member is dead."},
    {"kin_look_at_forks", look_at_forks, METH_NOARGS, "Put in order what dead processes held that were forked by the user."},
    {"kin_sweep", sweep, METH_NOARGS, "End all that dead members left."},
    {"kin_signal", signal_kin, METH_VARARGS, "kin_signal(member, sig): to all below it; how many got it."},
    {0},
};
