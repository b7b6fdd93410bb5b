"""The page on which one draws a digit: its numbers are Python's, it needs nothing from outside, and it can be used."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest
import torch
from browser import chromium, missing
from conftest import ROOT, VAE, VLAE, binary_images

from pipeline.config import ModelConfig
from pipeline.models.build import build_model
from pipeline.models.layers import initialize
from pipeline.reporting.live.bundle import bundle
from pipeline.reporting.live.page import DIGITS, TEXTURES, write_page
from pipeline.reporting.live.rounding import round_weights
from pipeline.reporting.live.weights import Store
from pipeline.saved import load_run, save_run
from pipeline.schema import from_mapping
from stages.live import embedded_digits

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

KINDS = {
    "vae": VAE,
    "af_vae": VAE | {"prior": "af"},
    "untied": VLAE | {"tied": False},
    "tied": VLAE | {"tied": True, "masked_layers": 6},
    "one_mask": VLAE | {"masked_layers": 1},
    "wide": VLAE | {"kernel_size": 5, "first_kernel_size": 7, "tied": False},
    "window": VLAE | {"context": "4x2", "tied": False},
    "full": VLAE | {"context": "full", "tied": False},
    "odd_flow": VLAE | {"flow_steps": 3},
    "deep_flow": VLAE | {"flow_hidden_units": [7, 9, 5]},
    "gaussian_prior": VLAE | {"prior": "gaussian", "latent_dim": 5},
}
ASK = """async ({ models, streams, images, noise, uniforms }) => {
  const layers = await $weights.unpack(models, streams), model = new $model.Model(models.one, layers.one);
  const last = (steps) => { for (;;) { const next = steps.next(); if (next.done) return next.value; } };
  return images.map((image, i) => {
    const posterior = model.encode(image), z = model.draw(posterior, noise[i]), maps = model.maps(z);
    const lengths = { kl: [...model.kl(posterior, [noise[i]])], pixels: last(model.reconstruction(image, maps)) };
    if (i >= uniforms.length) return lengths;
    const drawn = last(model.decompress(maps, uniforms[i])), prior = model.transform(Float32Array.from(noise[i]));
    return { ...lengths, drawn: [...drawn], prior: [...prior] };
  });
}"""
DRAWN = 10
"""Of so many images it is also compared what is drawn from their codes."""


@pytest.fixture(scope="module")
def context():
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def ask(context):
    """What the page's modules make of a model, images, noise and uniforms."""
    page = context.new_page()
    page.add_script_tag(content=bundle("weights", "model"))

    def answer(model, block, images, noise, uniforms):
        store = Store()
        store.add("one", model, round_weights(model), config=block, shape=list(images.shape[1:]))
        given = {"images": images.int(), "noise": noise, "uniforms": uniforms}
        arrays = {name: values.flatten(1).tolist() for name, values in given.items()}
        return page.evaluate(ASK, {"models": store.models, "streams": store.packed(), **arrays})

    return answer


@torch.no_grad()
def assert_same(answers, model, images, noise, uniforms):
    """What the page said is what the model says."""
    z, log_q = model.posterior.sample(model.posterior.encode(images), noise)
    expected = {
        "kl": log_q - model.prior.log_prob_terms(z),
        "pixels": -model.decoder.log_prob(images, z),
        "prior": model.prior.transform(noise),
    }
    for name, values in expected.items():
        told = torch.tensor([one[name] for one in answers if name in one])
        torch.testing.assert_close(told, values[: len(told)], atol=1e-3, rtol=0)
    drawn = torch.tensor([one["drawn"] for one in answers[:DRAWN]]).view_as(uniforms)
    assert torch.equal(drawn.float(), model.decoder.sample(z[:DRAWN], uniforms))


def numbers(model, images):
    """Noise for these images, and uniforms for the first of them."""
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(len(images), model.latent_dim, generator=rng)
    return noise, model.uniforms(min(DRAWN, len(images)), rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(8, 8), (9, 6)])
def test_every_kind_of_model_codes_and_draws_as_in_python(ask, kind, size):
    images = binary_images(3, (1, *size))
    model = build_model(KINDS[kind], images.shape[1:])
    initialize(model, binary_images(20, (1, *size)), torch.Generator().manual_seed(0))
    given = images, *numbers(model, images)
    answers = ask(model, {"masked_layers": 1} | KINDS[kind], *given)
    assert_same(answers, model, *given)


@pytest.fixture(scope="module")
def some_digits():
    return torch.from_numpy(embedded_digits().test).float()


@pytest.mark.parametrize("name", DIGITS)
def test_a_published_model_says_the_same_of_digits(ask, some_digits, name):
    count = 100 if name == "context_stack" else 4
    run = load_run(ROOT / "published/mnist_static" / name)
    given = some_digits[:count], *numbers(run.model, some_digits[:count])
    assert_same(ask(run.model, run.config["model_config"], *given), run.model, *given)


def publish_textures(folder):
    """Untrained models of textures, and what is known of these."""
    for name, kind in zip(TEXTURES, ("vae", "window", "full"), strict=True):
        block = from_mapping(ModelConfig, KINDS[kind] | {"latent_dim": 8}, "model")
        config = {"model_config": asdict(block), "image_shape": [1, 12, 12]}
        save_run(folder / name, build_model(block, (1, 12, 12)), config)
        (folder / name / "metrics.json").write_text('{"exact_information": 2.0794415}')


