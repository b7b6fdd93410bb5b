// The generator's residual blocks, without gradients: an image at a time, so that all of it stays in the cache.
// Compiled with LANES by kernels.py.
//
// A plane holds its channels, rounded up to LANES, of each pixel, with a margin of one pixel of zeros. A block is
// h + second(elu(first(elu(h)))); one that enlarges the image has transposed convolutions of stride 2 for second and for
// a skip. All kernels are 3x3, w[9][inputs][outputs, rounded up] and then the bias; block by block first, second, skip.
#include <utility>
#include <vector>

#include "vectors.h"

struct Block {
    int enlarge, inputs, outputs, height, width, out_height, out_width;
};

static int whole(int channels) { return (channels + LANES - 1) / LANES * LANES; }

struct Plane {
    int height, width, channels, stored, pitch;  // pitch in floats
    std::vector<float> values;

    Plane(int height, int width, int channels)
        : height(height), width(width), channels(channels), stored(whole(channels)), pitch((width + 2) * stored),
          values(size_t(height + 2) * pitch) {}
    float* at(int row, int column) { return values.data() + (row + 1) * pitch + (column + 1) * stored; }
};

struct Tap {
    int row, column, kernel;  // where to look from the pixel, and which of the 9 weights
};

template <int N, class Use>
static void sums(Plane& source, const std::vector<Tap>& taps, const float* w, int stored, int row, int column, Use use) {
    Vector sum[N] = {};
    for (const Tap& tap : taps) {
        const float* pixels = source.at(row + tap.row, column + tap.column);
        const float* weights = w + size_t(tap.kernel) * source.channels * stored;
        for (int c = 0; c < source.channels; c++, weights += stored) {
            const Vector weight = load(weights);
            for (int p = 0; p < N; p++) sum[p] += weight * pixels[p * source.stored + c];
        }
    }
    for (int p = 0; p < N; p++) use(row, column + p, sum[p]);
}

// use(row, column, first channel, sums) for every pixel of the source and WIDTH of `outputs` channels at a time
template <class Use>
static void convolve(Plane& source, const std::vector<Tap>& taps, const float* w, int outputs, Use use) {
    for (int first = 0; first < outputs; first += WIDTH) {
        const auto give = [&](int row, int column, const Vector& sum) { use(row, column, first, sum); };
        for (int row = 0; row < source.height; row++)
            in_groups(source.width, [&](auto together, int column) {
                sums<together.value>(source, taps, w + first, whole(outputs), row, column, give);
            });
    }
}

static std::vector<Tap> around() {
    std::vector<Tap> taps;
    for (int k = 0; k < 9; k++) taps.push_back({k / 3 - 1, k % 3 - 1, k});
    return taps;
}

// of an enlarged row (column) 2i + parity: which input rows i + offset it sees through which of the 3 weights
static std::vector<std::pair<int, int>> seen(int parity) {
    if (parity) return {{0, 2}, {1, 0}};
    return {{0, 1}};
}

// adds the transposed convolution of `source` to `out`
static void enlarge(Plane& source, const float* w, Plane& out) {
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++) {
            std::vector<Tap> taps;
            for (auto [down, row] : seen(r))
                for (auto [right, column] : seen(c)) taps.push_back({down, right, 3 * row + column});
            convolve(source, taps, w, out.channels, [&](int row, int column, int first, const Vector& sum) {
                if (2 * row + r >= out.height || 2 * column + c >= out.width) return;
                add(out.at(2 * row + r, 2 * column + c) + first, sum);
            });
        }
}

template <class Change>
static void each(Plane& plane, Change change) {
    for (int row = 0; row < plane.height; row++)
        for (int column = 0; column < plane.width; column++)
            for (int c = 0; c < plane.channels; c += WIDTH) change(plane.at(row, column) + c, c);
}

static void apply_elu(Plane& plane) {
    each(plane, [](float* at, int) { store(at, elu(load(at))); });
}

// start[images][height][width][inputs] of the first block to maps[images][out_height][out_width][outputs] of the last
extern "C" void generate(const Block* blocks, int count, int images, const float* start, const float* weights, float* maps) {
    for (int i = 0; i < images; i++) {
        Plane h(blocks->height, blocks->width, blocks->inputs);
        for (int row = 0; row < h.height; row++)
            for (int column = 0; column < h.width; column++, start += h.channels)
                std::memcpy(h.at(row, column), start, 4 * h.channels);
        const float* w = weights;
        for (const Block* block = blocks; block < blocks + count; block++) {
            const int inner = whole(block->inputs), outer = whole(block->outputs);
            const float *w1 = w, *b1 = w1 + 9 * block->inputs * inner, *w2 = b1 + inner, *b2 = w2 + 9 * block->inputs * outer;
            Plane a = h, u(h.height, h.width, h.channels);
            apply_elu(a);
            convolve(a, around(), w1, block->inputs, [&](int row, int column, int first, const Vector& sum) {
                store(u.at(row, column) + first, elu(sum + load(b1 + first)));
            });
            w = b2 + outer;
            if (block->enlarge) {
                const float *skip = w, *b3 = skip + 9 * block->inputs * outer;
                Plane out(block->out_height, block->out_width, block->outputs);
                each(out, [&](float* at, int c) { store(at, load(b2 + c) + load(b3 + c)); });
                enlarge(u, w2, out);
                enlarge(h, skip, out);
                h = std::move(out);
                w = b3 + outer;
            } else {
                convolve(u, around(), w2, block->outputs, [&](int row, int column, int first, const Vector& sum) {
                    add(h.at(row, column) + first, sum + load(b2 + first));
                });
            }
        }
        for (int row = 0; row < h.height; row++)
            for (int column = 0; column < h.width; column++, maps += h.channels)
                std::memcpy(maps, h.at(row, column), 4 * h.channels);
    }
}
