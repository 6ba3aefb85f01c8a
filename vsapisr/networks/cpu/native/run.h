/* The whole network on one image. Every pixel's sums have one order whatever thread works on it: the result does not depend
 * on the number of threads. */
#ifndef VSAPISR_RUN_H
#define VSAPISR_RUN_H

#include "threads.h" /* first: the systems' headers are not for an instruction set */

#include "block.h"
#include "tail.h"

typedef struct Run {
    const Network *network;
    const Image *image;
    ptrdiff_t rows, columns; /* of windows */
    float *padded;           /* the input, (height + 2, width + 2, 4) */
    float *features;         /* (height + 2, width + 2, 64), the border 0 */
    float *conv_input;       /* the same in the precision of activations */
    float *x, *y;            /* (rows, columns, 64, 64) */
    float *window_out;       /* (rows, columns, 32, 64) of a shifted block's windows */
    float *private;          /* of each thread: private_floats each */
} Run;

static size_t aligned(size_t floats) {
    return (floats + 31) / 16 * 16;
}

static size_t private_floats(ptrdiff_t width) {
    const size_t body = aligned(sizeof(Room) / sizeof(float)) + aligned((size_t)2 * width * CHANNELS) + WINOGRAD_FLOATS;
    return aligned(tail_floats(width)) > body ? aligned(tail_floats(width)) : body;
}

/* Places everything, if there is memory; returns the floats it takes. */
static size_t lay_out(Run *run, float *memory, ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads) {
    const size_t pixels = (size_t)(height + 2) * (width + 2), own = (size_t)height * width;
    const size_t sizes[] = {pixels * 4,
                            pixels * CHANNELS,
                            pixels * PIXEL,
                            own * CHANNELS,
                            own * CHANNELS,
                            own * 32,
                            private_floats(width) * threads};
    float **places[] = {&run->padded, &run->features,   &run->conv_input, &run->x,
                        &run->y,      &run->window_out, &run->private};
    size_t used = 0;
    for (int i = 0; i < 7; i++) {
        if (memory)
            *places[i] = memory + used;
        used += aligned(sizes[i]);
    }
    return used;
}

static float *window_of(float *base, const Run *run, ptrdiff_t row, ptrdiff_t column, int channels) {
    row = (row + run->rows) % run->rows, column = (column + run->columns) % run->columns;
    return base + (row * run->columns + column) * channels * TOKENS;
}

/* Window layout to rows of pixels in the precision of activations. */
static void window_to_image(const Run *run, const float *x, ptrdiff_t row, ptrdiff_t column, Room *room) {
    for (int c = 0; c < CHANNELS; c += 4)
        for (int t = 0; t < TOKENS; t += 4)
            transpose4(x + c * TOKENS + t, TOKENS, room->joined + t * CHANNELS + c, CHANNELS, 0);
    const float *from = as_left(room->joined, TOKENS, CHANNELS, room->result);
    for (int y = 0; y < 8; y++)
        memcpy(run->conv_input + ((row * 8 + y + 1) * (run->image->width + 2) + column * 8 + 1) * PIXEL,
               from + y * 8 * PIXEL, 8 * PIXEL * sizeof(float));
}

static void zero_border(float *image, ptrdiff_t height, ptrdiff_t width, int pixel) {
    memset(image, 0, (width + 2) * pixel * sizeof *image);
    memset(image + (height + 1) * (width + 2) * pixel, 0, (width + 2) * pixel * sizeof *image);
    for (ptrdiff_t y = 1; y <= height; y++)
        for (int right = 0; right < 2; right++)
            memset(image + (y * (width + 2) + right * (width + 1)) * pixel, 0, pixel * sizeof *image);
}

