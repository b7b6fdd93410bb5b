// The page: what is drawn or picked goes to the models, and what they say comes back.

import { Bars, bitsOf, Dimensions, sumOf } from "./bits.js";
import { CodeMap, Dimension, Walk } from "./codes.js";
import { ContextSlider } from "./context.js";
import { Pad } from "./pad.js";
import { fill, makePicture, paint, unpackImages } from "./pictures.js";
import { Requests } from "./requests.js";

const COUNT = 3;
const find = (id) => document.getElementById(id);
const textOf = (id) => find(id).textContent;
const facts = JSON.parse(textOf("facts"));
const { models, digits, textures } = facts;
const pair = Object.keys(facts.pair);
const requests = new Requests();
const SENTENCES = [
  (code, pixels) => `${code} bits say nearly every stroke; ${pixels} bits say where single pixels differ.`,
  (code, pixels) => `${code} bits say which digit and how; ${pixels} bits say the edges.`,
];
const state = { image: null, to: null, seed: 1 };

// Buttons with an image each; `chosen(image)` is called with that of the one pressed.
function thumbnails(place, images, labels, chosen) {
  const side = Math.sqrt(images[0].length);
  const buttons = images.map((image, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(makePicture(side, side, labels[i]));
    button.addEventListener("click", () => {
      chosen(image);
      press(buttons, button);
    });
    return button;
  });
  place.replaceChildren(...buttons);
  images.forEach((image, i) => paint(buttons[i].firstChild, image));
  return buttons;
}

function press(buttons, button) {
  buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
}

// The two models side by side.
const cards = pair.map((name, i) => {
  const card = document.querySelector(`[data-card="${name}"]`);
  const part = (which) => card.querySelector(`[data-part="${which}"]`);
  return {
    pictures: fill(part("pictures"), COUNT, 28, 28, `${facts.pair[name]}, redrawing`),
    dimensions: new Dimensions(part("dimensions"), models[name].order),
    bar: part("bar"),
    say: (code, pixels) => (part("sentence").textContent = SENTENCES[i](Math.round(code), Math.round(pixels))),
  };
});
const bars = new Bars(Object.fromEntries(pair.map((name, i) => [name, cards[i].bar])));
const askBits = requests.channel("bits", "bits", 0, ({ name, kl, pixels }) => {
  const card = cards[pair.indexOf(name)];
  const [code, rest] = [bitsOf(sumOf(kl)), bitsOf(pixels)];
  bars.set(name, code, rest);
  card.dimensions.set(kl);
  card.say(code, rest);
});
const askPictures = requests.channel("pictures", "decompress", 1, ({ name, index, image, done }) => {
  const picture = cards[pair.indexOf(name)].pictures[index];
  picture.setAttribute("aria-busy", !done);
  paint(picture, image);
});

const context = new ContextSlider(find("context"), models, facts.contexts, requests);
const walk = new Walk(find("walk"), pair, requests);
const dimension = new Dimension(
  find("dimension"),
  Object.fromEntries(pair.map((name) => [name, models[name].order])),
  facts.spread,
  requests,
);
new CodeMap(find("map"), facts.map, requests);

function show() {
  const { image, to, seed } = state;
  askBits({ names: pair, image });
  askPictures({ names: pair, image, count: COUNT, seed });
  context.set(image, seed);
  dimension.set(image);
  walk.set(image, to);
}

const pad = new Pad(find("pad"), find("brush"), (image) => {
  state.image = image;
  press(picks, null);
  show();
});
const images = unpackImages(digits.images, 28 * 28);
const labels = [...digits.labels].map((label, i) => `A handwritten ${label}, number ${i + 1}`);
const picks = thumbnails(find("digits"), images, labels, (image) => pad.set(image));
const firsts = [...digits.labels].map((label) => digits.labels.indexOf(label));
const oneOfEach = (values) => values.filter((_, i) => firsts[i] === i);
const ends = thumbnails(find("ends"), oneOfEach(images), oneOfEach(labels), (image) => {
  state.to = image;
  walk.set(state.image, image);
});
find("clear").addEventListener("click", () => pad.clear());
find("undo").addEventListener("click", () => pad.undo());
find("again").addEventListener("click", () => {
  state.seed += 100;
  show();
});
state.to = oneOfEach(images)[3];
press(ends, ends[3]);
pad.set(images[facts.first], true);

if (textures) {
  const other = new ContextSlider(find("textures"), models, textures.names, requests);
  const shown = unpackImages(textures.images, textures.side ** 2);
  thumbnails(
    find("texture-picks"),
    shown,
    shown.map((_, i) => `Texture ${i + 1}`),
    (image) => other.set(image, 1),
  )[0].click();
}

// The weights stand behind this script, so that the page is there before they are.
document.addEventListener("DOMContentLoaded", async () => {
  const streams = { bytes: textOf("bytes"), halves: textOf("halves") };
  await requests.start(textOf("worker"), models, streams);
  document.documentElement.setAttribute("data-ready", "");
});
