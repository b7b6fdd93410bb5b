// Numbers that look random and are the same for the same seed.

// Uniform numbers in [0, 1): mulberry32.
export function uniforms(count, seed) {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 8) & 0xffffff) / 0x1000000;
  });
}

// Standard normal numbers (Box and Muller).
export function normals(count, seed) {
  const u = uniforms(2 * count, seed);
  return Float32Array.from(
    { length: count },
    (_, i) => Math.sqrt(-2 * Math.log(1 - u[2 * i])) * Math.cos(2 * Math.PI * u[2 * i + 1]),
  );
}
