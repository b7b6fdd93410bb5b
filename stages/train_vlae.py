"""Train a VLAE: latent variables and an autoregressive decoder.

python -m stages.train_vlae --dataset mnist5k --model vlae [--minutes 10]
"""

from stages import run_stage
from stages.training import train_stage


def main() -> None:
    """Read params.yaml and the prepared data; write runs/<dataset>/<model>/ weights, config and history."""
    train_stage("vlae")


if __name__ == "__main__":
    run_stage(main)
