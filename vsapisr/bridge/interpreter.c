#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_DEFAULT */
#endif
#include "interpreter.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif

struct PythonTable python;

static atomic_int python_found;   /* the table above is filled in */
static atomic_int python_closing; /* the interpreter is shutting down: never enter it again */
static atomic_int python_inside;  /* threads between python_enter and python_leave */

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

/* The count is raised before the flag is read, and python_close sets the flag before it reads the count, so no thread
 * slips in after python_close stopped waiting. */
const char *python_enter(PyGILState_STATE *state) {
    if (!find_python() || !python.Py_IsInitialized())
        return atomic_load(&python_closing)
                   ? "Upscale: the Python interpreter has shut down"
                   : "Upscale: needs a Python interpreter in this process; use python or vspipe";
    atomic_fetch_add(&python_inside, 1);
    if (atomic_load(&python_closing)) {
        atomic_fetch_sub(&python_inside, 1);
        return "Upscale: the Python interpreter is shutting down";
    }
    *state = python.PyGILState_Ensure();
    return NULL;
}

void python_leave(PyGILState_STATE state) {
    python.PyGILState_Release(state);
    atomic_fetch_sub(&python_inside, 1);
}

void drop(PyObject *object) {
    if (object)
        python.Py_DecRef(object);
}

int is_none(PyObject *object) {
    return object == python._Py_NoneStruct;
}

int has_flag(PyObject *object, unsigned long flag) {
    PyObject *type = python.PyObject_Type(object);
    int set = (python.PyType_GetFlags((PyTypeObject *)type) & flag) != 0;
    drop(type);
    return set;
}

void text_of(PyObject *object, char *text, size_t size) {
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

void take_error(const char *kind, char *text, size_t size) {
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

#ifndef _WIN32
/* In a forked child: whoever was inside does not exist there. */
static void forget_threads(void) {
    atomic_store(&python_inside, 0);
}
#endif

int python_watch_forks(void) {
#ifdef _WIN32
    return 1;
#else
    return !pthread_atfork(NULL, NULL, forget_threads);
#endif
}

/* Seconds to wait at exit for calls that are still running: a tile on a slow CPU, but not a call that is stuck. */
static double patience(void) {
    const char *set = getenv("VSAPISR_EXIT_SECONDS");
    return set && *set ? atof(set) : 60;
}

void python_close(void) {
    atomic_store(&python_closing, 1);
    PyObject *time = python.PyImport_ImportModule("time");
    double left = patience();
    for (; time && atomic_load(&python_inside) > 0 && left > 0; left -= 0.001)
        drop(python.PyObject_CallMethod(time, "sleep", "d", 0.001));
    drop(time);
    if (left > 0)
        return;
    fprintf(stderr, "vsapisr: %d calls are still running after %g s; leaving without them\n",
            atomic_load(&python_inside), patience());
    PyObject *module = python.PyImport_ImportModule("vsapisr.bridge.forked");
    if (module)
        drop(python.PyObject_CallMethod(module, "leave_core", NULL));
    drop(module);
    python.PyErr_Clear();
}
