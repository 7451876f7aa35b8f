"""The models that have a name. Reading this imports nothing."""

# Pinned, so that a number always means the same weights.
HUB_MODELS = {"sd-v1-4": ("CompVis/stable-diffusion-v1-4", "133a221b8aa7292a167afc5127cb63fb5005638b")}
RANDOM_MODEL = "sd-v1-4-random"
MODELS = {
    "mini": "the embedded model: 64×64 pictograms, in the package, for any CPU",
    "sd-v1-4": "Stable Diffusion v1.4 from the Hugging Face hub, pinned; for a GPU",
    RANDOM_MODEL: "Stable Diffusion v1.4's architecture with random weights: nothing to fetch; for timing only",
}
