// log p(image) of a PixelCNN from what its first layer makes of the image, and the gradients: an image at a time, so that
// all of it stays in the cache. Compiled with CHANNELS, MAPS and LANES (a power of two, no less than these) by kernels.py, which says
// what is computed.
//
// A plane holds LANES floats a pixel, with a margin of zeros around the image. Weights come as floats, in order: of the
// maps' layer w[9][MAPS][LANES] b[LANES]; of each step w1[taps][CHANNELS][LANES] b1[LANES] and, of a pair,
// w2[CHANNELS][LANES] b2[LANES]; of the head [outputs][LANES] and bias[outputs].
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>
#include <vector>

#include "vectors.h"

constexpr int FIRST = LANES * (9 * MAPS + 1);  // weights of the maps' layer
constexpr int USED = CHANNELS > MAPS ? CHANNELS : MAPS;  // of LANES

struct Shape {
    int height, width, outputs, taps, steps;
    const int* offsets;  // of each tap: row, column
    const int* pairs;    // of each step: 1 if it is a pair of 1x1 convolutions
};

class Image {
    Shape shape;
    int rows, columns, pitch;
    std::vector<int> around, seen, seers;  // where taps look from a pixel, and from where they look at it, in pixels
    std::vector<std::vector<float>> inputs, middles;
    std::vector<float> maps, h, gradient, other;

    float* at(std::vector<float>& plane, int row, int column) const {
        return plane.data() + LANES * ((row + rows) * pitch + column + columns);
    }

    template <int N, int SOURCES, class Use>
    static void sums(const float* source, const std::vector<int>& taps, const float* weights, const float* bias, Use use) {
        Vector sum[N];
        for (int p = 0; p < N; p++) sum[p] = bias ? load(bias) : Vector{};
        for (int tap : taps)
            for (int c = 0; c < SOURCES; c++, weights += LANES) {
                const Vector weight = load(weights);
                for (int p = 0; p < N; p++) sum[p] += weight * source[LANES * (tap + p) + c];
            }
        for (int p = 0; p < N; p++) use(p, sum[p]);
    }

    // use(place in a plane, sum over taps and source channels) for WIDTH channels of every pixel after the other
    template <int SOURCES = CHANNELS, class Use>
    void convolve(std::vector<float>& source, const std::vector<int>& taps, const float* weights, const float* bias, Use use) {
        for (int row = 0; row < shape.height; row++)
            in_groups(shape.width, [&](auto together, int column) {
                const long start = at(source, row, column) - source.data();
                for (int lane = 0; lane < USED; lane += WIDTH)
                    sums<together.value, SOURCES>(
                        source.data() + start, taps, weights + lane, bias ? bias + lane : nullptr,
                        [&](int p, const Vector& sum) { use(start + LANES * p + lane, sum); });
            });
    }

    // adds the gradients of weights[taps][SOURCES][LANES] and of the bias behind them
    template <int SOURCES = CHANNELS>
    void weigh(std::vector<float>& source, std::vector<float>& grad, const std::vector<int>& taps, float* weights) {
        constexpr int GROUPS = (SOURCES + REGISTERS - 3) / (REGISTERS - 2), N = (SOURCES + GROUPS - 1) / GROUPS;
        for (size_t t = 0; t < taps.size(); t++, weights += SOURCES * LANES)
            for (int lane = 0; lane < USED; lane += WIDTH)
                for (int first = 0; first < SOURCES; first += N) {
                    const int from = std::min(first, SOURCES - N);  // the last group may overlap the one before
                    Vector sum[N] = {};
                    for (int row = 0; row < shape.height; row++) {
                        const float *g = at(grad, row, 0) + lane, *s = at(source, row, 0) + LANES * taps[t] + from;
                        for (int column = 0; column < shape.width; column++, g += LANES, s += LANES) {
                            const Vector value = load(g);
                            for (int c = 0; c < N; c++) sum[c] += value * s[c];
                        }
                    }
                    for (int c = first - from; c < N; c++) add(weights + (from + c) * LANES + lane, sum[c]);
                }
        for (int lane = 0; lane < USED; lane += WIDTH) {
            Vector sum{};
            pixels([&](int, long place) { sum += load(&grad[place + lane]); });
            add(weights + lane, sum);
        }
    }

