#include "values.h"

#include <stdio.h>
#include <string.h>

static int set_item(PyObject *dict, const char *key, PyObject *value) { /* steals value */
    int done = value && !python.PyDict_SetItemString(dict, key, value);
    drop(value);
    return done;
}

static int append(PyObject *list, PyObject *item) { /* steals item */
    int done = item && !python.PyList_Append(list, item);
    drop(item);
    return done;
}

static PyObject *map_value(const VSMap *map, const char *key, int index, int as_text, const VSAPI *vsapi) {
    switch (vsapi->mapGetType(map, key)) {
    case ptInt:
        return python.PyLong_FromLongLong(vsapi->mapGetInt(map, key, index, NULL));
    case ptFloat:
        return python.PyFloat_FromDouble(vsapi->mapGetFloat(map, key, index, NULL));
    case ptData: {
        const char *data = vsapi->mapGetData(map, key, index, NULL);
        int size = vsapi->mapGetDataSize(map, key, index, NULL);
        return as_text ? python.PyUnicode_DecodeUTF8(data, size, "surrogateescape")
                       : python.PyBytes_FromStringAndSize(data, size);
    }
    default:
        python.PyErr_Format(*python.PyExc_TypeError, "'%s' is neither a number nor data", key);
        return NULL;
    }
}

PyObject *argument_dict(const VSMap *in, const char *declaration, const VSAPI *vsapi) {
    PyObject *dict = python.PyDict_New();
    int done = dict != NULL;
    for (int k = 0; done && k < vsapi->mapNumKeys(in); k++) {
        const char *key = vsapi->mapGetKey(in, k);
        int type = vsapi->mapGetType(in, key), count = vsapi->mapNumElements(in, key);
        if (!strcmp(key, "clip"))
            continue;
        char declared[128];
        snprintf(declared, sizeof declared, ";%s:%s[]", key,
                 type == ptInt     ? "int"
                 : type == ptFloat ? "float"
                                   : "data");
        if (count == 1 && !strstr(declaration, declared)) {
            done = set_item(dict, key, map_value(in, key, 0, 1, vsapi));
            continue;
        }
        PyObject *list = python.PyList_New(0);
        for (int i = 0; list && done && i < count; i++)
            done = append(list, map_value(in, key, i, 1, vsapi));
        done = set_item(dict, key, list) && done;
    }
    if (done)
        return dict;
    drop(dict);
    return NULL;
}

PyObject *clip_dict(const VSVideoInfo *video, VSCore *core, const VSAPI *vsapi) {
    VSCoreInfo info;
    vsapi->getCoreInfo(core, &info);
    const VSVideoFormat *format = &video->format;
    return python.Py_BuildValue("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "width", video->width, "height", video->height,
                                "num_frames", video->numFrames, "color_family", format->colorFamily, "sample_type",
                                format->sampleType, "bits_per_sample", format->bitsPerSample, "subsampling_w",
                                format->subSamplingW, "subsampling_h", format->subSamplingH, "threads",
                                info.numThreads);
}

int get_int(PyObject *object, const char *name, int *value) {
    PyObject *attribute = python.PyObject_GetAttrString(object, name);
    long long number = attribute ? python.PyLong_AsLongLong(attribute) : -1;
    drop(attribute);
    if (python.PyErr_Occurred())
        return 0;
    *value = number < 0 || number > INT32_MAX ? -1 : (int)number;
    return 1;
}

/* Plane memory lent to Python: what memoryviews over it, their slices, arrays and tensors made from them lead back to.
 * (memoryview.release would not do: it succeeds although slices or an array of numpy.frombuffer still use the memory.)
 * It owns a reference to the frame, so the memory stays valid for as long as anything can reach it. */
typedef struct Loan {
    PyObject_HEAD const VSFrame *frame;
    const VSAPI *vsapi;
    void *memory;
    Py_ssize_t size;
    int read_only;
    int ended;   /* no new view from now on */
    int exports; /* views and all that is made from them */
} Loan;

static PyObject *loan_type;

static int loan_get_buffer(PyObject *object, Py_buffer *view, int flags) {
    Loan *loan = (Loan *)object;
    if (loan->ended) {
        view->obj = NULL;
        python.PyErr_Format(*python.PyExc_BufferError, "the frame of this plane has been given back");
        return -1;
    }
    if (python.PyBuffer_FillInfo(view, object, loan->memory, loan->size, loan->read_only, flags))
        return -1;
    loan->exports++;
    return 0;
}

static void loan_release_buffer(PyObject *object, Py_buffer *view) {
    (void)view;
    ((Loan *)object)->exports--;
}

static void loan_dealloc(PyObject *object) {
    Loan *loan = (Loan *)object;
    PyObject *type = python.PyObject_Type(object);
    loan->vsapi->freeFrame(loan->frame);
    python.PyObject_Free(object);
    drop(type);
    drop(type); /* the instance's own reference */
}

