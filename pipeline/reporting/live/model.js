// A model: encoder, prior, and decoder, as pipeline/models has them. Images are arrays of 0 and 1, row after row.

import { Flow } from "./flow.js";
import { activated, elu, linear, makeMaps, residual, residualUp } from "./layers.js";
import { IndependentPixels, nats, PixelCNN, probability } from "./pixels.js";

// Layers `prefix`.0, `prefix`.1, … as long as there are any, each with its own layers by name.
function series(layers, prefix) {
  const found = [];
  for (const [name, layer] of Object.entries(layers)) {
    if (!name.startsWith(prefix + ".")) continue;
    const [index, ...rest] = name.slice(prefix.length + 1).split(".");
    (found[index] ??= {})[rest.join(".")] = layer;
  }
  return found.filter(Boolean);
}

function pixelNetwork(layers, masks) {
  const prefix = "decoder.network";
  const own = series(layers, `${prefix}.masked`);
  const pairs = series(layers, `${prefix}.pointwise`);
  const blockOf = (pair, i) => ({ first: pair[`${i}.first`], second: pair[`${i}.second`] });
  const masked = Array.from({ length: masks - 1 }, (_, i) => own[i % own.length][""]);
  const blocks = masked.map((_, i) =>
    i % 2 || !pairs[i / 2] ? [] : [blockOf(pairs[i / 2], 0), blockOf(pairs[i / 2], 1)],
  );
  const [image, maps, head] = ["image_layer", "maps_layer", "head"].map((name) => layers[`${prefix}.${name}`]);
  return new PixelCNN({ image, maps, masked, blocks, head });
}

export class Model {
  constructor(facts, layers) {
    const { latent_dim, masked_layers, decoder } = facts.config;
    const flow = series(layers, "prior.flow.shifts").map((step) => Object.values(step));
    Object.assign(this, { facts, layers, dimensions: latent_dim, flow: flow.length ? new Flow(flow) : null });
    this.encoder = series(layers, "posterior.blocks");
    this.generator = series(layers, "decoder.generator.blocks");
    this.pixels = decoder === "factorized" ? new IndependentPixels() : pixelNetwork(layers, masked_layers);
    [, this.height, this.width] = facts.shape;
  }

  // Means and standard deviations of q(z|x).
  encode(image) {
    let maps = makeMaps(1, this.height, this.width, Float32Array.from(image));
    for (const block of this.encoder) maps = residual(block, maps);
    const hidden = linear(this.layers["posterior.hidden"], activated(maps).values).map(elu);
    const head = linear(this.layers["posterior.head"], hidden);
    return { mean: head.subarray(0, this.dimensions), deviation: head.subarray(this.dimensions).map(Math.exp) };
  }

  draw({ mean, deviation }, noise) {
    return mean.map((value, d) => value + deviation[d] * noise[d]);
  }

  // log q(z|x) − log p(z) by dimension, in nats, averaged over the z that `noises` make.
  kl(posterior, noises) {
    const terms = new Float64Array(this.dimensions);
    for (const noise of noises) {
      const z = this.draw(posterior, noise);
      const source = this.flow ? this.flow.inPlace(this.noise(z)) : z;
      for (let d = 0; d < terms.length; d++) {
        terms[d] += ((source[d] ** 2 - noise[d] ** 2) / 2 - Math.log(posterior.deviation[d])) / noises.length;
      }
    }
    return terms;
  }

  noise(z) {
    return this.flow ? this.flow.noise(z) : z;
  }

  transform(noise) {
    return this.flow ? this.flow.transform(noise) : noise;
  }

  // What the decoder makes of z before it looks at a pixel.
  maps(z) {
    const [input, start] = ["0", "2"].map((i) => this.layers[`decoder.generator.input.${i}`]);
    const sizes = [[this.height, this.width]];
    const channels = this.facts.config.encoder_channels;
    for (const _ of channels) sizes.push(sizes.at(-1).map((side) => Math.ceil(side / 2)));
    let maps = makeMaps(channels.at(-1), ...sizes.pop(), linear(start, linear(input, z).map(elu)));
    for (const block of this.generator) {
      const [height, width] = block.skip ? sizes.pop() : [];
      maps = residualUp(block, maps, height, width);
    }
    return maps;
  }

  // −log p(image | maps of z) in nats.
  *reconstruction(image, maps) {
    let total = 0;
    yield* this.pixels.visit(maps, (logit, index) => {
      total += nats(logit, image[index]);
      return image[index];
    });
    return total;
  }

  // An image by these maps, ink where a uniform number is below its probability. Yields it as far as it is drawn.
  *decompress(maps, uniforms) {
    const image = new Uint8Array(this.height * this.width);
    const draw = (logit, index) => (image[index] = uniforms[index] < probability(logit) ? 1 : 0);
    for (const _ of this.pixels.visit(maps, draw)) yield image;
    return image;
  }
}
