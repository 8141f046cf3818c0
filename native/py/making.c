/* Making processes, start channels, and what a process does to itself. */
#include "native.h"

#include "../channel.h"
#include "../clone.h"
#include "../commons.h"
#include "../forks.h"
#include "../kin.h"
#include "../leave.h"
#include "../proc.h"
#include "../reaper.h"
#include "../self.h"
#include "../world.h"

static PyObject *prepare(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int error = clone_prepare();
    return error ? raise_errno(error, "finding libc's thread id") : Py_NewRef(Py_None);
}

static char **strings(PyObject *sequence) {
    PyObject *fast = PySequence_Fast(sequence, "expected a sequence of bytes");
    if (!fast) return NULL;
    Py_ssize_t n = PySequence_Fast_GET_SIZE(fast);
    char **out = PyMem_Calloc((size_t)n + 1, sizeof *out);
    for (Py_ssize_t i = 0; out && i < n; i++) {
        out[i] = PyBytes_AsString(PySequence_Fast_GET_ITEM(fast, i));
        if (!out[i]) {
            PyMem_Free(out);
            out = NULL;
        }
    }
    if (!out && !PyErr_Occurred()) PyErr_NoMemory();
    Py_DECREF(fast);
    return out;
}

static PyObject *launch(PyObject *module, PyObject *args) {
    PyObject *argv, *envp, *fd_list;
    const char *path;
    int fds[16], deaf;
    (void)module;
    if (!PyArg_ParseTuple(args, "yO!O!Op", &path, &PyList_Type, &argv, &PyList_Type, &envp, &fd_list, &deaf)) return NULL;
    int count = fds_from_py(fd_list, fds, 16);
    if (count < 0) return NULL;
    char **argv_ = strings(argv), **envp_ = argv_ ? strings(envp) : NULL;
    pid_t pid = -ENOMEM;
    if (argv_ && envp_) {
        Py_BEGIN_ALLOW_THREADS
        pid = clone_launch(path, argv_, envp_, fds, count, deaf);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(argv_);
    PyMem_Free(envp_);
    if (PyErr_Occurred()) return NULL;
    return pid < 0 ? raise_errno(pid, "starting a fresh interpreter (clone, execve)") : PyLong_FromLong(pid);
}

static PyObject *ignored(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(world_ignored());
}

PyMethodDef making_functions[] = {
    {"clone_prepare", prepare, METH_NOARGS, "Once, before zygote_serve."},
    {"launch", launch, METH_VARARGS, "launch(path, argv, envp, fds, deaf): exec a program as a child; its pid."},
    {"world_ignored", ignored, METH_NOARGS, "The signals that this process ignores: bit n - 1 for signal n."},
    {0},
};

static PyObject *pair(PyObject *module, PyObject *unused) {
    int ours, theirs;
    (void)module, (void)unused;
    int error = channel_pair(&ours, &theirs);
    return error ? raise_errno(error, "socketpair") : Py_BuildValue("ii", ours, theirs);
}

static PyObject *send_(PyObject *module, PyObject *args) {
    int sock, fds[CHANNEL_FDS];
    const char *message;
    Py_ssize_t size;
    PyObject *fd_list;
    (void)module;
    if (!PyArg_ParseTuple(args, "iy#O", &sock, &message, &size, &fd_list)) return NULL;
    int count = fds_from_py(fd_list, fds, CHANNEL_FDS);
    if (count < 0) return NULL;
    int error = channel_send(sock, message, (size_t)size, fds, count);
    return error ? raise_errno(error, "sendmsg") : Py_NewRef(Py_None);
}

static PyObject *receive(PyObject *module, PyObject *arg) {
    static char message[CHANNEL_BYTES]; /* with the GIL's protection only: zygotes and spares have one thread */
    int fds[CHANNEL_FDS], count = CHANNEL_FDS, n;
    (void)module;
    int sock = (int)PyLong_AsLong(arg);
    if (sock == -1 && PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS
    do n = channel_receive(sock, message, sizeof message, fds, &count);
    while (n == -EINTR);
    Py_END_ALLOW_THREADS
    if (n < 0) return raise_errno(n, "recvmsg");
    PyObject *list = ints_to_py(fds, count);
    return list ? Py_BuildValue("y#N", message, (Py_ssize_t)n, list) : NULL;
}

PyMethodDef channel_functions[] = {
    {"channel_pair", pair, METH_NOARGS, "Two ends of a start channel."},
    {"channel_send", send_, METH_VARARGS, "channel_send(sock, message, fds)"},
    {"channel_receive", receive, METH_O, "channel_receive(sock): (message, fds); empty at the end."},
    {0},
};

static PyObject *wear(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    return PyBool_FromLong(commons && self_wear_cookie(who) == 0);
}

static PyObject *settle(PyObject *module, PyObject *args) {
    struct member who;
    int state;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&i", member_from_py, &who, &state)) return NULL;
    return PyBool_FromLong(self_settle(who, (enum record_state)state));
}

static PyObject *count_from_here(PyObject *module, PyObject *arg) {
    struct member who;
    (void)module;
    if (!member_from_py(arg, &who)) return NULL;
    self_count_from_here(who);
    Py_RETURN_NONE;
}

static PyObject *leave_(PyObject *module, PyObject *args) {
    struct member who;
    int code;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&i", member_from_py, &who, &code)) return NULL;
    leave(who, code);
}

static PyObject *die_with(PyObject *module, PyObject *args) {
    int parent, sig;
    (void)module;
    if (!PyArg_ParseTuple(args, "ii", &parent, &sig)) return NULL;
    int error = self_die_with(parent, sig);
    if (error && error != -ESRCH) return raise_errno(error, "prctl(PR_SET_PDEATHSIG)");
    return PyBool_FromLong(error == 0);
}

static PyObject *subreaper(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int error = self_subreaper();
    return error ? raise_errno(error, "prctl(PR_SET_CHILD_SUBREAPER)") : Py_NewRef(Py_None);
}

static PyObject *stat_(PyObject *module, PyObject *arg) {
    struct proc_stat stat;
    (void)module;
    int pid = (int)PyLong_AsLong(arg);
    if (pid == -1 && PyErr_Occurred()) return NULL;
    if (proc_stat(pid, &stat) < 0) Py_RETURN_NONE;
    return Py_BuildValue("CiK", (int)(unsigned char)stat.state, stat.parent, (unsigned long long)stat.start_time);
}

static PyObject *sched(PyObject *module, PyObject *arg) {
    uint64_t run, ready;
    (void)module;
    int pid = (int)PyLong_AsLong(arg);
    if (pid == -1 && PyErr_Occurred()) return NULL;
    proc_sched(pid, &run, &ready);
    return Py_BuildValue("KK", (unsigned long long)run, (unsigned long long)ready);
}

PyMethodDef self_functions[] = {
    {"self_wear_cookie", wear, METH_O, "Show this member's cookie in /proc/self/environ."},
    {"self_settle", settle, METH_VARARGS, "self_settle(member, state): note who sits in the record."},
    {"self_count_from_here", count_from_here, METH_O, "What it ran until now is not the user's process's."},
    {"self_leave", leave_, METH_VARARGS, "self_leave(member, code): last words, and exit. Does not return."},
    {"self_die_with", die_with, METH_VARARGS, "self_die_with(parent, sig): False when the parent is gone."},
    {"self_subreaper", subreaper, METH_NOARGS, "From now on, orphans below this process become its children."},
    {"proc_stat", stat_, METH_O, "proc_stat(pid): (state letter, parent, start time), or None."},
    {"proc_sched", sched, METH_O, "proc_sched(pid): ns run and ns ready of the main thread."},
    {0},
};

static PyObject *pause_(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    Py_BEGIN_ALLOW_THREADS
    forks_pause();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *resume(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    forks_resume();
    Py_RETURN_NONE;
}

static PyObject *restart(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    forks_restart();
    Py_RETURN_NONE;
}

static PyObject *forget(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    forks_forget();
    Py_RETURN_NONE;
}

static PyObject *keepers(PyObject *module, PyObject *unused) {
    pid_t pids[256];
    (void)module, (void)unused;
    int count = reaper_keepers(pids, 256);
    return ints_to_py(pids, count);
}

static PyObject *rings(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLongLong(reaper_rings);
}

PyMethodDef reaper_functions[] = {
    {"forks_pause", pause_, METH_NOARGS, "Before a fork: end our threads."},
    {"forks_resume", resume, METH_NOARGS, "In the parent after a fork."},
    {"forks_restart", restart, METH_NOARGS, "In the parent a moment later: start our threads again."},
    {"forks_forget", forget, METH_NOARGS, "In the child after a fork."},
    {"reaper_keepers", keepers, METH_NOARGS, "Pids of what holds the memory of children that have just left."},
    {"reaper_rings", rings, METH_NOARGS, "How often the thread woke."},
    {0},
};
