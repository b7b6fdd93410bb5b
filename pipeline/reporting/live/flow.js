// The prior's flow: mean-only autoregressive steps, the order of the dimensions reversed between them.

import { linear, unit } from "./layers.js";

const reversed = (z) => Float32Array.from(z).reverse();

function shift(layers, z) {
  let h = z;
  layers.forEach((layer, i) => {
    h = linear(layer, i ? h.map((x) => Math.max(x, 0)) : h);
  });
  return h;
}

// Layers of a step: z with z_i = noise_i + output i of z. A unit is computed once, as soon as all that it sees is there.
function solve(layers, noise) {
  const z = new Float32Array(noise.length);
  const hidden = layers.slice(0, -1);
  const output = layers.at(-1);
  const values = [z, ...hidden.map((layer) => new Float32Array(layer.rows))];
  const done = values.map(() => 0);
  for (let d = 0; d < z.length; d++) {
    hidden.forEach((layer, k) => {
      for (; done[k + 1] < layer.rows && layer.lengths[done[k + 1]] <= done[k]; done[k + 1]++) {
        values[k + 1][done[k + 1]] = Math.max(unit(layer, done[k + 1], values[k]), 0);
      }
    });
    z[d] = noise[d] + unit(output, d, values.at(-1));
    done[0] = d + 1;
  }
  return z;
}

// `steps` hold the layers of each step.
export class Flow {
  constructor(steps) {
    this.steps = steps;
  }

  // ε of z; an odd number of steps leaves it in the reverse order.
  noise(z) {
    let h = Float32Array.from(z);
    for (const layers of this.steps) {
      const moved = shift(layers, h);
      h = reversed(h.map((value, i) => value - moved[i]));
    }
    return h;
  }

  // ε with each number in the place of the dimension that it belongs to.
  inPlace(noise) {
    return this.steps.length % 2 ? reversed(noise) : noise;
  }

  // z of ε.
  transform(noise) {
    let z = noise;
    for (const layers of this.steps.toReversed()) z = solve(layers, reversed(z));
    return z;
  }
}
