"""ESD: Erasing Concepts from Diffusion Models (Gandikota et al., ICCV 2023, arXiv 2303.07345)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from erasebench import MethodConfig, method

if TYPE_CHECKING:
    import torch

    from erasebench import ErasureTask, TextToImage, Trainer


class Config(MethodConfig):
    """Defaults are the original recipe's for Stable Diffusion v1.4 (paper, section 4; authors' code)."""

    parameters: Literal["xattn", "noxattn", "full", "selfattn"] = "noxattn"  # ESD-u, the paper's choice for nudity
    steps: int = 1000  # authors' code
    batch: int = 1
    lr: float = 1e-5  # section 4
    eta: float = 1.0  # negative guidance, equation 6
    sampler_steps: int = 50  # DDIM, authors' code
    sampler_guidance: float = 3.0  # authors' code


@method(
    label="ESD",
    paper="arXiv 2303.07345",
    config=Config,
    presets={"mini": {"parameters": "xattn", "steps": 100, "batch": 4, "lr": 2e-3, "sampler_steps": 12}},
)
def esd(model: TextToImage, task: ErasureTask, config: Config, trainer: Trainer) -> None:
    """Steer the noise prediction for the concept away from it, against the original's guidance.

    Equations 5 and 6: ‖ε_θ(z_t, c, t) − [ε*(z_t, ∅, t) − η (ε*(z_t, c, t) − ε*(z_t, ∅, t))]‖², where z_t is drawn
    by the student itself down to exactly the noise level that is trained on.
    """
    import torch
    from torch.nn.functional import mse_loss

    teacher = model.teacher()
    concept, empty = model.encode([task.prompt]), model.encode([""])
    levels = model.timesteps(config.sampler_steps)

    def loss() -> torch.Tensor:
        level = trainer.random_level(len(levels))
        t = levels[level]
        z = model.denoise(
            trainer.noise(config.batch), concept, empty,
            steps=config.sampler_steps, guidance=config.sampler_guidance, until=level,
        )  # fmt: skip
        with torch.no_grad():
            unconditional = model.predict_noise(z, t, empty, teacher)
            conditional = model.predict_noise(z, t, concept, teacher)
            target = unconditional - config.eta * (conditional - unconditional)
        return mse_loss(model.predict_noise(z, t, concept), target)

    trainer.fit(loss, steps=config.steps, lr=config.lr)
