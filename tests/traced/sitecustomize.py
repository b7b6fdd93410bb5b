"""Imported by every Python that has this folder in PYTHONPATH: notes what a stage of DVC reads of its project."""

import os
import sys

if "DVC_STAGE" in os.environ:
    project = os.environ["DVC_ROOT"] + os.sep
    file = os.path.join(os.environ["VLAE_TRACED"], os.environ["DVC_STAGE"])
    # By lines: a fork ends without the rest of its buffer.
    notes = open(file, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def note(event: str, arguments: tuple) -> None:
        """Audit hook: files opened for reading, by their path from the project's folder."""
        if event == "open" and isinstance(arguments[0], str) and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            path = os.path.abspath(arguments[0])
            if path.startswith(project) and os.path.isfile(path):  # not a folder of another, told by its name there
                notes.write(path.removeprefix(project) + "\n")

    sys.addaudithook(note)
