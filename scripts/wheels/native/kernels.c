/* Runs the library of CPU kernels on a job from a file: kernels LIBRARY facts, or kernels LIBRARY LEVEL JOB RESULT.
 *
 * A job is what scripts/wheels/job.py writes: six numbers of 64 bits (bytes of memory, places that hold an offset into it
 * in place of an address, offset of the Network, of the Image, of the result and its bytes), those places, the memory. */
#include "load.h"

#include "../../../vsapisr/networks/cpu/native/network.h"

#include <stdint.h>
#include <string.h>

enum { BYTES, PLACES, NETWORK, IMAGE, RESULT, RESULT_BYTES, NUMBERS };

typedef struct Functions {
    const ptrdiff_t *(*abi)(void);
    int (*level)(void), (*level_bf16)(void);
    size_t (*workspace)(int level, ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
    void (*upscale)(int level, const Network *network, const Image *image);
} Functions;

static int look_all_up(void *library, Functions *functions) {
    *(void **)&functions->abi = look_up(library, "vsapisr_abi");
    *(void **)&functions->level = look_up(library, "vsapisr_level");
    *(void **)&functions->level_bf16 = look_up(library, "vsapisr_level_bf16");
    *(void **)&functions->workspace = look_up(library, "vsapisr_workspace");
    *(void **)&functions->upscale = look_up(library, "vsapisr_upscale");
    return functions->abi && functions->level && functions->level_bf16 && functions->workspace && functions->upscale;
}

static void *aligned_memory(size_t size) {
    char *memory = malloc(size + 64);
    if (!memory)
        exit(2);
    return memory + 64 - (uintptr_t)memory % 64;
}

static char *read_job(const char *path, int64_t *numbers) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(numbers, 8, NUMBERS, file) != NUMBERS)
        return NULL;
    int64_t *places = aligned_memory((size_t)numbers[PLACES] * 8);
    char *memory = aligned_memory((size_t)numbers[BYTES]);
    if (fread(places, 8, (size_t)numbers[PLACES], file) != (size_t)numbers[PLACES] ||
        fread(memory, 1, (size_t)numbers[BYTES], file) != (size_t)numbers[BYTES])
        return NULL;
    fclose(file);
    for (int64_t i = 0; i < numbers[PLACES]; i++) {
        uintptr_t value = 0;
        memcpy(&value, memory + places[i], 8);
        value += (uintptr_t)memory;
        memcpy(memory + places[i], &value, 8);
    }
    return memory;
}

int main(int argc, char **argv) {
    Functions functions;
    void *library = argc > 2 ? open_library(argv, 1) : NULL;
    if (!library || !look_all_up(library, &functions)) {
        puts("the library or a function of it is missing");
        return 1;
    }
    if (argc < 5) {
        const ptrdiff_t *facts = functions.abi();
        printf("abi %td %td %td %td\n", facts[0], facts[1], facts[2], facts[3]);
        printf("level %d\nlevel_bf16 %d\n", functions.level(), functions.level_bf16());
        return 0;
    }
    int64_t numbers[NUMBERS];
    char *memory = read_job(argv[3], numbers);
    if (!memory) {
        puts("the job cannot be read");
        return 1;
    }
    const int level = atoi(argv[2]);
    Image *image = (Image *)(memory + numbers[IMAGE]);
    image->workspace = aligned_memory(functions.workspace(level, image->height, image->width, image->threads));
    functions.upscale(level, (const Network *)(memory + numbers[NETWORK]), image);
    FILE *file = fopen(argv[4], "wb");
    if (!file ||
        fwrite(memory + numbers[RESULT], 1, (size_t)numbers[RESULT_BYTES], file) != (size_t)numbers[RESULT_BYTES])
        return 1;
    return fclose(file) != 0;
}
