/* Values between VapourSynth and Python: arguments, the description of a clip, planes of frames, frame properties.
 * Everything here needs the GIL. Functions that return an object or a success return NULL or 0 with an exception set. */
#ifndef VSAPISR_BRIDGE_VALUES_H
#define VSAPISR_BRIDGE_VALUES_H

#include "bridge_python.h"

#include "VapourSynth4.h"

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

/* All of `in` but the clip. `declaration` is the registered argument string: what it declares with [] is a list. */
static PyObject *argument_dict(const VSMap *in, const char *declaration, const VSAPI *vsapi) {
    PyObject *dict = python.PyDict_New();
    int done = dict != NULL;
    for (int k = 0; done && k < vsapi->mapNumKeys(in); k++) {
        const char *key = vsapi->mapGetKey(in, k);
        int type = vsapi->mapGetType(in, key), count = vsapi->mapNumElements(in, key);
        if (!strcmp(key, "clip"))
            continue;
        char declared[128];
        snprintf(declared, sizeof declared, ";%s:%s[]", key, type == ptInt ? "int" : type == ptFloat ? "float" : "data");
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

static PyObject *clip_dict(const VSVideoInfo *video, VSCore *core, const VSAPI *vsapi) {
    VSCoreInfo info;
    vsapi->getCoreInfo(core, &info);
    const VSVideoFormat *format = &video->format;
    return python.Py_BuildValue(
        "{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "width", video->width, "height", video->height, "num_frames",
        video->numFrames, "color_family", format->colorFamily, "sample_type", format->sampleType, "bits_per_sample",
        format->bitsPerSample, "subsampling_w", format->subSamplingW, "subsampling_h", format->subSamplingH, "threads",
        info.numThreads);
}

static int get_int(PyObject *object, const char *name, int *value) {
    PyObject *attribute = python.PyObject_GetAttrString(object, name);
    long long number = attribute ? python.PyLong_AsLongLong(attribute) : -1;
    drop(attribute);
    if (python.PyErr_Occurred())
        return 0;
    *value = number < 0 || number > INT32_MAX ? -1 : (int)number;
    return 1;
}

/* Adds [(memoryview, stride) per plane] to views as well, so that all can be released. */
static PyObject *plane_list(const VSFrame *source, VSFrame *target, PyObject *views, const VSAPI *vsapi) {
    const VSFrame *frame = source ? source : target;
    PyObject *planes = python.PyList_New(0);
    int done = planes != NULL, count = vsapi->getVideoFrameFormat(frame)->numPlanes;
    for (int plane = 0; done && plane < count; plane++) {
        Py_ssize_t stride = (Py_ssize_t)vsapi->getStride(frame, plane);
        void *memory = source ? (void *)vsapi->getReadPtr(source, plane) : vsapi->getWritePtr(target, plane);
        PyObject *view = NULL;
        if (memory)
            view = python.PyMemoryView_FromMemory(memory, stride * vsapi->getFrameHeight(frame, plane),
                                                  source ? 0x100 /* PyBUF_READ */ : 0x200 /* PyBUF_WRITE */);
        else
            python.PyErr_Format(*python.PyExc_RuntimeError, "plane %d cannot be read by the CPU", plane);
        done = view && !python.PyList_Append(views, view) && append(planes, python.Py_BuildValue("On", view, stride));
        drop(view);
    }
    if (done)
        return planes;
    drop(planes);
    return NULL;
}

static PyObject *property_dict(const VSFrame *frame, char *const *wanted, const VSAPI *vsapi) {
    const VSMap *map = vsapi->getFramePropertiesRO(frame);
    PyObject *dict = python.PyDict_New();
    int done = dict != NULL;
    for (; done && *wanted; wanted++)
        if (vsapi->mapNumElements(map, *wanted) > 0)
            done = set_item(dict, *wanted, map_value(map, *wanted, 0, 0, vsapi));
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

static int set_properties(VSFrame *target, PyObject *properties, const VSAPI *vsapi) {
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

/* Cuts Python off from the memory of all planes; 0 if something still holds on to some of it. */
static int release_views(PyObject *views) {
    int released = 1;
    for (Py_ssize_t i = 0, collected = 0; i < python.PyList_Size(views); i++) {
        PyObject *result = python.PyObject_CallMethod(python.PyList_GetItem(views, i), "release", NULL);
        if (!result && !collected++) { /* perhaps only a cycle of dead objects holds it */
            python.PyErr_Clear();
            python.PyGC_Collect();
            result = python.PyObject_CallMethod(python.PyList_GetItem(views, i), "release", NULL);
        }
        released &= result != NULL;
        drop(result);
        python.PyErr_Clear();
    }
    return released;
}

#endif
