/* Uniforms and Box-Muller normals of the stream's words, a tile at a time.

   Computed in double precision for every element type, in loops that the
   compiler vectorises; ln, sin and cos are the polynomials of fdlibm (Sun
   Microsystems, 1993), exact to a few units in the last place. */
#ifndef FASTDROP_NORMAL_H
#define FASTDROP_NORMAL_H

#include <math.h>

#include "lanes.h"

enum { NORMAL_TILE = 512, NORMAL_WORDS = NORMAL_TILE + 64, WORDS_PER_BLOCK = 4 };

static inline double uniform_of(const uint16_t *digits, int64_t word) {
    uint32_t bits = (uint32_t)digits[2 * word + 1] << 16 | digits[2 * word];
    return ((double)(int32_t)(bits >> 9) + 0.5) * 0x1p-23;
}

/* Digits of the blocks from that of `word` on; word is word `word % 4` of them. */
static int64_t tile_words(const fd_stream *s, uint64_t word, int64_t n,
                          uint16_t digits[2 * NORMAL_WORDS]) {
    uint64_t block = word / WORDS_PER_BLOCK;
    int64_t skip = (int64_t)(word % WORDS_PER_BLOCK);
    /* 64 digits are 32 words. One word more, so that the last has its pair. */
    for (int64_t j = 0; j < n + skip + 1; j += 32)
        digits64(s, block + (uint64_t)(j / WORDS_PER_BLOCK), digits + 2 * j);
    return skip;
}

static void tile_uniforms(const fd_stream *s, uint64_t word, int64_t n, double *out) {
    uint16_t digits[2 * NORMAL_WORDS];
    int64_t skip = tile_words(s, word, n, digits);
    for (int64_t j = 0; j < n; j++) out[j] = uniform_of(digits, j + skip);
}

/* ln u for a normal u > 0. */
static inline double logarithm(double u) {
    const uint64_t root_half = UINT64_C(0x3FE6A09E667F3BCD), one = UINT64_C(0x3FF0000000000000);
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    bits += one - root_half;
    double k = (double)((int32_t)(bits >> 52) - 0x3FF);
    bits = (bits & UINT64_C(0x000FFFFFFFFFFFFF)) + root_half;
    double m;
    memcpy(&m, &bits, sizeof m);
    double f = m - 1.0, s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double r = z * (6.666666666666735130e-01 +
                    z * (3.999999999940941908e-01 +
                         z * (2.857142874366239149e-01 +
                              z * (2.222219843214978396e-01 +
                                   z * (1.818357216161805012e-01 +
                                        z * (1.531383769920937332e-01 +
                                             z * 1.479819860511658591e-01))))));
    return k * 6.93147180369123816490e-01 -
           ((half - (s * (half + r) + k * 1.90821492927058770002e-10)) - f);
}

/* Normals `word` to `word + n`: radius times cosine for even ones, sine for odd. */
static void tile_normals(const fd_stream *s, uint64_t word, int64_t n, double *out) {
    uint16_t digits[2 * NORMAL_WORDS];
    double pairs[NORMAL_WORDS];
    int64_t skip = tile_words(s, word, n, digits);
    for (int64_t j = 0; j < (n + skip + 1) / 2; j++) {
        double radius = sqrt(-2.0 * logarithm(uniform_of(digits, 2 * j)));
        /* The angle in quarter turns, and how far it is from a whole one. */
        double turns = 4.0 * uniform_of(digits, 2 * j + 1);
        int32_t quarter = (int32_t)(turns + 0.5);
        double t = (turns - (double)quarter) * 1.57079632679489661923, z = t * t;
        double sine =
            t + t * z * (-1.66666666666666324348e-01 +
                         z * (8.33333333332248946124e-03 +
                              z * (-1.98412698298579493134e-04 +
                                   z * (2.75573137070700676789e-06 +
                                        z * (-2.50507602534068634195e-08 +
                                             z * 1.58969099521155010221e-10)))));
        double cosine =
            1.0 - 0.5 * z +
            z * z * (4.16666666666666019037e-02 +
                     z * (-1.38888888888741095749e-03 +
                          z * (2.48015872894767294178e-05 +
                               z * (-2.75573143513906633035e-07 +
                                    z * (2.08757232129817482790e-09 +
                                         z * -1.13596475577881948265e-11)))));
        double c = quarter & 1 ? sine : cosine, d = quarter & 1 ? cosine : sine;
        pairs[2 * j] = radius * ((quarter + 1) & 2 ? -c : c);
        pairs[2 * j + 1] = radius * (quarter & 2 ? -d : d);
    }
    memcpy(out, pairs + skip, (size_t)n * sizeof *out);
}

#endif
