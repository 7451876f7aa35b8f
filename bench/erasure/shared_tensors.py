"""Tensors that the original model makes for trainings: once for all that need the same, and charged to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from ..errors import BenchError
from ..models.cost import Cost, Meter
from ..models.provenance import made_on
from ..models.text_to_image import TextToImage
from ..storage.keys import content_key
from ..storage.tensors import load_tensors, save_tensors
from .workspace import Workspace


class SharedTensors:
    """What a training takes from the original model and other trainings may take too.

    Attributes:
        cost: what tensors cost that were found made, and less what others are charged of those made here.
        charged: the keys of all that the training used.
        calls: of the loss, in the whole training.
    """

    def __init__(self, model: TextToImage, seed: int, precision: str, workspace: Workspace, block: int) -> None:
        self._model, self._seed, self._precision = model, seed, precision
        self._workspace, self._block = workspace, block
        self.cost, self.charged, self.calls = Cost(), set[str](), 0

    def made_once(
        self, what: Mapping[str, Any], make: Callable[[torch.Generator], Mapping[str, torch.Tensor]], share: float = 1.0
    ) -> dict[str, torch.Tensor]:
        """Tensors that depend on `what` and the original model alone, made once for all trainings of a store.

        Whoever finds them made is charged the time and forwards that they cost, so that each method's cost is that of
        the method alone.

        Args:
            what: everything that the tensors depend on, besides the model and the seed.
            make: called with a generator that is seeded from `what` and the seed alone, so that one draw in another
                precision or on another device starts from the same noise.
            share: how much of their cost this training is charged.

        Raises:
            BenchError: what was made is not finite.
        """
        with self._model.in_precision(self._precision):
            key = content_key(
                what=what,
                model=self._model.revision,
                made_on=made_on(self._model.device),
                seed=self._seed,
                precision=str(self._model.autocast_dtype),
                version=self._workspace.version,
            )
            path = self._workspace.cache / f"{key}.safetensors" if self._workspace.cache else None
            found = None if path is None else load_tensors(path)
            if found:
                tensors, facts = found
                if key not in self.charged:
                    self.cost += Cost(**facts).scaled(share)
            else:
                tensors, cost = self._made(what, make)
                self.cost += cost.scaled(share - 1)
                if path is not None:
                    save_tensors(path, tensors, asdict(cost))
        self.charged.add(key)
        return {name: value.to(self._model.device) for name, value in tensors.items()}

    def drawn_ahead(
        self, what: Mapping[str, Any], make: Callable[[torch.Generator, int], Mapping[str, torch.Tensor]]
    ) -> Callable[[int], dict[str, torch.Tensor]]:
        """Tensors of several steps at once, each made once; returns a function from a step to its part.

        Args:
            what: as for `made_once`.
            make: (generator, steps) → tensors whose first dimension is `steps`.
        """
        block, tensors = -1, dict[str, torch.Tensor]()

        def of_step(step: int) -> dict[str, torch.Tensor]:
            nonlocal block, tensors
            if step // self._block != block:
                block = step // self._block
                parts = {**what, "block": block, "steps": self._block}
                share = min(1.0, (self.calls - block * self._block) / self._block)
                tensors = self.made_once(parts, lambda generator: make(generator, self._block), share)
            return {name: value[step % self._block] for name, value in tensors.items()}

        return of_step

    def _made(
        self, what: Mapping[str, Any], make: Callable[[torch.Generator], Mapping[str, torch.Tensor]]
    ) -> tuple[dict[str, torch.Tensor], Cost]:
        meter = Meter(self._model, memory=False)
        with torch.no_grad():
            tensors = dict(make(torch.Generator().manual_seed(_seed_of(what, self._seed))))
        if broken := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
            raise BenchError(
                f"what the original model drew for training is not finite ({broken[0]}): look at its weights, or train "
                "in float32 (`training: {precision: fp32}` in a plan)."
            )
        return tensors, meter.cost()


def _seed_of(what: Mapping[str, Any], seed: int) -> int:
    """63 bits."""
    return int(content_key(what=what, seed=seed)[:16], 16) >> 1
