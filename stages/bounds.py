"""log p(x) of images that a published model draws, from both sides: is K large enough? Writes bounds.json beside it.

Annealed importance sampling from the model's own z bounds log p(x) from above, from q(z|x) from below. Where the two
meet, that is log p(x), and the K-sample bound of the same images shows what K costs. Needs no data. A VLAE takes ten
minutes or more on one core.

python -m stages.bounds published/mnist_static/vlae_annealed
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from pipeline.evaluation.ais import Schedule, bounds, simulate
from pipeline.evaluation.bootstrap import normal_interval
from pipeline.evaluation.likelihood import importance_nll
from pipeline.models.vlae import LatentVariableModel
from pipeline.progress import HIDDEN
from pipeline.saved import load_run
from pipeline.schema import ParamError
from pipeline.seeding import stream
from stages import file_sha256, published_parser, run_stage

IMAGES, AT_ONCE = 100, 20
SCHEDULE = Schedule(temperatures=500, leapfrogs=3, chains=4)
SAMPLES = (256, 4096)
FILE = "bounds.json"


def main() -> None:
    """Read a published model; write bounds.json beside it."""
    folder = published_parser("bounds", __doc__).parse_args().folder
    torch.set_num_threads(1)
    model = load_run(folder).model
    if not isinstance(model, LatentVariableModel) or model.posterior.flow is not None:
        raise ParamError(f"{folder}: must have a z with a Gaussian posterior")
    nats = estimates(model)
    told: dict[str, Any] = {"images": IMAGES, "schedule": SCHEDULE._asdict()}
    told["model_sha256"] = file_sha256(folder / "model.safetensors")
    for name, values in (nats | {"gap": nats["upper"] - nats["lower"]}).items():
        interval = normal_interval(values.numpy())
        told |= {name: round(interval.mean, 4), f"{name}_se": round(interval.se, 4)}
    (folder / FILE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"{folder}: log p(x) is at least {told['lower']:.3f} and at most {told['upper']:.3f} nats on average")


def estimates(model: LatentVariableModel) -> dict[str, Tensor]:
    """Bounds of log p(x) of each drawn image, (IMAGES,) nats each: `lower` and `upper` by annealing, `k256` …."""
    rows = []
    for i in tqdm(range(0, IMAGES, AT_ONCE), unit="batch", disable=HIDDEN):
        rng = stream(0, "bounds", i)
        z, x = simulate(model, min(AT_ONCE, IMAGES - i), rng)
        lower, upper = bounds(model, x, z, SCHEDULE, rng)
        reconstruction, kl = model.code_lengths(x, max(SAMPLES), rng)
        code = (reconstruction + kl).double()
        rows.append(torch.stack([lower, upper, *(-importance_nll(code, k) for k in SAMPLES)]))
    return dict(zip(("lower", "upper", *(f"k{k}" for k in SAMPLES)), torch.cat(rows, 1), strict=True))


if __name__ == "__main__":
    run_stage(main)
