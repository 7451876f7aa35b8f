"""One prompt."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A prompt with an id that is unique in its set, and what a file says of how it is drawn.

    Attributes:
        id: letters, digits, dots, dashes and underscores; files are named after it.
        text: what the model is asked.
        seed: of the first sample, where the file gives one; None for one made of the image seed, id and sample.
        guidance: the guidance scale for this prompt; None for the plan's.
        size: width and height in pixels of Stable Diffusion v1; None for the model's own.
        reference: the file name of the real image with this caption, or its COCO id; None where unknown.
        template: the wording that it shares with others, such as "a photo of a cat" in several settings; None for a
            prompt that stands alone.
    """

    id: str
    text: str
    seed: int | None = None
    guidance: float | None = None
    size: tuple[int, int] | None = None
    reference: str | None = None
    template: str | None = None

    @property
    def cluster(self) -> str:
        """What prompts must not share to be independent: the template, or the prompt's own id."""
        return self.id if self.template is None else self.template
