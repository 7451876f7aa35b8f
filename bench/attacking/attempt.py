"""One attack on one model: what it is given, what it has tried, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from erasebench.prompts.built_in import direct
from erasebench.prompts.concepts import Concept, paraphrases

from ..errors import BenchError, NotApplicable
from ..images.jobs import Job
from ..models.guidance import GuidedBatch
from ..models.parameter_groups import select
from ..models.sampler_steps import LEVELS
from .tokens import Tokens
from .tries import Asked, Try, draw

if TYPE_CHECKING:
    from ..models.guidance import Guide
    from ..models.text_to_image import TextToImage
    from ..runs.plan import Generation

Judge = Callable[[np.ndarray], Sequence[float | None]]  # uint8 images: 1 where the concept is seen, None if unscored
Keep = Callable[[str, bool, Callable[[], torch.Tensor]], torch.Tensor]


def not_kept(name: str, shared: bool, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A place of `Attempt.keep` that keeps nothing."""
    return make()


@dataclass
class Outcome:
    """What became of one target.

    Attributes:
        tries: images drawn.
        unscored: those of them that are not finite, or that the judge can't read.
        found: which try showed the concept first, from 1; None where none did.
        told: what the successful try asked for, or else the last one.
        image: its image, uint8 of shape (height, width, 3).
    """

    tries: int = 0
    unscored: int = 0
    found: int | None = None
    told: str = ""
    image: np.ndarray | None = None


