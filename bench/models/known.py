"""Models on the Hugging Face hub that the bench is made for, by family, with what is known of each for certain."""

from __future__ import annotations

from dataclasses import dataclass

UNSEEN = "its layout was tried on tiny networks with random weights, these weights were not"


@dataclass(frozen=True)
class KnownModel:
    """A model and what its card and architecture say.

    Attributes:
        name: as `bench run --model` takes it.
        family: of base models.
        repository: on the hub.
        revision: the commit that is pinned; None where none is.
        pixels: height and width of its images.
        predicts: "noise" or "velocity".
        parameters: of all parts that are loaded.
        licence: by the hub's name; None where it is not known for certain.
        seen: what was tried of it here.
    """

    name: str
    family: str
    repository: str
    revision: str | None
    pixels: int
    predicts: str
    parameters: int
    licence: str | None
    seen: str

    @property
    def weight_bytes(self) -> int:
        """In float32, as trainings hold them."""
        return 4 * self.parameters

    @property
    def told(self) -> str:
        """One line for people."""
        at = "" if self.name == self.repository else f"{self.repository}, "
        pinned = "not pinned: give NAME@COMMIT" if self.revision is None else f"pinned at {self.revision[:12]}"
        weights = f"{self.parameters / 1e6:,.0f} million parameters, {self.weight_bytes / 1e9:.1f} GB in float32"
        licence = f"licence {self.licence or 'not stated'}"
        return f"{at}{pinned}; {self.pixels}×{self.pixels}, predicts {self.predicts}; {weights}; {licence}; {self.seen}"


V1, V2, XL = "Stable Diffusion v1", "Stable Diffusion v2", "Stable Diffusion XL"
# UNet, VAE and text encoders; a test counts them from the architectures.
PARAMETERS = {V1: 1_066_235_307, V2: 1_289_952_427, XL: 3_468_837_867}
KNOWN = tuple(
    KnownModel(name, family, repository, revision, pixels, predicts, PARAMETERS[family], licence, seen)
    for name, family, repository, revision, pixels, predicts, licence, seen in (
        (
            "sd-v1-4",
            V1,
            "CompVis/stable-diffusion-v1-4",
            "133a221b8aa7292a167afc5127cb63fb5005638b",
            512,
            "noise",
            "creativeml-openrail-m",
            "its architecture was tried in full size with random weights, these weights were not",
        ),
        (
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            V1,
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            None,
            512,
            "noise",
            "creativeml-openrail-m",
            "the same architecture as sd-v1-4",
        ),
        (
            "stabilityai/stable-diffusion-2-1-base",
            V2,
            "stabilityai/stable-diffusion-2-1-base",
            None,
            512,
            "noise",
            "openrail++",
            UNSEEN,
        ),
        (
            "stabilityai/stable-diffusion-2-1",
            V2,
            "stabilityai/stable-diffusion-2-1",
            None,
            768,
            "velocity",
            "openrail++",
            UNSEEN,
        ),
        (
            "stabilityai/stable-diffusion-xl-base-1.0",
            XL,
            "stabilityai/stable-diffusion-xl-base-1.0",
            None,
            1024,
            "noise",
            "openrail++",
            UNSEEN,
        ),
    )
)
FAMILY_NOTES = {
    V1: "erasing: docs/memory.md has each method's bytes; presets are the methods' own",
    V2: "erasing: not measured; presets are those of v1, which is ours: none was taken from a source",
    XL: "erasing: not measured; presets are those of v1, which is ours: none was taken from a source",
}
