"""Train the Unconditional Decoder: a PixelCNN without latent variables.

python -m stages.train_pixelcnn --dataset mnist5k --model pixelcnn [--minutes 10]
"""

from stages import run_stage
from stages.training import train_stage


def main() -> None:
    """Read params.yaml and the prepared data; write runs/<dataset>/<model>/ weights, config and history."""
    train_stage("pixelcnn")


if __name__ == "__main__":
    run_stage(main)
