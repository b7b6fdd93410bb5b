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
    "autoregressive flow (AF) fits the codes better, so that −ELBO falls (the code itself may grow); it costs as much "
    "in training as a posterior made by the inverse flow (IAF), with a deeper generator.",
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
CURVES = "Solid: validation images. Dotted: training batches. Both scales are cut at the top."
CLAIMS = (
    "Verdicts are about the models, data and training at hand: first what is published, then this run. A claim about "
    "NLL or KL is judged by differences over the same test images: it holds, or does not, where their 95 % interval "
    "lies on one side, and is undecided where the interval holds zero. One about NLL is not judged where the better "
    "model had over a tenth more steps, or the validation images as well. One about what is kept is judged by the two"
    " intervals, which must not overlap. Training seeds are not in any interval, and with the same K the NLL of a "
    "factorized VAE is overstated more than a VLAE's. In the table at a glance a cell is empty where the models or "
    "data that the claim is about are not there."
)
TABLES = (
    "Every row of the paper. Its own models and ours stand out (bold in the Markdown, italic on the page); the others"
    " are baselines that it quotes. Blue on the page: with a figure of ours, published (a longer training on the "
    "paper's data, kept under published/) or from this run. The interval is over our test images, and the verdict "
    "only says where the paper's number lies beside it; that has no interval of its own, and on the same images a "
    "smaller difference can be significant. How our model deviates from one of the paper's own stands under “our "
    "run”."
)
DIFFERENCES = (
    "NLL of one model minus that of another that differs in what is named, over the same images, which takes out what "
    "makes an image hard for both: mean [95 % bootstrap interval over images]. Negative: the first is better. Only "
    "pairs whose two models are in this run are listed."
)
INFORMATION = (
    "KL is the length of z in the message, and an upper bound on the mutual information I(x; z). The lower bound "
    "on I(x; z) compares every z with all test images' posteriors and cannot exceed the logarithm of their number; it "
    "needs a Gaussian posterior. Cost of z: −ELBO − NLL, the nats by which the message is longer for the use of z, "
    "KL(q(z|x) ‖ p(z|x)); a little more than told, since a finite K overstates NLL. Active units are the dimensions "
    "whose posterior mean varies over images by more than 0.01 (Burda et al., 2016)."
)
SPECTRUM = (
    "Left: terms of the KL by dimension; with an AF prior or IAF posterior they add up to the KL, but one alone is no "
    "divergence. Right: activity; dotted, the limit of an active unit."
)
CONTEXT = (
    "The paper's argument as a curve: the more earlier pixels the decoder sees, the less it pays to send through z."
    " Hollow: Gaussian prior. The line, if there is one, joins the `context_…` models (KL annealing, no free bits, "
    "untied decoder), which differ in the context and, by it, in the decoder's first layers; the form of a marker is "
    "the objective. A context without pixels is the factorized decoder. Optimisation is part of the picture: at a "
    "small budget KL annealing leaves a code in place that a decoder with every earlier pixel could in time do "
    "without, and the plain ELBO may never start to use one."
)
KEPT = (
    "Correlation of a test image with its decompression, after the means over all images are taken out: 1 is a copy, 0 "
    "what two unrelated images would give. Coarse: means of 4×4 blocks. Fine: the image minus those. 95 % bootstrap "
    "intervals over images."
)
WALKS = (
    "Left: straight ways between the codes of two test images, in the noise the prior is made from. Right: the code of "
    "the first test image with one dimension moved from −2.5 to 2.5 standard deviations (of all codes), the eight that "
    "vary most. Within a panel all pixels are drawn from the same random numbers: what changes comes from z."
)
RATE_DISTORTION = (
    "Stars: a decompression from z, which costs its KL with bits-back coding. A star pays for no header, and its model "
    "has learned this kind of image; a codec knows nothing of it. Solid lines: codecs at their smallest sizes, whole "
    "files. Dashed: without what a receiver could know beforehand (pipeline/evaluation/codecs.py says what that is for "
    "each). Lossy copies are read as black above one half. A decompression is one draw of p(x|z), not the likeliest "
    "image: at fine scale it is not meant to agree."
)
BOUNDS = (
    "The bound on NLL with K samples falls towards the NLL as K grows; where the curve is still steep at its end, "
    "the run's K overstates the NLL. Mean ± standard error over test images; bounds with small K are means over "
    "many groups of the same samples."
)
PUBLISHED = (
    "Longer trainings than this run's, committed under published/ with weights, and NLL and KL of every test image; "
    "`make verify` evaluates them again. Curves: validation images, averaged weights, one sample of z an image; "
    "dotted: training batches. A model trained on train+valid, as the paper's final ones are, has seen the validation "
    "images. One that was not evaluated is there for its curve alone."
)
FIT = (
    "The second table is about why a row may miss the paper's: how far −ELBO of validation images still fell and KL "
    "rose over the last quarter of the steps (in part because the rate goes to zero there); how much more test images "
    "cost than training images; and that minus the same of the Unconditional Decoder (± standard error), which has few "
    "weights to overfit with, so that what is left is mostly overfitting, and not harder images. Last, what fewer "
    "samples cost: where it is much, more samples than ours would lower the NLL further."
)
COMPUTE = (
    "Then what the codes carry and keep (as under Code, Kept or Windows), and what a training took: its minutes, "
    "validation included, and the training images a second that this makes. Where a note tells of shared "
    "cores or of a training that was suspended, its speed does not compare with others."
)
COLOR_FIGURES = (
    "Figure 3: test images, each with its decompression to the right, the same images for every window. What is the "
    "same is in z; what differs was redrawn from the window. Figure 4: samples of the windows 4x2 and 7x4."
)
COLOR_KEPT = (
    "What Figure 3 shows, as correlations of test images with their decompressions, after the means over all images "
    "are taken out: of 4×4 block means of the luma (coarse), of the luma minus those (fine), of its standard deviation "
    "in each block (local contrast: where edges and texture are), and of the two chroma planes, pixel by pixel "
    "(colour). A window shows the decoder the level around a pixel, so that z can leave out coarse structure and still "
    "say where edges are. A window in grey cannot tell the decoder the colour of its neighbourhood, so that this is "
    "worth sending in z. Cost of z: −ELBO − NLL, or a little more. The last weight of the KL says whether the code "
    "pays for itself: 1 is the ELBO, and soft free bits lower it until the KL reaches its target."
)
COLOR_CURVES = CURVES + " −ELBO in bits per dimension, KL in nats per image."
SHEET = "64 training images, evenly spread over the file, as they are stored (upright, ink dark)."
DYNAMIC_SHEET = "Grey levels: pixels are drawn black or white anew at every visit in training."


