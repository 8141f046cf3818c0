/* How values are written into the commons, and read. What is plain (None, bool, int, float, str, bytes, and tuples, lists,
 * dicts and sets of these) goes by itself or by marshal, whose format is the same in all processes of a family; all else is
 * pickled, as what is put into a queue (procession.core.codec), but in one piece. */
#include "heaps.h"

#include <marshal.h>

/* What nests deeper, contains itself or has more parts (one may be there many times) is pickled. */
struct look {
    int depth;
    long left;
};
#define EVERYTHING ((struct look){64, 1l << 22})

static bool is_plain(PyObject *object, struct look *look);

static bool are_plain(PyObject *const *items, Py_ssize_t count, struct look *look) {
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_plain(items[i], look)) return false;
    return true;
}

static bool dict_is_plain(PyObject *dict, struct look *look) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value))
        if (!is_plain(key, look) || !is_plain(value, look)) return false;
    return true;
}

static bool set_is_plain(PyObject *set, struct look *look) {
    PyObject *iterator = PyObject_GetIter(set), *item;
    bool plain = iterator;
    while (plain && (item = PyIter_Next(iterator))) {
        plain = is_plain(item, look);
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    PyErr_Clear();
    return plain;
}

/* The exact types only: of a subclass marshal would make one of these. */
static bool parts_are_plain(PyObject *object, struct look *look) {
    if (PyTuple_CheckExact(object)) return are_plain(((PyTupleObject *)object)->ob_item, PyTuple_GET_SIZE(object), look);
    if (PyList_CheckExact(object)) return are_plain(((PyListObject *)object)->ob_item, PyList_GET_SIZE(object), look);
    if (PyDict_CheckExact(object)) return dict_is_plain(object, look);
    if (Py_IS_TYPE(object, &PySet_Type) || Py_IS_TYPE(object, &PyFrozenSet_Type)) return set_is_plain(object, look);
    return false;
}

static bool is_plain(PyObject *object, struct look *look) {
    if (look->left-- <= 0) return false;
    if (object == Py_None || PyBool_Check(object) || PyLong_CheckExact(object) || PyFloat_CheckExact(object) ||
        PyUnicode_CheckExact(object) || PyBytes_CheckExact(object) || PyComplex_CheckExact(object))
        return true;
    if (look->depth-- == 0) return false;
    bool plain = parts_are_plain(object, look);
    look->depth++;
    return plain;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static PyObject *call_codec(const char *name, PyObject *argument, PyObject *option) {
    PyObject *codec = PyImport_ImportModule("procession.core.codec");
    PyObject *result = codec ? PyObject_CallMethod(codec, name, "OO", argument, option) : NULL;
    Py_XDECREF(codec);
    return result;
}

static int pickled(PyObject *object, struct value *out, PyObject **keep) {
    PyObject *both = call_codec("dumps", object, Py_True);
    if (!both) return -1;
    PyObject *bytes = PyTuple_GET_ITEM(both, 0);
    out->what = (uint64_t)PyBytes_GET_SIZE(bytes) << 8 | BODY_PICKLE;
    out->bytes = PyBytes_AS_STRING(bytes);
    *keep = both;
    return 0;
}

static int marshalled(PyObject *object, struct value *out, PyObject **keep) {
    PyObject *bytes = PyMarshal_WriteObjectToString(object, Py_MARSHAL_VERSION);
    if (!bytes) {
        PyErr_Clear(); /* (too large for its format) */
        return pickled(object, out, keep);
    }
    out->what = (uint64_t)PyBytes_GET_SIZE(bytes) << 8 | BODY_MARSHAL;
    out->bytes = PyBytes_AS_STRING(bytes);
    *keep = bytes;
    return 0;
}

int text_from_py(PyObject *text, uint64_t *what, const char **bytes, PyObject **keep) {
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        *what = (uint64_t)PyUnicode_GET_LENGTH(text) << 8 | BODY_ASCII;
        *bytes = (const char *)PyUnicode_1BYTE_DATA(text);
        *keep = Py_NewRef(text);
        return 0;
    }
    PyObject *encoded = PyUnicode_AsEncodedString(text, "utf-8", "surrogatepass");
    if (!encoded) return -1;
    *what = (uint64_t)PyBytes_GET_SIZE(encoded) << 8 | BODY_TEXT;
    *bytes = PyBytes_AS_STRING(encoded);
    *keep = encoded;
    return 0;
}

static int in_place(PyObject *object, const void *bytes, uint64_t size, enum body_kind kind, struct value *out,
                    PyObject **keep) {
    out->what = size << 8 | kind;
    out->bytes = bytes;
    *keep = Py_NewRef(object);
    return 0;
}

static int number(PyObject *object, struct value *out, PyObject **keep) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow || !is_short(value)) return marshalled(object, out, keep);
    out->word = (uint64_t)value << 3 | WORD_INT;
    return 0;
}

