"""Small models and images shared by the tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before numpy and torch are imported: each of the processes that make test starts has a core to itself.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pytest
import torch
from filelock import FileLock

from stages.cores import jobs

ROOT = Path(__file__).parents[1]

VAE = {"posterior": "gaussian", "prior": "gaussian", "decoder": "factorized", "latent_dim": 3,
       "encoder_channels": [4, 4], "hidden_units": 16, "flow_steps": 2, "flow_hidden_units": [12, 12]}  # fmt: skip
VLAE = VAE | {"prior": "af", "decoder": "pixelcnn", "masked_layers": 4, "filters": 4, "conditioning_maps": 2}
PIXELCNN = {"posterior": "none", "prior": "none", "decoder": "pixelcnn", "masked_layers": 3, "filters": 4}
COLOR_VLAE = {"network": "resnet", "posterior": "gaussian", "prior": "af", "decoder": "pixelcnnpp", "latent_maps": 4,
              "channels": 4, "inner_channels": 6, "flow_steps": 2, "flow_maps": [8, 8], "context": "4x2", "blocks": 2,
              "filters": 4, "mixtures": 2}  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: as many processes as `make repro` would run."""
    return jobs()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that need a whole pipeline first: they take longest, and the others fill the time until the last ends."""
    items.sort(key=lambda item: "clone" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder of that name, made by whichever of the processes of this run of pytest asks for it first."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(base / f"{name}.lock"):
            if not (base / f"{name}.made").exists():
                (base / name).mkdir()  # fails where making it has failed before
                make(base / name)
                (base / f"{name}.made").touch()
        return base / name

    return folder


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    """The same weights and inputs in every run of a test; the models here are too small to gain from threads."""
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _checkpoints_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test goes on from what an earlier run of it left in the user's cache."""
    monkeypatch.setenv("VLAE_CHECKPOINTS", str(tmp_path / "checkpoints"))


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def binary_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """(count, C, H, W) random images in {0, 1}."""
    return (torch.rand((count, *shape), generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def color_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """(count, C, H, W) levels 0 … 255: a random colour an image, and noise."""
    rng = torch.Generator().manual_seed(seed)
    levels = 128 + 50 * torch.randn(count, shape[0], 1, 1, generator=rng)
    return (levels + 15 * torch.randn(count, *shape, generator=rng)).round().clamp(0, 255)


def all_binary_images(height: int, width: int) -> torch.Tensor:
    """Every image of that size: (2^(H·W), 1, H, W)."""
    pixels = height * width
    codes = torch.arange(2**pixels)
    return ((codes[:, None] >> torch.arange(pixels)) & 1).float().view(-1, 1, height, width)