def limits(runs: Sequence[Run]) -> list[str]:
    """Deviations from the paper and limits of the numbers, for the models and data sets at hand."""
    models, datasets = {run.model: run for run in runs}, {run.dataset for run in runs}
    samples = sorted({run.metrics["importance_samples"] for run in runs} - {0})
    lines = [
        f"Not measured: {run.metrics['missing']}, of {run.model} on {run.dataset}."
        for run in runs
        if "missing" in run.metrics
    ]
    if "mnist5k" in datasets:
        lines.append(paper.MNIST5K_NOTE)
    if samples:
        counts = " or ".join(str(count) for count in samples)
        lines.append(
            f"NLL of a model with latents is an importance-sampled bound with K = {counts} samples an "
            "image (the paper: 4096 on binary images, 512 on CIFAR-10). It lies above the true value in expectation "
            "and falls as K grows, more so for a model whose code carries more: with the same K the factorized "
            "VAE is overstated more than a VLAE, and part of its distance to it is this."
        )
    lines.append(
        "Intervals come from resampling the test images. They say nothing of what another training seed "
        "would give, unless several seeds are listed."
    )
    if any(run.config["training"].get("images") == "train" for run in runs):
        lines.append("Validation images are held out in this run; the paper's final models train on them too.")
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
    if not {"vlae_iaf_posterior", "iaf_vae"} & set(models):
        lines.append(
            "Not measured in this run: the AF prior in place of the IAF posterior. In the paper it lowers "
            f"NLL by {paper.AF_GAIN_TRAIN.nats} nat on training and {paper.AF_GAIN_TEST.nats} nat on test "
            "images."
        )
    lines.extend(_choices(runs))
    if any(run.config["scale"] == "laptop" for run in runs):
        lines.append(
            "The settings of scale laptop were chosen with test figures in view, not on validation images alone."
        )
    return lines


def _choices(runs: Sequence[Run]) -> list[str]:
    """Ours, where the paper is silent, and where we do otherwise."""
    lines = [
        "Where the paper is silent, choices are ours: the order of masked and 1×1 blocks, two hidden layers in each"
        " MADE, free bits applied to the batch mean of the whole KL, the encoder's 450 hidden units as context of "
        "the IAF posterior, whose steps are mean-only like the AF prior's. Where it is not: the decay of the Polyak"
        " average rises to the paper's 0.998 over the first 4,490 updates, so that a short run is not averaged with"
        " its random start; and the convolution of z's maps starts at `conditioning_scale`, for some models 0.1 instead"
        " of the 1 of data-dependent initialisation: it was chosen because it lowers the KL of the full-context model,"
        " and short runs of the VLAE gain from it too."
    ]
    if any(run.color for run in runs):
        lines.append(
            "Colour, where the paper is silent: z enters behind the windows by 1×1 convolutions, and there the two "
            "stacks meet; mixtures of 10 logistics, or 5 in the narrow models; shifts alone in the flow; learned "
            "constant maps in place of z's for the unconditional decoder."
        )
    return lines


def _free_bits(runs: Sequence[Run]) -> list[str]:
    """How far each model's KL is held up by the objective and not by what the code is worth."""
    floors = []
    for run in runs:
        block = run.config["model_config"]
        if block["posterior"] != "none" and block["objective"] in ("free_bits", "soft_free_bits"):
            floor = block["free_bits"] * math.prod(run.config["image_shape"])
            floors.append(f"{run.name} on {run.dataset} {floor:.2f} (measured {run.metrics['kl_nats']:.2f})")
    if not floors:
        return []
    return [
        "Free bits: below this many nats a model's KL costs nothing in training, or ever less with soft free bits, so "
        f"that a KL near it is held up by the objective and says little of what the code is worth: {', '.join(floors)}."
    ]