int make_loan_type(void) {
    static PyType_Slot slots[] = {{Py_tp_dealloc, loan_dealloc},
                                  {Py_bf_getbuffer, loan_get_buffer},
                                  {Py_bf_releasebuffer, loan_release_buffer},
                                  {0, NULL}};
    static PyType_Spec spec = {"vsapisr.PlaneMemory", sizeof(Loan), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    if (!loan_type)
        loan_type = python.PyType_FromSpec(&spec);
    return loan_type != NULL;
}

/* Lends one plane of source (to read) or else of target (to write). */
static PyObject *lend(const VSFrame *source, VSFrame *target, int plane, const VSAPI *vsapi) {
    const VSFrame *frame = source ? source : target;
    void *memory = source ? (void *)vsapi->getReadPtr(source, plane) : vsapi->getWritePtr(target, plane);
    if (!memory) {
        python.PyErr_Format(*python.PyExc_RuntimeError, "plane %d cannot be reached by the CPU", plane);
        return NULL;
    }
    Loan *loan = (Loan *)python.PyType_GenericAlloc((PyTypeObject *)loan_type, 0); /* zeroed */
    if (loan) {
        loan->frame = vsapi->addFrameRef(frame);
        loan->vsapi = vsapi;
        loan->memory = memory;
        loan->size = (Py_ssize_t)vsapi->getStride(frame, plane) * vsapi->getFrameHeight(frame, plane);
        loan->read_only = source != NULL;
    }
    return (PyObject *)loan;
}

PyObject *plane_list(const VSFrame *source, VSFrame *target, PyObject *loans, const VSAPI *vsapi) {
    const VSFrame *frame = source ? source : target;
    PyObject *planes = python.PyList_New(0);
    int done = planes != NULL, count = vsapi->getVideoFrameFormat(frame)->numPlanes;
    for (int plane = 0; done && plane < count; plane++) {
        PyObject *loan = lend(source, target, plane, vsapi);
        PyObject *view = loan && !python.PyList_Append(loans, loan) ? python.PyMemoryView_FromObject(loan) : NULL;
        Py_ssize_t stride = (Py_ssize_t)vsapi->getStride(frame, plane);
        done = view && append(planes, python.Py_BuildValue("On", view, stride));
        drop(view);
        drop(loan);
    }
    if (done)
        return planes;
    drop(planes);
    return NULL;
}

/* Ends all loans; 0 if something still holds on to one. Perhaps only a cycle of dead objects does: then collects. */
int end_loans(PyObject *loans) {
    Py_ssize_t held = 0, count = python.PyList_Size(loans);
    for (int attempt = 0; attempt < 2; attempt++) {
        held = 0;
        for (Py_ssize_t i = 0; i < count; i++) {
            Loan *loan = (Loan *)python.PyList_GetItem(loans, i);
            loan->ended = 1;
            held += loan->exports;
        }
        if (!held || attempt)
            break;
        python.PyGC_Collect();
    }
    return !held;
}

/* Of a property that is a frame, a clip or a function: 1, that it is there. */
static PyObject *property_value(const VSMap *map, const char *key, const VSAPI *vsapi) {
    int type = vsapi->mapGetType(map, key);
    return type == ptInt || type == ptFloat || type == ptData ? map_value(map, key, 0, 0, vsapi)
                                                              : python.PyLong_FromLongLong(1);
}

PyObject *property_dict(const VSFrame *frame, char *const *wanted, const VSAPI *vsapi) {
    const VSMap *map = vsapi->getFramePropertiesRO(frame);
    PyObject *dict = python.PyDict_New();
    int done = dict != NULL;
    for (; done && *wanted; wanted++)
        if (vsapi->mapNumElements(map, *wanted) > 0)
            done = set_item(dict, *wanted, property_value(map, *wanted, vsapi));
    if (done)
        return dict;
    drop(dict);
    return NULL;
}

static int set_property(VSMap *map, const char *key, PyObject *value, const VSAPI *vsapi) {
    int failed = 0;
    if (is_none(value)) {
        vsapi->mapDeleteKey(map, key);
    } else if (has_flag(value, Py_TPFLAGS_LONG_SUBCLASS)) {
        long long number = python.PyLong_AsLongLong(value);
        failed = python.PyErr_Occurred() || vsapi->mapSetInt(map, key, number, maReplace);
    } else if (python.PyObject_IsInstance(value, (PyObject *)python.PyFloat_Type) == 1) {
        failed = vsapi->mapSetFloat(map, key, python.PyFloat_AsDouble(value), maReplace);
    } else {
        int is_text = has_flag(value, Py_TPFLAGS_UNICODE_SUBCLASS);
        PyObject *bytes = is_text ? python.PyUnicode_AsEncodedString(value, "utf-8", "strict") : value;
        char *data = NULL;
        Py_ssize_t size = 0;
        failed = !bytes || python.PyBytes_AsStringAndSize(bytes, &data, &size) || size > INT32_MAX ||
                 vsapi->mapSetData(map, key, data, (int)size, is_text ? dtUtf8 : dtBinary, maReplace);
        if (is_text)
            drop(bytes);
    }
    if (failed && !python.PyErr_Occurred())
        python.PyErr_Format(*python.PyExc_RuntimeError, "the frame property '%s' cannot be set", key);
    return !failed;
}

int set_properties(VSFrame *target, PyObject *properties, const VSAPI *vsapi) {
    VSMap *map = vsapi->getFramePropertiesRW(target);
    PyObject *key, *value;
    Py_ssize_t position = 0;
    if (!has_flag(properties, Py_TPFLAGS_DICT_SUBCLASS)) {
        python.PyErr_Format(*python.PyExc_TypeError, "render must return a dict");
        return 0;
    }
    int done = 1;
    while (done && python.PyDict_Next(properties, &position, &key, &value)) {
        PyObject *bytes = python.PyUnicode_AsEncodedString(key, "utf-8", "strict");
        done = bytes && set_property(map, python.PyBytes_AsString(bytes), value, vsapi);
        drop(bytes);
    }
    return done;
}
