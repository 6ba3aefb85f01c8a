/* The Python side of the bridge: how the plugin reaches an interpreter that it is not linked to, when it may enter it,
 * and how a Python exception becomes one line of text. Included by the bridge alone.
 *
 * Every function of the stable ABI is looked up by name when it is first needed. The library therefore loads in any
 * host, also one without Python, or one that starts its interpreter after the plugin was loaded. */
#ifndef VSAPISR_BRIDGE_PYTHON_H
#define VSAPISR_BRIDGE_PYTHON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_DEFAULT, dladdr */
#endif
#define Py_LIMITED_API 0x030C0000
#define Py_NO_LINK_LIB /* no python3.lib on Windows */
#include <Python.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#ifdef _WIN32
#include <process.h>
#include <windows.h>
#define getpid _getpid
#else
#include <dlfcn.h>
#include <unistd.h>
#endif

#define WORDS_SIZE 1536 /* of an exception; a longer text is cut */
#define ERROR_SIZE (WORDS_SIZE + 256)

#define PYTHON_SYMBOLS(X) \
    X(Py_IsInitialized) X(PyGILState_Ensure) X(PyGILState_Release) X(Py_IncRef) X(Py_DecRef) X(Py_BuildValue) \
    X(PyImport_ImportModule) X(PyGC_Collect) X(PyCMethod_New) X(PyMemoryView_FromObject) \
    X(PyBuffer_FillInfo) X(PyType_FromSpec) X(PyType_GenericAlloc) X(PyObject_Free) \
    X(PyObject_GetAttrString) X(PyObject_CallMethod) X(PyObject_IsInstance) \
    X(PyObject_IsTrue) X(PyObject_Str) X(PyObject_Type) X(PyType_GetFlags) X(PyType_GetName) \
    X(PyErr_GetRaisedException) X(PyErr_Clear) X(PyErr_Format) X(PyErr_Occurred) \
    X(PyUnicode_AsEncodedString) X(PyUnicode_DecodeUTF8) X(PyBytes_AsString) X(PyBytes_AsStringAndSize) \
    X(PyBytes_FromStringAndSize) X(PyLong_FromLongLong) X(PyLong_AsLongLong) X(PyLong_FromVoidPtr) \
    X(PyFloat_FromDouble) X(PyFloat_AsDouble) X(PyList_New) X(PyList_Append) X(PyList_Size) X(PyList_GetItem) \
    X(PySequence_Size) X(PySequence_GetItem) X(PyDict_New) X(PyDict_SetItem) X(PyDict_SetItemString) \
    X(PyDict_DelItem) X(PyDict_Values) X(PyDict_Next) X(PyDict_Clear) \
    X(PyExc_TypeError) X(PyExc_RuntimeError) X(PyExc_BufferError) X(PyFloat_Type) X(_Py_NoneStruct)

static struct {
#define DECLARE(name) __typeof__(&name) name;
    PYTHON_SYMBOLS(DECLARE)
#undef DECLARE
} python;

static atomic_int python_found;   /* the table above is filled in */
static atomic_int python_closing; /* the interpreter is shutting down: never enter it again */
static atomic_int python_inside;  /* threads between python_enter and python_leave */
static PyObject *live_nodes;      /* {address of Filter: node}: owns every node; touched only with the GIL */
static long hook_process;         /* the process that registered the exit hook, 0 before */

static int find_python(void) {
    if (atomic_load(&python_found))
        return 1;
#ifdef _WIN32
    HMODULE library = GetModuleHandleA("python3.dll");
#define LOOK_UP(name) (library ? (void *)GetProcAddress(library, name) : NULL)
#else
#define LOOK_UP(name) dlsym(RTLD_DEFAULT, name)
#endif
    int missing = 0;
#define FIND(name) missing |= !(*(void **)&python.name = LOOK_UP(#name));
    PYTHON_SYMBOLS(FIND)
#undef FIND
    if (!missing)
        atomic_store(&python_found, 1);
    return !missing;
}

/* Takes the GIL; NULL, or why Python cannot be used. Legal with or without the GIL held, and nested.
 * The count is raised before the flag is read and the hook sets the flag before it reads the count, so no thread
 * slips in after the hook stopped waiting. */
static const char *python_enter(PyGILState_STATE *state) {
    if (!find_python() || !python.Py_IsInitialized())
        return atomic_load(&python_closing) ? "Upscale: the Python interpreter has shut down"
                                            : "Upscale: needs a Python interpreter in this process; use python or vspipe";
    atomic_fetch_add(&python_inside, 1);
    if (atomic_load(&python_closing)) {
        atomic_fetch_sub(&python_inside, 1);
        return "Upscale: the Python interpreter is shutting down";
    }
    *state = python.PyGILState_Ensure();
    return NULL;
}

static void python_leave(PyGILState_STATE state) {
    python.PyGILState_Release(state);
    atomic_fetch_sub(&python_inside, 1);
}

/* Everything below needs the GIL. */

static void drop(PyObject *object) {
    if (object)
        python.Py_DecRef(object);
}

static int is_none(PyObject *object) {
    return object == python._Py_NoneStruct;
}

static int has_flag(PyObject *object, unsigned long flag) {
    PyObject *type = python.PyObject_Type(object);
    int set = (python.PyType_GetFlags((PyTypeObject *)type) & flag) != 0;
    drop(type);
    return set;
}

