"""`make bench`: measure speed on this machine, print the tables and write reports/benchmark.md. Not a stage of DVC."""

from __future__ import annotations

import inspect
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import torch

from pipeline import benchmark
from pipeline import benchmark_training as steps
from pipeline.config import load_params
from stages import no_options, run_stage
from stages.machine import processor, resolve_bfloat16

REPORT = Path("reports/benchmark.md")
TRICKS = ("", "none", *steps.TRICKS, "both")
OTHERS = ("", "alone", "beside one process", "beside one a core, at the lowest priority")


def main() -> None:
    params = load_params()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rates = benchmark.machine_rates()
    bfloat16 = resolve_bfloat16(params.training.precision, torch.device("cpu"))
    head = ("", "the obvious way", "ours", "ratio")
    sections = (
        ("Sampling", benchmark.sampling, head, benchmark.sampling(params)),
        ("Likelihood", benchmark.likelihood, head, benchmark.likelihood(params)),
        ("Training", steps.training, head, steps.training(params, bfloat16)),
        ("What each trick is worth", steps.tricks, TRICKS, steps.tricks(params, bfloat16)),
        ("Beside others", steps.beside_others, OTHERS, steps.beside_others(params, bfloat16)),
        ("Beside the steps", steps.overhead, ("", "of the time of the steps"), steps.overhead(params, bfloat16)),
        ("Where a step goes", steps.profile, ("", "ms", "floor, ms"), steps.profile(params, bfloat16)),
        ("GPU", steps.gpu, ("", ""), steps.gpu(params)),
        ("Start-up", benchmark.start_up, ("whole command", ""), benchmark.start_up()),
    )
    about_all = f"`make bench`; medians of {benchmark.RUNS} runs, what is compared in turn."
    text = [f"# Benchmark\n\n{about_all}\n\n{machine(rates)}\n"]
    print(text[0])
    for title, about, columns, rows in sections:
        text.append(f"## {title}\n\n{inspect.getdoc(about)}\n\n{table(columns, rows)}\n")
        print(text[-1], flush=True)
    REPORT.write_text("\n".join(text), encoding="utf-8")
    print(f"written to {REPORT}")


def machine(rates: dict[str, float]) -> str:
    """Processor, cores, versions, and what the machine reaches in matrix products and copies."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    speeds = ", ".join(f"{rates[name] / 1e9:,.0f} Gflop/s in {name}" for name in ("float32", "bfloat16"))
    cores = f"{os.cpu_count()} cores, of which one is used"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    rate = f"Matrix products: {speeds}; copying: {rates['bytes'] / 1e9:.0f} GB/s."
    return f"{processor()}, {cores}, {device}; {versions}. {rate}"


def table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """In Markdown."""
    lines = [tuple(columns), *rows]
    cells = ["| " + " | ".join(line) + " |" for line in (lines[0], ("---",) * len(lines[0]), *lines[1:])]
    return "\n".join(cells)


if __name__ == "__main__":
    no_options(__doc__)
    run_stage(main)
