// What lies between the convolutions of colour models in one pass: sums, a gate, ELU; and its gradients.
// Compiled with BFLOAT16, 1 or 0 for float32, by activations.py; all sums are made in float32.
//
// Arrays hold the channels of a pixel side by side, pixel after pixel. `gate` holds a and then b, twice the channels.
//     h = inputs[0] + inputs[1] + … + a σ(b)         out = ELU(h), and where `both` is 1 then ELU(−h) beside it
#include <cstdint>
#include <type_traits>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#define LANES 16
#include "vectors.h"

#if BFLOAT16
typedef uint16_t Number;
#else
typedef float Number;
#endif
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t Halves __attribute__((vector_size(2 * WIDTH)));

#if BFLOAT16
static inline Vector widened(const Halves& halves) {
    const Words words = __builtin_convertvector(halves, Words) << 16;
    Vector value;
    std::memcpy(&value, &words, sizeof value);
    return value;
}

// To the nearest, of two as near the even one. What is not a number stays none, as its last bits come from a Half: 0.
static inline Halves narrowed(const Vector& value) {
#if defined(__AVX512BF16__)
    const auto halves = _mm512_cvtneps_pbh((__m512)value);
    Halves result;
    std::memcpy(&result, &halves, sizeof result);
    return result;
#else
    Words words;
    std::memcpy(&words, &value, sizeof words);
    return __builtin_convertvector((words + 0x7fff + ((words >> 16) & 1)) >> 16, Halves);
#endif
}
typedef Halves Stored;
#else
static inline Vector widened(const Vector& value) { return value; }
static inline Vector narrowed(const Vector& value) { return value; }
typedef Vector Stored;
#endif

template <class Count>
static inline Vector read(const Number* from, Count count) {
    Stored value{};
    std::memcpy(&value, from, count * sizeof(Number));
    return widened(value);
}

template <class Count>
static inline void write(Number* to, const Vector& value, Count count) {
    const Stored stored = narrowed(value);
    std::memcpy(to, &stored, count * sizeof(Number));
}

// work(first channel, how many) on all channels, a vector at a time
template <class Work>
static inline void in_vectors(long channels, Work work) {
    long c = 0;
    for (; c + WIDTH <= channels; c += WIDTH) work(c, std::integral_constant<long, WIDTH>{});
    if (c < channels) work(c, channels - c);
}

// exp(−|x|) − 1, not a number where x is none
static inline Vector fallen(const Vector& x) {
    const Vector low = x > 0.0f ? -x : x;
    return exponential_less_one(low < -87.0f ? Vector{} - 87.0f : low);
}

static inline Vector sigmoid(const Vector& x) {
    const Vector small = fallen(x) + 1.0f;
    return (x > 0.0f ? Vector{} + 1.0f : small) / (small + 1.0f);
}

// Pixels start … stop − 1. Of `gate` and `h` either may be null: there is no gate, nobody asks for h.
extern "C" void forward(long start, long stop, long channels, int both, int inputs, const Number* const* input,
                        const Number* gate, Number* h, Number* out) {
    for (long pixel = start; pixel < stop; pixel++) {
        const long at = pixel * channels;
        const Number* a = gate ? gate + 2 * at : nullptr;
        Number* to = out + (1 + both) * at;
        in_vectors(channels, [&](long c, auto count) {
            Vector sum = read(input[0] + at + c, count);
            for (int i = 1; i < inputs; i++) sum += read(input[i] + at + c, count);
            if (a) sum += read(a + c, count) * sigmoid(read(a + channels + c, count));
            if (h) write(h + at + c, sum, count);
            const Vector below = fallen(sum);
            write(to + c, sum > 0.0f ? sum : below, count);
            if (both) write(to + channels + c, sum > 0.0f ? below : -sum, count);
        });
    }
}

// The gradient by each of the inputs, `by_input`, and by the gate, from those by h (null: 0) and out.
extern "C" void backward(long start, long stop, long channels, int both, const Number* gate, const Number* out,
                         const Number* by_h, const Number* by_out, Number* by_input, Number* by_gate) {
    for (long pixel = start; pixel < stop; pixel++) {
        const long at = pixel * channels, wide = (1 + both) * at;
        in_vectors(channels, [&](long c, auto count) {
            Vector g = read(by_out + wide + c, count) * slope(read(out + wide + c, count));
            const long other = wide + channels + c;
            if (both) g -= read(by_out + other, count) * slope(read(out + other, count));
            if (by_h) g += read(by_h + at + c, count);
            write(by_input + at + c, g, count);
            if (!gate) return;
            const Vector a = read(gate + 2 * at + c, count);
            const Vector open = sigmoid(read(gate + 2 * at + channels + c, count));
            write(by_gate + 2 * at + c, g * open, count);
            write(by_gate + 2 * at + channels + c, g * a * open * (1.0f - open), count);
        });
    }
}
