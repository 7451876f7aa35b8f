"""One prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


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
        clean: of a prompt that names the concept beside something else, what remains without the concept; None for
            others.
    """

    id: str
    text: str
    seed: int | None = None
    guidance: float | None = None
    size: tuple[int, int] | None = None
    reference: str | None = None
    template: str | None = None
    clean: str | None = None

    @property
    def cluster(self) -> str:
        """What prompts must not share to be independent: the template, or the prompt's own id."""
        return self.id if self.template is None else self.template

    def asks_for(self, number: int) -> Prompt:
        """The same prompt, whose id says which of several erased concepts it asks for, from 0 on.

        >>> Prompt("concept-0007", "a bus").asks_for(1).id
        'of2.concept-0007'
        """
        return replace(self, id=f"of{number + 1}.{self.id}")


def concept_of_prompt(prompt_id: str) -> int | None:
    """Which of several erased concepts a prompt asks for, from 0 on, by its id; None where there is one alone.

    >>> concept_of_prompt("of2.concept-0007"), concept_of_prompt("concept-0007")
    (1, None)
    """
    found = re.match(r"of(\d+)\.", prompt_id)
    return None if found is None else int(found[1]) - 1
