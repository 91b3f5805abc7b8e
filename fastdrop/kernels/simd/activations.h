/* exp, tanh and the logistic function, in loops that the compiler vectorises.

   The polynomials are those of Cephes (Moshier, 1989): a few units in the last
   place, relative to the value also where it is near 0. NaN stays NaN. */
#ifndef FASTDROP_ACTIVATIONS_H
#define FASTDROP_ACTIVATIONS_H

#include <stdint.h>
#include <string.h>

/* 2^n, for a sum n + 1.5 * 2^23 that rounded n to an integer: its low bits are n. */
static inline float power_float(float sum) {
    uint32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    bits = (bits + 127) << 23;
    memcpy(&sum, &bits, sizeof sum);
    return sum;
}

static inline double power_double(double sum) {
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&sum, &bits, sizeof sum);
    return sum;
}

/* Between the smallest and the largest normal number. Comparisons that NaN fails. */
static inline float exp_of_float(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float rounder = 0x1.8p23f, sum = x * 1.44269504088896341f + rounder;
    const float n = sum - rounder;
    x -= n * 0.693359375f;
    x -= n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    return (p * x * x + x + 1.0f) * power_float(sum);
}

static inline double exp_of_double(double x) {
    x = x < -708.0 ? -708.0 : x;
    x = x > 709.0 ? 709.0 : x;
    const double rounder = 0x1.8p52, sum = x * 1.4426950408889634073599 + rounder;
    const double n = sum - rounder;
    x -= n * 6.93145751953125e-1;
    x -= n * 1.42860682030941723212e-6;
    const double z = x * x;
    const double p = x * ((1.26177193074810590878e-4 * z + 3.02994407707441961300e-2) * z +
                          9.99999999999999999910e-1);
    const double q = ((3.00198505138664455042e-6 * z + 2.52448340349684104192e-3) * z +
                      2.27265548208155028766e-1) * z + 2.00000000000000000005;
    return (1.0 + 2.0 * p / (q - p)) * power_double(sum);
}

static inline float sigmoid_of_float(float x) { return 1.0f / (1.0f + exp_of_float(-x)); }
static inline double sigmoid_of_double(double x) { return 1.0 / (1.0 + exp_of_double(-x)); }

/* Near 0 by a polynomial: 1 - 2 / (e^2x + 1) would lose its digits. */
static inline float tanh_of_float(float x) {
    const float a = x < 0 ? -x : x, z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float near = p * z * x + x, far = 1.0f - 2.0f / (exp_of_float(2.0f * a) + 1.0f);
    return a < 0.625f ? near : x < 0 ? -far : far;
}

static inline double tanh_of_double(double x) {
    const double a = x < 0 ? -x : x, z = x * x;
    const double p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z -
                     1.61468768441708447952e3;
    const double q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z +
                     4.84406305325125486048e3;
    const double near = x + x * z * (p / q), far = 1.0 - 2.0 / (exp_of_double(2.0 * a) + 1.0);
    return a < 0.625 ? near : x < 0 ? -far : far;
}

#endif
