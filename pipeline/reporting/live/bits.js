// How many bits an image takes: those of its code and those of its pixels, as a bar, and the code's by dimension.

const LEAST_SCALE = 150; // bits, of a bar at its full width
const HIGHEST = 4; // bits, of a dimension at its full height

export const bitsOf = (nats) => nats / Math.LN2;
export const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

const element = (tag, className, ...children) => {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
};

// Bars that share a scale, one a model, in elements by the model's name.
export class Bars {
  constructor(places) {
    this.totals = new Map();
    this.bars = new Map();
    for (const [name, place] of Object.entries(places)) {
      const parts = [element("span", "code"), element("span", "pixels")];
      const bar = element("div", "bar", ...parts);
      bar.setAttribute("role", "img");
      place.replaceChildren(bar);
      this.bars.set(name, { bar, parts });
    }
  }

  set(name, code, pixels) {
    const { bar, parts } = this.bars.get(name);
    this.totals.set(name, [code, pixels]);
    parts.forEach((part, i) => (part.textContent = Math.round([code, pixels][i])));
    bar.setAttribute("aria-label", `${Math.round(code)} bits of code and ${Math.round(pixels)} bits of pixels`);
    const scale = Math.max(LEAST_SCALE, ...[...this.totals.values()].map(sumOf));
    for (const [other, values] of this.totals) {
      this.bars
        .get(other)
        .parts.forEach((part, i) => (part.style.width = `${(100 * Math.max(values[i], 0)) / scale}%`));
    }
  }
}

// A bar for each dimension, in the order given, heights in bits.
export class Dimensions {
  constructor(place, order) {
    this.order = order;
    this.place = place;
    this.bars = order.map((dimension) => Object.assign(element("span", ""), { title: `dimension ${dimension + 1}` }));
    place.replaceChildren(...this.bars);
    place.setAttribute("role", "img");
  }

  set(kl) {
    const bits = this.order.map((dimension) => Math.max(0, bitsOf(kl[dimension])));
    bits.forEach((value, i) => (this.bars[i].style.height = `${(100 * Math.min(value, HIGHEST)) / HIGHEST}%`));
    const used = bits.filter((value) => value > 0.1).length;
    this.place.setAttribute(
      "aria-label",
      `Bits by dimension of the code: ${used} of ${bits.length} take more than a tenth of a bit`,
    );
  }
}
