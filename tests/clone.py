"""A clone of this checkout in which the pipeline has run, at scale smoke and without network or mirror."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT
from dvc.utils.hydra import apply_overrides

CHOICES = {
    "scale": "smoke", "checkpoint_seconds": "0", "vlae_models": "[vlae]", "texture_models": "[textures_window]",
    "color_texture_models": "[color_textures_window]",
}  # fmt: skip
"""A model of each stage; that every other trains and is evaluated is tested on smaller images."""
PUBLISHED = tuple(f"published/{name}/" for name in (
    "mnist_static/vae", "mnist_static/context_4x2", "mnist_static/context_stack", "mnist_static/context_full",
    "mnist_static/vlae", "textures",
))  # fmt: skip
"""What of it comes along: the models of the page on which one draws, and a few. A report of all takes twice as long."""


class Clone:
    """A git repository with this checkout's files, and the command lines a user would type in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.checkpoints = folder, folder.parent / "checkpoints"
        self.traced = folder.parent / "traced"  # what each stage of DVC has read
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'tests/traced'}",
            "VLAE_TRACED": str(self.traced),
            "VLAE_CHECKPOINTS": str(self.checkpoints),
            "VLAE_DATA_MIRROR": "",
            "COLUMNS": "120",
        }

    def make(self) -> None:
        """The files of this checkout; then the pipeline runs once, side by side, and the result is committed."""
        self.traced.mkdir()
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
            if (ROOT / name).is_file() and (not name.startswith("published/") or name.startswith(PUBLISHED)):
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        (self.folder / "dvc.lock").unlink(missing_ok=True)  # what is committed would not run
        apply_overrides(self.folder / "params.yaml", [f"{key}={value}" for key, value in CHOICES.items()])
        self.run("git", "init", "-q")
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.org")
        self.commit()
        self.run("python", "-m", "stages.repro")
        self.commit()

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "state")

    def start(self, *command: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, status: int = 0) -> str:
        process = self.start(*command)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == status, output
        return output

    def verify(self, status: int = 0) -> str:
        """What `make verify` does, in the environment that is there."""
        for stage in ("download", "preprocess"):
            self.run("python", "-m", f"stages.{stage}", "--published")
        return self.run("python", "-m", "stages.verify", status=status)

    def kill_in_training(self, *command: str) -> None:
        """Start a command and SIGKILL it with all its children once a checkpoint has been written."""
        process = self.start(*command)
        while not list(self.checkpoints.glob("*.pt")):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def weights(self, model: str) -> bytes:
        return (self.folder / f"runs/mnist5k/{model}/seed0/model.safetensors").read_bytes()
