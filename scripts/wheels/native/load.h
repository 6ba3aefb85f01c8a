/* Loads a library and looks a function up, on both kinds of system. File names reach Windows in UTF-16, whatever is in them. */
#ifndef VSAPISR_LOAD_H
#define VSAPISR_LOAD_H

#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#include <windows.h>

#include <shellapi.h>

/* The argument of that number, which may hold any character; `argv` is in the system's own code page. */
static void *open_library(char **argv, int number) {
    int count;
    wchar_t **words = CommandLineToArgvW(GetCommandLineW(), &count);
    (void)argv;
    HMODULE library = words && number < count ? LoadLibraryW(words[number]) : NULL;
    if (!library)
        printf("LoadLibraryW: error %lu\n", GetLastError());
    return library;
}

static void *look_up(void *library, const char *name) {
    return (void *)GetProcAddress(library, name);
}
#else
#include <dlfcn.h>

static void *open_library(char **argv, int number) {
    void *library = dlopen(argv[number], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        printf("dlopen: %s\n", dlerror());
    return library;
}

static void *look_up(void *library, const char *name) {
    return dlsym(library, name);
}
#endif

#endif
