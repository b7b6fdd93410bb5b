// What the page asks for, in small steps: generators that yield a message when there is something to show.

import { normals, uniforms } from "./random.js";

const DRAWS = 8;
const KL_SEED = 1000;
const SHOW_EVERY = 10;

// One image, with messages in which it is not done yet.
function* drawn(model, maps, seed, facts) {
  let step = 0;
  const drawing = model.decompress(maps, uniforms(model.height * model.width, seed));
  for (let next = drawing.next(); ; next = drawing.next()) {
    if (next.done) return yield { ...facts, image: next.value, done: true };
    yield step++ % SHOW_EVERY === SHOW_EVERY - 1 ? { ...facts, image: next.value.slice(), done: false } : null;
  }
}

export function makeJobs(models) {
  return {
    // Nats of the code by dimension, and of the pixels. The noise is always the same, so that only the image counts.
    *bits({ names, image }) {
      for (const name of names) {
        const model = models[name];
        const posterior = model.encode(image);
        const noises = Array.from({ length: DRAWS }, (_, i) => normals(model.dimensions, KL_SEED + i));
        yield null;
        const kl = model.kl(posterior, noises);
        yield null;
        yield { name, kl, pixels: yield* model.reconstruction(image, model.maps(model.draw(posterior, noises[0]))) };
      }
    },

    // `count` images by each model from one code.
    *decompress({ names, image, count, seed }) {
      const maps = {};
      for (let index = 0; index < count; index++) {
        for (const name of names) {
          const model = models[name];
          maps[name] ??= model.maps(model.draw(model.encode(image), normals(model.dimensions, seed)));
          yield* drawn(model, maps[name], seed + index, { name, index });
        }
      }
    },

    // Images on the straight way between two, in the noise that the prior makes z from; the same uniforms for all.
    *walk({ names, from, to, steps, seed }) {
      for (const name of names) {
        const model = models[name];
        const [start, end] = [from, to].map((image) => model.noise(model.encode(image).mean));
        for (let index = 0; index < steps; index++) {
          const share = index / (steps - 1);
          const noise = start.map((value, d) => value + share * (end[d] - value));
          yield* drawn(model, model.maps(model.transform(noise)), seed, { name, index });
        }
      }
    },

    // An image's codes with one dimension of each set to a value.
    *moved({ changes, image, seed }) {
      for (const { name, dimension, value } of changes) {
        const z = models[name].encode(image).mean.slice();
        z[dimension] = value;
        yield* drawn(models[name], models[name].maps(z), seed, { name });
      }
    },

    // What a code decodes to.
    *point({ name, z, seed }) {
      yield* drawn(models[name], models[name].maps(z), seed, { name });
    },
  };
}