static void first_convolution(const Run *run, Team *team) {
    const ptrdiff_t height = run->image->height, width = run->image->width;
    for (ptrdiff_t y; (y = team_next(team)) < height;) {
        float *row = run->padded + ((y + 1) * (width + 2) + 1) * 4;
        for (ptrdiff_t x = 0; x < width; x++)
            for (int c = 0; c < 4; c++)
                row[x * 4 + c] = c < 3 ? run->image->input[(c * height + y) * width + x] : 0;
    }
    team_wait(team);
    for (ptrdiff_t y; (y = team_next(team)) < height;) {
        const float *base = run->padded + y * (width + 2) * 4;
        const float *rows[3] = {base, base + (width + 2) * 4, base + (width + 2) * 8};
        first_row(rows, run->network->first_weight, run->network->first_bias, (int)width,
                  run->features + ((y + 1) * (width + 2) + 1) * CHANNELS);
    }
    team_wait(team);
}

/* LayerNorm of the features, into window layout, twice: the first stage's input and what its blocks work on. */
static void start(const Run *run, Team *team, Room *room) {
    const ptrdiff_t width = run->image->width;
    for (ptrdiff_t w; (w = team_next(team)) < run->rows * run->columns;) {
        const ptrdiff_t row = w / run->columns, column = w % run->columns;
        for (int t = 0; t < TOKENS; t += 4) {
            const float *from =
                run->features + ((row * 8 + t / 8 + 1) * (width + 2) + column * 8 + t % 8 + 1) * CHANNELS;
            for (int c = 0; c < CHANNELS; c += 4)
                transpose4(from + c, CHANNELS, room->joined + c * TOKENS + t, TOKENS, 0);
        }
        add_normed(run->x + w * WINDOW, room->joined, run->network->norm_start_weight, run->network->norm_start_bias,
                   0);
        memcpy(run->y + w * WINDOW, run->x + w * WINDOW, WINDOW * sizeof(float));
    }
    team_wait(team);
}

static void run_block(const Run *run, const Block *block, Team *team, Room *room) {
    const ptrdiff_t windows = run->rows * run->columns;
    const float *quarters[4];
    if (block->shifted) {
        for (ptrdiff_t w; (w = team_next(team)) < windows;) {
            const ptrdiff_t row = w / run->columns, column = w % run->columns;
            const int class = (row == run->rows - 1) * 2 + (column == run->columns - 1);
            for (int i = 0; i < 4; i++)
                quarters[i] = window_of(run->y, run, row + i / 2, column + i % 2, 64);
            from_quarters(quarters, 64, room->shifted);
            window_branch(block, as_right(room->shifted, 64, TOKENS, room->operand),
                          block->window_position + class * 2 * TOKENS * TOKENS, run->window_out + w * WINDOW / 2, room);
        }
        team_wait(team);
    }
    for (ptrdiff_t w; (w = team_next(team)) < windows;) {
        if (block->shifted) {
            for (int i = 0; i < 4; i++)
                quarters[i] =
                    window_of(run->window_out, run, w / run->columns - 1 + i / 2, w % run->columns - 1 + i % 2, 32);
            from_quarters(quarters, 32, room->joined);
        }
        block_on_window(block, run->y + w * WINDOW, room);
    }
    team_wait(team);
}

/* A row of the image, (width, 64), added to the features or to x. */
static void add_line(const Run *run, const float *line, ptrdiff_t y, int to_features) {
    const ptrdiff_t width = run->image->width;
    if (to_features) {
        float *to = run->features + ((y + 1) * (width + 2) + 1) * CHANNELS;
        for (ptrdiff_t i = 0; i < width * CHANNELS; i += LANES)
            store(to + i, load(to + i) + load(line + i));
        return;
    }
    for (ptrdiff_t column = 0; column < run->columns; column++) {
        float *to = run->x + (y / 8 * run->columns + column) * WINDOW + y % 8 * 8;
        for (int t = 0; t < 8; t += 4)
            for (int c = 0; c < CHANNELS; c += 4)
                transpose4(line + (column * 8 + t) * CHANNELS + c, CHANNELS, to + c * TOKENS + t, TOKENS, 1);
    }
}

