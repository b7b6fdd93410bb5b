"""The paper's claims (its sections 2, 3.2, 4.1 and 4.2), each with what was measured for it and a plain verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pipeline import paper
from pipeline.reporting.differences import paired
from pipeline.reporting.runs import Training

KL_RATIO_VLAE_VAE = 0.6
KL_RATIO_FULL_VLAE = 0.4
LONGER = 1.1
"""Times the steps of the other that the better of two models may have had for a verdict on their NLL."""

Outcome = Literal["holds", "does not hold", "undecided", "not judged"]


@dataclass(frozen=True)
class Claim:
    """One claim, what was measured for it, what that says, and the section of the report that shows more.

    `possible` is whether the models and data that it is about are at hand. `paper` is the paper's difference of NLL, in
    nats, where it gives that for these data.
    """

    topic: str
    statement: str
    measured: str
    outcome: Outcome
    evidence: str
    possible: bool = True
    paper: float | None = None


@dataclass(frozen=True)
class _Topic:
    """Claims that share a heading and evidence, on the runs of one data set."""

    name: str
    evidence: str
    runs: dict[str, Training]

    def below(self, statement: str, first: str, second: str, column: str = "nll", factor: float = 1) -> Claim:
        """Whether `column` of one model is below `factor` times the other's, by differences over the same images.

        Of NLL not judged if the better one trained longer or on more images, which may be all that made it better.
        """
        run, other = self.runs.get(first), self.runs.get(second)
        if run is None or other is None:
            return self.absent(statement, first, second)
        trainings = (run, other)
        samples = {one.metrics["importance_samples"] for one in trainings if not one.metrics["exact"]}
        if column == "nll" and len(samples) > 1:
            return self.claim(statement, "the two models were evaluated with different K", "not judged")
        difference = paired(run, other, column, factor=factor)
        if difference is None:
            return self.claim(statement, "the two models were evaluated on different images", "not judged")
        ours, theirs = run.per_image[column].mean(), other.per_image[column].mean()
        measured = f"{ours:.2f} against {theirs:.2f} nats: "
        if factor == 1:
            measured += f"difference {difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"
        else:
            measured += f"ratio {ours / theirs:.2f}" if theirs > 0 else "no ratio"
        images = [one.config["training"]["images"] for one in trainings]
        if images[0] != images[1]:
            measured += f"; the first trained on {images[0]}, the second on {images[1]}"
        steps = [one.config["steps"] for one in trainings]
        if steps[0] != steps[1]:
            measured += f"; after {steps[0]:,} and {steps[1]:,} steps"
        said = paper.difference(run.dataset, first, second) if (column, factor) == ("nll", 1) else None
        outcome = _sign(difference.low, difference.high)
        if column == "nll" and _trained_more(*(trainings if difference.mean < 0 else trainings[::-1])):
            outcome = "not judged"
        return self.claim(statement, measured.replace("-", "−"), outcome, paper=said)

    def less_kept(self, statement: str, first: tuple[str, str], second: tuple[str, str]) -> Claim:
        """Whether (model, scale) keeps less than another; by their intervals, as correlations do not pair by image."""
        if not {first[0], second[0]} <= set(self.runs):
            return self.absent(statement, first[0], second[0])
        if not all(f"kept_{scale}" in self.runs[model].metrics for model, scale in (first, second)):
            return self.claim(statement, "what a decompression keeps was not measured", "not judged")
        (low, mid, high), (other_low, other_mid, other_high) = (
            tuple(self.runs[model].metrics[f"kept_{scale}{end}"] for end in ("_low", "", "_high"))
            for model, scale in (first, second)
        )
        measured = (
            f"correlation {mid:.2f} [{low:.2f}, {high:.2f}] against {other_mid:.2f} [{other_low:.2f}, {other_high:.2f}]"
        ).replace("-", "−")
        return self.claim(statement, measured, _sign(low - other_high, high - other_low))

    def number(self, statement: str, figure: paper.ProseFigure) -> Claim:
        """A figure from the paper's text, for statically binarized MNIST: it has no interval to judge by."""
        run = self.runs.get(figure.model)
        if run is None:
            return self.absent(statement, figure.model)
        measured = f"{run.metrics['kl_nats']:.2f} nats = {run.metrics['kl_bits']:.2f} bits"
        if run.dataset != paper.STATIC:
            measured += f" on {run.dataset}, which is not the data set the paper gives it for"
        return self.claim(statement, measured, "not judged", possible=run.dataset == paper.STATIC)

    def absent(self, statement: str, *models: str) -> Claim:
        """A claim about models of which some are not there."""
        missing = " and ".join(sorted(set(models) - set(self.runs)))
        return self.claim(statement, f"{missing}: not in this run", "not judged", possible=False)

    def claim(
        self, statement: str, measured: str, outcome: Outcome, possible: bool = True, paper: float | None = None
    ) -> Claim:
        """A claim under this heading; a smoke run judges nothing."""
        smoke = any(run.config["scale"] == "smoke" for run in self.runs.values())
        return Claim(self.name, statement, measured, "not judged" if smoke else outcome, self.evidence, possible, paper)


