// The weights in the page: from two compressed streams to layers, as pipeline/reporting/live/weights.py wrote them.

// Text in base64, of deflated bytes, to these bytes.
async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// What the 16 bits of a float16 say.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

// Rows of weights one after the other, with where each starts and how long it is, and a bias each.
function makeLayer(facts, lengths, weights, bias) {
  const starts = new Int32Array(facts.rows + 1);
  for (let row = 0; row < facts.rows; row++) starts[row + 1] = starts[row] + lengths[row];
  return { rows: facts.rows, columns: facts.columns, reach: facts.reach, starts, lengths, weights, bias };
}

// { model: { layer: {rows, columns, starts, lengths, weights, bias} } }
export async function unpack(models, streams) {
  const bytes = new Int8Array(await inflate(streams.bytes));
  const halves = new Uint16Array(await inflate(streams.halves));
  let byte = 0,
    word = 0;
  const take = (count) => halves.subarray(word, (word += count));

  function layerOf(facts) {
    const lengths = facts.masked ? take(facts.rows) : new Uint16Array(facts.rows).fill(facts.columns);
    const count = lengths.reduce((sum, length) => sum + length, 0);
    const weights = new Float32Array(count);
    if (facts.rounded) {
      const steps = Float32Array.from(take(facts.rows), half);
      for (let row = 0, i = 0; row < facts.rows; row++) {
        for (let end = i + lengths[row]; i < end; i++) weights[i] = bytes[byte++] * steps[row];
      }
    } else weights.set(Float32Array.from(take(count), half));
    return makeLayer(facts, lengths, weights, Float32Array.from(take(facts.rows), half));
  }

  const unpacked = {};
  for (const [name, model] of Object.entries(models)) {
    unpacked[name] = {};
    for (const [key, facts] of Object.entries(model.layers)) unpacked[name][key] = layerOf(facts);
  }
  return unpacked;
}
