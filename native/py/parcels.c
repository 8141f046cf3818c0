/* Parcels in Python: what a shared object is while it is pickled: (family, index, serial, stake, ticket). */
#include "native.h"

PyObject *raise_gone(void) {
    return raise_ours("FamilyError", "what was sent is gone: nobody has held it any more when this was to be received");
}

/* --- sending --- */

/* A list for all that this thread sends from now on, or NULL. What stands in there is the sender's own until it says whose
 * it is: a child's, or a queue's. What does not goes to the sender's parent when it dies. */
static _Thread_local PyObject *noted;

PyObject *parcels_note(PyObject *list) {
    PyObject *before = noted;
    noted = Py_XNewRef(list);
    return before;
}

PyObject *parcel_to_py(uint32_t index, uint32_t serial) {
    struct parcel parcel;
    int error = parcel_make(index, serial, noted, &parcel);
    if (error == -ENOENT) return raise_gone();
    if (error) return raise_sync(error);
    PyObject *numbers = Py_BuildValue("KIIIK", (unsigned long long)commons->family, parcel.index, parcel.serial, parcel.stake,
                                      (unsigned long long)parcel.ticket);
    if (!numbers || (noted && PyList_Append(noted, numbers) < 0)) {
        Py_CLEAR(numbers);
        parcel_drop(&parcel);
    }
    return numbers;
}

static PyObject *note(PyObject *module, PyObject *list) {
    (void)module;
    if (list != Py_None && !PyList_Check(list)) return PyErr_Format(PyExc_TypeError, "expected a list or None"), NULL;
    Py_XDECREF(parcels_note(list == Py_None ? NULL : list));
    Py_RETURN_NONE;
}

int parcel_read(PyObject *numbers, struct parcel *out) {
    unsigned long long family, ticket;
    if (!PyArg_ParseTuple(numbers, "KIIIK", &family, &out->index, &out->serial, &out->stake, &ticket)) return -1;
    out->ticket = ticket;
    return 0;
}

/* Each of a list. */
static PyObject *each_parcel(PyObject *list, void (*act)(const struct parcel *parcel, uint32_t slot), uint32_t slot) {
    struct parcel parcel;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (parcel_read(PyList_GET_ITEM(list, i), &parcel) < 0) return NULL;
        if (commons) act(&parcel, slot);
    }
    Py_RETURN_NONE;
}

static void address_one(const struct parcel *parcel, uint32_t slot) { parcel_address(parcel, slot); }
static void drop_one(const struct parcel *parcel, uint32_t slot) {
    (void)slot;
    parcel_drop(parcel);
}

static PyObject *address(PyObject *module, PyObject *args) {
    PyObject *list;
    struct member who;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O&", &PyList_Type, &list, member_from_py, &who)) return NULL;
    return each_parcel(list, address_one, who.slot);
}

static PyObject *drop(PyObject *module, PyObject *list) {
    (void)module;
    if (!PyList_Check(list)) return PyErr_Format(PyExc_TypeError, "expected a list"), NULL;
    return each_parcel(list, drop_one, 0);
}

/* --- receiving --- */

int parcel_from_py(PyObject *args, PyTypeObject **type, struct parcel *out) {
    unsigned long long family, ticket;
    if (!PyArg_ParseTuple(args, "O!KIIIK", &PyType_Type, type, &family, &out->index, &out->serial, &out->stake, &ticket))
        return -1;
    out->ticket = ticket;
    if (commons && commons->family == family) return 0;
    raise_ours("FamilyError", "this object was made in another family of processes, which shares no memory with this one; "
                              "pass it to processes that are started by procession");
    return -1;
}

_Thread_local bool parcels_stay;

/* The holding of a parcel of that kind of object: 0, or -1 with an exception set. */
int receive_from_py(const struct parcel *parcel, enum cell_kind kind, struct holding *out) {
    struct cell *cell = cell_get(parcel->index, parcel->serial);
    if (!cell || cell_kind(cell) != kind) return raise_gone(), -1;
    int error = parcels_stay ? holding_add(parcel->index, parcel->serial, out) : parcel_receive(parcel, out);
    if (error == -ENOENT) return raise_gone(), -1;
    return error ? raise_sync(error), -1 : 0;
}

PyMethodDef parcel_functions[] = {
    {"parcels_note", note, METH_O, "parcels_note(list): what this thread sends from now on goes in there, too; None: no more."},
    {"parcels_address", address, METH_VARARGS, "parcels_address(list, member): they are for that member alone."},
    {"parcels_drop", drop, METH_O, "parcels_drop(list): nobody will receive them."},
    {0},
};
