/* Values between VapourSynth and Python: arguments, the description of a clip, planes of frames, frame properties.
 * Everything here needs the GIL. Functions that return an object or a success return NULL or 0 with an exception set. */
#ifndef VSAPISR_BRIDGE_VALUES_H
#define VSAPISR_BRIDGE_VALUES_H

#include "interpreter.h"

#include "VapourSynth4.h"

/* All of `in` but the clip. `declaration` is the registered argument string: what it declares with [] is a list. */
PyObject *argument_dict(const VSMap *in, const char *declaration, const VSAPI *vsapi);
PyObject *clip_dict(const VSVideoInfo *video, VSCore *core, const VSAPI *vsapi);
int get_int(PyObject *object, const char *name, int *value); /* -1 for what is no int32 of 0 or more */

int make_loan_type(void); /* before the first plane_list */

/* [(memoryview, stride) per plane] of source, to read, or else of target, to write; what is lent goes into the list
 * `loans` too. */
PyObject *plane_list(const VSFrame *source, VSFrame *target, PyObject *loans, const VSAPI *vsapi);
int end_loans(PyObject *loans); /* 0 if something still holds on to one; then no exception is set */

PyObject *property_dict(const VSFrame *frame, char *const *wanted, const VSAPI *vsapi);
int set_properties(VSFrame *target, PyObject *properties, const VSAPI *vsapi);

#endif
