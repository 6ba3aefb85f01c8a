/* In place of the pyconfig.h of this machine's Python, for all platforms: what the headers of the stable ABI ask of it. */
#ifndef VSAPISR_PYCONFIG_H
#define VSAPISR_PYCONFIG_H

#define SIZEOF_INT __SIZEOF_INT__
#define SIZEOF_LONG __SIZEOF_LONG__
#define SIZEOF_LONG_LONG __SIZEOF_LONG_LONG__
#define SIZEOF_SHORT __SIZEOF_SHORT__
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#define SIZEOF_VOID_P __SIZEOF_POINTER__
#define SIZEOF_WCHAR_T __SIZEOF_WCHAR_T__
#define SIZEOF_PID_T SIZEOF_INT
#define HAVE_SYS_TYPES_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_STDDEF_H 1
#define HAVE_WCHAR_H 1
#define ALIGNOF_MAX_ALIGN_T __BIGGEST_ALIGNMENT__
#define PY_SSIZE_T_CLEAN
#define Py_ENABLE_SHARED 1

#endif
