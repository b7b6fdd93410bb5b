// As many floats at a time as the processor's registers hold, no more than LANES (a power of two), in the compiler's own
// vectors: longer ones would go through memory.
#pragma once
#include <cstring>
#include <type_traits>

#if defined(__AVX512F__)
constexpr int REGISTERS = 32, FLOATS = 16;
#elif defined(__AVX2__)
constexpr int REGISTERS = 16, FLOATS = 8;
#elif defined(__ARM_NEON)
constexpr int REGISTERS = 32, FLOATS = 4;
#else
constexpr int REGISTERS = 16, FLOATS = 4;
#endif
constexpr int WIDTH = FLOATS < LANES ? FLOATS : LANES;

typedef float Vector __attribute__((vector_size(4 * WIDTH)));
typedef int Integers __attribute__((vector_size(4 * WIDTH)));

static inline Vector load(const float* from) {
    Vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

static inline void store(float* to, const Vector& value) { std::memcpy(to, &value, sizeof value); }

static inline void add(float* to, const Vector& value) { store(to, load(to) + value); }

// exp(low) − 1 for low from −87 to 0
static inline Vector exponential_less_one(const Vector& low) {
    const Integers power = __builtin_convertvector(low * 1.44269504f - 0.5f, Integers);
    const Vector n = __builtin_convertvector(power, Vector), r = low - n * 0.693359375f + n * 2.12194440e-4f;
    const Vector tail = ((((1.3888889e-3f * r + 8.3333333e-3f) * r + 4.1666667e-2f) * r + 1.6666667e-1f) * r + 0.5f);
    const Integers bits = (power + 127) << 23;
    Vector scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale * (r + r * r * tail) + (scale - 1.0f);
}

static inline Vector elu(const Vector& x) {
    Vector low = x < 0.0f ? x : Vector{};
    low = low > -87.0f ? low : Vector{} - 87.0f;
    return x <= 0.0f ? exponential_less_one(low) : x;  // x where it is not a number
}

// The derivative of elu, from its value, which is never below -1.
static inline Vector slope(const Vector& value) { return value > 0.0f ? Vector{} + 1.0f : value + 1.0f; }

// work(how many, from where) on all of `count`, as many at once as have sums in registers, beside a weight and an input
template <class Work>
static inline void in_groups(int count, Work work) {
    int at = 0;
    for (; at + 14 <= count; at += 14) work(std::integral_constant<int, 14>{}, at);
    for (; at + 7 <= count; at += 7) work(std::integral_constant<int, 7>{}, at);
    for (; at + 4 <= count; at += 4) work(std::integral_constant<int, 4>{}, at);
    for (; at < count; at++) work(std::integral_constant<int, 1>{}, at);
}
