/* The nodes of vsapisr.bridge.node that filters use: kept until their filter is freed or the interpreter exits, whichever
 * comes first. nodes.c owns them. Everything here needs the GIL. */
#ifndef VSAPISR_BRIDGE_NODES_H
#define VSAPISR_BRIDGE_NODES_H

#include "interpreter.h"

/* Has all nodes closed before the interpreter exits. Once per process, after vsapisr.bridge.node made its first node: exit
 * hooks run last in, first out, and ours must come before those of torch, which was imported by then. 0: exception set. */
int nodes_install_hook(void);

int nodes_keep(const void *filter, PyObject *node); /* 0: exception set */
void nodes_drop(const void *filter);
void nodes_close(PyObject *node); /* calls its close(); an error goes to the log */

#endif
