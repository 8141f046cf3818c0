/* How keys are written. Two keys have the same bytes when they are equal: 1, 1.0 and True have those of 1, and so have the
 * tuples of them. Where a key is written otherwise than it was given, its own form stands behind it, for who asks for keys. */
#include "heaps.h"

#include <marshal.h>
#include <math.h>

#define DEEPEST 64

struct writing {
    struct buffer *to;
    bool altered; /* the bytes are not enough to know how it was given */
    int depth;
};

static int write_key(PyObject *key, struct writing *writing);

static int add(struct writing *writing, const void *bytes, uint64_t size) {
    if (buffer_add(writing->to, bytes, size) == 0) return 0;
    PyErr_NoMemory();
    return -1;
}

static int add_word(struct writing *writing, uint64_t word) { return add(writing, &word, sizeof word); }

static int add_body(struct writing *writing, uint64_t what, const char *bytes) {
    if (add_word(writing, what) < 0) return -1;
    return BODY_SIZE(what) ? add(writing, bytes, BODY_SIZE(what)) : 0;
}

static int write_number(PyObject *key, struct writing *writing) {
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(key, &overflow);
    if (!overflow && is_short(value)) return add_word(writing, (uint64_t)value << 3 | WORD_INT);
    PyObject *bytes = PyMarshal_WriteObjectToString(key, 2); /* (of this version nothing depends on who else has it) */
    if (!bytes) return -1;
    int error = add_body(writing, (uint64_t)PyBytes_GET_SIZE(bytes) << 8 | BODY_MARSHAL, PyBytes_AS_STRING(bytes));
    Py_DECREF(bytes);
    return error;
}

static int write_float(PyObject *key, struct writing *writing) {
    double value = PyFloat_AS_DOUBLE(key);
    if (!isfinite(value) || value != floor(value)) {
        if (isnan(value)) value = NAN; /* (all of them are one key) */
        return add_body(writing, sizeof value << 8 | BODY_FLOAT, (const char *)&value);
    }
    writing->altered = true;
    PyObject *whole = PyLong_FromDouble(value);
    int error = whole ? write_number(whole, writing) : -1;
    Py_XDECREF(whole);
    return error;
}

static int write_text(PyObject *key, struct writing *writing) {
    uint64_t what;
    const char *bytes;
    PyObject *keep;
    if (text_from_py(key, &what, &bytes, &keep) < 0) return -1;
    int error = add_body(writing, what, bytes);
    Py_DECREF(keep);
    return error;
}

static int write_tuple(PyObject *key, struct writing *writing) {
    if (writing->depth++ == DEEPEST) return PyErr_Format(PyExc_ValueError, "a key nests more than %d tuples", DEEPEST), -1;
    int error = add_word(writing, (uint64_t)PyTuple_GET_SIZE(key) << 8 | BODY_TUPLE);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key) && !error; i++) error = write_key(PyTuple_GET_ITEM(key, i), writing);
    writing->depth--;
    return error;
}

static int refuse(PyObject *key) {
    if (PyObject_Hash(key) == -1) return -1; /* it says itself that it is unhashable */
    PyErr_Format(PyExc_TypeError, "a key must be None, bool, int, float, str, bytes or a tuple of these, not %.100s",
                 Py_TYPE(key)->tp_name);
    return -1;
}

static int write_key(PyObject *key, struct writing *writing) {
    if (PyUnicode_CheckExact(key)) return write_text(key, writing);
    if (PyLong_CheckExact(key)) return write_number(key, writing);
    if (key == Py_None) return add_word(writing, WORD_NONE);
    if (PyBool_Check(key)) {
        writing->altered = true;
        return write_number(key, writing);
    }
    if (PyFloat_CheckExact(key)) return write_float(key, writing);
    if (PyBytes_CheckExact(key))
        return add_body(writing, (uint64_t)PyBytes_GET_SIZE(key) << 8 | BODY_BYTES, PyBytes_AS_STRING(key));
    return PyTuple_CheckExact(key) ? write_tuple(key, writing) : refuse(key);
}

static int add_form(PyObject *object, struct writing *writing, struct key *out) {
    PyObject *form = PyMarshal_WriteObjectToString(object, Py_MARSHAL_VERSION);
    int error = form ? add(writing, PyBytes_AS_STRING(form), (uint64_t)PyBytes_GET_SIZE(form)) : -1;
    if (!error) out->key.form_size = (uint32_t)PyBytes_GET_SIZE(form);
    Py_XDECREF(form);
    return error;
}

int key_from_py(PyObject *object, struct key *out) {
    struct writing writing = {&out->buffer, false, 0};
    buffer_init(&out->buffer);
    int error = write_key(object, &writing);
    uint64_t size = out->buffer.size;
    if (!error && size > INT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a key of more than 2 GiB");
        error = -1;
    }
    out->key = (struct map_key){NULL, (uint32_t)size, 0, 0};
    if (!error && writing.altered) error = add_form(object, &writing, out);
    out->key.bytes = out->buffer.bytes;
    if (error) buffer_free(&out->buffer);
    else map_hash(&out->key);
    return error;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static PyObject *part_to_py(const char **at);

static PyObject *tuple_to_py(const char **at, Py_ssize_t count) {
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; i++) {
        PyObject *part = part_to_py(at);
        if (part) PyTuple_SET_ITEM(tuple, i, part);
        else Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *part_to_py(const char **at) {
    uint64_t what;
    memcpy(&what, *at, sizeof what);
    if ((what & 0xff) == BODY_TUPLE) {
        *at += sizeof what;
        return tuple_to_py(at, (Py_ssize_t)BODY_SIZE(what));
    }
    return value_to_py(at);
}

PyObject *key_to_py(const char **at) {
    uint32_t sizes[2];
    memcpy(sizes, *at, sizeof sizes);
    const char *bytes = *at + sizeof sizes;
    *at = bytes + HEAP_ROUND((uint64_t)sizes[0] + sizes[1]);
    return sizes[1] ? PyMarshal_ReadObjectFromString(bytes + sizes[0], sizes[1]) : part_to_py(&bytes);
}
