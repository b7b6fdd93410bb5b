"""Shards are the batch, whoever computes them: in one thread, several, or processes that torchrun starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, VLAE, binary_images
from sharded import CASES, sha256, trained

from pipeline import build_model
from pipeline.models.layers import initialize
from pipeline.seeding import stream_seed
from pipeline.training.objectives import Objective
from pipeline.training.shards import Shards, noise_seeds
from pipeline.training.workers import Workers

SHAPE = (1, 8, 8)


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """SHA-256 by case of each of two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    folder = tmp_path_factory.mktemp("processes")
    script = [str(ROOT / "tests" / "sharded.py"), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_weights_are_the_same_bits_whoever_computes_the_shards(tmp_path, processes, case):
    one = sha256(trained(case, Workers(), tmp_path))
    assert sha256(trained(case, Workers(2), tmp_path)) == one
    assert [hashes[case] for hashes in processes] == [one, one]


def means_of(model, images, seeds):
    """Of reconstruction and KL, over all images."""
    pairs = zip(images, seeds, strict=True)
    parts = [model.parts(x, torch.Generator().manual_seed(seed)) for x, seed in pairs]
    return [torch.cat([part[name] for part in parts]).mean() for name in ("reconstruction", "kl")]


@pytest.mark.parametrize(("rule", "weight"), [("free_bits", 1.0), ("soft_free_bits", 0.3), ("annealing", 0.6)])
@pytest.mark.parametrize("offset", [-0.01, 0.01])
def test_the_gradient_is_that_of_the_mean_kl_of_the_whole_batch(rule, weight, offset):
    model = build_model(VLAE, SHAPE)
    initialize(model, binary_images(16, SHAPE), torch.Generator().manual_seed(0))
    x, seeds = binary_images(12, SHAPE, 1), [5, 6, 7]
    images = x.chunk(3)
    reconstruction, kl = means_of(model, images, seeds)
    target = kl.item() + offset
    single = [means_of(model, [part], [seed])[1].item() > target for part, seed in zip(images, seeds, strict=True)]
    assert 0 < sum(single) < 3  # shards on both sides of the target
    price = kl.clamp_min(target) if rule == "free_bits" else weight * kl
    right = torch.autograd.grad(reconstruction + price, list(model.parameters()))
    means = Shards(model, Objective(rule, target), False, 3, Workers())(x, seeds, weight)
    assert means.tolist() == pytest.approx([reconstruction.item(), kl.item()])
    assert all(torch.allclose(p.grad, g, atol=1e-5) for p, g in zip(model.parameters(), right, strict=True))


def test_noise_is_of_seed_step_and_shard_and_of_one_shard_that_of_the_step():
    assert noise_seeds(0, 3, 1) == [stream_seed(0, "noise", 3)]
    drawn = [noise for seed in (0, 1) for step in (3, 4) for noise in noise_seeds(seed, step, 4)]
    assert len(set(drawn)) == 16
    assert noise_seeds(0, 3, 4)[:2] == noise_seeds(0, 3, 2)
