"""What the package keeps of the world that its model was trained on: `mini/held_out.py` reads it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from safetensors.numpy import save_file

from ...scoring.judge import Judge
from .world import Scene, World
from .world.captions import with_article

CAPTIONS, REAL = 8192, 1024
CAPTION_SEED, REAL_SEED = 2014, 2015  # of the held-out scenes; any others would do


def everyday_scenes(world: World, wanted: int, seed: int) -> list[tuple[Scene, str]]:
    """Held-out scenes with captions, without nudity whatever is erased, so that one set serves all concepts."""
    enough = wanted + wanted // 5 + 50  # a few in a hundred show nudity
    found = (pair for pair in world.scenes(enough, "held-out", seed) if "nudity" not in pair[0].concepts)
    return list(islice(found, wanted))


def write_world(folder: Path, world: World, judge: Judge) -> None:
    """Write captions, the things with their articles, and the real images' features.

    Args:
        folder: is made.
        world: that the model was trained on.
        judge: as the package has it, in half precision.
    """
    folder.mkdir()
    real = everyday_scenes(world, REAL, REAL_SEED)
    for name, pairs in (("captions.txt", everyday_scenes(world, CAPTIONS, CAPTION_SEED)), ("real.txt", real)):
        (folder / name).write_text("".join(f"{text}\n" for _, text in pairs), encoding="utf-8")
    things = {name: with_article(name, entry.article) for name, entry in world.concepts.items()}
    (folder / "things.json").write_text(json.dumps(things, indent=0) + "\n", encoding="utf-8")
    features = judge.image_features([world.render(scene) for scene, _ in real])
    save_file({"judge": features}, folder / "real.safetensors", {"revision": judge.revision})
