"""Variational Lossy Autoencoder (Chen et al., ICLR 2017): library of the pipeline in dvc.yaml.

    from pipeline import load_run
    run = load_run("runs/mnist5k/vlae")
    nats = run.model.log_prob(x, importance_samples=64)   # (B,)

The names below are imported on first use, so that `import pipeline.config` does not import torch.
"""

from __future__ import annotations

from typing import Any

__all__ = ["build_model", "load_run"]


def __getattr__(name: str) -> Any:
    if name == "build_model":
        from pipeline.models.build import build_model

        return build_model
    if name == "load_run":
        from pipeline.saved import load_run

        return load_run
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
