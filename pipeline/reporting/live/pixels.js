// p(image | maps made from z): every pixel on its own, or by a PixelCNN that sees earlier pixels.

import { convolve, elu, linear } from "./layers.js";

// Pixels [row, column] that do not see each other, one front after the other; `right` is how far a pixel sees there.
function* fronts(height, width, right) {
  const slope = Math.min(right, width - 1) + 1;
  for (let front = 0; front < width + slope * (height - 1); front++) {
    const pixels = [];
    for (let row = 0; row < height; row++) {
      const column = front - slope * row;
      if (column >= 0 && column < width) pixels.push([row, column]);
    }
    if (pixels.length) yield pixels;
  }
}

// Where the taps of a masked layer are, [row, column] from the pixel, in the order of its weights.
function tapsOf(layer, channels) {
  const [up, left, right] = layer.reach;
  const across = left + 1 + right;
  return Array.from({ length: layer.columns / channels }, (_, tap) => [
    Math.floor(tap / across) - up,
    (tap % across) - left,
  ]);
}

// A masked layer's input as far as it is known, pixel after pixel with all its channels, zeros around.
class Known {
  constructor(layer, channels, height, width) {
    const [up, left, right] = layer.reach;
    Object.assign(this, { layer, channels, up, left, across: left + width + right });
    this.values = new Float32Array((up + height) * this.across * channels);
    this.taps = Int32Array.from(tapsOf(layer, channels), ([row, column]) => (row * this.across + column) * channels);
  }

  at(row, column) {
    return ((row + this.up) * this.across + column + this.left) * this.channels;
  }

  // Adds what the layer makes of what is known to `out`.
  addTo(out, here) {
    const { taps, channels, values } = this;
    const { rows, weights, bias } = this.layer;
    for (let o = 0, weight = 0; o < rows; o++) {
      let sum = bias[o];
      for (let tap = 0; tap < taps.length; tap++) {
        const start = here + taps[tap];
        for (let i = 0; i < channels; i++, weight++) sum += weights[weight] * values[start + i];
      }
      out[o] += sum;
    }
  }
}

const pointwise = (layer, h) => linear(layer, h.map(elu));

// `layers`: {image, maps, masked: [one for each layer B], blocks: [the 1×1 pairs after each], head}.
export class PixelCNN {
  constructor(layers) {
    this.layers = layers;
    this.taps = tapsOf(layers.image, 1);
  }

  // Visits the pixels front after front; `choose(logit, index)` says the value of one. Yields after each front.
  *visit(maps, choose) {
    const { image, masked, blocks, head } = this.layers;
    const { height, width } = maps;
    const pixels = height * width;
    const conditioning = convolve(this.layers.maps, maps).values;
    const filters = image.rows;
    const seen = new Float32Array(pixels * filters);
    const known = masked.map((layer) => new Known(layer, filters, height, width));
    for (const front of fronts(height, width, image.reach[2])) {
      for (const [row, column] of front) {
        const index = row * width + column;
        const h = new Float32Array(image.bias);
        for (let o = 0; o < filters; o++) h[o] += seen[index * filters + o] + conditioning[o * pixels + index];
        known.forEach((layer, i) => {
          const here = layer.at(row, column);
          for (let o = 0; o < filters; o++) layer.values[here + o] = elu(h[o]);
          layer.addTo(h, here);
          for (const { first, second } of blocks[i]) {
            const more = pointwise(second, pointwise(first, h));
            for (let o = 0; o < filters; o++) h[o] += more[o];
          }
        });
        if (choose(pointwise(head, h)[0], index)) this.show(seen, row, column, height, width);
      }
      yield;
    }
  }

  // Lets all later pixels see ink at this one.
  show(seen, row, column, height, width) {
    const { image } = this.layers;
    const filters = image.rows;
    this.taps.forEach(([down, right], tap) => {
      const y = row - down;
      const x = column - right;
      if (y < 0 || y >= height || x < 0 || x >= width) return;
      const target = (y * width + x) * filters;
      for (let o = 0; o < filters; o++) seen[target + o] += image.weights[o * image.columns + tap];
    });
  }
}

// The maps are the logits.
export class IndependentPixels {
  *visit(maps, choose) {
    for (let row = 0, i = 0; row < maps.height; row++) {
      for (const end = i + maps.width; i < end; i++) choose(maps.values[i], i);
      yield;
    }
  }
}

// −log p of a value, 0 or 1, in nats.
export function nats(logit, value) {
  const against = value ? -logit : logit;
  return Math.max(against, 0) + Math.log1p(Math.exp(-Math.abs(against)));
}

export const probability = (logit) => 1 / (1 + Math.exp(-logit));
