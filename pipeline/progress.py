"""Where progress bars are drawn."""

import os

HIDDEN = {"shown": False, "hidden": True}.get(os.environ.get("VLAE_PROGRESS", ""))
"""tqdm's `disable`. None: unless stderr is a terminal. VLAE_PROGRESS is for whoever runs several processes, to read
the bars of each from a pipe, or to hide them where all share a terminal."""