def judge_claims(runs: Iterable[Training]) -> list[Claim]:
    """The claims on the runs of one data set; one that needs an absent model is not judged."""
    by_model = {run.model: run for run in runs}
    if any(run.color for run in by_model.values()):
        return _color_claims(by_model)
    why = _Topic("Why a VAE ignores its code", "Context", by_model)
    lossy = _Topic("Lossy codes by design", "Code", by_model)
    prior = _Topic("What an AF prior gains", "Differences", by_model)
    prose = _Topic("Figures in the text, statically binarized MNIST", "Code", by_model)
    redraw = _Topic("Decompressions keep global structure and redraw local detail", "Kept", by_model)
    helps = _Topic("Code and decoder help each other", "Differences", by_model)
    ratio = paper.KL_VLAE.nats / paper.KL_VAE.nats
    return [
        _collapse(why),
        _first_pixels(why),
        why.below("KL with the paper's 69 pixels is below that with 10 (same objective, free of free bits)",
                  "context_stack", "context_4x2", "kl"),
        why.below("KL with every earlier pixel is below that with 69 (same objective)",
                  "context_full", "context_stack", "kl"),
        lossy.below(f"VLAE sends less through z: its KL is under {KL_RATIO_VLAE_VAE} of the VAE's (with a Gaussian "
                    f"prior; in the paper {ratio:.2f}, the threshold is ours)",
                    "vlae", "vae", "kl", KL_RATIO_VLAE_VAE),
        lossy.below(f"The same with one prior: its KL is under {KL_RATIO_VLAE_VAE} of the AF VAE's",
                    "vlae", "af_vae", "kl", KL_RATIO_VLAE_VAE),
        lossy.less_kept("The opposite split: a decoder that sees only block averages leaves detail to z, so that "
                        "decompressions of the VLAE keep less detail", ("vlae", "fine"), ("vlae_downsampled", "fine")),
        prior.below("An AF prior gives a lower NLL than the same flow as IAF posterior: PixelCNN decoder",
                    "vlae", "vlae_iaf_posterior"),
        prior.below("The same flow with a factorized decoder: as AF prior it gives a lower NLL than as IAF posterior",
                    "af_vae", "iaf_vae"),
        prior.below("The AF prior gives a lower NLL than a Gaussian prior (Appendix D)", "vlae", "vlae_gaussian_prior"),
        prior.below("The same with untied masked layers, as the paper's are off static MNIST",
                    "vlae_untied", "vlae_gaussian_prior_untied"),
        prior.below("Not a claim of the paper, but expected: with a factorized decoder, too, the AF prior gives a "
                    "lower NLL than a Gaussian one", "af_vae", "vae"),
        prose.number(f"KL of VLAE: {paper.KL_VLAE.nats} nats = {paper.KL_VLAE.bits} bits", paper.KL_VLAE),
        prose.number(f"KL of an identical VAE with a factorized decoder: {paper.KL_VAE.bits} bits = "
                     f"{paper.KL_VAE.nats:.1f} nats (its prior is not named; here Gaussian)", paper.KL_VAE),
        _unjudged(redraw.less_kept("A VLAE's decompression keeps less of the fine than of the coarse structure; so "
                                   "does any blurred copy", ("vlae", "fine"), ("vlae", "coarse"))),
        redraw.less_kept("A VLAE's decompression keeps less of the fine structure than a factorized VAE's",
                         ("vlae", "fine"), ("vae", "fine")),
        _unjudged(redraw.less_kept("And less of the coarse structure: the claim is that it loses little of that, and "
                                   "the paper does not say how much", ("vlae", "coarse"), ("vae", "coarse"))),
        helps.below("An autoregressive decoder helps: NLL of VLAE below the AF VAE's, whose prior is the same",
                    "vlae", "af_vae"),
        helps.below("Decoder and AF prior help: NLL of VLAE below that of the VAE with a Gaussian prior",
                    "vlae", "vae"),
        _untying(helps),
        helps.below("A latent code helps: NLL of VLAE below the Unconditional Decoder's", "vlae", "pixelcnn"),
        helps.below("Not a claim of the paper, but expected: NLL of the VAE below the Unconditional Decoder's",
                    "vae", "pixelcnn"),
    ]  # fmt: skip


