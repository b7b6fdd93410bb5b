"""Train a VAE: latent variables and a factorized decoder.

python -m stages.train_vae --dataset mnist5k --model vae [--minutes 10]
"""

from stages import run_stage
from stages.training import train_stage


def main() -> None:
    """Read params.yaml and the prepared data; write runs/<dataset>/<model>/ weights, config and history."""
    train_stage("vae")


if __name__ == "__main__":
    run_stage(main)
