/* What only a zygote and its spares do. */
#include "native.h"

#include "../clock.h"
#include "../gather.h"
#include "../zygote.h"

static PyObjectArenaAllocator usual;

static void *take_arena(void *unused, size_t size) {
    (void)unused;
    void *arena = gather_take(size);
    return arena ? arena : usual.alloc(usual.ctx, size);
}

static void give_arena(void *unused, void *at, size_t size) {
    (void)unused;
    if (!gather_give(at, size)) usual.free(usual.ctx, at, size);
}

/* From now on the interpreter's arenas come from one region. (Those that it has stay where they are.) */
static PyObject *reserve(PyObject *module, PyObject *unused) {
    PyObjectArenaAllocator ours = {NULL, take_arena, give_arena};
    (void)module, (void)unused;
    if (usual.alloc || !gather_reserve()) Py_RETURN_FALSE;
    PyObject_GetArenaAllocator(&usual);
    PyObject_SetArenaAllocator(&ours);
    Py_RETURN_TRUE;
}

static PyObject *gather_(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromSize_t(gather());
}

static struct zygote_call call; /* not on the stack: it is large */

static PyObject *received(enum zygote_news news) {
    bool has_message = news == ZYGOTE_LESSON || news == ZYGOTE_START;
    PyObject *fds = ints_to_py(call.fds, has_message ? call.fd_count : 0);
    return fds ? Py_BuildValue("iy#N", (int)news, call.message, has_message ? (Py_ssize_t)call.size : 0, fds) : NULL;
}

/* What of Python's own handling of a fork a clone of a process with one thread needs: all locks are free, and its thread
 * is the thread that it was, but for the kernel's name of it, which debuggers look up there. */
static void note_thread(void) { PyThreadState_Get()->native_thread_id = PyThread_get_thread_native_id(); }

/* In a new spare. A short start message is taken right here: what runs in Python before it, each child has to pay in pages. */
static PyObject *born(enum zygote_news news) {
    PyObject *what = Py_NewRef(Py_None);
    if (news == ZYGOTE_START) {
        close(call.sock);
        call.sock = -1;
        Py_SETREF(what, call.message[0] == 'I' ? take_start(call.who, call.message + 1, (size_t)call.size - 1, call.fds,
                                                             call.fd_count, false)
                                               : received(news));
    }
    return what ? Py_BuildValue("iNiN", (int)news, member_to_py(call.who), call.sock, what) : NULL;
}

static PyObject *serve(PyObject *module, PyObject *args) {
    struct zygote zygote = {.in_spare = note_thread};
    double patience;
    int by_the_book, once;
    (void)module;
    if (!PyArg_ParseTuple(args, "iidpp", &zygote.control, &zygote.parent, &patience, &by_the_book, &once)) return NULL;
    zygote.patience = (int64_t)(patience * PN_SECOND);
    if (by_the_book) {
        zygote.before = PyOS_BeforeFork;
        zygote.after = PyOS_AfterFork_Parent;
        zygote.in_spare = PyOS_AfterFork_Child;
    }
    enum zygote_news news = zygote_serve(&zygote, &call, once);
    return call.in_spare ? born(news) : received(news);
}

static PyObject *wait_(PyObject *module, PyObject *args) {
    int sock, parent;
    double patience;
    (void)module;
    if (!PyArg_ParseTuple(args, "iid", &sock, &parent, &patience)) return NULL;
    return received(spare_wait(sock, parent, patience < 0 ? PN_FOREVER : (int64_t)(patience * PN_SECOND), &call));
}

PyMethodDef zygote_functions[] = {
    {"gather_reserve", reserve, METH_NOARGS, "Take the interpreter's memory from one region from now on."},
    {"gather", gather_, METH_NOARGS, "Gather it in huge pages; how many bytes lie in such."},
    {"zygote_serve", serve, METH_VARARGS,
     "zygote_serve(control, parent, patience, by_the_book, once): (news, message, fds). In a new spare (news, member, sock, what): "
     "for START, what start_take gives, or (news, message, fds) of a long message."},
    {"spare_wait", wait_, METH_VARARGS, "spare_wait(sock, parent, seconds or -1): (news, message, fds)."},
    {0},
};