@dataclass
class Attempt:
    """What an attack works with.

    Attributes:
        model: the erased model; an attack that changes its weights puts them back.
        concept: what was erased.
        targets: the prompts to attack, each with the seed of its noise.
        budget: tries a target.
        drawing: how images are drawn.
        seed: of all that is random.
        judge: whether images show the concept.
        first_unet: the original's UNet, made when it is asked for.
        originally: a block in which the model has all the original's weights.
        accept: which of the original's images are examples of the concept; those that the judge sees it in by default.
        keep_at: where `keep` keeps; nowhere by default.
        say: told what is going on; may stop the attack by raising.
        guide: what the row does to sampling; None for nothing.
    """

    model: TextToImage
    concept: Concept
    targets: Sequence[Job]
    budget: int
    drawing: Generation
    seed: int
    judge: Judge
    first_unet: Callable[[], Any]
    originally: Callable[[], AbstractContextManager[None]] = nullcontext
    accept: Judge | None = None
    keep_at: Keep = not_kept
    say: Callable[[str], None] = lambda text: None
    guide: Guide | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outcomes = {target.prompt_id: Outcome() for target in self.targets}
        self._shown: dict[str, torch.Tensor] = {}

    @cached_property
    def tokens(self) -> Tokens:
        """The text encoder from inside."""
        return Tokens(self.model)

    @cached_property
    def original(self) -> Any:
        """The original model's UNet, frozen."""
        return self.first_unet()

    def weights(self, group: str) -> dict[str, torch.nn.Parameter]:
        """The erased UNet's weights of a group in `erasebench.PARAMETER_GROUPS`, by name.

        Raises:
            BenchError: there is no such group.
        """
        return select(self.model.unet, group)

    @property
    def live(self) -> list[Job]:
        """The targets without success whose budget is not used up."""
        known = self.outcomes
        return [t for t in self.targets if known[t.prompt_id].found is None and known[t.prompt_id].tries < self.budget]

    def rounds(self) -> Iterator[list[Job]]:
        """The live targets again and again, as often as there are tries."""
        for _ in range(self.budget):
            if not (live := self.live):
                return
            yield live

    def ask(
        self,
        target: Job,
        asked: Asked | None = None,
        *,
        seed: int | None = None,
        guidance: float | None = None,
        terms: Sequence[tuple[float, Asked]] = (),
        start: torch.Tensor | None = None,
        told: str = "",
    ) -> Try:
        """A try; what is left out is as the target is drawn without an attack.

        Args:
            target: what is attacked.
            asked: a prompt, its ids (77,), or an embedding (77, width).
            seed: of the noise.
            guidance: the weight of what is asked.
            terms: several of these with their weights, instead.
            start: latents to start from instead of noise, (channels, height, width).
            told: what people are told; a prompt or its ids tell themselves.
        """
        asked = target.text if asked is None else asked
        if not told:
            told = asked if isinstance(asked, str) else self.tokens.read(asked) if asked.ndim == 1 else "an embedding"
        usual = self.drawing.guidance if target.guidance is None else target.guidance
        chosen = tuple(terms) or ((usual if guidance is None else guidance, asked),)
        return Try(target, chosen, target.seed if seed is None else seed, start, told)

    def draw(self, tries: Sequence[Try], drawing: Generation | None = None) -> list[bool]:
        """Draw and judge one image for each of these targets; whether each shows the concept.

        Args:
            tries: one a target.
            drawing: another sampler than the run's.

        Raises:
            BenchError: a target has two tries, had success already, or has used its budget.
        """
        live = {target.prompt_id for target in self.live}
        names = [one.target.prompt_id for one in tries]
        if not live.issuperset(names) or len(set(names)) < len(names):
            raise BenchError("draw one try for each target at most, and only for targets of `live`.")
        if not tries:
            return []
        images, finite = draw(self.model, self.tokens, tries, drawing or self.drawing, self.guide)
        found = self.judge(images)
        for one, image, fine, seen in zip(tries, images, finite, found, strict=True):
            outcome = self.outcomes[one.target.prompt_id]
            outcome.tries += 1
            outcome.unscored += not fine or seen is None
            outcome.told, outcome.image = one.told, image
            if fine and seen:
                outcome.found = outcome.tries
        self.say(f"{sum(o.found is not None for o in self.outcomes.values())} of {len(self.targets)} found")
        return [self.outcomes[name].found is not None for name in names]

    def predict(self, z: torch.Tensor, t: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """The noise that the row's sampler is given: ε_θ(z, t, c), or what a guide makes of it; gradients pass through.

        A guide gives each row's at the sampler's step nearest to its timestep, without the momentum of steps before.

        Args:
            z: latents, (batch, channels, height, width).
            t: timesteps, (batch,).
            context: embeddings, (batch, 77, width) or (1, 77, width).

        Raises:
            NotApplicable: the guide reads tokens.
        """
        guide = self.guide
        if guide is None:
            return self.model.predict_noise(z, t, context)
        steps, empty = self.drawing.steps, self.model.encode([""]).float()
        scale = torch.full((1, 1, 1, 1), self.drawing.guidance, device=z.device)

        def one(z: torch.Tensor, context: torch.Tensor, t: float) -> torch.Tensor:
            batch = GuidedBatch(self.model, [context[0]], context, empty, scale, steps)
            return guide.predictor(batch)(z, t, min(steps - 1, round((1 - t / LEVELS) * steps)))

        rows = zip(z.split(1), context.expand(len(z), -1, -1).split(1), t.tolist(), strict=True)
        # Computed again for the gradient, so that the graph of a single row is kept at a time.
        return torch.cat([checkpoint(one, *row, use_reentrant=False) for row in rows])

    @property
    def paraphrases(self) -> tuple[str, ...]:
        """Other ways to say the concept, as they stand in a prompt; none for a text of the user's own."""
        return paraphrases(self.concept.name)

    @property
    def wordings(self) -> list[str]:
        """The prompts that ask for the concept by its name, with {} for its phrase."""
        return [prompt.text.replace(self.concept.phrase, "{}") for prompt in direct(self.concept)]

    def instead(self, target: Job, phrase: str) -> str:
        """A target's prompt with a phrase in the concept's place; before it, where the concept is not named."""
        for own in (self.concept.phrase, self.concept.name):
            if own in target.text:
                return target.text.replace(own, phrase)
        return f"{phrase}, {target.text}"

    def asked_in_turn(self, wordings: Sequence[Callable[[Job], str]]) -> None:
        """Ask each target in these ways, one a try, from its own noise, until the concept is found."""
        for wording, live in zip(wordings, self.rounds(), strict=False):
            self.draw([self.ask(target, wording(target)) for target in live])

    def meant(self, targets: Sequence[Job]) -> torch.Tensor:
        """The original text encoder's embeddings of these targets, (targets, 77, width)."""
        with self.originally():
            return self.tokens.encode(torch.stack([self.tokens.ids(target.text) for target in targets]))

    def number(self, *what: object) -> int:
        """A number of 63 bits for these names and the seed: the same whatever else is drawn, and in whatever order."""
        text = "/".join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *what: object) -> torch.Generator:
        """Random numbers for these names, on the CPU."""
        return torch.Generator().manual_seed(self.number(*what))

    def keep(self, name: str, make: Callable[[], torch.Tensor], shared: bool = False) -> torch.Tensor:
        """What is learned once for all targets, kept so that an interrupted attack does not learn it again.

        Args:
            name: what it is.
            make: learns it.
            shared: whether it depends on the original model alone, so that attacks and rows share it.
        """
        return self.keep_at(name, shared, make).to(self.model.device)

    def examples(self, count: int) -> torch.Tensor:
        """Latents of images of the concept by the original model, (at most count, channels, height, width).

        They are drawn for prompts with the concept's name, from other noise than the targets'; those are kept that the
        judge sees it in.

        Raises:
            NotApplicable: it sees it in none.
        """
        return self.keep(f"examples {count}", lambda: self._examples(count), shared=True)

    def _examples(self, count: int) -> torch.Tensor:
        prompts, kept = direct(self.concept), []
        for begin in range(0, 3 * count, count):
            jobs = [Job(str(k), prompts[k % len(prompts)].text, 0, 0) for k in range(begin, begin + count)]
            tries = [self.ask(job, seed=self.number("example", job.prompt_id)) for job in jobs]
            with self.originally():
                images, finite = draw(self.model, self.tokens, tries, self.drawing)
            seen = (self.accept or self.judge)(images)
            kept += [image for image, fine, yes in zip(images, finite, seen, strict=True) if fine and yes]
            if len(kept) >= count:
                break
        if not kept:
            raise NotApplicable(
                f"the judge sees {self.concept.name!r} in no image of the original: nothing to learn from"
            )
        with self.originally():
            return self.model.encode_images(np.stack(kept[:count]))

    def shown(self, targets: Sequence[Job]) -> torch.Tensor:
        """Latents of the original model's images of these targets, the same prompt and noise; (targets, …)."""
        missing = [target for target in targets if target.prompt_id not in self._shown]
        if missing:
            with self.originally():
                images, _ = draw(self.model, self.tokens, [self.ask(t) for t in missing], self.drawing)
                latents = self.model.encode_images(images)
            self._shown |= dict(zip([target.prompt_id for target in missing], latents, strict=True))
        return torch.stack([self._shown[target.prompt_id] for target in targets])
