/* The upsampling end, a band of rows at a time: each layer keeps the last rows it made, and makes the next when asked. */
#ifndef VSAPISR_TAIL_H
#define VSAPISR_TAIL_H

#include "network.h"
#include "winograd.h"

#define KEPT 4 /* rows of a layer */

enum { BEFORE, UP1, UP2, HR, LAYERS };

typedef struct Layer {
    float *rows; /* KEPT rows of width + 2 pixels, the first and last pixel 0 */
    ptrdiff_t next, width, height;
} Layer;

typedef struct Tail {
    const Network *network;
    const float *image; /* (height + 2, width + 2) pixels, the border 0 */
    const float *zero;  /* a row of zeros, the longest */
    float *work;        /* WINOGRAD_FLOATS */
    Layer layers[LAYERS];
} Tail;

static size_t layer_floats(ptrdiff_t width) {
    return (size_t)KEPT * (width + 2) * PIXEL;
}

/* Floats of one thread's rows. */
static size_t tail_floats(ptrdiff_t width) {
    return layer_floats(width) + layer_floats(2 * width) + 2 * layer_floats(4 * width) +
           (size_t)(4 * width + 2) * PIXEL + WINOGRAD_FLOATS;
}

static void tail_begin(Tail *tail, const Network *network, const float *image, ptrdiff_t height, ptrdiff_t width,
                       float *room) {
    tail->network = network, tail->image = image;
    memset(room, 0, tail_floats(width) * sizeof *room);
    for (int i = 0; i < LAYERS; i++) {
        const int times = i == BEFORE ? 1 : i == UP1 ? 2 : 4;
        tail->layers[i] = (Layer){room, 0, width * times, height * times};
        room += layer_floats(width * times);
    }
    tail->zero = room;
    tail->work = room + (4 * width + 2) * PIXEL;
}

/* Where row `row` of a layer is or will be; begins one pixel left of the first. */
static float *row_of(const Layer *layer, ptrdiff_t row) {
    return layer->rows + row % KEPT * (layer->width + 2) * PIXEL;
}

static const float *made_row(const Tail *tail, int layer, ptrdiff_t row) {
    return row < 0 || row >= tail->layers[layer].height ? tail->zero : row_of(&tail->layers[layer], row);
}

static void make_before(Tail *tail, ptrdiff_t row) {
    const Network *net = tail->network;
    Layer *layer = &tail->layers[BEFORE];
    const float *rows[3], *taps[9];
    for (int i = 0; i < 3; i++)
        rows[i] = tail->image + (row + i) * (layer->width + 2) * PIXEL;
    taps_3x3(rows, PIXEL, taps);
    Sink sink = {row_of(layer, row) + PIXEL, PIXEL, 0.01f, 0};
    conv_row(taps, 9, PIXEL, net->before_weight, net->before_bias, (int)layer->width, &sink);
}

/* Rows `row`, an even one, and the next. */
static void make_hr(Tail *tail, ptrdiff_t row) {
    const Network *net = tail->network;
    Layer *layer = &tail->layers[HR];
    const float *rows[4];
    Sink sinks[2];
    for (int i = 0; i < 4; i++)
        rows[i] = made_row(tail, UP2, row - 1 + i);
    for (int i = 0; i < 2; i++)
        sinks[i] = (Sink){row_of(layer, row + i) + PIXEL, PIXEL, 0.2f, 0};
    two_rows(rows, net->hr_weight, net->hr_bias, (int)layer->width, sinks, tail->work);
}

static void make_doubled(Tail *tail, int which, ptrdiff_t row) {
    const Network *net = tail->network;
    Layer *layer = &tail->layers[which];
    const float *weight = which == UP1 ? net->up1_weight : net->up2_weight;
    const float *bias = which == UP1 ? net->up1_bias : net->up2_bias;
    const int p = row % 2;
    const float *rows[2] = {made_row(tail, which - 1, row / 2 - 1 + p), made_row(tail, which - 1, row / 2 + p)};
    for (int q = 0; q < 2; q++) {
        const float *taps[4];
        for (int tap = 0; tap < 4; tap++)
            taps[tap] = rows[tap / 2] + (tap % 2 + q) * PIXEL;
        Sink sink = {row_of(layer, row) + (1 + q) * PIXEL, 2 * PIXEL, 0.2f, 0};
        const int phase = 2 * p + q;
        conv_row(taps, 4, PIXEL, weight + phase * CHANNELS * 4 * PIXEL, bias, (int)layer->width / 2, &sink);
    }
}

/* Make a layer's rows up to `row`, and of the layers before it what that needs. */
static void make_rows(Tail *tail, int which, ptrdiff_t row) {
    Layer *layer = &tail->layers[which];
    if (row >= layer->height)
        row = layer->height - 1;
    while (layer->next <= row) {
        const ptrdiff_t next = layer->next;
        if (which == HR) {
            make_rows(tail, UP2, next + 2);
            make_hr(tail, next);
        } else if (which == BEFORE) {
            make_before(tail, next);
        } else {
            make_rows(tail, which - 1, next / 2 + next % 2);
            make_doubled(tail, which, next);
        }
        layer->next += which == HR ? 2 : 1;
    }
}

/* Output rows of the input's rows top..bottom. */
static void tail_band(Tail *tail, ptrdiff_t top, ptrdiff_t bottom, float *output) {
    static const int halo[LAYERS] = {2, 2, 3, 2}; /* rows of each layer above the band's own; of HR an even number */
    const ptrdiff_t width = 4 * tail->layers[BEFORE].width, height = 4 * tail->layers[BEFORE].height;
    for (int i = 0; i < LAYERS; i++) {
        const ptrdiff_t first = tail->layers[i].height / tail->layers[BEFORE].height * top - halo[i];
        tail->layers[i].next = first < 0 ? 0 : first;
    }
    for (ptrdiff_t y = 4 * top; y < 4 * bottom; y++) {
        make_rows(tail, HR, y + 1);
        const float *rows[3];
        float *planes[3];
        for (int i = 0; i < 3; i++)
            rows[i] = made_row(tail, HR, y - 1 + i), planes[i] = output + (i * height + y) * width;
        last_row(rows, tail->network->last_weight, tail->network->last_bias, (int)width, planes);
    }
}

#endif
