// log p(x|z) of one image under many z, in bfloat16: the generator's blocks and the PixelCNN behind them. Only for
// processors with AVX512_BF16; compiled by sampled.py, which says what is computed.
//
// 16 draws of z go side by side, one in each lane, so that no lane is idle whatever the widths. Activations that are
// multiplied are bfloat16, two channels in each 32 bits of a lane; sums are float32. The PixelCNN goes row after row
// through all its layers, which see no row below, so that only the last few rows of a layer have to be in the cache.
// Weights are w[outputs / 4][taps][pairs of inputs][4] of pairs of bfloat16; biases are apart.
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#define LANES 16
#include "vectors.h"

constexpr int OUT = 4;  // outputs whose sums are in registers at once

struct Block {
    int enlarge, inputs, outputs, height, width, out_height, out_width;
};

struct Shape {
    int count, height, width, channels, maps, outputs, taps, steps;
    const Block* blocks;
    const int* offsets;  // of each tap: row, column
    const int* pairs;    // of each step: 1 if it is a pair of 1x1 convolutions
};

struct Tap {
    int row, column, kernel;
};
using Taps = std::vector<Tap>;

// e^x - 1 below zero, to the precision of bfloat16
static inline Vector rough_elu(const Vector& x) {
    const __m512 scaled = (__m512)x * 1.44269504f;
    const __m512 r = _mm512_reduce_ps(scaled, 0x01);  // minus floor
    const __m512 power = _mm512_scalef_ps(((0.0790182f * r + 0.2244941f) * r + 0.6964879f) * r + 0.9998904f, scaled);
    const __mmask16 above = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return (Vector)_mm512_mask_blend_ps(above, power - 1.0f, (__m512)x);
}

// two channels of 16 draws, rounded to bfloat16
static inline void pack(int* to, const Vector& even, const Vector& odd) {
    const Integers half = Integers{} + 0x8000;
    Integers low, high;
    std::memcpy(&low, &even, sizeof low);
    std::memcpy(&high, &odd, sizeof high);
    low = (Integers)_mm512_srli_epi32((__m512i)(low + half), 16);
    high = (low & 0xffff) | ((high + half) & int(0xffff0000));
    std::memcpy(to, &high, sizeof high);
}

// the ELU of the sums of OUT outputs, of those that there are: first … channels − 1
static inline void pack_activated(int* to, int first, int channels, const Vector* sum, const float* bias) {
    const auto of = [&](int o) { return rough_elu(sum[o] + bias[first + o]); };
    for (int o = 0; o < OUT && first + o < channels; o += 2) pack(to + (first + o) / 2 * LANES, of(o), of(o + 1));
}

// channels of pixels, zero in a margin; of `kept` rows, which later rows overwrite
struct Plane {
    int pairs, margin, kept, pitch;
    std::vector<Integers> values;

    Plane(int kept, int width, int channels, int margin)
        : pairs((channels + 1) / 2), margin(margin), kept(kept), pitch(width + 2 * margin),
          values(size_t(kept) * pitch * pairs) {}
    int* at(int row, int column) {
        return (int*)&values[((row + margin) % kept * pitch + column + margin) * pairs];
    }
    void clear() { std::fill(values.begin(), values.end(), Integers{}); }
};

struct Layer {
    const int* weights;
    const float* bias;
    int taps, pairs, outputs;
};

// the layers one after the other, from the arrays that hold them
struct Layers {
    const int* weights;
    const float* biases;

    Layer next(int inputs, int outputs, int taps) {
        const Layer layer{weights, biases, taps, (inputs + 1) / 2, outputs};
        const int stored = (outputs + OUT - 1) / OUT * OUT;
        weights += stored * taps * layer.pairs, biases += stored;
        return layer;
    }
};

template <int N, class Use>
static inline void sums(Plane& source, const Layer& layer, const Taps& taps, int first, int row, int column, Use use) {
    __m512 sum[N][OUT];
    for (auto& of : sum)
        for (auto& one : of) one = _mm512_setzero_ps();
    const int step = source.pairs * LANES;
    for (const Tap& tap : taps) {
        const int* a = source.at(row + tap.row, column + tap.column);
        const int* w = layer.weights + (first * layer.taps + OUT * tap.kernel) * layer.pairs;
        for (int pair = 0; pair < layer.pairs; pair++, a += LANES, w += OUT) {
            __m512bh weight[OUT];
            for (int o = 0; o < OUT; o++) weight[o] = (__m512bh)_mm512_set1_epi32(w[o]);
#pragma GCC unroll 6
            for (int p = 0; p < N; p++) {
                const __m512bh values = (__m512bh)_mm512_load_si512(a + p * step);
                for (int o = 0; o < OUT; o++) sum[p][o] = _mm512_dpbf16_ps(sum[p][o], values, weight[o]);
            }
        }
    }
#pragma GCC unroll 6
    for (int p = 0; p < N; p++) {  // copies: sums whose address is taken would leave the registers
        const Vector result[OUT] = {(Vector)sum[p][0], (Vector)sum[p][1], (Vector)sum[p][2], (Vector)sum[p][3]};
        use(column + p, result);
    }
}

