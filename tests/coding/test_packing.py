"""Files of packed images: they come back bit for bit at the price of −ELBO, or are refused by name."""

import math

import numpy as np
import pytest
import torch
from conftest import VLAE, all_binary_images
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import BLOCKS, KINDS, images_of, tiny_run

from pipeline.coding import chain
from pipeline.coding.packing import CHECKSUM, HEADER, identity, pack, read_header, unpack
from pipeline.coding.stack import PARTS
from pipeline.errors import DataError


def packed(block=VLAE, count=9):
    images = images_of(block, count)
    run = tiny_run(block, images.shape[1:])
    return run, images, pack(run, images)


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_images_of_every_block_come_back(block):
    run, images, file = packed(block, 3)
    assert np.array_equal(unpack(run, file), images)


@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 40),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0.3, 3.0]),
)
@settings(max_examples=25, deadline=None)
def test_any_number_of_images_of_any_size_comes_back(kind, count, height, width, spread):
    block, size = KINDS[kind], (4 * height, 4) if kind == "colour" else (3 * height, 2 * width)
    images = images_of(block, count, size)
    run = tiny_run(block, images.shape[1:], spread=spread)
    assert np.array_equal(unpack(run, pack(run, images)), images)


@pytest.mark.parametrize("level", [0, 1, 255])
@pytest.mark.parametrize("kind", KINDS)
def test_images_of_one_level_come_back(kind, level):
    images = np.full_like(images_of(KINDS[kind], 6), level if kind == "colour" else min(level, 1))
    run = tiny_run(KINDS[kind], images.shape[1:], spread=2.0)
    assert np.array_equal(unpack(run, pack(run, images)), images)


@pytest.mark.parametrize("kind", ["factorized", "af prior", "iaf posterior", "no latent"])
def test_images_cost_what_the_elbo_says(kind):
    """Every image of 2×3 pixels, 256 times, on random bits; the expectation over z is a mean of 1,000 draws.

    On bits that images of an untrained model have left, z would be no draw from q(z|x).
    """
    every = all_binary_images(2, 3)
    run = tiny_run(KINDS[kind], (1, 2, 3))
    nats = sum(run.model.code_lengths(every, 1000)).mean().item()
    writer, random, cost = chain.Writer(run.model), np.random.RandomState(0), 0.0
    for _ in range(64):
        writer.stack.push_uniform(random.randint(0, PARTS, 2000), PARTS)
        before = writer.stack.bits
        writer.push(every.repeat(4, 1, 1, 1))
        cost += writer.stack.bits - before - math.log2(chain.AT_ONCE)
    assert cost / (64 * 256) == pytest.approx(nats / math.log(2), rel=0.01)


@pytest.mark.parametrize("block", ["narrow_pixelcnnpp", "pixelcnn"])
def test_images_of_a_model_without_z_cost_their_likelihood(block):
    run = tiny_run(BLOCKS[block], images_of(BLOCKS[block], 1).shape[1:])
    images = run.model.sample(200, torch.Generator().manual_seed(0))
    nats = -run.model.log_prob(images).sum().item()
    file = pack(run, images.byte().numpy())
    assert 8 * (len(file) - HEADER.size - CHECKSUM.size) == pytest.approx(nats / math.log(2), rel=0.01)


@pytest.mark.parametrize("kind", ["factorized", "af prior", "colour"])
def test_what_takes_z_from_the_stack_puts_it_back(kind):
    images = images_of(KINDS[kind], 1)
    run = tiny_run(KINDS[kind], images.shape[1:])
    writer = chain.Writer(run.model)
    before, words = writer.stack.bits, writer.stack.words
    x = torch.from_numpy(images).float()
    z = chain._pop_posterior(run.model, x, writer.stack)
    assert writer.stack.bits < before - run.model.latent_dim
    chain._push_posterior(run.model, x, z, writer.stack)
    assert np.array_equal(writer.stack.words, words)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_byte(kind):
    run, images, file = packed(KINDS[kind])
    torch.set_num_threads(2)
    assert pack(run, images) == file
    assert np.array_equal(unpack(run, file), images)
    assert torch.get_num_threads() == 2


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch):
    sizes = []
    monkeypatch.setattr(chain, "AT_ONCE", 16)
    known = chain.KnownPixels.__init__

    def noted(self, likelihood, x):
        sizes.append(len(x))
        known(self, likelihood, x)

    monkeypatch.setattr(chain.KnownPixels, "__init__", noted)
    run, images, file = packed(VLAE, 300)
    assert max(sizes) == 16
    assert sum(sizes) == 300
    assert np.array_equal(unpack(run, file), images)


@pytest.mark.parametrize("kind", KINDS)
def test_another_model_is_refused(kind):
    run, images, file = packed(KINDS[kind])
    other = tiny_run(KINDS[kind], images.shape[1:], seed=1)
    assert identity(other) != identity(run)
    with pytest.raises(DataError, match="another model"):
        unpack(other, file)


def test_one_weight_or_one_word_of_the_block_makes_another_model():
    run, same = tiny_run(VLAE, (1, 8, 8)), tiny_run(VLAE, (1, 8, 8))
    assert identity(run) == identity(same)
    assert identity(tiny_run(VLAE | {"objective": "elbo"}, (1, 8, 8))) != identity(run)
    next(same.model.parameters()).view(-1)[0] += 1e-6
    assert identity(run) != identity(same)


def test_no_changed_byte_goes_unseen():
    run, _, file = packed(count=40)
    random = np.random.RandomState(0)
    for place in random.randint(0, len(file), 200):
        changed = bytearray(file)
        changed[place] ^= random.randint(1, 256)
        with pytest.raises(DataError):
            unpack(run, bytes(changed))


@pytest.mark.parametrize("length", [0, 3, 4, HEADER.size, HEADER.size + 3, -4, -1])
def test_a_cut_file_is_refused(length):
    _, _, file = packed()
    with pytest.raises(DataError, match=r"damaged|not a file"):
        read_header(file[:length])


@pytest.mark.parametrize("file", [b"", b"\x89PNG\r\n\x1a\n", b"VLAE", b"VLAF" + bytes(60)])
def test_a_foreign_file_is_refused(file):
    with pytest.raises(DataError, match=r"damaged|not a file"):
        read_header(file)


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_machine_decodes_is_refused(kind, monkeypatch):
    """A network whose floats come out a little different there."""
    run, _, file = packed(KINDS[kind], 30)
    of_here = identity(run)
    for parameter in run.model.parameters():
        parameter.mul_(1 + 1e-5)
    monkeypatch.setattr("pipeline.coding.packing.identity", lambda run: of_here)
    with pytest.raises(DataError, match="on the machine that packed it"):
        unpack(run, file)


def test_other_images_than_were_packed_are_never_returned(monkeypatch):
    """Whatever read them wrongly."""
    run, images, file = packed()
    monkeypatch.setattr("pipeline.coding.packing.read", lambda *_: iter([torch.from_numpy(1 - images).float()]))
    with pytest.raises(DataError, match="other images than were packed"):
        unpack(run, file)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 1, 8, 9), np.uint8), np.zeros((2, 1, 8, 8)), np.full((2, 1, 8, 8), 2, np.uint8)]
)
def test_images_of_another_kind_are_refused(images):
    with pytest.raises(ValueError, match="images"):
        pack(tiny_run(VLAE, (1, 8, 8)), images)
