"""The stages of dvc.yaml as scripts, each run as `python -m stages.<name>`."""

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

# Before numpy, scikit-learn and torch are imported, which read these once: a second thread of a stage would wait for
# the first whenever a core is taken away, while a second stage beside it does twice the work (`make repro`).
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

from pipeline.errors import DataError
from pipeline.schema import ParamError

PUBLISHED = Path("published")
MENDABLE = (ParamError, DataError, FloatingPointError, OSError)
"""The errors that a stage's user can mend."""


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage; an error that its user can mend ends it with one message and status 1, no traceback."""
    try:
        main()
    except OSError as error:
        reason = error.strerror or str(error)
        _refuse(f"{error.filename}: {reason}" if error.filename else reason)
    except MENDABLE as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _refuse(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def no_options(about: str | None) -> None:
    """The command line of a script that has none but --help, which prints what the script says of itself."""
    argparse.ArgumentParser(
        prog=f"python -m stages.{Path(sys.argv[0]).stem}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()


def run_parser(stage: str, description: str) -> argparse.ArgumentParser:
    """The command line of a stage that works on one run."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=description)
    parser.add_argument("--dataset", required=True, help="a data set prepared by `dvc repro preprocess`")
    parser.add_argument("--model", required=True, help="a block of `models:` or `color_models:` in params.yaml")
    parser.add_argument("--seed", type=int, help="one of `seeds` in params.yaml; the first if left out")
    return parser


def published_parser(stage: str, about: str | None) -> argparse.ArgumentParser:
    """The command line of a script that works on one published model, `folder`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{stage}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a published model, such as published/mnist_static/vlae")
    return parser


def run_folder(dataset: str, model: str, seed: int) -> Path:
    """Where a run is kept."""
    return Path("runs") / dataset / model / f"seed{seed}"


def evaluated(published: Path) -> list[Path]:
    """The folders of the published models that have been evaluated; ParamError if there are none."""
    folders = sorted(path.parent for path in published.glob("*/*/metrics.json"))
    if not folders:
        raise ParamError(f"{published}/ holds no evaluated model; `python -m stages.publish` puts one there")
    return folders


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
