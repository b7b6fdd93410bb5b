// Codes without an image of their own: on the way between two, with one dimension moved, on a map.

import { fill, makePicture, paint } from "./pictures.js";

const STEPS = 8;
const SEED = 7;

// A walk from one image to another, by each model.
export class Walk {
  constructor(root, names, requests) {
    this.names = names;
    this.rows = Object.fromEntries(
      names.map((name) => [name, fill(root.querySelector(`[data-model="${name}"]`), STEPS, 28, 28, "Step")]),
    );
    this.ask = requests.channel("walk", "walk", 5, ({ name, index, image }) => paint(this.rows[name][index], image));
    this.ends = ["from", "to"].map((end) => {
      const picture = makePicture(
        28,
        28,
        end === "from" ? "Where the walk starts: your digit" : "Where it ends",
        "original",
      );
      root.querySelector(`[data-part="${end}"]`).replaceChildren(picture);
      return picture;
    });
  }

  set(from, to) {
    this.ends.forEach((picture, i) => paint(picture, [from, to][i]));
    this.ask({ names: this.names, from, to, steps: STEPS, seed: SEED });
  }
}

// One dimension of an image's code, set by a slider in standard deviations from the mean of all digits.
export class Dimension {
  // `orders`: by model, its dimensions from the busiest on; `spread`: by model, mean and deviation of each.
  constructor(root, orders, spread, requests) {
    const find = (part) => root.querySelector(`[data-part="${part}"]`);
    const names = Object.keys(orders);
    Object.assign(this, {
      orders,
      spread,
      image: null,
      which: find("which"),
      value: find("value"),
      told: find("told"),
    });
    this.which.max = orders[names[0]].length;
    this.pictures = Object.fromEntries(
      names.map((name) => [name, fill(find(name), 1, 28, 28, "Your digit with this dimension moved")[0]]),
    );
    this.ask = requests.channel("moved", "moved", 4, ({ name, image }) => paint(this.pictures[name], image));
    for (const slider of [this.which, this.value]) slider.addEventListener("input", () => this.show());
  }

  set(image) {
    this.image = image;
    this.show();
  }

  show() {
    const rank = Number(this.which.value);
    const offset = Number(this.value.value);
    const side = offset < 0 ? "below" : "above";
    const distance = `${Math.abs(offset).toFixed(1)} standard deviations ${side} its mean over digits`;
    this.told.textContent = `Number ${rank} of the code, ${distance}.`;
    const changes = Object.entries(this.orders).map(([name, order]) => {
      const dimension = order[rank - 1];
      const { mean, deviation } = this.spread[name];
      return { name, dimension, value: mean[dimension] + offset * deviation[dimension] };
    });
    this.ask({ changes, image: this.image, seed: SEED });
  }
}

// Codes of many digits in the plane in which they differ most; the point under the pointer is decoded.
export class CodeMap {
  constructor(root, { name, mean, components, points, labels, span }, requests) {
    const find = (part) => root.querySelector(`[data-part="${part}"]`);
    Object.assign(this, { name, mean, components, span, labels, canvas: find("map"), told: find("told"), at: [0, 0] });
    const bytes = Int8Array.from(atob(points), (letter) => letter.charCodeAt(0));
    this.points = [...labels].map((_, i) => [bytes[2 * i] / 127, bytes[2 * i + 1] / 127]);
    [this.picture] = fill(find("picture"), 1, 28, 28, "What the code at this point decodes to");
    this.ask = requests.channel("point", "point", 1, ({ image }) => paint(this.picture, image));
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    for (const query of ["(prefers-color-scheme: dark)", "(max-width: 40rem)"])
      matchMedia(query).addEventListener("change", () => this.draw());
    this.go([0.6, 0.4]);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    this.go([((event.clientX - box.left) / box.width) * 2 - 1, 1 - ((event.clientY - box.top) / box.height) * 2]);
  }

  key(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    this.go(this.at.map((value, axis) => Math.max(-1, Math.min(1, value + move[axis] / 20))));
  }

  go(at) {
    this.at = at;
    this.draw();
    const distance = ([x, y]) => (x - at[0]) ** 2 + (y - at[1]) ** 2;
    const nearest = this.points.reduce(
      (best, point, i) => (distance(point) < distance(this.points[best]) ? i : best),
      0,
    );
    this.told.textContent = `The code in the circle, redrawn. Nearest to it is that of a ${this.labels[nearest]}.`;
    const [x, y] = at.map((value, axis) => value * this.span[axis]);
    this.ask({
      name: this.name,
      z: this.mean.map((value, d) => value + x * this.components[0][d] + y * this.components[1][d]),
      seed: SEED,
    });
  }

  draw() {
    const { canvas } = this;
    const style = getComputedStyle(canvas);
    const pen = canvas.getContext("2d");
    const { width, height } = canvas;
    const place = ([x, y]) => [((x + 1) / 2) * width, ((1 - y) / 2) * height];
    pen.clearRect(0, 0, width, height);
    pen.font = `600 ${Math.round(width / 42)}px ${style.fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    this.points.forEach((point, i) => {
      pen.fillStyle = style.getPropertyValue(`--digit-${this.labels[i]}`);
      pen.fillText(this.labels[i], ...place(point));
    });
    pen.strokeStyle = style.color;
    pen.lineWidth = width / 200;
    pen.beginPath();
    pen.arc(...place(this.at), width / 45, 0, 2 * Math.PI);
    pen.stroke();
  }
}
