"""Train any model of textures, the data sets from a known source: a VAE, a VLAE or an Unconditional Decoder.

python -m stages.train_textures --dataset textures --model textures_window [--minutes 10]
"""

from stages import run_stage
from stages.training import train_stage


def main() -> None:
    """Read params.yaml and the prepared data; write runs/<dataset>/<model>/ weights, config and history."""
    train_stage(None)


if __name__ == "__main__":
    run_stage(main)