    template <int SOURCES = CHANNELS>
    static std::vector<float> transposed(const float* weights, size_t taps) {
        std::vector<float> result(taps * CHANNELS * LANES);
        for (size_t t = 0; t < taps; t++)
            for (int in = 0; in < SOURCES; in++)
                for (int out = 0; out < CHANNELS; out++)
                    result[(t * CHANNELS + out) * LANES + in] = weights[(t * SOURCES + in) * LANES + out];
        return result;
    }

    // use(number of the pixel, its place in a plane) for every pixel
    template <class Use>
    void pixels(Use use) {
        for (int row = 0; row < shape.height; row++)
            for (int column = 0; column < shape.width; column++)
                use(row * shape.width + column, at(h, row, column) - h.data());
    }

    // use(place) for WIDTH channels of every pixel after the other
    template <class Use>
    void each(Use use) {
        pixels([&](int, long place) {
            for (int lane = 0; lane < USED; lane += WIDTH) use(place + lane);
        });
    }

   public:
    // `keep`: every step's planes are there for the gradients; otherwise the steps share them
    Image(const Shape& shape, bool keep) : shape(shape), rows(1), columns(1) {
        for (int t = 0; t < shape.taps; t++) {
            rows = std::max(rows, -shape.offsets[2 * t]);
            columns = std::max(columns, std::abs(shape.offsets[2 * t + 1]));
        }
        pitch = shape.width + 2 * columns;
        for (int t = 0; t < shape.taps; t++) {
            seen.push_back(shape.offsets[2 * t] * pitch + shape.offsets[2 * t + 1]);
            seers.push_back(-seen.back());
        }
        for (int tap = 0; tap < 9; tap++) around.push_back((tap / 3 - 1) * pitch + tap % 3 - 1);
        const size_t size = size_t(LANES) * pitch * (shape.height + 2 * rows);
        maps = h = gradient = other = std::vector<float>(size);
        inputs.assign(keep ? shape.steps + 1 : 1, h);
        middles.assign(keep ? shape.steps : 1, h);
    }

    const std::vector<int>& taps(int step) const {
        static const std::vector<int> itself{0};
        return shape.pairs[step] ? itself : seen;
    }

    size_t weights(int step) const { return LANES * (CHANNELS * taps(step).size() + 1); }

    size_t all_weights() const {
        size_t count = FIRST + shape.outputs * (LANES + 1);
        for (int step = 0; step < shape.steps; step++)
            count += weights(step) + (shape.pairs[step] ? LANES * (CHANNELS + 1) : 0);
        return count;
    }

    std::vector<float>& input(int step) { return inputs[inputs.size() > 1 ? step : 0]; }

    void forward(const float* features, const float* conditions, const float* w) {
        pixels([&](int pixel, long place) {
            std::memcpy(&h[place], features + pixel * CHANNELS, 4 * CHANNELS);
            std::memcpy(&maps[place], conditions + pixel * MAPS, 4 * MAPS);
        });
        const auto add_to_h = [&](long place, const Vector& sum) { add(&h[place], sum); };
        convolve<MAPS>(maps, around, w, w + FIRST - LANES, add_to_h);
        w += FIRST;
        for (int step = 0; step < shape.steps; step++) {
            auto& a = input(step);
            auto& b = middles[middles.size() > 1 ? step : 0];
            each([&](long place) { store(&a[place], elu(load(&h[place]))); });
            const float* bias = w + weights(step) - LANES;
            if (shape.pairs[step]) {
                convolve(a, taps(step), w, bias, [&](long place, const Vector& sum) { store(&b[place], elu(sum)); });
                w += weights(step);
                convolve(b, taps(step), w, bias = w + LANES * CHANNELS, add_to_h);
            } else {
                convolve(a, taps(step), w, bias, add_to_h);
            }
            w = bias + LANES;
        }
        each([&](long place) { store(&input(shape.steps)[place], elu(load(&h[place]))); });
    }

