"""The pictures a model draws: which images they are of, and what may differ within a row."""

import numpy as np
import torch
from conftest import PIXELCNN, VLAE, binary_images

from pipeline import build_model
from pipeline.evaluation.panels import ROWS, interpolations, panels, traversals

SHAPE = (1, 6, 6)


def test_panels_are_seeded_pairs_samples_and_walks():
    model, x = build_model(VLAE, SHAPE), binary_images(40, SHAPE)
    pictures = panels(model, x, seed=0, walks=True)
    assert pictures["samples"].shape == (64, *SHAPE)
    assert pictures["originals"].shape == pictures["decompressions"].shape == (40, *SHAPE)
    assert np.array_equal(pictures["originals"], x.numpy())
    again = panels(model, x, seed=0, walks=True)
    assert all(np.array_equal(pictures[name], again[name]) for name in pictures)
    assert set(panels(build_model(PIXELCNN, SHAPE), x, seed=0, walks=True)) == {"samples"}
    assert set(panels(model, x, seed=0, walks=False)) == {"samples", "originals", "decompressions"}


def recorded(model, monkeypatch):
    """Codes and uniforms that the decoder is given, instead of pictures."""
    calls = []

    def sample(z, uniforms):
        calls.append((z, uniforms))
        return uniforms

    monkeypatch.setattr(model.decoder, "sample", sample)
    return calls


def test_interpolations_go_from_one_latent_to_the_other_between_their_images(monkeypatch, rng):
    model, x = build_model(VLAE, SHAPE), binary_images(20, SHAPE)
    calls, latents = recorded(model, monkeypatch), model.encode(x, rng)
    rows = interpolations(model, x, latents, rng).unflatten(0, (ROWS, ROWS))
    assert torch.equal(rows[:, 0], x[:ROWS])
    assert torch.equal(rows[:, -1], x[ROWS : 2 * ROWS])
    z, uniforms = calls[0]
    z = z.unflatten(0, (ROWS, -1))
    assert torch.allclose(z[:, 0], latents[:ROWS], atol=1e-4)
    assert torch.allclose(z[:, -1], latents[ROWS : 2 * ROWS], atol=1e-4)
    assert (uniforms == uniforms[0]).all()


def test_few_images_give_fewer_rows(rng):
    model, x = build_model(VLAE, SHAPE), binary_images(5, SHAPE)
    rows = interpolations(model, x, model.encode(x, rng), rng).unflatten(0, (2, ROWS))
    assert torch.equal(rows[:, 0], x[:2])
    assert torch.equal(rows[:, -1], x[2:4])


def test_traversals_move_one_dimension_each_the_liveliest_first(monkeypatch, rng):
    model, latents = build_model(VLAE | {"latent_dim": 10}, SHAPE), torch.randn(50, 10) * torch.arange(1, 11)
    calls = recorded(model, monkeypatch)
    traversals(model, latents, rng)
    moved = calls[0][0].unflatten(0, (ROWS, ROWS)) != latents[0]
    assert [sorted(set(row.nonzero()[:, 1].tolist())) for row in moved] == [
        [int(dimension)] for dimension in latents.std(0).argsort(descending=True)[:ROWS]
    ]
    assert (calls[0][1] == calls[0][1][0]).all()
