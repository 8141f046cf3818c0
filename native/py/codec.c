/* Messages: what travels in a queue. Plain values by marshal, which takes two thirds of pickle's time for small ones; bytes as they
 * are; all else by pickle (procession.core.codec), with big buffers out of band, in blocks of their own. */
#include "native.h"

#include <marshal.h>

enum format { FORMAT_PLAIN = 1, FORMAT_PICKLE = 2, FORMAT_BYTES = 3, FORMAT_IN_BLOCK = 128 };
#define ITEMS_MOST 64
#define DEPTH_MOST 4

static PyObject *dumps, *loads; /* procession.core.codec's, once they were needed */

static int find_codec(void) {
    if (loads) return 0;
    PyObject *module = PyImport_ImportModule("procession.core.codec");
    dumps = module ? PyObject_GetAttrString(module, "dumps") : NULL;
    loads = dumps ? PyObject_GetAttrString(module, "loads") : NULL;
    Py_XDECREF(module);
    return loads ? 0 : -1;
}

static bool is_plain(PyObject *object, int depth);

static bool are_plain(PyObject *const *items, Py_ssize_t count, int depth) {
    if (depth == 0 || count > ITEMS_MOST) return false;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_plain(items[i], depth - 1)) return false;
    return true;
}

static bool is_plain_dict(PyObject *object, int depth) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (depth == 0 || PyDict_GET_SIZE(object) > ITEMS_MOST) return false;
    while (PyDict_Next(object, &at, &key, &value))
        if (!is_plain(key, depth - 1) || !is_plain(value, depth - 1)) return false;
    return true;
}

/* Of exactly these types: whatever is derived from them is pickle's. */
static bool is_plain(PyObject *object, int depth) {
    if (PyUnicode_CheckExact(object)) return PyUnicode_GET_LENGTH(object) < 65536;
    if (PyLong_CheckExact(object) || PyFloat_CheckExact(object) || object == Py_None || PyBool_Check(object)) return true;
    if (PyTuple_CheckExact(object)) return are_plain(&PyTuple_GET_ITEM(object, 0), PyTuple_GET_SIZE(object), depth);
    if (PyBytes_CheckExact(object)) return PyBytes_GET_SIZE(object) < MESSAGE_MOST;
    if (PyList_CheckExact(object)) return are_plain(((PyListObject *)object)->ob_item, PyList_GET_SIZE(object), depth);
    return PyDict_CheckExact(object) && is_plain_dict(object, depth);
}

/* --- encoding --- */

static int pickled(PyObject *object, struct outgoing *out) {
    if (find_codec() < 0 || !(out->nested = PyList_New(0))) return -1;
    PyObject *before = parcels_note(out->nested), *pair = PyObject_CallOneArg(dumps, object);
    Py_XDECREF(parcels_note(before));
    Py_XDECREF(before);
    if (!pair || !PyArg_ParseTuple(pair, "SO!", &out->body, &PyList_Type, &out->blocks)) {
        Py_XDECREF(pair);
        return -1;
    }
    Py_INCREF(out->body);
    Py_INCREF(out->blocks);
    Py_DECREF(pair);
    out->message.format = FORMAT_PICKLE;
    return 0;
}

static int write_down(PyObject *object, struct outgoing *out) {
    if (PyBytes_CheckExact(object)) {
        out->body = Py_NewRef(object);
        out->message.format = FORMAT_BYTES;
        return 0;
    }
    if (is_plain(object, DEPTH_MOST)) {
        out->message.format = FORMAT_PLAIN;
        out->body = PyMarshal_WriteObjectToString(object, Py_MARSHAL_VERSION);
        if (out->body) return 0;
        PyErr_Clear();
    }
    return pickled(object, out);
}

/* The body in a block of its own, which goes first. */
static int to_block(struct outgoing *out) {
    PyObject *block = block_of(block_type, PyBytes_AS_STRING(out->body), (uint64_t)PyBytes_GET_SIZE(out->body), 0);
    if (block && !out->blocks) out->blocks = PyList_New(0);
    int error = block && out->blocks ? PyList_Insert(out->blocks, 0, block) : -1;
    Py_XDECREF(block);
    out->message.format |= FORMAT_IN_BLOCK;
    out->message.size = 0;
    return error;
}

/* Of the blocks, which who takes the message needs; then those within its body, so that they go with it if nobody does. */
int message_parcels(struct outgoing *out) {
    Py_ssize_t blocks = out->blocks ? PyList_GET_SIZE(out->blocks) : 0, nested = out->nested ? PyList_GET_SIZE(out->nested) : 0;
    if (blocks + nested == 0) return 0;
    out->message.parcels = out->parcels = PyMem_Malloc((size_t)(blocks + nested) * sizeof *out->parcels);
    if (!out->parcels) return PyErr_NoMemory(), -1;
    for (Py_ssize_t i = 0; i < blocks; i++, out->message.parcel_count++) {
        int error = block_send(PyList_GET_ITEM(out->blocks, i), &out->parcels[i]);
        if (error) return raise_sync(error), -1;
    }
    for (Py_ssize_t i = 0; i < nested; i++, out->message.parcel_count++) {
        struct parcel *parcel = &out->parcels[out->message.parcel_count];
        if (parcel_read(PyList_GET_ITEM(out->nested, i), parcel) < 0) return -1;
        if (out->message.parcel_count < PARCELS_MOST) parcel->serial |= PARCEL_NESTED;
        else break; /* (see message_forget) */
    }
    return 0;
}

