// Convolutions and linear layers over a stack of maps {channels, height, width, values}, channel after channel.

export const elu = (x) => (x > 0 ? x : Math.exp(x) - 1);

export function makeMaps(channels, height, width, values = new Float32Array(channels * height * width)) {
  return { channels, height, width, values };
}

export function activated(maps) {
  return makeMaps(maps.channels, maps.height, maps.width, maps.values.map(elu));
}

function added(maps, others) {
  for (let i = 0; i < maps.values.length; i++) maps.values[i] += others.values[i];
  return maps;
}

// A vector's product with a row of a layer, and its bias.
export function unit({ starts, weights, bias }, row, x) {
  let sum = bias[row];
  for (let i = starts[row], j = 0; i < starts[row + 1]; i++, j++) sum += weights[i] * x[j];
  return sum;
}

export function linear(layer, x) {
  const out = new Float32Array(layer.rows);
  for (let row = 0; row < layer.rows; row++) out[row] = unit(layer, row, x);
  return out;
}

// What a size × size kernel sees at each place, its numbers side by side in the order of a layer's weights.
function patches({ channels, height, width, values }, size, stride) {
  const down = Math.ceil(height / stride);
  const across = Math.ceil(width / stride);
  const reach = (size - 1) / 2;
  const columns = channels * size * size;
  const out = new Float32Array(down * across * columns);
  for (let channel = 0; channel < channels; channel++) {
    for (let tap = 0; tap < size * size; tap++) {
      const above = Math.floor(tap / size) - reach;
      const left = (tap % size) - reach;
      for (let y = 0; y < down; y++) {
        const row = y * stride + above;
        if (row < 0 || row >= height) continue;
        const source = (channel * height + row) * width + left;
        let target = y * across * columns + channel * size * size + tap;
        for (let x = 0; x < across; x++, target += columns) {
          const column = x * stride;
          if (column + left >= 0 && column + left < width) out[target] = values[source + column];
        }
      }
    }
  }
  return out;
}

// 3×3, or 1×1 where a layer has one weight for each input map; zeros around the maps.
export function convolve(layer, maps, stride = 1) {
  const { rows, columns, weights, bias } = layer;
  const size = Math.sqrt(columns / maps.channels);
  const seen = patches(maps, size, stride);
  const places = seen.length / columns;
  const out = makeMaps(rows, Math.ceil(maps.height / stride), Math.ceil(maps.width / stride));
  for (let o = 0, at = 0; o < rows; o++) {
    for (let place = 0, i = 0; place < places; place++, at++) {
      let sum = bias[o];
      for (let weight = o * columns, end = weight + columns; weight < end; weight++, i++)
        sum += weights[weight] * seen[i];
      out.values[at] = sum;
    }
  }
  return out;
}

// The mirror image of a 3×3 convolution of stride 2: to maps of the size given.
export function convolveUp(layer, maps, height, width) {
  const out = makeMaps(layer.rows, height, width);
  const to = out.values;
  const values = maps.values;
  for (let o = 0, at = 0; o < layer.rows; o++) {
    to.fill(layer.bias[o], o * height * width, (o + 1) * height * width);
    for (let i = 0; i < maps.channels; i++) {
      for (let down = -1; down < 2; down++) {
        for (let right = -1; right < 2; right++, at++) {
          const weight = layer.weights[at];
          const first = right < 0 ? 1 : 0;
          for (let y = 0; y < maps.height; y++) {
            const row = 2 * y + down;
            const source = (i * maps.height + y) * maps.width;
            const target = (o * height + row) * width;
            if (row < 0 || row >= height) continue;
            for (let x = first, column = 2 * first + right; x < maps.width && column < width; x++, column += 2) {
              to[target + column] += weight * values[source + x];
            }
          }
        }
      }
    }
  }
  return out;
}

// skip(x) + second(ELU(first(ELU(x)))). `layers` are {first, second, skip}; of stride 2 there is a skip.
export function residual({ first, second, skip }, maps) {
  const stride = skip ? 2 : 1;
  const inner = convolve(first, activated(maps), stride);
  return added(convolve(second, activated(inner)), skip ? convolve(skip, maps, 2) : maps);
}

// The same to maps twice as high and wide.
export function residualUp({ first, second, skip }, maps, height, width) {
  const inner = activated(convolve(first, activated(maps)));
  if (!skip) return added(convolve(second, inner), maps);
  return added(convolveUp(second, inner, height, width), convolveUp(skip, maps, height, width));
}
