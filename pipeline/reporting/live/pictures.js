// Images of 0 and 1 on small canvases, in the colour of their text; what is 2 stands out.

const shown = new Map();

// An image, row after row, as wide as the canvas; repainted when the colours change.
export function paint(canvas, image) {
  shown.set(canvas, image);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const { width, height } = canvas;
  pen.clearRect(0, 0, width, height);
  image.forEach((ink, i) => {
    pen.fillStyle = ink === 2 ? style.getPropertyValue("--rest") : style.color;
    if (ink) pen.fillRect(i % width, Math.floor(i / width), 1, 1);
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  shown.forEach((image, canvas) => paint(canvas, image)),
);

// A canvas for an image of this size; `name` says what it is.
export function makePicture(width, height, name, kind = "") {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height, className: `picture ${kind}` });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

// `count` of them, put into an element.
export function fill(element, count, width, height, name, kind = "drawn") {
  const pictures = Array.from({ length: count }, (_, i) => makePicture(width, height, `${name} ${i + 1}`, kind));
  element.replaceChildren(...pictures);
  return pictures;
}

// Bits packed eight to a byte, in base64, to images of so many pixels.
export function unpackImages(text, pixels) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const bits = Uint8Array.from({ length: bytes.length * 8 }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
  return Array.from({ length: Math.floor(bits.length / pixels) }, (_, i) => bits.slice(i * pixels, (i + 1) * pixels));
}