def _color_claims(by_model: dict[str, Training]) -> list[Claim]:
    """The claim of Figure 3: by size, the paper's and the narrow models."""
    topic = _Topic("What the window leaves to z", "Figures 3 and 4", by_model)
    pairs = [("densenet_vlae", "densenet_vlae_grayscale"), ("narrow_7x4", "narrow_7x4_grayscale")]
    found = [pair for pair in pairs if any(model in topic.runs for model in pair)] or pairs[:1]
    statement = (
        "With a colour window z drops colour, with a grey one it keeps it: decompressions with a 7x4 window keep less "
        "colour than with the same window in grey"
    )
    return [topic.less_kept(statement, (first, "color"), (second, "color")) for first, second in found]


def _first_pixels(topic: _Topic) -> Claim:
    """Beside the curve's own model without pixels; where that is absent, beside the VAE, which decides nothing."""
    statement = (
        "The more of the image the decoder sees, the less goes through z: KL with a window of 10 pixels is below "
    )
    if "context_0" in topic.runs:
        return topic.below(f"{statement}that with no pixels (same objective)", "context_4x2", "context_0", "kl")
    described = "that of the factorized VAE, which differs in prior and objective as well"
    return _unjudged(topic.below(statement + described, "context_4x2", "vae", "kl"))


def _collapse(topic: _Topic) -> Claim:
    """Not judged where more than the context differs: then what empties the code may be the other."""
    statement = (
        "Collapse: with a decoder that sees every earlier pixel, KL is under "
        f"{KL_RATIO_FULL_VLAE} of the VLAE's (in theory, with a strong enough decoder, zero; the threshold is ours)"
    )
    claim = topic.below(statement, "vlae_full_context", "vlae", "kl", KL_RATIO_FULL_VLAE)
    full, vlae = topic.runs.get("vlae_full_context"), topic.runs.get("vlae")
    if full is None or vlae is None or _objective(full.block) == _objective(vlae.block):
        return claim
    more = ". The two differ in objective as well, so that this does not show what empties the code"
    return _unjudged(dataclasses.replace(claim, statement=statement + more))


def _untying(topic: _Topic) -> Claim:
    statement = "Off static MNIST masked layers with weights of their own beat tied ones (the paper gives no numbers)"
    claim = topic.below(statement, "vlae_untied", "vlae")
    static = any(run.dataset == paper.STATIC for run in topic.runs.values())
    return dataclasses.replace(_unjudged(claim), possible=False) if static else claim


def _unjudged(claim: Claim) -> Claim:
    """What was measured, without a verdict."""
    return dataclasses.replace(claim, outcome="not judged")


def _trained_more(better: Training, other: Training) -> bool:
    """Whether `better` had clearly more steps, or validation images as well where `other` had none."""
    trained_on = [one.config["training"]["images"] for one in (better, other)]
    return better.config["steps"] > LONGER * other.config["steps"] or trained_on == ["train+valid", "train"]


def _objective(block: dict[str, Any]) -> tuple[Any, ...]:
    return block["objective"], block["free_bits"]


def _sign(low: float, high: float) -> Outcome:
    """A claim that something is negative, given its 95 % interval."""
    if high < 0:
        return "holds"
    return "does not hold" if low > 0 else "undecided"
