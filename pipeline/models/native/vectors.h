// LANES floats (a power of two) at a time, in the compiler's own vectors.
#pragma once
#include <cstring>

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int Integers __attribute__((vector_size(4 * LANES)));

static inline Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

static inline void store(float* to, const Vector& value) { std::memcpy(to, &value, sizeof value); }

static inline Vector elu(const Vector& x) {
    Vector low = x < 0.0f ? x : Vector{};
    low = low > -87.0f ? low : Vector{} - 87.0f;
    const Integers power = __builtin_convertvector(low * 1.44269504f - 0.5f, Integers);
    const Vector n = __builtin_convertvector(power, Vector), r = low - n * 0.693359375f + n * 2.12194440e-4f;
    const Vector tail = ((((1.3888889e-3f * r + 8.3333333e-3f) * r + 4.1666667e-2f) * r + 1.6666667e-1f) * r + 0.5f);
    const Integers bits = (power + 127) << 23;
    Vector scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return x <= 0.0f ? scale * (r + r * r * tail) + (scale - 1.0f) : x;  // x where it is not a number
}

// The derivative of elu, from its value, which is never below -1.
static inline Vector slope(const Vector& value) { return value > 0.0f ? Vector{} + 1.0f : value + 1.0f; }