/* x += convolution of y, and y = x; or, after the last stage, features += convolution of the normed x. */
static void stage_convolution(const Run *run, ptrdiff_t stage, Team *team, Room *room, float *lines) {
    const Network *net = run->network;
    const ptrdiff_t width = run->image->width, last = stage == net->stages;
    float *work = lines + aligned((size_t)2 * width * CHANNELS);
    for (ptrdiff_t w; (w = team_next(team)) < run->rows * run->columns;) {
        const float *from = run->y + w * WINDOW;
        if (last)
            add_normed(room->shifted, run->x + w * WINDOW, net->norm_end_weight, net->norm_end_bias, 0);
        window_to_image(run, last ? room->shifted : from, w / run->columns, w % run->columns, room);
    }
    team_wait(team);
    for (ptrdiff_t row; (row = team_next(team)) < run->rows;) {
        for (ptrdiff_t y = row * 8; y < row * 8 + 8; y += 2) {
            const float *rows[4];
            Sink sinks[2];
            for (int i = 0; i < 4; i++)
                rows[i] = run->conv_input + (y + i) * (width + 2) * PIXEL;
            for (int i = 0; i < 2; i++)
                sinks[i] = (Sink){lines + i * width * CHANNELS, CHANNELS, 0, 1};
            two_rows(rows, net->stage_weight[stage], net->stage_bias[stage], (int)width, sinks, work);
            for (int i = 0; i < 2; i++)
                add_line(run, lines + i * width * CHANNELS, y + i, last);
        }
        if (!last)
            memcpy(run->y + row * run->columns * WINDOW, run->x + row * run->columns * WINDOW,
                   run->columns * WINDOW * sizeof(float));
    }
    team_wait(team);
}

static void run_tail(const Run *run, Team *team, float *room) {
    const ptrdiff_t height = run->image->height, width = run->image->width;
#if defined(VSAPISR_AVX512_BF16)
    for (ptrdiff_t y; (y = team_next(team)) < height;)
        as_left(run->features + ((y + 1) * (width + 2) + 1) * CHANNELS, (int)width, CHANNELS,
                run->conv_input + ((y + 1) * (width + 2) + 1) * PIXEL);
    team_wait(team);
    const float *image = run->conv_input;
#else
    const float *image = run->features;
#endif
    ptrdiff_t band = height / (run->image->threads * 4); /* rows around a band are made twice: not too small */
    band = band < 16 ? 16 : band > 64 ? 64 : band;
    Tail tail;
    tail_begin(&tail, run->network, image, height, width, room);
    for (ptrdiff_t top; (top = band * team_next(team)) < height;)
        tail_band(&tail, top, top + band < height ? top + band : height, run->image->output);
}

static void run_member(void *job, Team *team, int number) {
    const Run *run = job;
    float *memory = run->private + number * private_floats(run->image->width);
    Room *room = (Room *)memory;
    float *lines = memory + aligned(sizeof(Room) / sizeof(float));
    products_begin();
    first_convolution(run, team);
    start(run, team, room);
    const Block *block = run->network->blocks;
    for (ptrdiff_t stage = 0; stage < run->network->stages; stage++) {
        for (ptrdiff_t i = 0; i < run->network->depths[stage]; i++)
            run_block(run, block++, team, room);
        stage_convolution(run, stage, team, room, lines);
    }
    stage_convolution(run, run->network->stages, team, room, lines);
    run_tail(run, team, memory);
    products_end();
}

size_t WORKSPACE(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads) {
    Run run;
    return lay_out(&run, NULL, height, width, threads) * sizeof(float);
}

void RUN(const Network *network, const Image *image) {
    Run run = {.network = network, .image = image, .rows = image->height / 8, .columns = image->width / 8};
    lay_out(&run, image->workspace, image->height, image->width, image->threads);
    zero_border(run.padded, image->height, image->width, 4);
    zero_border(run.features, image->height, image->width, CHANNELS);
    zero_border(run.conv_input, image->height, image->width, PIXEL);
    team_run((int)image->threads, run_member, &run);
}

#if defined(__clang__)
#pragma clang attribute pop /* of vector.h */
#endif

#endif
