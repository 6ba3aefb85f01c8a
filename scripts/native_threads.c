/* The network's kernels on many threads, for ThreadSanitizer (python -m scripts.sanitize): every instruction set that this
 * processor has, small and narrow images, several callers at once, extreme values. The bits must be those of one thread. */
#include "../vsapisr/networks/cpu/native/native.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

EXPORT int vsapisr_level_bf16(void);
EXPORT size_t vsapisr_workspace(int level, ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
EXPORT void vsapisr_upscale(int level, const Network *network, const Image *image);

enum { VALUES = 1 << 19, STAGES = 2, BLOCKS = 3, CALLERS = 2, LARGEST = 8 * 48 };

static float weights[VALUES] __attribute__((aligned(64)));
static const ptrdiff_t depths[STAGES] = {2, 1};
static Block blocks[BLOCKS];
static const float *rows[STAGES + 1];

static Network network(void) {
    Network net;
    const float *one = weights;
    for (size_t i = 0; i < sizeof(Block) / sizeof(float *); i++)
        for (int block = 0; block < BLOCKS; block++)
            memcpy((char *)&blocks[block] + i * sizeof one, &one, sizeof one);
    for (int block = 0; block < BLOCKS; block++)
        blocks[block].shifted = block & 1;
    for (size_t i = 0; i < sizeof net / sizeof one; i++)
        memcpy((char *)&net + i * sizeof one, &one, sizeof one);
    for (int stage = 0; stage <= STAGES; stage++)
        rows[stage] = weights;
    net.stages = STAGES, net.depths = depths, net.blocks = blocks, net.stage_weight = rows, net.stage_bias = rows;
    return net;
}

typedef struct Call {
    const Network *network;
    int level;
    ptrdiff_t height, width, threads;
    const float *input;
    float *output;
} Call;

static void *upscale(void *argument) {
    const Call *call = argument;
    const size_t size = vsapisr_workspace(call->level, call->height, call->width, call->threads);
    void *room = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!room)
        exit(2);
    const Image image = {call->input, call->output, call->height, call->width, room, call->threads};
    vsapisr_upscale(call->level, call->network, &image);
    free(room);
    return NULL;
}

static int compare(const Network *net, int level, ptrdiff_t height, ptrdiff_t width, const float *input) {
    static float one[3 * 16 * LARGEST], many[CALLERS][3 * 16 * LARGEST];
    const size_t bytes = (size_t)3 * 16 * height * width * sizeof(float);
    Call alone = {net, level, height, width, 1, input, one};
    upscale(&alone);
    for (ptrdiff_t threads = 2; threads <= 8; threads *= 4) {
        pthread_t callers[CALLERS];
        Call calls[CALLERS];
        for (int i = 0; i < CALLERS; i++) {
            calls[i] = (Call){net, level, height, width, threads, input, many[i]};
            if (pthread_create(&callers[i], NULL, upscale, &calls[i]))
                exit(2);
        }
        for (int i = 0; i < CALLERS; i++)
            pthread_join(callers[i], NULL);
        for (int i = 0; i < CALLERS; i++)
            if (memcmp(one, many[i], bytes)) {
                printf("level %d, %tdx%td, %td threads: other bits than one thread\n", level, width, height, threads);
                return 1;
            }
    }
    return 0;
}

int main(void) {
    static float input[3 * LARGEST];
    static const ptrdiff_t sizes[][2] = {{8, 8}, {8, 40}, {16, 24}};
    const float extremes[] = {0, 1, -1, 1e30f, -1e30f, INFINITY, NAN};
    int failed = 0, runs = 0;
    srand(1);
    for (int i = 0; i < VALUES; i++)
        weights[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * 0.1f;
    const Network net = network();
    const int best = processor_level(), most = best == NOTHING ? NOTHING : vsapisr_level_bf16();
    for (int level = AVX2; best != NOTHING && level <= (most > best ? most : best); level++)
        for (int wild = 0; wild < 2; wild++) {
            for (int i = 0; i < 3 * LARGEST; i++)
                input[i] = wild && rand() % 9 == 0 ? extremes[rand() % 7] : (float)rand() / (float)RAND_MAX;
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, runs++)
                failed |= compare(&net, level, sizes[i][0], sizes[i][1], input);
        }
    printf("threads: %d images at instruction sets up to %d, on 1, 2 and 8 threads by %d callers at once\n", runs, most,
           CALLERS);
    return failed;
}