// use(column, first output, four sums) for a row of pixels
template <class Use>
static void convolve_row(Plane& source, const Layer& layer, const Taps& taps, int row, int width, Use use) {
    for (int first = 0; first < layer.outputs; first += OUT) {
        const auto give = [&](int column, const Vector* sum) { use(column, first, sum); };
        for (int at = 0, left = (width + 5) / 6; left > 0; left--) {  // in equal parts of at most 6, as registers go
            const int count = (width - at + left - 1) / left;
            switch (count) {
                case 6: sums<6>(source, layer, taps, first, row, at, give); break;
                case 5: sums<5>(source, layer, taps, first, row, at, give); break;
                case 4: sums<4>(source, layer, taps, first, row, at, give); break;
                case 3: sums<3>(source, layer, taps, first, row, at, give); break;
                case 2: sums<2>(source, layer, taps, first, row, at, give); break;
                default: sums<1>(source, layer, taps, first, row, at, give);
            }
            at += count;
        }
    }
}

static Taps around() {
    Taps taps;
    for (int k = 0; k < 9; k++) taps.push_back({k / 3 - 1, k % 3 - 1, k});
    return taps;
}

// of an enlarged row (column) 2i + parity: which input rows i + offset it sees through which of the 3 weights
static std::vector<std::pair<int, int>> seen(int parity) {
    if (parity) return {{0, 2}, {1, 0}};
    return {{0, 1}};
}

// float32 sums of an image, [height][width][channels]
struct Image {
    int height, width, channels;
    std::vector<Vector> values;

    Image(int height, int width, int channels)
        : height(height), width(width), channels(channels), values(height * width * stored()) {}
    int stored() const { return (channels + OUT - 1) / OUT * OUT; }
    Vector* at(int row, int column) { return values.data() + (row * width + column) * stored(); }
};

constexpr auto activated = [](const Vector& x) { return rough_elu(x); };

template <class Change>
static void pack_row(Vector* h, int stored, int channels, int width, Plane& to, int row, Change change) {
    for (int column = 0; column < width; column++, h += stored)
        for (int c = 0; c < channels; c += 2)
            pack(to.at(row, column) + c / 2 * LANES, change(h[c]), c + 1 < channels ? change(h[c + 1]) : Vector{});
}

static void pack_image(Image& h, Plane& to, bool activate) {
    for (int row = 0; row < h.height; row++) {
        const auto give = [&](auto change) { pack_row(h.at(row, 0), h.stored(), h.channels, h.width, to, row, change); };
        if (activate) give(activated);
        else give([](const Vector& x) { return x; });
    }
}

static void enlarge(Plane& source, const Layer& layer, int height, int width, Image& out) {
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++) {
            Taps taps;
            for (auto [down, row] : seen(r))
                for (auto [right, column] : seen(c)) taps.push_back({down, right, 3 * row + column});
            const int columns = std::min(width, (out.width - c + 1) / 2);
            for (int row = 0; 2 * row + r < out.height && row < height; row++)
                convolve_row(source, layer, taps, row, columns, [&](int column, int first, const Vector* sum) {
                    for (int o = 0; o < OUT; o++) out.at(2 * row + r, 2 * column + c)[first + o] += sum[o];
                });
        }
}

static Image generate(const Shape& shape, Layers& layers, const float* start) {
    const static Taps all = around();
    Image h(shape.blocks->height, shape.blocks->width, shape.blocks->inputs);
    for (int row = 0; row < h.height; row++)
        for (int column = 0; column < h.width; column++)
            for (int c = 0; c < h.channels; c++, start += LANES) h.at(row, column)[c] = load(start);
    for (const Block* block = shape.blocks; block < shape.blocks + shape.count; block++) {
        const Layer one = layers.next(block->inputs, block->inputs, 9);
        const Layer two = layers.next(block->inputs, block->outputs, 9);
        Plane a(h.height + 2, h.width, h.channels, 1), u = a;
        pack_image(h, a, true);
        for (int row = 0; row < h.height; row++)
            convolve_row(a, one, all, row, h.width, [&](int column, int first, const Vector* sum) {
                pack_activated(u.at(row, column), first, block->inputs, sum, one.bias);
            });
        if (block->enlarge) {
            const Layer skip = layers.next(block->inputs, block->outputs, 9);
            Image out(block->out_height, block->out_width, block->outputs);
            for (int i = 0; i < int(out.values.size()); i++)
                out.values[i] = Vector{} + (two.bias[i % out.stored()] + skip.bias[i % out.stored()]);
            enlarge(u, two, h.height, h.width, out);
            pack_image(h, a, false);
            enlarge(a, skip, h.height, h.width, out);
            h = std::move(out);
        } else {
            for (int row = 0; row < h.height; row++)
                convolve_row(u, two, all, row, h.width, [&](int column, int first, const Vector* sum) {
                    for (int o = 0; o < OUT; o++) h.at(row, column)[first + o] += sum[o] + two.bias[first + o];
                });
        }
    }
    return h;
}