    // after `forward`: log p(x) in nats, and into `residuals` its derivatives by the logits
    float log_prob(const float* head, const float* x, float* residuals) {
        const float* bias = head + shape.outputs * LANES;
        double total = 0.0, product = 1.0;  // of as many factors up to 2 as a double has room for, to take few logarithms
        pixels([&](int pixel, long place) {
            for (int o = 0; o < shape.outputs; o++) {
                float logit = bias[o];
                for (int c = 0; c < CHANNELS; c++) logit += head[o * LANES + c] * input(shape.steps)[place + c];
                const int at = pixel * shape.outputs + o;
                const float small = std::exp(-std::abs(logit));
                total += x[at] * logit - std::max(logit, 0.0f);
                product *= 1.0 + small;
                residuals[at] = x[at] - (logit > 0 ? 1.0f : small) / (1.0f + small);
            }
            if (product > 1e200) total -= std::log(product), product = 1.0;
        });
        return total - std::log(product);
    }

    // after `forward`: adds to the gradients of the weights (dw), and writes those of the features and the conditions
    void backward(const float* w_end, const float* residuals, float scale, float* dw_end, float* dfeatures,
                  float* dconditions) {
        const float *head = w_end, *w = w_end;
        float *dhead = dw_end, *dw = dw_end;
        pixels([&](int pixel, long place) {
            const float* g = residuals + pixel * shape.outputs;
            for (int o = 0; o < shape.outputs; o++) dhead[shape.outputs * LANES + o] += scale * g[o];
            for (int lane = 0; lane < USED; lane += WIDTH) {
                const Vector last = load(&input(shape.steps)[place + lane]);
                Vector sum{};
                for (int o = 0; o < shape.outputs; o++) {
                    sum += scale * g[o] * load(head + o * LANES + lane);
                    add(dhead + o * LANES + lane, scale * g[o] * last);
                }
                store(&gradient[place + lane], sum * slope(last));
            }
        });
        for (int step = shape.steps - 1; step >= 0; step--) {
            auto& a = input(step);
            const bool pair = shape.pairs[step];
            auto* above = &gradient;
            if (pair) {
                auto& b = middles[step];
                w -= LANES * (CHANNELS + 1), dw -= LANES * (CHANNELS + 1);
                weigh(b, gradient, taps(step), dw);
                const auto back = transposed(w, 1);
                convolve(gradient, taps(step), back.data(), nullptr, [&](long place, const Vector& sum) {
                    store(&other[place], sum * slope(load(&b[place])));
                });
                above = &other;
            }
            w -= weights(step), dw -= weights(step);
            weigh(a, *above, taps(step), dw);
            const auto back = transposed(w, taps(step).size());
            auto* below = pair ? &gradient : &other;
            convolve(*above, pair ? taps(step) : seers, back.data(), nullptr, [&](long place, const Vector& sum) {
                store(&(*below)[place], load(&gradient[place]) + sum * slope(load(&a[place])));
            });
            if (!pair) std::swap(gradient, other);
        }
        pixels([&](int pixel, long place) { std::memcpy(dfeatures + pixel * CHANNELS, &gradient[place], 4 * CHANNELS); });
        w -= FIRST, dw -= FIRST;
        weigh<MAPS>(maps, gradient, around, dw);
        const auto back = transposed<MAPS>(w, 9);
        std::vector<int> opposite(around.rbegin(), around.rend());
        convolve(gradient, opposite, back.data(), nullptr, [&](long place, const Vector& sum) { store(&other[place], sum); });
        pixels([&](int pixel, long place) { std::memcpy(dconditions + pixel * MAPS, &other[place], 4 * MAPS); });
    }
};

// log p(x) in nats of each of `rows` images; unless `dw` is null also the gradients of its sum, weighted by `scales`.
// Row i has maps of its own, but the features and pixels of image (first + i) % images.
extern "C" void log_prob(const Shape* shape, int rows, int first, int images, const float* features, const float* x,
                         const float* w, const float* maps, float* result, const float* scales, float* dfeatures,
                         float* dmaps, float* dw) {
    Image image(*shape, dw != nullptr);
    const size_t pixels = shape->height * shape->width, head = image.all_weights() - shape->outputs * (LANES + 1);
    std::vector<float> residuals(pixels * shape->outputs);
    for (int i = 0; i < rows; i++) {
        const size_t which = (first + i) % images, conditions = i * pixels * MAPS;
        image.forward(features + which * pixels * CHANNELS, maps + conditions, w);
        result[i] = image.log_prob(w + head, x + which * pixels * shape->outputs, residuals.data());
        if (dw)
            image.backward(w + head, residuals.data(), scales[i], dw + head, dfeatures + i * pixels * CHANNELS,
                           dmaps + conditions);
    }
}
