"""The one training loop that all methods share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import nn

from ..errors import BenchError
from ..models.cost import Cost, Meter
from ..models.devices import resolve_training_precision
from ..models.parameter_groups import part_of_group, select, trained_of
from ..models.text_to_image import TextToImage
from ..storage.tensors import with_prefix
from .checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from .low_rank import LowRank
from .shared_tensors import SharedTensors
from .texts import Texts
from .workspace import Workspace

Report = Callable[[int, str], None]
Tensors = Mapping[str, torch.Tensor]
Pictures = Mapping[str, np.ndarray]
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
# Of pictures of an embedding: they belong to a training, whatever a run's own images are sampled with.
SHOWN_NOISE, SHOWN_STEPS, SHOWN_GUIDANCE = (1, 2), 20, 5.0
BEGIN = "begin-"  # of the name of a picture of what an embedding began with, which every snapshot has
LARGE_UNET = 100_000_000  # parameters; above it, activations are recomputed rather than kept
BLOCK = 8  # steps whose latents are drawn together
CHUNK = 16  # images that are drawn together


@dataclass
class Trainer:
    """What a method trains with: texts, noise, levels, a teacher, and the loop.

    Attributes:
        model: the model whose UNet, or whose text encoder, is the student.
        group: the parameters that may change, a name in `erasebench.PARAMETER_GROUPS`.
        seed: of every random number that the training draws.
        max_steps: an upper limit on steps (a plan's `train_steps`), or None.
        precision: "fp32", "bf16" (autocast over float32 weights), or "auto": bf16 on a GPU that has it.
        report: called after each step with its number and a line such as "step 3/100, loss 0.01".
        snapshots: steps after which `on_snapshot` gets the weights of the group, as they would be evaluated, and
            pictures by name of what the method shows.
        workspace: files for checkpoints and shared trajectories.
        block: steps whose latents are drawn together.
        turns: concepts that the steps take in turns.
        averaged: the moving average of the student, for a method that asked for one.
        shared: tensors that the original model makes once for all trainings.
    """

    model: TextToImage
    group: str
    seed: int
    max_steps: int | None = None
    precision: str = "auto"
    report: Report = lambda step, text: None
    snapshots: frozenset[int] = frozenset()
    on_snapshot: Callable[[int, Tensors, Pictures], None] = lambda step, weights, pictures: None
    workspace: Workspace = field(default_factory=Workspace)
    block: int = BLOCK
    step: int = 0
    turns: int = 1
    averaged: UNet2DConditionModel | None = field(default=None, init=False)
    generator: torch.Generator = field(init=False)
    shared: SharedTensors = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.parameters: Mapping[str, nn.Parameter] = trained_of(self.model, self.group)
        self._trains_text = part_of_group(self.group) == "text_encoder"
        self._texts = Texts(self.model, self.parameters if self._trains_text else {})
        self._average_decay = 0.0
        self._kept: dict[str, torch.Tensor] = {}
        self._shown: dict[str, torch.Tensor] = {}
        self._begun: dict[str, np.ndarray] = {}  # pictures of what they began with
        self._optimisers: dict[str, torch.optim.Optimizer] = {}
        self.history: list[dict[str, Any]] = []
        self._precision = resolve_training_precision(self.precision, self.model.device)
        self.shared = SharedTensors(self.model, self.seed, self._precision, self.workspace, self.block)
        self._before = Cost()  # of an earlier part that was interrupted
        self._meter = Meter(self.model)

    # What losses are made of

    def text(self, *prompts: str) -> torch.Tensor:
        """The original's embeddings, of shape (len(prompts), 77, width), each encoded once."""
        return self._texts.original(*prompts)

    def student_text(self, *prompts: str, prefix: torch.Tensor | None = None) -> torch.Tensor:
        """The embeddings that the student's text encoder gives now, with gradient, of shape (len(prompts), 77, width).

        Args:
            prompts: texts, encoded at every call.
            prefix: vectors (tokens, width) that the text encoder reads before every prompt, as if tokens had them;
                gradients pass into them.
        """
        return self._texts.student(*prompts, prefix=prefix)

    def noise(self, batch: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Standard normal latents of shape (batch, channels, height, width)."""
        source = generator or self.generator
        return torch.randn((batch, *self.model.latent_shape), generator=source).to(self.model.device)

    def integers(self, high: int, batch: int) -> torch.Tensor:
        """Integers uniform in 0 … high − 1, of shape (batch,), on the CPU."""
        return torch.randint(high, (batch,), generator=self.generator)

    def log(self, **facts: Any) -> None:
        """Remember facts about this step; they are kept beside the weights."""
        self.history.append({"step": self.step, **facts})

    def random_level(self, levels: int) -> int:
        """A sampler level, uniform in 0 … levels − 1 (0 is the noisiest)."""
        return int(self.integers(levels, 1))

    @cached_property
    def teacher(self) -> UNet2DConditionModel:
        """The original UNet, frozen; it shares with the student every weight that the group leaves alone.

        Ask for it before training begins.
        """
        if self.step:
            raise RuntimeError("the teacher was asked for after the student had changed")
        return self.model.frozen_copy(self._frozen())

    def moving_average(self, decay: float) -> UNet2DConditionModel:
        """θ̄ ← decay · θ̄ + (1 − decay) · θ after every update; it becomes the result of the training."""
        if self._trains_text:
            raise RuntimeError("a moving average is one of the UNet, and here the text encoder trains")
        self._average_decay = decay
        self.averaged = self.model.frozen_copy(self._frozen())
        return self.averaged

    def keep(self, name: str, tensor: torch.Tensor, optimiser: torch.optim.Optimizer | None = None) -> torch.Tensor:
        """Let a tensor of the method's own, which it changes in place, survive an interruption."""
        self._kept[name] = tensor
        if optimiser is not None:
            self._optimisers[name] = optimiser
        return tensor

    def show(self, name: str, embedding: torch.Tensor) -> None:
        """Let snapshots show what the original draws from an embedding, (1, 77, width), that changes in place.

        Ask for it before training begins, while it is what it begins with.
        """
        self._shown[name] = embedding
        if self.snapshots:
            with self._meter.paused():
                self._begun |= self._drawn(f"{BEGIN}{name}", embedding)

    def latents(
        self,
        noise: torch.Tensor,
        context: torch.Tensor,
        until: int | Sequence[int],
        steps: int,
        guidance: float,
        unet: UNet2DConditionModel | None = None,
    ) -> torch.Tensor:
        """z at a level of the sampler, drawn by the student with guidance against the empty prompt; no gradient.

        Args:
            noise: (batch, channels, height, width).
            context: embeddings, (batch, 77, width) or (1, 77, width).
            until: the level, 0 for the noisiest; one for all rows, or one for each.
            steps: of DDIM.
            guidance: classifier-free guidance.
            unet: the network that draws; the student by default.
        """
        return self.model.denoise(noise, context, self.text(""), steps=steps, guidance=guidance, until=until, unet=unet)

    def drawn_images(
        self, prompts: Sequence[str], negative: str, steps: int, guidance: float, solver: str
    ) -> torch.Tensor:
        """Clean latents that the original model draws, one for each prompt, made once for all trainings.

        Args:
            prompts: what to draw.
            negative: the negative prompt; "" for none.
            steps: of the sampler.
            guidance: classifier-free guidance.
            solver: as for `TextToImage.walk`.
        """
        chunks = []
        for start in range(0, len(prompts), CHUNK):
            chosen = prompts[start : start + CHUNK]

            def draw(generator: torch.Generator, chosen: Sequence[str] = chosen) -> dict[str, torch.Tensor]:
                noise, context = self.noise(len(chosen), generator), self.text(*chosen)
                z = self.model.denoise(
                    noise, context, self.text(negative), steps=steps, guidance=guidance, solver=solver
                )
                return {"latents": z}

            what = {"images of": chosen, "from": start, "not": negative, "sampler": (solver, steps, guidance)}
            chunks.append(self.shared.made_once(what, draw)["latents"])
            self.report(0, f"{min(start + CHUNK, len(prompts))} of {len(prompts)} images drawn")
        return torch.cat(chunks)

    # The loop

    def fit(
        self,
        loss: Callable[[int], torch.Tensor],
        *,
        steps: int,
        lr: float,
        optimiser: str = "adam",
        weight_decay: float = 0.0,
        clip: float | None = None,
        accumulate: int = 1,
        schedule: Callable[[int], float] = lambda step: 1.0,
        low_rank: LowRank | None = None,
    ) -> None:
        """Minimise `loss(call)`, which draws its own batch, over the group's parameters; once in a training.

        Args:
            loss: given the number of the call from 0 on, returns a scalar with gradient.
            steps: optimiser updates, cut to `max_steps`.
            lr: learning rate.
            optimiser: "adam" or "adamw".
            weight_decay: AdamW's.
            clip: the largest gradient norm, or None.
            accumulate: calls of `loss` for each update; their gradients are averaged.
            schedule: what the learning rate is multiplied by at a step, from 0 on.
            low_rank: what is trained in the place of the group's parameters, which follow it.

        Raises:
            BenchError: the loss or, after an update, a weight is not finite.
        """
        weights = list((self.parameters if low_rank is None else low_rank.tensors).values())
        for name, tensor in ({} if low_rank is None else low_rank.tensors).items():
            self.keep(name, tensor)
        update = OPTIMISERS[optimiser](weights, lr=lr, weight_decay=weight_decay)
        self._optimisers["student"] = update
        steps = min(steps, self.max_steps or steps)
        self.shared.calls = -(-steps // self.turns) * accumulate
        checkpoint = Checkpoint(self.workspace)
        if (found := checkpoint.load()) is not None:
            self._restore(*found)
        if self.step == 0:
            self._snapshot()
        with self.trainable():
            while self.step < steps:
                update.zero_grad(set_to_none=True)
                total = 0.0
                for part in range(accumulate):
                    value = loss(self.step * accumulate + part) / accumulate
                    total += self._finite(value, steps, lr)
                    value.backward()
                if low_rank is not None:
                    low_rank.take_gradients()
                if clip is not None:
                    nn.utils.clip_grad_norm_(weights, clip)
                for group in update.param_groups:
                    group["lr"] = lr * schedule(self.step // self.turns)
                update.step()
                if low_rank is not None:
                    low_rank.write()
                self.step += 1
                self._check_weights(steps, lr)
                if self.averaged is not None:
                    self._update_average(self.averaged)
                self.report(self.step, f"step {self.step}/{steps}, loss {total:.4g}")
                self._snapshot()
                if checkpoint.is_due and self.step < steps:
                    with self._meter.paused():
                        checkpoint.save(*self._state())
        if self.averaged is not None:
            self._write(self._weights())

    def cost(self) -> Cost:
        """What the training cost so far, an earlier, interrupted part included."""
        return self._meter.cost(self.step) + self._before + self.shared.cost

    # Inside

    def _frozen(self) -> list[torch.Tensor]:
        return [weight for name, weight in self.model.unet.named_parameters() if name not in self.parameters]

    def _finite(self, value: torch.Tensor, steps: int, lr: float) -> float:
        number = float(value.detach())
        if not math.isfinite(number):
            raise BenchError(f"the loss is {number} at step {self.step + 1} of {steps}: lower lr (now {lr:g}).")
        return number

    @torch.no_grad()
    def _check_weights(self, steps: int, lr: float) -> None:
        """Before anything is kept: a gradient may overflow where the loss does not, and the last step has no next."""
        finite = torch.stack([weight.isfinite().all() for weight in self.parameters.values()]).tolist()
        if broken := [name for name, whole in zip(self.parameters, finite, strict=True) if not whole]:
            raise BenchError(
                f"{len(broken)} weights such as {broken[0]} are not finite after step {self.step} of {steps}: lower lr "
                f"(now {lr:g})."
            )

    @contextmanager
    def trainable(self) -> Iterator[None]:
        """The group's weights take gradients inside the block, in the training's precision."""
        unet = self.model.unet
        large = sum(weight.numel() for weight in unet.parameters()) > LARGE_UNET
        networks: list[nn.Module] = [unet, *([self.model.text_encoder] if self._trains_text else [])]
        for network in networks:
            network.requires_grad_(False)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        if large:
            unet.enable_gradient_checkpointing()
        try:
            with self.model.in_precision(self._precision):
                yield
        finally:
            unet.disable_gradient_checkpointing()
            for network in networks:
                network.requires_grad_(False)
                network.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _update_average(self, average: UNet2DConditionModel) -> None:
        mean = select(average, self.group)
        torch._foreach_lerp_(list(mean.values()), list(self.parameters.values()), 1 - self._average_decay)

    def _weights(self) -> Mapping[str, torch.Tensor]:
        """The group's weights as they would be evaluated."""
        return self.parameters if self.averaged is None else select(self.averaged, self.group)

    @torch.no_grad()
    def _write(self, weights: Mapping[str, torch.Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(weights[name])

    def _snapshot(self) -> None:
        if self.step in self.snapshots:
            with self._meter.paused():
                weights = {name: value.detach() for name, value in self._weights().items()}
                self.on_snapshot(self.step, weights, self._pictures() if self.step else {})

    def _pictures(self) -> Pictures:
        """What the shown embeddings draw now and drew when training began."""
        found = dict(self._begun)
        for name, embedding in self._shown.items():
            found |= self._drawn(name, embedding)
        return found

    def _drawn(self, name: str, embedding: torch.Tensor) -> Pictures:
        """What the original draws from an embedding, uint8 (height, width, 3) by name and number."""
        with self.model.in_precision("fp32"):
            z = self.model.denoise(
                self.model.noise(SHOWN_NOISE),
                embedding.detach(),
                self.text(""),
                steps=SHOWN_STEPS,
                guidance=SHOWN_GUIDANCE,
                unet=self.teacher,
            )
        return {f"{name}-{k}": image for k, image in enumerate(self.model.decode(z))}

    def _state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that the rest of the training depends on: tensors, and facts that are JSON."""
        tensors: dict[str, torch.Tensor] = {f"student/{name}": value for name, value in self.parameters.items()}
        if self.averaged is not None:
            tensors |= {f"average/{name}": value for name, value in self._weights().items()}
        tensors |= {f"kept/{name}": value for name, value in self._kept.items()}
        for name, optimiser in self._optimisers.items():
            tensors |= {f"optimiser {name}/{k}": value for k, value in optimiser_tensors(optimiser).items()}
        tensors["generator"] = self.generator.get_state()
        charged = sorted(self.shared.charged)
        return tensors, {"step": self.step, "cost": asdict(self.cost()), "charged": charged, "history": self.history}

    @torch.no_grad()
    def _restore(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `_state` gave."""
        self._write(with_prefix(tensors, "student"))
        if self.averaged is not None:
            stored = with_prefix(tensors, "average")
            for name, weight in select(self.averaged, self.group).items():
                weight.copy_(stored[name])
        for name, kept in self._kept.items():
            kept.copy_(tensors[f"kept/{name}"])
        for name, optimiser in self._optimisers.items():
            restore_optimiser(optimiser, with_prefix(tensors, f"optimiser {name}"))
        self.generator.set_state(tensors["generator"])
        self.step, self.history = facts["step"], facts["history"]
        self.shared.charged, self.shared.cost = set(facts["charged"]), Cost()
        self._before, self._meter = Cost(**{**facts["cost"], "train_steps": 0}), Meter(self.model)
