/* procession._native: the table of contents. One file per thing stands beside this one. */
#include "native.h"

#include "../cells.h"
#include "../commons.h"
#include "../kin.h"
#include "../zygote.h"

static int add_constants(PyObject *module) {
    static const struct {
        const char *name;
        long value;
    } constants[] = {
        {"FREE", RECORD_FREE},         {"CLAIMED", RECORD_CLAIMED},       {"ORDERED", RECORD_ORDERED},
        {"IDLE", RECORD_IDLE},         {"READY", RECORD_READY},           {"RUNNING", RECORD_RUNNING},
        {"EXITED", RECORD_EXITED},     {"ROOT", RECORD_ROOT},             {"ZYGOTE", RECORD_ZYGOTE},
        {"DAEMON", RECORD_DAEMON},     {"DETACHED", RECORD_DETACHED},     {"FORKED", RECORD_FORKED},
        {"CHILDLESS", RECORD_CHILDLESS}, {"RUNNER", RECORD_RUNNER},       {"PROCESS", RECORD_PROCESS},
        {"TERMINATED", RECORD_TERMINATED}, {"WAIT_NOTHING", WAIT_NOTHING}, {"WAIT_JOIN", WAIT_JOIN},
        {"WAIT_ANY", WAIT_ANY},        {"INLINE_BYTES", 60000},           {"SLOTS", PN_SLOTS},
        {"LESSON", ZYGOTE_LESSON},     {"LET_GO", ZYGOTE_LET_GO},         {"ORPHAN", ZYGOTE_ORPHAN},
        {"BORN", ZYGOTE_BORN},         {"START", ZYGOTE_START},           {"NOTHING", ZYGOTE_NOTHING},
        {"LOCK", CELL_LOCK},           {"RLOCK", CELL_RLOCK},             {"SEMAPHORE", CELL_SEMAPHORE},
        {"SHARES", CELL_SHARES},       {"EVENT", CELL_EVENT},             {"CONDITION", CELL_CONDITION},
        {"BARRIER", CELL_BARRIER},     {"RAISES", CELL_RAISES},           {"BOUNDED", CELL_BOUNDED},
        {"REDELIVERS", QUEUE_REDELIVERS}, {"TASKS", QUEUE_TASKS},
        {"PART_ITEMS", PART_ITEMS},    {"PART_SPACE", PART_SPACE},
        {"PART_DONE", PART_DONE},      {"PART_WATCH", PART_WATCH},
        {"COMMON", CELL_COMMON},       {"NAMED", CELL_NAMED},
        {"COMMONS_MAGIC", (long)COMMONS_MAGIC}, {"COMMONS_VERSION", COMMONS_VERSION},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0) return -1;
    struct member nobody = {PN_NO_SLOT, 0};
    PyObject *nobody_py = member_to_py(nobody), *left_over = PyLong_FromUnsignedLong(OBITUARY_LEFT_OVER);
    int error = PyModule_AddObjectRef(module, "NOBODY", nobody_py) < 0 ||
                PyModule_AddObjectRef(module, "LEFT_OVER", left_over) < 0;
    Py_XDECREF(nobody_py);
    Py_XDECREF(left_over);
    if (error || PyModule_AddIntConstant(module, "COMMONS_LAYOUT", (long)commons_layout()) < 0) return -1;
    return PyModule_AddStringConstant(module, "COOKIE", KIN_COOKIE);
}

static int add_types(PyObject *module) {
    PyType_Spec *const specs[] = {&lock_spec,  &rlock_spec,     &semaphore_spec, &shares_spec,
                                  &event_spec, &condition_spec, &barrier_spec,   &queue_spec, &lead_spec,
                                  &bell_spec};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        int error = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
        Py_XDECREF(type);
        if (error < 0) return -1;
    }
    return 0;
}

static int exec(PyObject *module) {
    PyMethodDef *const groups[] = {commons_functions, table_functions, making_functions,
                                   channel_functions, self_functions,  reaper_functions, start_functions,
                                   zygote_functions, cell_functions, block_functions, parcel_functions, queue_functions, heap_functions,
                                   packet_functions, memory_functions, task_functions, work_functions, packed_functions,
                                   timer_functions, insist_functions};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (PyModule_AddFunctions(module, groups[i]) < 0) return -1;
    child_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &child_spec, NULL);
    if (!child_type || PyModule_AddType(module, child_type) < 0) return -1;
    block_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &block_spec, NULL);
    if (!block_type || PyModule_AddType(module, block_type) < 0) return -1;
    map_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &map_spec, NULL);
    if (!map_type || PyModule_AddType(module, map_type) < 0) return -1;
    list_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &list_spec, NULL);
    if (!list_type || PyModule_AddType(module, list_type) < 0) return -1;
    packed_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &packed_spec, NULL);
    if (!packed_type || PyModule_AddType(module, packed_type) < 0) return -1;
    message_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &message_spec, NULL);
    if (!message_type || PyModule_AddType(module, message_type) < 0) return -1;
    return add_types(module) < 0 || add_packet_types(module) < 0 || guarded_add(module) < 0 ? -1 : add_constants(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, exec}, {0}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "procession._native",
                                        .m_doc = "The native core; see native/README.md.", .m_slots = slots};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
