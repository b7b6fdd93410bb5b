"""Files of one image: a few bytes that say z, or are refused by name."""

import numpy as np
import pytest
import torch
from conftest import VAE, VLAE
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import images_of, tiny_run

from pipeline.coding.codebook import CELLS, FARTHEST, PARTS, Codebook, learn, load_codebook, means
from pipeline.coding.lossy import HEADER_BYTES, decoded, describe, from_file, to_file
from pipeline.errors import DataError

SHAPE = (1, 8, 8)
KINDS = {"gaussian": VAE, "af": VLAE, "iaf": VLAE | {"posterior": "iaf", "prior": "gaussian"}}
BOOK = Codebook([0.0] * 3, [1.0, 0.3, 1e-4], [0.5, 0.5, 0.9])


def made(block=VLAE, step=0.5):
    run = tiny_run(block, SHAPE)
    images = torch.from_numpy(images_of(block, 30)).float()
    return run, learn(run.model, images, step), images


@given(st.lists(st.integers(-FARTHEST, FARTHEST), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_cells_come_back_at_their_price(cells):
    run, cells = tiny_run(VLAE, SHAPE), np.array(cells)
    file = to_file(run, BOOK, cells)
    assert np.array_equal(from_file(run, BOOK, file), cells)
    assert 8 * (len(file) - HEADER_BYTES) <= BOOK.bits(cells[None])[0] + 8


def test_a_dimension_that_says_nothing_costs_nothing():
    zeros = np.zeros((1, 3), np.int64)
    assert BOOK.prices[2, FARTHEST] < 1e-3
    assert to_file(tiny_run(VLAE, SHAPE), BOOK, zeros[0])[HEADER_BYTES:] == b""


def test_the_parts_of_every_dimension_are_those_of_a_distribution():
    assert (BOOK.sizes.sum(1) == PARTS).all()
    assert BOOK.sizes.min() >= 1
    assert sorted(CELLS) == list(range(-FARTHEST, FARTHEST + 1))


@pytest.mark.parametrize("block", KINDS.values(), ids=KINDS)
def test_narrow_cells_say_the_mean_of_the_posterior(block):
    run, book, images = made(block, step=0.01)
    noise, _ = means(run.model, images)
    cells = np.round((noise.double().numpy() - book.mean) / book.width)
    inside = torch.from_numpy(np.abs(cells) <= FARTHEST)
    assert inside.float().mean() > 0.2
    off = (book.noise(book.nearest(noise)) - noise).abs() / torch.tensor(book.width)
    assert off[inside].max() < 0.51


def test_the_mean_of_a_posterior_with_a_flow_is_what_its_middle_becomes():
    run, _, images = made(KINDS["iaf"])
    parameters = run.model.posterior.encode(images)
    z = run.model.posterior.flow.inverse(*parameters[::2])
    assert torch.equal(means(run.model, images)[0], z)


@pytest.mark.parametrize("block", KINDS.values(), ids=KINDS)
def test_a_description_is_no_longer_than_that_of_the_means(block):
    run, book, images = made(block)
    saved = []
    for x, found in zip(images[:5].split(1), describe(run.model, book, images[:5]), strict=True):
        start = book.nearest(means(run.model, x)[0])
        z = run.model.prior.transform(book.noise(start))
        of_means = book.bits(start)[0] - run.model.decoder.log_prob(x, z).item() / np.log(2)
        saved.append(of_means - found.code_bits - found.image_bits)
        assert found.code_bits == pytest.approx(book.bits(found.cells[None])[0])
        assert np.array_equal(from_file(run, book, to_file(run, book, found.cells)), found.cells)
    assert min(saved) > -1e-3
    assert max(saved) > 0.1


@pytest.mark.parametrize("block", KINDS.values(), ids=KINDS)
def test_images_described_together_have_the_descriptions_that_each_has_alone(block, monkeypatch):
    run, book, images = made(block)
    together = describe(run.model, book, images[:7])
    monkeypatch.setattr(run.model, "rows_at_once", 20)  # not a multiple of 7
    for one, again, x in zip(together, describe(run.model, book, images[:7]), images[:7].split(1), strict=True):
        (alone,) = describe(run.model, book, x)
        assert np.array_equal(one.cells, alone.cells)
        assert np.array_equal(one.cells, again.cells)
        assert one.bits == pytest.approx(alone.bits)


def test_no_move_leaves_the_cells_that_a_file_can_say():
    run, book, images = made()
    narrow = Codebook(book.mean, book.deviation, [width / 40 for width in book.width])
    assert max(np.abs(one.cells).max() for one in describe(run.model, narrow, images)) == FARTHEST


def test_decodings_are_draws_given_the_same_z():
    run, book, images = made()
    cells = describe(run.model, book, images[:1])[0].cells
    drawn = decoded(run.model, book, cells, 4, torch.Generator().manual_seed(0))
    z = run.model.prior.transform(book.noise(cells[None])).repeat(4, 1)
    assert torch.equal(drawn, run.model.decompress(z, torch.Generator().manual_seed(0)))


def test_no_changed_byte_goes_unseen():
    run, book, images = made(step=0.05)
    random = np.random.RandomState(0)
    for i in range(200):
        file = bytearray(to_file(run, book, book.nearest(means(run.model, images[i % 30 :][:1])[0])[0]))
        file[random.randint(len(file))] ^= random.randint(1, 256)
        with pytest.raises(DataError):
            from_file(run, book, bytes(file))


@pytest.mark.parametrize("file", [b"", b"\x90", b"VLAE\x01", b"\x89PNG\r\n\x1a\n", b"\x90\x00" + bytes(40)])
def test_a_foreign_or_cut_file_is_refused(file):
    with pytest.raises(DataError):
        from_file(tiny_run(VLAE, SHAPE), BOOK, file)


def test_another_model_or_codebook_is_refused():
    run, cells = tiny_run(VLAE, SHAPE), np.array([3, -1, 0])
    file = to_file(run, BOOK, cells)
    with pytest.raises(DataError, match="another model"):
        from_file(tiny_run(VLAE, SHAPE, seed=1), BOOK, file)
    with pytest.raises(DataError, match="another model"):
        from_file(run, Codebook(BOOK.mean, BOOK.deviation, [0.5, 0.5, 0.8]), file)


def test_a_codebook_comes_back_from_its_file(tmp_path):
    _, book, _ = made()
    book.save(tmp_path)
    again = load_codebook(tmp_path)
    assert np.allclose(again.width, book.width, rtol=1e-5)
    again.save(tmp_path)
    assert load_codebook(tmp_path) == again


@pytest.mark.parametrize("content", [None, "", "{}", '{"mean": [1], "deviation": [1], "width": [0]}', "[1]"])
def test_a_codebook_that_is_missing_or_damaged_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "codebook.json").write_text(content)
    with pytest.raises(DataError, match="missing" if content is None else "damaged"):
        load_codebook(tmp_path)