/* Copies str(object) into text, cut to size between two characters. Never leaves an exception behind. */
static void text_of(PyObject *object, char *text, size_t size) {
    PyObject *string = object ? python.PyObject_Str(object) : NULL;
    PyObject *bytes = string ? python.PyUnicode_AsEncodedString(string, "utf-8", "backslashreplace") : NULL;
    const char *characters = bytes ? python.PyBytes_AsString(bytes) : NULL;
    size_t length = characters ? strlen(characters) : 0;
    if (length >= size)
        for (length = size - 1; length && (characters[length] & 0xC0) == 0x80;) /* inside a UTF-8 sequence */
            length--;
    snprintf(text, size, "%.*s", (int)length, characters ? characters : "");
    drop(bytes);
    drop(string);
    python.PyErr_Clear();
}

/* logging.getLogger("vsapisr").debug(what + traceback). The traceback goes as text: a log record that kept the
 * exception would keep its frames and with them the memory of planes. */
static void log_exception(const char *what, PyObject *exception) {
    PyObject *logging = python.PyImport_ImportModule("logging");
    PyObject *logger = logging ? python.PyObject_CallMethod(logging, "getLogger", "s", "vsapisr") : NULL;
    PyObject *enabled = logger ? python.PyObject_CallMethod(logger, "isEnabledFor", "i", 10) : NULL;
    if (enabled && python.PyObject_IsTrue(enabled) == 1) {
        PyObject *module = python.PyImport_ImportModule("traceback");
        PyObject *lines = module ? python.PyObject_CallMethod(module, "format_exception", "O", exception) : NULL;
        PyObject *empty = python.Py_BuildValue("s", "");
        PyObject *trace = lines && empty ? python.PyObject_CallMethod(empty, "join", "O", lines) : NULL;
        if (trace)
            drop(python.PyObject_CallMethod(logger, "debug", "ssO", "%s\n%s", what, trace));
        drop(trace);
        drop(empty);
        drop(lines);
        drop(module);
    }
    drop(enabled);
    drop(logger);
    drop(logging);
    python.PyErr_Clear();
}

static int is_deliberate(PyObject *exception) {
    PyObject *module = python.PyImport_ImportModule("vsapisr.errors");
    PyObject *root = module ? python.PyObject_GetAttrString(module, "VsapisrError") : NULL;
    int deliberate = root && python.PyObject_IsInstance(exception, root) == 1;
    drop(root);
    drop(module);
    python.PyErr_Clear();
    return deliberate;
}

/* Clears the raised exception and writes it as "Upscale: ..." into text: the words of a VsapisrError as they are; of
 * anything else the type and the first line behind `kind`, and the traceback to the log. */
static void take_error(const char *kind, char *text, size_t size) {
    PyObject *exception = python.PyErr_GetRaisedException();
    char words[WORDS_SIZE], name[64];
    text_of(exception, words, sizeof words);
    if (exception && is_deliberate(exception)) {
        snprintf(text, size, "Upscale: %s", words);
    } else {
        PyObject *type = exception ? python.PyObject_Type(exception) : NULL;
        PyObject *type_name = type ? python.PyType_GetName((PyTypeObject *)type) : NULL;
        text_of(type_name, name, sizeof name);
        words[strcspn(words, "\r\n")] = 0;
        snprintf(text, size, "Upscale: %s: %s%s%s", kind, name, *words ? ": " : "", words);
        drop(type_name);
        drop(type);
        if (exception)
            log_exception(text, exception);
    }
    drop(exception);
}

static void close_node(PyObject *node) {
    PyObject *result = python.PyObject_CallMethod(node, "close", NULL);
    if (!result) {
        char text[ERROR_SIZE];
        take_error("error while closing", text, sizeof text);
    }
    drop(result);
}

/* atexit: from here on no thread enters Python; wait for those inside with the GIL released, then close all nodes. */
static PyObject *close_all(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    atomic_store(&python_closing, 1);
    if (hook_process != (long)getpid()) /* a forked child: the threads that were inside do not exist here */
        return python.Py_BuildValue("");
    PyObject *time = python.PyImport_ImportModule("time");
    while (time && atomic_load(&python_inside))
        drop(python.PyObject_CallMethod(time, "sleep", "d", 0.001));
    drop(time);
    PyObject *nodes = python.PyDict_Values(live_nodes);
    for (Py_ssize_t i = 0; nodes && i < python.PyList_Size(nodes); i++)
        close_node(python.PyList_GetItem(nodes, i));
    python.PyDict_Clear(live_nodes);
    drop(nodes);
    python.PyErr_Clear();
    return python.Py_BuildValue("");
}

/* The hook lives in this library, which the core unloads with the last plugin reference: keep it loaded for good. */
static int pin_library(void) {
#ifdef _WIN32
    HMODULE module;
    return GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                              (LPCSTR)&live_nodes, &module);
#else
    Dl_info info;
    return dladdr(&live_nodes, &info) && dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

/* Once per process, after vsapisr.bridge.node made its first node: exit hooks run last in, first out, and ours must come
 * before those of torch, which was imported by then. */
static int install_hook(void) {
    static PyMethodDef hook = {"close_all", close_all, METH_NOARGS, NULL};
    if (hook_process)
        return 1;
    if (!pin_library()) {
        python.PyErr_Format(*python.PyExc_RuntimeError, "the plugin cannot keep itself loaded");
        return 0;
    }
    if (!live_nodes && !(live_nodes = python.PyDict_New()))
        return 0;
    PyObject *atexit = python.PyImport_ImportModule("atexit");
    PyObject *function = atexit ? python.PyCMethod_New(&hook, NULL, NULL, NULL) : NULL;
    PyObject *done = function ? python.PyObject_CallMethod(atexit, "register", "O", function) : NULL;
    if (done)
        hook_process = (long)getpid();
    drop(done);
    drop(function);
    drop(atexit);
    return hook_process != 0;
}

#endif
