/* Noise by table. The random numbers are SplitMix64's (Steele, Lea and Flood 2014): any of them can be had from its place in
 * the sequence, so that they are made many at a time, here and by NumPy the same. */

static void fill_random(uint64_t start, uint64_t place, uint64_t *to, long n) {
    for (long i = 0; i < n; i++) {
        uint64_t z = start + (place + (uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        to[i] = z ^ (z >> 31);
    }
}

/* ``kind`` is the type of the random numbers, ``INDEX`` what they and the level make. */
#define ADD_ROW(NAME, kind, INDEX) \
    static void NAME(const float *image, const Noise *noise, const kind *random, const uint8_t *levels, long width, \
                     const float *table, float *result) { \
        float amount = noise->amount; \
        (void)levels; \
        if (noise->grey) { \
            for (long i = 0; i < width; i++) { \
                float more = amount * table[INDEX]; \
                for (int c = 0; c < 3; c++) \
                    result[3 * i + c] = image[3 * i + c] + more; \
            } \
        } else { \
            for (long i = 0; i < 3 * width; i++) \
                result[i] = image[i] + amount * table[INDEX]; \
        } \
    }
ADD_ROW(add_row, uint16_t, random[i])
ADD_ROW(add_row_by_level, uint8_t, 256 * levels[i] + random[i])

static int add_noise(const Picture *picture, const Noise *noise) {
    long width = picture->width, each = noise->grey ? width : 3 * width, of_64 = noise->levels ? 8 : 4;
    long numbers = noise->strip * each / of_64; /* of a strip */
    uint64_t *random = malloc(numbers * sizeof(*random));
    if (!random)
        return 1;
    for (long y = 0; y < picture->height; y++) {
        long strip = y / noise->strip, within = y % noise->strip * each;
        if (within == 0)
            fill_random(noise->start, (uint64_t)strip * numbers, random, numbers);
        const float *table = noise->tables + 65536L * noise->order[strip];
        float *result = picture->result + y * 3 * width;
        const float *image = result;
        if (picture->bytes)
            read_values(result, picture, y * 3 * width, 3 * width);
        else
            image = (const float *)picture->image + y * 3 * width;
        if (noise->levels)
            add_row_by_level(image, noise, (const uint8_t *)random + within, noise->levels + y * each, width, table,
                             result);
        else
            add_row(image, noise, (const uint16_t *)random + within, NULL, width, table, result);
    }
    free(random);
    return 0;
}
