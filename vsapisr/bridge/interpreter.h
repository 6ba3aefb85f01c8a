/* The Python side of the bridge: how the plugin reaches an interpreter that it is not linked to, when it may enter it,
 * and how a Python exception becomes one line of text.
 *
 * Every function of the stable ABI is looked up by name when it is first needed. The library therefore loads in any
 * host, also one without Python, or one that starts its interpreter after the plugin was loaded. The table of these
 * functions and the count of threads inside belong to interpreter.c. */
#ifndef VSAPISR_BRIDGE_INTERPRETER_H
#define VSAPISR_BRIDGE_INTERPRETER_H

#define Py_LIMITED_API 0x030C0000
#define Py_NO_LINK_LIB /* no python3.lib on Windows */
#include <Python.h>

#define WORDS_SIZE 1536 /* of an exception; a longer text is cut */
#define ERROR_SIZE (WORDS_SIZE + 256)

/* clang-format off */
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
/* clang-format on */

extern struct PythonTable {
#define DECLARE(name) __typeof__(&name) name;
    PYTHON_SYMBOLS(DECLARE)
#undef DECLARE
} python; /* filled in by python_enter */

/* Takes the GIL; NULL, or why Python cannot be used. Legal with or without the GIL held, and nested. */
const char *python_enter(PyGILState_STATE *state);
void python_leave(PyGILState_STATE state);

/* Everything below needs the GIL. */

/* The interpreter is about to exit: no thread enters from here on. Returns when all have left, or with a word on stderr when
 * one is stuck. */
void python_close(void);

/* From now on a forked child does not count its parent's threads. For a library that is never unloaded; 0: failed. */
int python_watch_forks(void);

void drop(PyObject *object); /* of NULL: nothing */
int is_none(PyObject *object);
int has_flag(PyObject *object, unsigned long flag); /* of its type */

/* Copies str(object) into text, cut to size between two characters. Never leaves an exception behind. */
void text_of(PyObject *object, char *text, size_t size);

/* Clears the raised exception and writes it as "Upscale: ..." into text: the words of a VsapisrError as they are; of
 * anything else the type and the first line behind `kind`, and the traceback to the log. */
void take_error(const char *kind, char *text, size_t size);

#endif
