"""The one loop that trains every part: progress, checkpoints, resume, moving average."""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import nn

from ...erasure.checkpoint import optimiser_tensors, restore_optimiser
from ...models.devices import has_bf16, has_fast_bf16, is_gpu
from ...storage.tensors import load_tensors, save_tensors, with_prefix
from .muon import Muon

CHECKPOINT_SECONDS = 120.0
REPORT_SECONDS = 30.0
OPTIMISERS = {"adamw": torch.optim.AdamW, "muon": Muon}


def train_part(
    name: str,
    modules: nn.ModuleDict,
    loss_of_step: Callable[[int], torch.Tensor],
    *,
    work: Path,
    steps: int,
    lr: float,
    decay_from: float = 0.0,
    ema: float = 0.0,
    optimiser: str = "adamw",
    say: Callable[[str], None] = print,
) -> nn.ModuleDict:
    """Train `modules` in place and return them (with the averaged weights if `ema` is set).

    `loss_of_step(step)` must depend on nothing but the step and the weights, so that a resumed training
    equals an uninterrupted one; from a checkpoint without its optimiser's tensors it goes on with a fresh one, and from
    one in half precision nearly where it was. The learning rate warms up over 2 % of the steps, stays flat until
    `decay_from` and then falls linearly to zero (by a half cosine if `decay_from` is 0).

    Raises:
        FloatingPointError: the loss is not finite.
    """
    work.mkdir(parents=True, exist_ok=True)
    checkpoint, log = work / f"{name}.checkpoint", work / f"{name}.log.jsonl"
    trainable = [p for p in modules.parameters() if p.requires_grad]
    stepper = OPTIMISERS[optimiser](trainable, lr=lr, weight_decay=0.01, betas=(0.9, 0.99))
    average = [p.detach().clone() for p in trainable]
    start, frozen = 0, {name for name, p in modules.named_parameters() if not p.requires_grad}  # known without a file
    if (stored := load_tensors(checkpoint)) is not None:
        tensors, facts = stored
        fault = modules.load_state_dict(with_prefix(tensors, "modules"), strict=False)
        if wrong := [*fault.unexpected_keys, *({*fault.missing_keys} - frozen)]:
            raise ValueError(f"{checkpoint} is of another network: {', '.join(wrong[:3])}")
        restore_optimiser(stepper, with_prefix(tensors, "optimiser"))
        kept = with_prefix(tensors, "average")
        average = [kept[str(k)].to(own) for k, own in enumerate(trainable)]
        start = facts["step"]
        say(f"{name}: going on at step {start} of {steps}")

    def save(step: int) -> None:
        tensors = {f"modules/{name}": value for name, value in modules.state_dict().items() if name not in frozen}
        tensors |= {f"optimiser/{name}": value for name, value in optimiser_tensors(stepper).items()}
        tensors |= {f"average/{k}": value for k, value in enumerate(average)}
        save_tensors(checkpoint, tensors, {"step": step})

    began = reported = saved = time.monotonic()
    losses: list[float] = []
    for step in range(start, steps):
        rate = lr * learning_rate_factor(step / steps, decay_from)
        for group in stepper.param_groups:
            group["lr"] = rate
        loss = loss_of_step(step)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"{name}: the loss is {losses[-1]} at step {step}; lower its lr in the recipe")
        stepper.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainable, 1.0)
        stepper.step()
        if ema:
            decay = min(ema, (step + 1) / (step + 10))
            torch._foreach_lerp_(average, [p.detach() for p in trainable], 1 - decay)
        now = time.monotonic()
        if now - reported > REPORT_SECONDS or step + 1 == steps:
            left = (now - began) / (step + 1 - start) * (steps - step - 1)
            mean = sum(losses) / len(losses)
            speed = (now - began) / (step + 1 - start)
            say(f"{name}: step {step + 1}/{steps}  loss {mean:.4f}  {speed:.3f} s/step  {left / 60:.1f} min left")
            with log.open("a") as file:
                file.write(json.dumps({"step": step + 1, "loss": mean, "lr": rate}) + "\n")
            losses, reported = [], now
        if now - saved > CHECKPOINT_SECONDS or step + 1 == steps:
            save(step + 1)
            saved = now
    if ema:
        copy_weights(average, trainable)
    return modules


def mixed_precision(device: str) -> torch.autocast:
    """Autocast to bfloat16 where the device is fast in it; elsewhere a block that changes nothing."""
    fast = has_bf16(device) if is_gpu(device) else has_fast_bf16()
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=fast)


def learning_rate_factor(progress: float, decay_from: float) -> float:
    """The learning rate at `progress` in [0, 1], as a fraction of its peak."""
    warm = min(1.0, (progress + 1e-4) / 0.02)
    if decay_from == 0:
        return warm * 0.5 * (1 + math.cos(math.pi * progress))
    return warm * min(1.0, max(0.01, (1 - progress) / (1 - decay_from)))


def copy_weights(source: Iterable[torch.Tensor], target: Iterable[torch.Tensor]) -> None:
    """Write the values of `source` into the parameters `target`."""
    with torch.no_grad():
        for value, parameter in zip(source, target, strict=True):
            parameter.copy_(value)
