/* Noise by table. */

/* ``kind`` is the type of the random numbers, ``INDEX`` what they and the level make. */
#define ADD_ROW(NAME, kind, INDEX)                                                                                       \
    static void NAME(const float *image, const Noise *noise, const kind *random, const uint8_t *levels, long width,     \
                     const float *table, float *result) {                                                                \
        float amount = noise->amount;                                                                                    \
        (void)levels;                                                                                                    \
        if (noise->grey) {                                                                                               \
            for (long i = 0; i < width; i++) {                                                                           \
                float more = amount * table[INDEX];                                                                      \
                for (int c = 0; c < 3; c++) result[3 * i + c] = image[3 * i + c] + more;                                 \
            }                                                                                                            \
        } else {                                                                                                         \
            for (long i = 0; i < 3 * width; i++) result[i] = image[i] + amount * table[INDEX];                           \
        }                                                                                                                \
    }
ADD_ROW(add_row, uint16_t, random[i])
ADD_ROW(add_row_by_level, uint8_t, 256 * levels[i] + random[i])

static void add_noise(const Picture *picture, const Noise *noise) {
    long width = picture->width, each = noise->grey ? width : 3 * width;
    for (long y = 0; y < picture->height; y++) {
        const float *table = noise->tables + 65536L * noise->order[y / noise->strip];
        float *result = picture->result + y * 3 * width;
        const float *image = result;
        if (picture->bytes) read_values(result, picture, y * 3 * width, 3 * width);
        else image = (const float *)picture->image + y * 3 * width;
        if (noise->levels)
            add_row_by_level(image, noise, (const uint8_t *)noise->random + y * each, noise->levels + y * each, width, table,
                             result);
        else add_row(image, noise, (const uint16_t *)noise->random + y * each, NULL, width, table, result);
    }
}
