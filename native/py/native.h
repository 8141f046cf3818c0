/* What the files of native/py share. Only this folder knows Python.h. */
#ifndef PROCESSION_PY_NATIVE_H
#define PROCESSION_PY_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

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

/* --- what lies in the cells --- */

#include "../cells.h"

typedef struct { /* the handle of a cell; the types of all synchronisation objects begin with it */
    PyObject_HEAD
    uint32_t index, serial;
    PyObject *weak;
} CellObject;

/* The cell of a handle, or NULL with an exception set. */
struct cell *cell_of(PyObject *self);
/* What a wait or a claim answered, as an exception. Returns NULL. */
PyObject *raise_sync(int error);
/* Signals are looked at between two waits: 0 go on, -1 an exception is set. */
#define WAITING(result, call)                                                                       \
    do {                                                                                            \
        Py_BEGIN_ALLOW_THREADS                                                                      \
        result = (call);                                                                            \
        Py_END_ALLOW_THREADS                                                                        \
    } while (result == -EINTR && PyErr_CheckSignals() == 0)

struct acquire {      /* what acquire(block=True, timeout=None) was given */
    bool block;
    int64_t deadline; /* monotonic */
};
/* 0, or -1 with an exception set. */
int acquire_from_py(const char *name, PyObject *const *args, Py_ssize_t count, PyObject *names, struct acquire *out);
/* A wait of ours, by its index; NULL with an exception set. */
struct wait *wait_from_py(PyObject *index);
PyObject *wait_to_py(int error, struct wait *wait);
void cell_dealloc(PyObject *self);
PyObject *cell_await(PyObject *self, PyObject *channel);
/* The token of the running task, when it is what holds that recursive lock; else 0 (an exception may be set). */
uint32_t token_of(PyObject *self, struct cell *cell);
PyObject *cell_announce(PyObject *self, PyObject *unused);

/* An exception of procession.errors, with one argument. Returns NULL. */
PyObject *raise_ours(const char *name, const char *text);

/* --- objects with memory --- */

#include "../holdings.h"

/* A parcel of it, as five numbers in a tuple; and the parcel, with the type to make of it, of a call's arguments. */
PyObject *parcel_to_py(uint32_t index, uint32_t serial);
int parcel_from_py(PyObject *args, PyTypeObject **type, struct parcel *out);
/* The holding of a parcel of that kind of object. 0, or -1 with an exception set. */
int receive_from_py(const struct parcel *parcel, enum cell_kind kind, struct holding *out);
/* What is unpickled stays where it is, to be unpickled again: parcels in it are not taken, but one more holding is made. */
extern _Thread_local bool parcels_stay;
/* FamilyError: what was sent is gone. Returns NULL. */
PyObject *raise_gone(void);
PyObject *block_of(PyTypeObject *type, const void *bytes, uint64_t size, uint32_t flags);
PyObject *block_received(PyTypeObject *type, const struct parcel *parcel);
/* A block whose parcel was claimed; one more of a block whose parcel stays where it is. */
PyObject *block_claimed(const struct parcel *parcel);
PyObject *block_added(const struct parcel *parcel);
void *block_bytes(PyObject *self, uint64_t *size);
int block_send(PyObject *self, struct parcel *out);
extern PyTypeObject *block_type;
extern PyType_Spec queue_spec, packed_spec, message_spec;
extern PyTypeObject *packed_type, *message_type;
extern PyMethodDef queue_functions[];

/* A message in Python: encoded before it is put, decoded after it was got (codec.c). */
#include "../queue.h"

struct outgoing {
    struct message message;
    PyObject *body, *blocks; /* what `message` refers to */
    PyObject *nested;        /* parcels within the body */
    struct parcel *parcels;
};
/* Write `object` down. 0, or -1 with an exception set: nothing is left of it. */
int message_encode(PyObject *object, struct outgoing *out);
/* The same in two steps: without its parcels; these, which can be made again and again of blocks, and once if there are nested
 * ones. After a failure: message_forget. */
int message_write(PyObject *object, struct outgoing *out);
int message_parcels(struct outgoing *out);
/* Forget it; its parcels, too, if it was not put. */
void message_forget(struct outgoing *out, bool put);
/* The object; `keep`: the parcels stay the queue's. The `taken` is used up. */
PyObject *message_decode(struct taken *taken, bool keep);
/* The same, but `taken` is still to be freed (its parcels are not ours any more unless `keep`). */
PyObject *message_read(struct taken *taken, bool keep);
/* No code of users' is run to decode it, and nothing goes with it. */
bool message_is_plain(const struct taken *taken);

extern PyType_Spec block_spec;
extern PyMethodDef block_functions[], parcel_functions[];
/* From now on what this thread sends goes into that list, or no more (NULL). Returns what was before, as a new reference. */
PyObject *parcels_note(PyObject *list);
/* The parcel of such five numbers. 0, or -1 with an exception set. */
int parcel_read(PyObject *numbers, struct parcel *out);
extern PyMethodDef memory_functions[];
/* Guarded and GuardedName. */
int guarded_add(PyObject *module);

extern PyType_Spec lock_spec, rlock_spec, semaphore_spec, shares_spec, event_spec, condition_spec, barrier_spec;
extern PyType_Spec map_spec, list_spec, lead_spec, bell_spec;
extern PyTypeObject *map_type, *list_type;
extern PyMemberDef cell_members[];
extern PyMethodDef cell_functions[];
extern PyMethodDef timer_functions[], insist_functions[];

extern PyMethodDef commons_functions[], table_functions[], making_functions[], channel_functions[], self_functions[],
    reaper_functions[], start_functions[], task_functions[], work_functions[], packed_functions[], zygote_functions[], heap_functions[], packet_functions[];
int add_packet_types(PyObject *module);
extern PyType_Spec child_spec;
extern PyTypeObject *child_type;

#endif