static int write_value(PyObject *object, struct value *out, PyObject **keep) {
    const char *bytes;
    if (PyLong_CheckExact(object)) return number(object, out, keep);
    if (PyUnicode_CheckExact(object)) {
        int error = text_from_py(object, &out->what, &bytes, keep);
        out->bytes = bytes;
        return error;
    }
    if (object == Py_None || PyBool_Check(object)) {
        out->word = object == Py_None ? WORD_NONE : object == Py_True ? WORD_TRUE : WORD_FALSE;
        return 0;
    }
    if (PyFloat_CheckExact(object))
        return in_place(object, &((PyFloatObject *)object)->ob_fval, sizeof(double), BODY_FLOAT, out, keep);
    if (PyBytes_CheckExact(object))
        return in_place(object, PyBytes_AS_STRING(object), (uint64_t)PyBytes_GET_SIZE(object), BODY_BYTES, out, keep);
    return is_plain(object, &EVERYTHING) ? marshalled(object, out, keep) : pickled(object, out, keep);
}

int value_from_py(PyObject *object, struct value *out, PyObject **keep) {
    *out = (struct value){0};
    *keep = NULL;
    if (write_value(object, out, keep) < 0) return -1;
    int error = value_prepare(out);
    if (error) {
        heap_raise(error);
        Py_CLEAR(*keep);
    }
    return error ? -1 : 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static PyObject *ascii_to_py(const char *bytes, Py_ssize_t size) {
    PyObject *text = PyUnicode_New(size, 127);
    if (text) memcpy(PyUnicode_1BYTE_DATA(text), bytes, (size_t)size);
    return text;
}

static _Thread_local bool taken_out;

/* (What is called may read other values meanwhile.) */
static PyObject *unpickled(const char *bytes, Py_ssize_t size) {
    bool stayed = parcels_stay, taken = taken_out;
    PyObject *view = PyMemoryView_FromMemory((char *)bytes, size, PyBUF_READ);
    parcels_stay = !taken;
    taken_out = false;
    PyObject *object = view ? call_codec("loads", view, Py_None) : NULL;
    parcels_stay = stayed;
    taken_out = taken;
    Py_XDECREF(view);
    return object;
}

PyObject *body_to_py(uint64_t what, const char *bytes) {
    Py_ssize_t size = (Py_ssize_t)BODY_SIZE(what);
    double value;
    switch ((enum body_kind)(what & 0xff)) {
    case BODY_FLOAT:
        memcpy(&value, bytes, sizeof value);
        return PyFloat_FromDouble(value);
    case BODY_ASCII:
        return ascii_to_py(bytes, size);
    case BODY_TEXT:
        return PyUnicode_DecodeUTF8(bytes, size, "surrogatepass");
    case BODY_BYTES:
        return PyBytes_FromStringAndSize(bytes, size);
    case BODY_MARSHAL:
        return PyMarshal_ReadObjectFromString(bytes, size);
    case BODY_PICKLE:
        return unpickled(bytes, size);
    case BODY_TUPLE:
        break;
    }
    return raise_ours("InternalError", "a value in the family's memory is of no known kind");
}

PyObject *value_to_py(const char **at) {
    uint64_t what;
    memcpy(&what, *at, sizeof what);
    *at += sizeof what;
    if (WORD_KIND(what) == WORD_INT) return PyLong_FromLongLong((int64_t)what >> 3);
    if (WORD_KIND(what) == WORD_CONSTANT)
        return Py_NewRef(what == WORD_NONE ? Py_None : what == WORD_TRUE ? Py_True : Py_False);
    const char *bytes = *at;
    *at += HEAP_ROUND(sizeof what + BODY_SIZE(what)) - sizeof what;
    return body_to_py(what, bytes);
}

PyObject *value_taken_to_py(const char **at) {
    taken_out = true;
    PyObject *value = value_to_py(at);
    taken_out = false;
    return value;
}
