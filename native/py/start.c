/* The start message, made in the parent and taken in the child. */
#include "native.h"

#include "../channel.h"
#include "../kin.h"
#include "../self.h"
#include "../start.h"

static PyObject *message(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    struct start head;
    char *changes, *payload;
    const char *name;
    Py_ssize_t changes_size, size, name_size;
    (void)module;
    if (count != 6) return PyErr_Format(PyExc_TypeError, "start_message() takes 6 arguments, %zd given", count);
    int error = start_fill(&head, PyObject_IsTrue(args[0]));
    if (error) return raise_errno(error, "reading umask, niceness, affinity and limits");
    head.flags = (uint32_t)PyLong_AsUnsignedLong(args[1]);
    head.standard = (uint32_t)PyLong_AsUnsignedLong(args[2]);
    if (PyErr_Occurred() || !(name = PyUnicode_AsUTF8AndSize(args[3], &name_size)) ||
        PyBytes_AsStringAndSize(args[4], &changes, &changes_size) < 0 || PyBytes_AsStringAndSize(args[5], &payload, &size) < 0)
        return NULL;
    table_cut_name(head.name, name);
    head.changes = (uint32_t)changes_size;
    PyObject *whole = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head.size + changes_size + size);
    if (!whole) return NULL;
    char *at = PyBytes_AS_STRING(whole);
    memcpy(at, &head, head.size);
    memcpy(at + head.size, changes, (size_t)changes_size);
    memcpy(at + head.size + changes_size, payload, (size_t)size);
    return whole;
}

static PyObject *environ_data, *cookie_name; /* os.environ's dict and our key in it; NULL before start_prepare */
static bool on_terminal;                      /* the helper's sys.stdout is flushed at each line */

/* Once, in a helper, when Python's handler of SIGINT is what its children shall have. */
static PyObject *prepare(PyObject *module, PyObject *args) {
    int terminal;
    PyObject *environ;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!p", &PyDict_Type, &environ, &terminal)) return NULL;
    Py_XSETREF(environ_data, Py_NewRef(environ));
    Py_XSETREF(cookie_name, PyBytes_FromString(KIN_COOKIE));
    on_terminal = terminal;
    start_deafen();
    Py_RETURN_NONE;
}

/* What others see, what plain programs inherit, and what os.environ shows. */
static int wear_cookie(struct member who) {
    char text[KIN_COOKIE_SIZE];
    kin_cookie(who, text);
    self_wear_cookie(who);
    char *inherited = getenv(KIN_COOKIE);
    if (inherited && strlen(inherited) == strlen(text)) memcpy(inherited, text, strlen(text)); /* (no new page for it) */
    else setenv(KIN_COOKIE, text, 1);
    if (!environ_data) return 0;
    PyObject *value = PyBytes_FromString(text);
    int error = value ? PyDict_SetItem(environ_data, cookie_name, value) : -1;
    Py_XDECREF(value);
    return error;
}

/* What is left for Python to put in order: None when it is nothing, as in most starts. */
static PyObject *left_over(const struct start *start, const struct start_news *news, const char *changes) {
    bool fits = start->standard == 7 && (news->terminals >> 1 & 1) == on_terminal;
    if (fits && !news->signals && !start->changes) Py_RETURN_NONE;
    return Py_BuildValue("y#IIKK", changes, (Py_ssize_t)start->changes, start->standard, news->terminals,
                         (unsigned long long)news->signals, (unsigned long long)start->ignored);
}

PyObject *take_start(struct member who, const char *text, size_t size, const int *fds, int count, bool rehearsal) {
    struct start_news news;
    const struct start *start = start_read(text, size);
    if (!start) return PyErr_Format(PyExc_ValueError, "not a start message");
    if (!rehearsal) {
        start_sit(who);
        start_life(who, start->flags, start->name);
        if (start_tie(start) == -ESRCH) _exit(1); /* the parent died meanwhile: so do we */
        PyGC_Enable();
    }
    int used = start_take(start, fds, count, rehearsal, &news);
    if (wear_cookie(who) < 0) return NULL;
    const char *changes = text + start->size, *payload = changes + start->changes;
    PyObject *rest = ints_to_py(fds + used, count - used);
    return rest ? Py_BuildValue("y#NNs", payload, (Py_ssize_t)(text + size - payload), rest,
                                left_over(start, &news, changes), start->name)
                : NULL;
}

static PyObject *take(PyObject *module, PyObject *args) {
    struct member who;
    const char *text;
    Py_ssize_t size;
    PyObject *fd_list;
    int fds[CHANNEL_FDS], rehearsal;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&y#Op", member_from_py, &who, &text, &size, &fd_list, &rehearsal)) return NULL;
    int count = fds_from_py(fd_list, fds, CHANNEL_FDS);
    return count < 0 ? NULL : take_start(who, text, (size_t)size, fds, count, rehearsal);
}

PyMethodDef start_functions[] = {
    {"start_message", (PyCFunction)(void (*)(void))message, METH_FASTCALL,
     "start_message(alone, flags, standard, name, changes, payload): the bytes for a spare."},
    {"start_prepare", prepare, METH_VARARGS, "start_prepare(os.environ._data, terminal): once, in a helper."},
    {"start_take", take, METH_VARARGS,
     "start_take(member, message, fds, rehearsal): become it: (payload, its fds, None or (changes, streams, terminals, signals to "
     "change, signals ignored), name). Does not return when the parent is gone."},
    {0},
};
