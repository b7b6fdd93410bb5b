"""What models and data sets are called, and what a model is composed of, in words."""

from __future__ import annotations

from typing import Any

NAMES = {
    "vae": "VAE",
    "af_vae": "AF VAE",
    "af_vae_annealed": "AF VAE, annealed",
    "iaf_vae": "IAF VAE",
    "pixelcnn": "Unconditional Decoder",
    "pixelcnn_first_5x5": "Unconditional Decoder, first mask 5×5",
    "pixelcnn_first_7x7": "Unconditional Decoder, first mask 7×7",
    "pixelcnn_5x5": "Unconditional Decoder, 5×5 masks",
    "vlae": "VLAE",
    "vlae_untied": "VLAE, untied",
    "vlae_annealed": "VLAE, untied, annealed",
    "vlae_5x5": "VLAE, untied, 5×5 masks, 16 filters",
    "vlae_gaussian_prior": "VLAE, Gaussian prior",
    "vlae_gaussian_prior_untied": "VLAE, untied, Gaussian prior",
    "vlae_gaussian_prior_first_5x5": "VLAE, untied, Gaussian prior, first mask 5×5",
    "vlae_iaf_posterior": "VLAE, IAF posterior",
    "vlae_full_context": "VLAE, full context",
    "vlae_downsampled": "VLAE, down-sampled context",
    "resnet_vlae": "ResNet VLAE",
    "densenet_vlae": "DenseNet VLAE",
    "densenet_vlae_4x2": "DenseNet VLAE, 4x2",
    "densenet_vlae_5x3": "DenseNet VLAE, 5x3",
    "densenet_vlae_grayscale": "DenseNet VLAE, 7x4 grayscale",
    "resnet_af_vae": "ResNet VAE with AF prior",
    "resnet_iaf_vae": "ResNet VAE with IAF posterior",
    "pixelcnnpp": "PixelCNN++ of a 7x4 window",
    "narrow_4x2": "narrow VLAE, 4x2",
    "narrow_5x3": "narrow VLAE, 5x3",
    "narrow_7x4": "narrow VLAE, 7x4",
    "narrow_7x4_grayscale": "narrow VLAE, 7x4 grayscale",
    "medium_7x4": "medium VLAE, 7x4",
    "narrow_vae": "narrow VAE",
    "narrow_pixelcnnpp": "narrow PixelCNN++",
    "textures_full_context_4": "textures full context, 4 filters",
    "textures_full_context_8": "textures full context, 8 filters",
    "textures_full_context_16": "textures full context, 16 filters",
    "textures_released": "textures full context, given a code",
}
TITLES = {
    "mnist_static": "static MNIST",
    "mnist_dynamic": "dynamic MNIST",
    "omniglot": "OMNIGLOT",
    "omniglot_rebuilt": "OMNIGLOT, rebuilt",
    "caltech101": "Caltech-101",
    "cifar10": "CIFAR-10",
}
_CONTEXTS = {
    "full": "every earlier pixel",
    "downsampled": "block averages of what is above",
}
OBJECTIVES = {
    "elbo": "plain ELBO",
    "free_bits": "free bits",
    "soft_free_bits": "soft free bits",
    "annealing": "KL annealing",
}


def composition(block: dict[str, Any]) -> str:
    """What a model is composed of, from its block of params.yaml, resolved."""
    decoder = "independent pixels"
    if block["decoder"] == "pixelcnn":
        tied = "tied" if block["tied"] else "untied"
        decoder = f"PixelCNN that sees {seen(block)}, {tied}"
    if block["decoder"] == "pixelcnnpp":
        window = f"a {'grayscale ' if block['grayscale'] else ''}window of {block['context']}"
        decoder = f"PixelCNN++ of {block['blocks']} blocks of {block['filters']} maps that sees {window}"
    if block["posterior"] == "none":
        return f"no latent code; {decoder}"
    flow = f"of {block['flow_steps']} steps"
    posterior = f"IAF posterior {flow}" if block["posterior"] == "iaf" else f"{block['posterior']} posterior"
    prior = f"AF prior {flow}" if block["prior"] == "af" else f"{block['prior']} prior"
    first = " (the first: luma)" if block.get("luma_map") else ""
    size = f"{block['latent_dim']}-d" if "latent_dim" in block else f"{block['latent_maps']} maps{first},"
    return f"{size} {posterior}; {prior}; {decoder}; {OBJECTIVES[block['objective']]}"


def seen(block: dict[str, Any]) -> str:
    """What the decoder of binary images sees of the image."""
    if block["decoder"] == "factorized":
        return "no pixels"
    if block["context"] == "stack":
        first, rest = block.get("first_kernel_size"), block["kernel_size"]
        wider = f" with a first of {first}×{first}" if first else ""
        return f"what {block['masked_layers']} masks of {rest}×{rest}{wider} reach"
    return _CONTEXTS.get(block["context"], f"a window of {block['context']}")