class PixelCNN {
    const Shape& shape;
    int stored;
    Taps seen, itself{{0, 0, 0}};
    std::vector<Plane> inputs;  // of each step
    Plane middle;
    std::vector<Vector> h;  // a row

   public:
    explicit PixelCNN(const Shape& shape)
        : shape(shape), stored((shape.channels + OUT - 1) / OUT * OUT), middle(1, shape.width, shape.channels, 0),
          h(shape.width * stored) {
        int rows = 0, columns = 0;
        for (int t = 0; t < shape.taps; t++) {
            seen.push_back({shape.offsets[2 * t], shape.offsets[2 * t + 1], t});
            rows = std::max(rows, -seen.back().row), columns = std::max(columns, std::abs(seen.back().column));
        }
        const int margin = std::max(rows, columns);
        for (int step = 0; step < shape.steps; step++)
            inputs.push_back(shape.pairs[step] ? middle : Plane(margin + 1, shape.width, shape.channels, margin));
    }

    // log p(x) of 16 draws, from what the first layer makes of x, [height][width][channels], and the maps
    Vector log_prob(Layers layers, const float* features, const float* x, Plane& maps, const float* head) {
        const static Taps all = around();
        for (auto& plane : inputs) plane.clear();
        Vector total{};
        const Layers start = layers;
        const auto add_to_h = [&](const Layer& layer) {
            return [&](int column, int first, const Vector* sum) {
                for (int o = 0; o < OUT; o++) h[column * stored + first + o] += sum[o] + layer.bias[first + o];
            };
        };
        for (int row = 0; row < shape.height; row++) {
            layers = start;
            for (int column = 0; column < shape.width; column++, features += shape.channels)
                for (int c = 0; c < shape.channels; c++) h[column * stored + c] = Vector{} + features[c];
            const Layer conditions = layers.next(shape.maps, shape.channels, 9);
            convolve_row(maps, conditions, all, row, shape.width, add_to_h(conditions));
            for (int step = 0; step < shape.steps; step++) {
                const Layer one = layers.next(shape.channels, shape.channels, shape.pairs[step] ? 1 : shape.taps);
                const int at = shape.pairs[step] ? 0 : row;
                pack_row(h.data(), stored, shape.channels, shape.width, inputs[step], at, activated);
                if (!shape.pairs[step]) {
                    convolve_row(inputs[step], one, seen, at, shape.width, add_to_h(one));
                    continue;
                }
                const Layer two = layers.next(shape.channels, shape.channels, 1);
                convolve_row(inputs[step], one, itself, 0, shape.width, [&](int column, int first, const Vector* sum) {
                    pack_activated(middle.at(0, column), first, shape.channels, sum, one.bias);
                });
                convolve_row(middle, two, itself, 0, shape.width, add_to_h(two));
            }
            total += of_row(head, x + row * shape.width * shape.outputs);
        }
        return total;
    }

   private:
    Vector of_row(const float* head, const float* x) {
        Vector total{}, product = Vector{} + 1.0f;
        for (int column = 0; column < shape.width; column++)
            for (int o = 0; o < shape.outputs; o++) {
                Vector logit = Vector{} + head[shape.outputs * shape.channels + o];
                for (int c = 0; c < shape.channels; c++)
                    logit += head[o * shape.channels + c] * rough_elu(h[column * stored + c]);
                // -log p = log(1 + e^wrong)
                const Vector wrong = x[column * shape.outputs + o] > 0.5f ? -logit : logit;
                total -= wrong > 0.0f ? wrong : Vector{};
                product *= 2.0f + elu(wrong > 0.0f ? -wrong : wrong);
                if (column % 16 == 15) total -= logarithm(product), product = Vector{} + 1.0f;
            }
        return total - logarithm(product);
    }

    static Vector logarithm(Vector of) {
        for (int i = 0; i < LANES; i++) of[i] = std::log(of[i]);
        return of;
    }
};

// log p(x|z) in nats of 16 * groups draws of z, from start[groups][height][width][inputs][16] of the first block
extern "C" void log_probs(const Shape* shape, int groups, const float* start, const int* weights, const float* biases,
                          const float* features, const float* x, const float* head, float* result) {
    PixelCNN network(*shape);
    const Block& first = *shape->blocks;
    for (int group = 0; group < groups; group++, start += first.height * first.width * first.inputs * LANES) {
        Layers layers{weights, biases};
        Image h = generate(*shape, layers, start);
        Plane maps(shape->height + 2, shape->width, shape->maps, 1);
        pack_image(h, maps, false);
        store(result + group * LANES, network.log_prob(layers, features, x, maps, head));
    }
}
