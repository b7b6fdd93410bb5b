"""Where progress bars are drawn."""

import os

HIDDEN = False if os.environ.get("VLAE_PROGRESS") else None
"""tqdm's `disable`. None: unless stderr is a terminal; VLAE_PROGRESS is set by stages/repro.py, which reads a pipe."""
