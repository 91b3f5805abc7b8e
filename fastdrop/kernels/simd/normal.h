/* Uniforms and Box-Muller normals of the stream's words, a tile at a time.

   In loops that the compiler vectorises, AVX2's too: all numbers of a loop have
   one width, integers among them. ln, sin and cos in double precision are the
   polynomials of fdlibm (Sun Microsystems, 1993), in single precision its ln
   and the sin and cos of Cephes (Moshier, 1992); all are exact to a few units
   in the last place. */
#ifndef FASTDROP_NORMAL_H
#define FASTDROP_NORMAL_H

#include <math.h>

#include "lanes.h"

enum { NORMAL_TILE = 512, NORMAL_WORDS = NORMAL_TILE + 64, WORDS_PER_BLOCK = 4 };

/* A uniform in (0, 1), exact in single precision. */
static inline float uniform_of(const uint16_t *digits, int64_t word) {
    uint32_t bits = (uint32_t)digits[2 * word + 1] << 16 | digits[2 * word];
    return ((float)(int32_t)(bits >> 9) + 0.5f) * 0x1p-23f;
}

/* Digits of the blocks from that of `word` on; word is word `word % 4` of them. */
static int64_t tile_words(const fd_stream *s, uint64_t word, int64_t n,
                          uint16_t digits[2 * NORMAL_WORDS]) {
    uint64_t block = word / WORDS_PER_BLOCK;
    int64_t skip = (int64_t)(word % WORDS_PER_BLOCK);
    /* One word more, so that the last has its pair. */
    digits_from(s, block, 2 * (n + skip + 1), digits);
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
    /* The exponent as a double: AVX2 converts no 64-bit integers. */
    const double shift = 0x1p52;
    uint64_t exponent = bits >> 52, base;
    memcpy(&base, &shift, sizeof base);
    exponent |= base;
    double k;
    memcpy(&k, &exponent, sizeof k);
    k -= shift + 0x3FF;
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

static inline float logarithmf(float u) {
    const uint32_t root_half = 0x3F3504F3, one = 0x3F800000;
    uint32_t bits;
    memcpy(&bits, &u, sizeof bits);
    bits += one - root_half;
    float k = (float)((int32_t)(bits >> 23) - 0x7F);
    bits = (bits & 0x007FFFFF) + root_half;
    float m;
    memcpy(&m, &bits, sizeof m);
    float f = m - 1.0f, s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    float r = z * (6.6666662693e-01f +
                   z * (4.0000972152e-01f + z * (2.8498786688e-01f + z * 2.4279078841e-01f)));
    return k * 6.9313812256e-01f - ((half - (s * (half + r) + k * 9.0580006145e-06f)) - f);
}

/* Normals `word` to `word + n`: radius times cosine for even ones, sine for odd.
   The angle is in quarter turns, and how far it is from a whole one. */
static void tile_normals_double(const fd_stream *s, uint64_t word, int64_t n, double *out) {
    uint16_t digits[2 * NORMAL_WORDS];
    double u[NORMAL_WORDS], pairs[NORMAL_WORDS];
    int64_t skip = tile_words(s, word, n, digits), count = (n + skip + 1) / 2;
    for (int64_t j = 0; j < 2 * count; j++) u[j] = uniform_of(digits, j);
    for (int64_t j = 0; j < count; j++) {
        double radius = sqrt(-2.0 * logarithm(u[2 * j]));
        /* Adding it rounds to whole numbers, which are its lowest bits. */
        const double whole = 0x1.8p52;
        double turns = 4.0 * u[2 * j + 1], rounded = turns + whole;
        uint64_t quarter;
        memcpy(&quarter, &rounded, sizeof quarter);
        double t = (turns - (rounded - whole)) * 1.57079632679489661923, z = t * t;
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

static void tile_normals_float(const fd_stream *s, uint64_t word, int64_t n, float *out) {
    uint16_t digits[2 * NORMAL_WORDS];
    float u[NORMAL_WORDS], pairs[NORMAL_WORDS];
    int64_t skip = tile_words(s, word, n, digits), count = (n + skip + 1) / 2;
    for (int64_t j = 0; j < 2 * count; j++) u[j] = uniform_of(digits, j);
    for (int64_t j = 0; j < count; j++) {
        float radius = sqrtf(-2.0f * logarithmf(u[2 * j]));
        float turns = 4.0f * u[2 * j + 1];
        int32_t quarter = (int32_t)(turns + 0.5f);
        float t = (turns - (float)quarter) * 1.57079632679489661923f, z = t * t;
        float sine = t + t * z * (-1.6666654611e-1f + z * (8.3321608736e-3f + z * -1.9515295891e-4f));
        float cosine = 1.0f - 0.5f * z +
                       z * z * (4.166664568298827e-2f +
                                z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
        float c = quarter & 1 ? sine : cosine, d = quarter & 1 ? cosine : sine;
        pairs[2 * j] = radius * ((quarter + 1) & 2 ? -c : c);
        pairs[2 * j + 1] = radius * (quarter & 2 ? -d : d);
    }
    memcpy(out, pairs + skip, (size_t)n * sizeof *out);
}

#endif
