// Where one draws: with a mouse, a finger, a pen, or the keyboard.

import { paint } from "./pictures.js";

const SIDE = 28;
const BRUSH = 1.15;

export class Pad {
  // `changed(image)` is called after every change; `brush` is an element that shows where the keyboard's brush is.
  constructor(canvas, brush, changed) {
    Object.assign(this, {
      canvas,
      brush,
      changed,
      image: new Uint8Array(SIDE * SIDE),
      before: [],
      last: null,
      example: false,
    });
    this.cursor = [SIDE / 2, SIDE / 2];
    canvas.addEventListener("pointerdown", (event) => this.start(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // Puts an image in place of what is there. An `example` goes with the first stroke.
  set(image, example = false) {
    this.keep();
    this.example = example;
    this.show(image.slice());
  }

  clear() {
    this.set(new Uint8Array(SIDE * SIDE));
  }

  undo() {
    if (this.before.length) this.show(this.before.pop());
  }

  keep() {
    this.before.push(this.image.slice());
  }

  show(image) {
    this.image = image;
    paint(this.canvas, image);
    this.changed(image);
  }

  start(event) {
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.begin();
    this.last = this.place(event);
    this.line(this.last, this.last);
  }

  begin() {
    this.keep();
    if (this.example) this.image = new Uint8Array(SIDE * SIDE);
    this.example = false;
  }

  go(event) {
    if (!this.last) return;
    for (const one of event.getCoalescedEvents?.().concat(event) ?? [event]) {
      const place = this.place(one);
      this.line(this.last, place);
      this.last = place;
    }
  }

  // Column and row, with fractions.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  // Ink wherever a pixel's middle is near the way from one place to the other.
  line([x0, y0], [x1, y1]) {
    const image = this.image.slice();
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    for (let i = 0; i < image.length; i++) {
      const x = (i % SIDE) + 0.5;
      const y = Math.floor(i / SIDE) + 0.5;
      const share = length ? Math.max(0, Math.min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length)) : 0;
      if (Math.hypot(x0 + share * (x1 - x0) - x, y0 + share * (y1 - y0) - y) < BRUSH) image[i] = 1;
    }
    this.show(image);
  }

  // Arrows move a brush, the space bar lays ink.
  key(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    if (move) this.cursor = this.cursor.map((at, axis) => Math.max(0, Math.min(SIDE, at + move[axis])));
    [this.brush.style.left, this.brush.style.top] = this.cursor.map((at) => `${(100 * at) / SIDE}%`);
    if (event.key === " ") {
      this.begin();
      this.line(this.cursor, this.cursor);
    }
  }
}
