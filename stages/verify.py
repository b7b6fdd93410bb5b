"""`make verify`: evaluate every published model again, with fewer images and samples, and compare.

Status 1, naming the models, if a published number is not what its weights give.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from pipeline.config import TrainingConfig, load_params
from pipeline.data.datasets import Dataset, load_dataset
from pipeline.errors import DataError
from pipeline.evaluation.likelihood import per_image
from pipeline.publishing.seeds import seeds_faults
from pipeline.publishing.verification import (
    NOISE_SEED,
    Verification,
    at_published_k,
    choose,
    column,
    compare,
    derived_faults,
)
from pipeline.results.published import PER_IMAGE, Published, read_evaluation, read_published, seed_folders
from pipeline.saved import load_run
from stages import PUBLISHED, evaluated, file_sha256, no_options, run_stage
from stages.cores import jobs
from stages.machine import exact_device

HEADER = ("nats per image", "NLL", "verified", "99.9 % interval", "same images: NLL", "same images: KL", "images", "K",
          "seconds")  # fmt: skip
LINE = "{:<36} {:>8} {:>9}  {:<18} {:<24} {:<24} {:>6} {:>5} {:>7}"


def main() -> None:
    """Read published/ and data/published/processed/; print a line a model."""
    params = load_params()
    print(LINE.format(*HEADER))
    faults = []
    for text, found in _side_by_side(params.training, evaluated(PUBLISHED)):
        print(text, end="", flush=True)
        faults += found
    if faults:
        sys.exit("\n".join(["error: not verified", *faults]))


def _side_by_side(training: TrainingConfig, folders: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """What `judge` says of each, in their order: JOBS models at once, a process each, or one by one on a GPU."""
    processes = min(jobs(), len(folders)) if exact_device(training).type == "cpu" else 1
    if processes == 1:
        yield from map(partial(judge, training), folders)
        return
    os.environ["VLAE_PROGRESS"] = "hidden"
    die_of_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(processes, get_context("spawn"), die_of_interrupts) as pool:
        yield from pool.map(partial(judge, training), folders)


def judge(training: TrainingConfig, folder: Path) -> tuple[str, list[str]]:
    """The line of a published model, empty where it cannot be evaluated, and what is wrong with it."""
    started = time.monotonic()
    try:
        result = verify(exact_device(training), folder)
    except (DataError, OSError) as error:
        return "", [f"{folder}: {error}"]
    text = line(f"{folder.parent.name}/{folder.name}", result, time.monotonic() - started)
    return f"{text}\n", [f"{folder}: {fault}" for fault in result.faults]


def verify(device: torch.device, folder: Path) -> Verification:
    """One published model beside its fresh evaluation; OSError or DataError if files are missing or do not fit."""
    published = read_published(folder)
    metrics, dataset = published.metrics, evaluated_on(folder, published)
    compared, samples = column(metrics)
    if compared not in published.per_image:
        raise DataError(f"{PER_IMAGE} lacks {compared}")
    if faults := derived_faults(metrics, published.per_image["nll"], dataset.image_shape):
        raise DataError(f"metrics.json: {'; '.join(faults)}")
    others = {seed: read_evaluation(path) for seed, path in seed_folders(folder).items()}
    if faults := seeds_faults(published, others):
        raise DataError("; ".join(faults))
    chosen = choose(len(dataset.test), dataset.kind)
    images = torch.from_numpy(dataset.test[chosen]).float().to(device)
    model = load_run(folder, device).model
    few = images[: at_published_k(metrics)]
    fresh = per_image(model, images, samples, NOISE_SEED)
    nats = {name: fresh[name].to_numpy() for name in ("nll", "reconstruction", "kl")}
    if len(few):
        nats["at_published_k"] = per_image(model, few, metrics["importance_samples"], NOISE_SEED)["nll"].to_numpy()
    return compare(metrics, published.per_image, chosen, nats)


def evaluated_on(folder: Path, published: Published) -> Dataset:
    """The data set whose test images a published model was evaluated on; DataError if that, or the weights, differ."""
    dataset = load_dataset(Path(f"data/published/processed/{published.dataset}.npz"))
    if published.config["data_sha256"] != dataset.sha256() or published.metrics["images"] != len(dataset.test):
        raise DataError("was not evaluated on the test images of this data set")
    if published.metrics.get("model_sha256") != file_sha256(folder / "model.safetensors"):
        raise DataError("model.safetensors is not the file that was published")
    return dataset


def line(name: str, result: Verification, seconds: float) -> str:
    """A line of the table."""
    nll, kl = result.nll, result.kl.difference if result.kl else None
    return LINE.format(
        name,
        f"{nll.published:.2f}",
        f"{nll.verified.value:.2f}",
        f"{nll.verified.low:.2f} to {nll.verified.high:.2f}",
        *("" if of is None else f"{of.value:+.3f} [{of.low:+.3f}, {of.high:+.3f}]" for of in (nll.difference, kl)),
        f"{result.images:,}",
        str(result.samples or "exact"),
        f"{seconds:.0f}",
    )


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
