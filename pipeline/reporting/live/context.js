// The slider of what the decoder sees: models that differ in that alone, and what each makes of an image.

import { Bars, bitsOf, sumOf } from "./bits.js";
import { fill, makePicture, paint } from "./pictures.js";

const COUNT = 3;

// The pixels that a decoder sees, and the one that it draws.
function drawSight(canvas, rows) {
  const { width, height } = canvas;
  const seen = new Uint8Array(width * height);
  const row = Math.round(height * 0.6);
  const column = width >> 1;
  rows.forEach(([left, right], up) => {
    for (let x = Math.max(0, column - left); x <= Math.min(width - 1, column + right); x++) {
      if (row >= up && (up || x < column)) seen[(row - up) * width + x] = 1;
    }
  });
  seen[row * width + column] = 2;
  paint(canvas, seen);
}

export class ContextSlider {
  // In `root`: an input, and places for a sight, pictures and bars. `names` of `models`, from the blindest on.
  constructor(root, models, names, requests) {
    const find = (part) => root.querySelector(`[data-part="${part}"]`);
    const [, height, width] = models[names[0]].shape;
    Object.assign(this, { models, names, root, image: null, seed: 1, bits: new Map() });
    this.slider = find("slider");
    Object.assign(this.slider, { max: names.length - 1, value: Math.min(2, names.length - 1) });
    this.title = find("title");
    this.sentence = find("sentence");
    this.sight = makePicture(width, height, "What the decoder sees", "sight");
    find("sight").replaceChildren(this.sight);
    this.pictures = fill(find("pictures"), COUNT, width, height, "Decompression");
    this.bars = new Bars(Object.fromEntries(names.map((name, i) => [name, this.line(find("bars"), name, i)])));
    this.lines = [...find("bars").children];
    const channel = (kind, urgency, show) => requests.channel(`${root.id}-${kind}`, kind, urgency, show);
    this.askBits = channel("bits", 2, (message) => this.showBits(message));
    this.askPictures = channel(
      "decompress",
      3,
      ({ name, index, image }) => name === this.name && paint(this.pictures[index], image),
    );
    this.slider.addEventListener("input", () => this.choose());
    this.choose();
  }

  get name() {
    return this.names[this.slider.value];
  }

  line(list, name, index) {
    const line = document.createElement("li");
    const title = document.createElement("button");
    const place = document.createElement("div");
    title.type = "button";
    title.textContent = this.models[name].sees;
    title.addEventListener("click", () => {
      this.slider.value = index;
      this.choose();
    });
    line.append(title, place);
    list.append(line);
    return place;
  }

  choose() {
    const { sees, rows } = this.models[this.name];
    this.title.textContent = sees;
    this.slider.setAttribute("aria-valuetext", sees);
    drawSight(this.sight, rows);
    this.lines.forEach((line, i) => line.classList.toggle("chosen", i === Number(this.slider.value)));
    this.say();
    if (this.image) this.askPictures({ names: [this.name], image: this.image, count: COUNT, seed: this.seed });
  }

  set(image, seed) {
    Object.assign(this, { image, seed });
    this.askBits({ names: this.names, image });
    this.choose();
  }

  showBits({ name, kl, pixels }) {
    const [code, rest] = [bitsOf(sumOf(kl)), bitsOf(pixels)];
    this.bits.set(name, [code, rest]);
    this.bars.set(name, code, rest);
    if (name === this.name) this.say();
  }

  say() {
    const bits = this.bits.get(this.name);
    if (!bits) return;
    const [code, total] = [bits[0], bits[0] + bits[1]].map((value) => Math.max(0, value));
    const share = ((100 * code) / total).toFixed(0);
    this.sentence.textContent = `The code has ${code.toFixed(1)} of ${total.toFixed(0)} bits, ${share} %.`;
  }
}
