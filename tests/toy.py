"""A model small enough for pencil and paper: ε(z, t, c) = w · c · z, with one weight w and one number c a text."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import nn

from erasebench import ErasureTask, Method, TextToImage, Trainer
from erasebench.models.pipeline_folder import noise_schedule
from erasebench.models.text_to_image import ForwardCount
from erasebench.registry import METHODS

CODES = {"concept": 2.0, "": 0.5, "guide": -1.0, "other": 1.5, "an anchor": 0.25, "phrase": 3.0}
TASK = ErasureTask("concept", "object", "concept", "guide", ("guide", "an anchor"), "phrase", 0)
TEACHER, STUDENT = 0.7, 1.1  # the weight before training, and where the loss is looked at


class ToyUnet(nn.Module):
    """Answers as a UNet2DConditionModel does."""

    def __init__(self) -> None:
        super().__init__()
        self.attn2 = nn.Linear(1, 1, bias=False)
        self.attn2.weight.data.fill_(TEACHER)
        self.dtype = torch.float32

    def forward(self, z: torch.Tensor, t: Any, context: torch.Tensor) -> SimpleNamespace:
        code = context.mean((1, 2)).view(-1, 1, 1, 1)
        return SimpleNamespace(sample=self.attn2.weight[0, 0] * code * z)

    def enable_gradient_checkpointing(self) -> None: ...
    def disable_gradient_checkpointing(self) -> None: ...


def toy_model() -> TextToImage:
    """A TextToImage around a ToyUnet."""
    model = TextToImage.__new__(TextToImage)
    model.name, model.family, model.revision, model.device = "toy", "sd", "toy", "cpu"
    model.unet = ToyUnet()  # type: ignore[assignment]
    model.scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)
    model.levels = noise_schedule(model.scheduler.config)
    model.products = model.scheduler.alphas_cumprod.tolist()
    model.texts = SimpleNamespace(arguments=lambda context, height, width: (context, {}))
    model.image_size = 16
    model.latent_shape, model.forwards, model.autocast_dtype = (1, 2, 2), ForwardCount(), None

    def encode(prompts: Sequence[str], texts: object = None) -> torch.Tensor:
        return torch.stack([torch.full((3, 1), CODES.get(prompt, 9.0)) for prompt in prompts])

    model.encode = encode  # type: ignore[method-assign]
    return model


class Caught:
    """A method's loss, caught on its way into the loop.

    The latents are `z` at the noisiest level, so that no sampler step changes them; the student's weight is STUDENT
    and the teacher's TEACHER.
    """

    def __init__(self, name: str, drawn: dict[str, torch.Tensor] | None = None, **settings: Any) -> None:
        self.model = toy_model()
        method: Method = METHODS.load(name)
        self.config = method.configure("sd", TASK.kind, {"parameters": "xattn", **settings})
        self.trainer = Trainer(self.model, "xattn", 0)
        self.z = torch.tensor([[[[0.3, -1.0], [2.0, 0.5]]]])
        self.make: Callable[..., Any] | None = None
        self.trainer.noise = lambda batch, generator=None: self.z  # type: ignore[method-assign]
        self.trainer.random_level = lambda levels: 0  # type: ignore[method-assign]
        self.trainer.fit = self._catch  # type: ignore[method-assign]

        def drawn_ahead(what: Any, make: Callable[..., Any]) -> Callable[[int], Any]:
            self.make = make
            return lambda step: drawn

        self.trainer.shared.drawn_ahead = drawn_ahead  # type: ignore[method-assign]
        method.erase(self.model, TASK, self.config, self.trainer)

    def _catch(self, loss: Callable[[int], torch.Tensor], **options: Any) -> None:
        self.loss, self.options = loss, options

    def evaluate(self, step: int = 0) -> tuple[float, float]:
        """The loss and its derivative by the weight, at the student's."""
        weight = self.model.unet.attn2.weight
        weight.data.fill_(STUDENT)
        weight.requires_grad_(True)
        value = self.loss(step)
        (gradient,) = torch.autograd.grad(value, weight)
        return float(value.detach()), float(gradient)
