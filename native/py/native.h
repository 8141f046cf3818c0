/* What the files of native/py share. Only this folder knows Python.h. */
#ifndef PROCESSION_PY_NATIVE_H
#define PROCESSION_PY_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../table.h"

/* The one place where -errno becomes an exception: OSError (its subclass by errno) naming the call. Returns NULL. */
PyObject *raise_errno(int error, const char *call);

/* A member's handle in Python is one int: generation << 32 | slot. */
static inline PyObject *member_to_py(struct member who) {
    return PyLong_FromUnsignedLongLong((unsigned long long)who.generation << 32 | who.slot);
}
int member_from_py(PyObject *object, void *out); /* an O& converter */

/* Seconds (None: for ever) to a monotonic deadline. 0, or -1 with an exception set. */
int deadline_from_py(PyObject *seconds, int64_t *out);

/* Descriptors from any sequence of ints. The count, or -1 with an exception set. */
int fds_from_py(PyObject *sequence, int *out, int room);
/* The other way: a list of ints, descriptors or pids. */
PyObject *ints_to_py(const int *numbers, int count);

/* Become what a start message says; see start_take in start.c. */
PyObject *take_start(struct member who, const char *text, size_t size, const int *fds, int count, bool rehearsal);

extern PyMethodDef commons_functions[], table_functions[], making_functions[], channel_functions[], self_functions[],
    reaper_functions[], start_functions[], zygote_functions[];
extern PyType_Spec child_spec;
extern PyTypeObject *child_type;

#endif
