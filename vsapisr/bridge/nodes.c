#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif
#include "nodes.h"

#ifdef _WIN32
#include <process.h>
#include <windows.h>
#define getpid _getpid
#else
#include <dlfcn.h>
#include <unistd.h>
#endif

static PyObject *live_nodes; /* {address of Filter: (process, node)}: owns every node; touched only with the GIL */
static int hook_installed;

/* Of this process; a forked child has its parent's nodes too, but the threads that serve them do not exist there. */
static int is_own(PyObject *entry) {
    PyObject *process = python.PySequence_GetItem(entry, 0);
    int own = process && python.PyLong_AsLongLong(process) == (long long)getpid();
    drop(process);
    return own;
}

void nodes_close(PyObject *node) {
    PyObject *result = python.PyObject_CallMethod(node, "close", NULL);
    if (!result) {
        char text[ERROR_SIZE];
        take_error("error while closing", text, sizeof text);
    }
    drop(result);
}

/* atexit: when the last thread has left Python, closes all nodes. */
static PyObject *close_all(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    python_close();
    PyObject *entries = python.PyDict_Values(live_nodes);
    for (Py_ssize_t i = 0; entries && i < python.PyList_Size(entries); i++) {
        PyObject *entry = python.PyList_GetItem(entries, i);
        PyObject *node = is_own(entry) ? python.PySequence_GetItem(entry, 1) : NULL;
        if (node)
            nodes_close(node);
        drop(node);
    }
    python.PyDict_Clear(live_nodes);
    drop(entries);
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

int nodes_install_hook(void) {
    static PyMethodDef hook = {"close_all", close_all, METH_NOARGS, NULL};
    if (hook_installed)
        return 1;
    if (!pin_library() || !python_watch_forks()) {
        python.PyErr_Format(*python.PyExc_RuntimeError, "the plugin cannot keep itself loaded");
        return 0;
    }
    if (!live_nodes && !(live_nodes = python.PyDict_New()))
        return 0;
    PyObject *atexit = python.PyImport_ImportModule("atexit");
    PyObject *function = atexit ? python.PyCMethod_New(&hook, NULL, NULL, NULL) : NULL;
    PyObject *done = function ? python.PyObject_CallMethod(atexit, "register", "O", function) : NULL;
    hook_installed = done != NULL;
    drop(done);
    drop(function);
    drop(atexit);
    return hook_installed;
}

int nodes_keep(const void *filter, PyObject *node) {
    PyObject *key = python.PyLong_FromVoidPtr((void *)filter);
    PyObject *entry = key ? python.Py_BuildValue("LO", (long long)getpid(), node) : NULL;
    int done = entry && !python.PyDict_SetItem(live_nodes, key, entry);
    drop(entry);
    drop(key);
    return done;
}

void nodes_drop(const void *filter) {
    PyObject *key = python.PyLong_FromVoidPtr((void *)filter);
    if (key)
        python.PyDict_DelItem(live_nodes, key);
    drop(key);
    python.PyErr_Clear();
}
