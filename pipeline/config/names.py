"""What names and values in params.yaml may be, and the names that are built in."""

from __future__ import annotations

from typing import Annotated, Literal

from pipeline.schema import Distinct, Form, Range

Count = Annotated[int, Range(1)]
Width = Annotated[int, Range(1, 4096)]
Depth = Annotated[int, Range(1, 64)]
Fraction = Annotated[float, Range(0, 1)]
NonNegative = Annotated[float, Range(0)]
Scaling = Annotated[float, Range(1e-3, 10)]
Seed = Annotated[int, Range(0, 2**31)]
Name = Annotated[
    str,
    Form(
        r"(?!(?i:true|false|yes|no|on|off|y|n|null|nan|inf)$)[A-Za-z][A-Za-z0-9_]{0,63}",
        "up to 64 letters, digits and underscores, a letter first, and no word of YAML such as on or null",
    ),
]
"""Of a model, scale or data set: a folder, a word of a command, a part of DVC's names, which - and . join."""
Names = Annotated[tuple[Name, ...], Distinct()]
Url = Annotated[str, Form(r"(?i:https?|ftp|file)://\S+", "a URL (http, https, ftp or file; a blank in it is %20)")]
Digest = Annotated[str, Form(r"\s*(?i:sha256:)?\s*[0-9a-fA-F]{64}\s*", "a SHA-256, 64 hexadecimal digits")]
Context = Annotated[
    str, Form(r"stack|full|downsampled|[1-9]\d?x[1-9]\d?", 'stack, full, downsampled or a window "AxB" such as 4x2')
]
Loader = Annotated[
    str, Form(r"pipeline\.data\.[A-Za-z_]\w*:[A-Za-z_]\w*", "pipeline.data.module:function, which DVC watches")
]
KernelSize = Literal[3, 5, 7, 9, 11]
Window = Literal["3x2", "4x2", "5x3", "6x3", "7x4", "8x4", "9x5"]
Objective = Literal["elbo", "free_bits", "soft_free_bits", "annealing"]
Optimizer = Literal["adamax", "muon"]
BINARY_DATASETS = ("mnist5k", "mnist_static", "mnist_dynamic", "omniglot", "omniglot_rebuilt", "caltech101")
ColorDataset = Literal["photos", "cifar10"]
Kind = Literal["binary", "color"]
TEXTURES: dict[str, Kind] = {"textures": "binary", "color_textures": "color"}
"""Data sets from a known source, with lists of models and budgets of their own."""
Stage = Literal["vae", "pixelcnn", "vlae"]
EMBEDDED_DATASETS: tuple[str, ...] = ("mnist5k", "photos", "textures", "color_textures")
