/* Descriptors that become readable at a time: for whoever sleeps on descriptors already. */
#include "native.h"

#include <sys/timerfd.h>
#include <unistd.h>

static int set(int fd, double seconds) {
    if (!(seconds > 0)) seconds = 0;
    if (seconds > 1e9) seconds = 1e9;
    struct itimerspec spec = {.it_value = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}};
    if (spec.it_value.tv_sec == 0 && spec.it_value.tv_nsec == 0) spec.it_value.tv_nsec = 1; /* (nothing would mean never) */
    return timerfd_settime(fd, 0, &spec, NULL);
}

static PyObject *timer_open(PyObject *self, PyObject *seconds) {
    (void)self;
    double value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) return NULL;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0) return raise_errno(-errno, "timerfd_create");
    if (set(fd, value) < 0) {
        int error = -errno;
        close(fd);
        return raise_errno(error, "timerfd_settime");
    }
    return PyLong_FromLong(fd);
}

static PyObject *timer_set(PyObject *self, PyObject *args) {
    int fd;
    double seconds;
    (void)self;
    if (!PyArg_ParseTuple(args, "id", &fd, &seconds)) return NULL;
    return set(fd, seconds) < 0 ? raise_errno(-errno, "timerfd_settime") : Py_NewRef(Py_None);
}

PyMethodDef timer_functions[] = {
    {"timer_open", timer_open, METH_O, "timer_open(seconds): a new descriptor that is readable after so many seconds."},
    {"timer_set", timer_set, METH_VARARGS, "timer_set(fd, seconds): set it anew."},
    {0},
};