static int encode(PyObject *object, struct outgoing *out, bool parcels) {
    *out = (struct outgoing){0};
    if (write_down(object, out) < 0) {
        message_forget(out, false);
        return -1;
    }
    out->message.body = PyBytes_AS_STRING(out->body);
    out->message.size = (uint32_t)PyBytes_GET_SIZE(out->body);
    if ((PyBytes_GET_SIZE(out->body) > (Py_ssize_t)MESSAGE_MOST && to_block(out) < 0) || (parcels && message_parcels(out) < 0)) {
        message_forget(out, false);
        return -1;
    }
    return 0;
}

int message_encode(PyObject *object, struct outgoing *out) { return encode(object, out, true); }
int message_write(PyObject *object, struct outgoing *out) { return encode(object, out, false); }

/* Those within the body that did not get a place beside it are let go, or dropped with the rest. */
static void settle_nested(struct outgoing *out, bool put) {
    struct parcel parcel;
    for (Py_ssize_t i = 0; out->nested && i < PyList_GET_SIZE(out->nested); i++) {
        if (parcel_read(PyList_GET_ITEM(out->nested, i), &parcel) < 0) PyErr_Clear();
        else if (put) parcel_let_go(&parcel);
        else parcel_drop(&parcel);
    }
}

void message_forget(struct outgoing *out, bool put) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    for (uint32_t i = 0; !put && i < out->message.parcel_count; i++) parcel_drop(&out->parcels[i]);
    settle_nested(out, put);
    PyErr_Restore(type, value, trace);
    PyMem_Free(out->parcels);
    Py_CLEAR(out->nested);
    Py_CLEAR(out->blocks);
    Py_CLEAR(out->body);
}

/* --- decoding --- */

static PyObject *blocks_of(struct taken *taken, bool keep) {
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; i < taken->parcel_count; i++) {
        struct parcel *parcel = &taken->parcels[i];
        if (parcel->serial & PARCEL_NESTED) break;
        if (!list) { /* (after a failure: the rest is nobody's) */
            if (!keep && parcel->stake) parcel_refuse(parcel);
            continue;
        }
        PyObject *block = keep ? block_added(parcel) : block_claimed(parcel);
        if (!block || PyList_Append(list, block) < 0) Py_CLEAR(list);
        Py_XDECREF(block);
    }
    return list;
}

static PyObject *bytes_of(const char *body, uint64_t size) {
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!bytes) return NULL;
    if (size < 65536) {
        memcpy(PyBytes_AS_STRING(bytes), body, size);
    } else {
        Py_BEGIN_ALLOW_THREADS
        memcpy(PyBytes_AS_STRING(bytes), body, size);
        Py_END_ALLOW_THREADS
    }
    return bytes;
}

static PyObject *unpickle(const char *body, uint64_t size, PyObject *blocks) {
    if (find_codec() < 0) return NULL;
    PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)body, (Py_ssize_t)size, PyBUF_READ);
    PyObject *object = view ? PyObject_CallFunctionObjArgs(loads, view, blocks ? blocks : Py_None, NULL) : NULL;
    Py_XDECREF(view);
    return object;
}

static PyObject *decode(const char *body, uint64_t size, uint32_t format, PyObject *blocks) {
    if (format == FORMAT_BYTES) return bytes_of(body, size);
    if (format == FORMAT_PLAIN) return PyMarshal_ReadObjectFromString(body, (Py_ssize_t)size);
    return unpickle(body, size, blocks);
}

static PyObject *decode_with_blocks(struct taken *taken, bool keep) {
    PyObject *blocks = blocks_of(taken, keep), *first = NULL, *object = NULL;
    if (!blocks) return NULL;
    const char *body = taken->body;
    uint64_t size = taken->size;
    if (taken->format & FORMAT_IN_BLOCK) {
        first = Py_NewRef(PyList_GET_ITEM(blocks, 0));
        body = block_bytes(first, &size);
        if (PyList_SetSlice(blocks, 0, 1, NULL) < 0) goto done;
    }
    bool stayed = parcels_stay;
    parcels_stay = keep;
    object = decode(body, size, taken->format & ~(uint32_t)FORMAT_IN_BLOCK, blocks);
    parcels_stay = stayed;
done:
    Py_XDECREF(first);
    Py_DECREF(blocks);
    return object;
}

PyObject *message_read(struct taken *taken, bool keep) {
    PyObject *object = taken->parcel_count ? decode_with_blocks(taken, keep)
                                           : decode(taken->body, taken->size, taken->format, NULL);
    for (uint32_t i = 0; !keep && i < taken->parcel_count; i++) /* (what was read is received, and no parcel any more) */
        if (taken->parcels[i].serial & PARCEL_NESTED) parcel_drop(&taken->parcels[i]);
    return object;
}

PyObject *message_decode(struct taken *taken, bool keep) {
    PyObject *object = message_read(taken, keep);
    taken_free(taken);
    return object;
}

bool message_is_plain(const struct taken *taken) {
    return taken->parcel_count == 0 && (taken->format == FORMAT_PLAIN || taken->format == FORMAT_BYTES);
}