@pytest.fixture(scope="module")
def file(made_once):
    """The page with all that can be on it."""

    def write(folder):
        (folder / "published").mkdir()
        (folder / "published/mnist_static").symlink_to(ROOT / "published/mnist_static")
        publish_textures(folder / "published/textures")
        write_page(folder / "published", embedded_digits(), folder / "live.html")

    return made_once("live", write) / "live.html"


@pytest.fixture(scope="module")
def live(context, file):
    """The page as it is opened, with what it asks for and complains of, and how far things move."""
    page, asked, complaints = context.new_page(), [], []
    page.set_default_timeout(120_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script("""self.moved = 0; new PerformanceObserver((list) => {
      for (const one of list.getEntries()) self.moved = Math.max(self.moved, one.value);
    }).observe({ type: "layout-shift", buffered: true });""")
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.asked, page.complaints = asked, complaints
    return page


def bars(live, place="[data-card] [data-part=bar]") -> list[tuple[int, int]]:
    """Bits of code and pixels that the bars tell once they are computed."""
    live.wait_for_selector("body:not([data-busy~=all], [data-busy~=bits], [data-busy~=context-bits])")
    labels = [one.get_attribute("aria-label") for one in live.query_selector_all(f"{place} .bar")]
    return [tuple(map(int, re.findall(r"(-?\d+) bits", label))) for label in labels]


def pixels(live, selector) -> int:
    """How much ink a canvas has."""
    return live.eval_on_selector(selector, "(c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
                                 ".filter((value, i) => i % 4 === 3 && value).length")  # fmt: skip


def test_it_is_small_and_says_what_that_costs(file):
    assert file.stat().st_size < 5_000_000
    (loss,) = re.findall(r"costs (\d+\.\d) bits", file.read_text())
    assert 0 < float(loss) < 0.5


def test_drawing_with_the_mouse_changes_the_bars_and_undo_brings_them_back(live):
    first, example = bars(live), pixels(live, "#pad")
    box = live.query_selector("#pad").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    live.mouse.move(x + 0.3 * side, y + 0.3 * side)
    live.mouse.down()
    live.mouse.move(x + 0.7 * side, y + 0.3 * side, steps=5)
    live.mouse.move(x + 0.4 * side, y + 0.8 * side, steps=5)
    live.mouse.up()
    assert all(one != other for one, other in zip(bars(live), first, strict=True))
    assert 30 < pixels(live, "#pad") < example  # which the first stroke has taken away
    live.click("#undo")
    assert bars(live) == first
    live.click("#clear")
    assert pixels(live, "#pad") == 0
    for code, rest in bars(live):
        assert 0 <= code < 60
        assert rest > 0


def test_a_digit_can_be_drawn_with_the_keyboard(live):
    live.click("#clear")
    live.focus("#pad")
    for key in ("Space", "ArrowDown", "ArrowDown", "Space"):
        live.keyboard.press(key)
    assert pixels(live, "#pad") > 4


def test_the_more_the_decoder_sees_the_shorter_is_the_code(live):
    live.click("#digits button:nth-child(14)")
    codes = [code for code, _ in bars(live, "#context [data-part=bars]")]
    assert codes[0] > codes[2] > codes[-1]
    live.focus("#context [data-part=slider]")
    live.keyboard.press("End")
    assert live.inner_text("#context [data-part=title]") == "every earlier pixel"


def test_textures_are_there_once_they_are_published(live):
    assert "3.0 bits that are global" in live.inner_text("#textures")
    live.click("#texture-picks button:nth-child(2)")
    live.wait_for_selector("body:not([data-busy~=textures-bits])")
    assert len([code for code, _ in bars(live, "#textures [data-part=bars]")]) == len(TEXTURES)


def test_map_and_sliders_redraw(live):
    before = live.inner_text("#dimension [data-part=told]")
    live.focus("#dimension [data-part=which]")
    live.keyboard.press("ArrowRight")
    assert live.inner_text("#dimension [data-part=told]") != before
    live.hover("#map [data-part=map]", position={"x": 150, "y": 300})
    for place in ("#map .one", "#dimension [data-part=vae]", "#walk [data-part=to]", "#walk [data-model=vae]"):
        live.wait_for_function("(place) => document.querySelector(`${place} canvas`).getContext('2d')"
                               ".getImageData(0, 0, 28, 28).data.some((value) => value)", arg=place)  # fmt: skip


def test_every_control_and_picture_has_a_name(live):
    nameless = live.evaluate("""[...document.querySelectorAll("button, input, canvas")].filter((one) =>
      !one.closest("[aria-label], label") && !one.textContent.trim() && !one.querySelector("[aria-label]")
    ).map((one) => one.outerHTML)""")
    assert nameless == []


def test_nothing_leaves_the_page_nothing_is_complained_of_and_nothing_moves(live, file):
    live.wait_for_timeout(300)
    assert live.complaints == []
    assert {url for url in live.asked if not url.startswith(("blob:", "data:"))} == {file.as_uri()}
    assert live.evaluate("self.moved") < 0.02


@pytest.mark.parametrize("width", [400, 700, 1400])
def test_it_fits_the_width(live, width):
    live.set_viewport_size({"width": width, "height": 900})
    assert live.evaluate("document.documentElement.scrollWidth") <= width


def test_without_published_models_it_says_what_is_missing(tmp_path, some_digits):
    write_page(tmp_path, embedded_digits(), tmp_path / "live.html")
    assert "mnist_static/vae" in (tmp_path / "live.html").read_text()
