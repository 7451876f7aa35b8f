"""Things drawn from icons: which, what else they are called, and their pictures.

The icons are Noto Emoji's (Apache-2.0) as the npm package @iconify-json/noto carries them; none is kept here.
`npm pack` fetches the archive, whose hash is checked. Further words are the tags of emojibase-data (MIT).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from PIL import Image

from ....errors import BenchError

PACKAGE = "@iconify-json/noto@1.2.9"
SHA256 = "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
SIDE = 160  # pixels of a picture


@cache
def icon_things() -> dict[str, list[str]]:
    """Each thing's icon and then its other names."""
    content: dict[str, list[str]] = yaml.safe_load(_text("icons.yaml"))
    return content


@cache
def tags() -> dict[str, list[str]]:
    """Further words that go with a thing, such as "zoo" with a zebra; several things may share one."""
    content: dict[str, list[str]] = yaml.safe_load(_text("tags.yaml"))
    return content


def _text(name: str) -> str:
    return (files("erasebench.develop.mini.world") / name).read_text(encoding="utf-8")


def read_icons(archive: Path) -> dict[str, Image.Image]:
    """Each thing's picture, RGBA of SIDE × SIDE pixels.

    Args:
        archive: the file that `npm pack @iconify-json/noto@1.2.9` fetches.

    Raises:
        BenchError: the file is not that archive, or resvg is not installed.
    """
    content = archive.read_bytes() if archive.is_file() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise BenchError(f"{archive} is not the archive of {PACKAGE}. Fetch it with: npm pack {PACKAGE}")
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise BenchError("drawing icons needs resvg: pip install 'erasebench[train]'.") from None
    with tarfile.open(fileobj=io.BytesIO(content)) as package:
        file = package.extractfile("package/icons.json")
        icons = json.load(file) if file is not None else {}
    found = {}
    for name, (icon, *_) in icon_things().items():
        body = icons["icons"][icons["aliases"].get(icon, {}).get("parent", icon)]["body"]
        links = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        drawing = f'<svg {links} viewBox="0 0 128 128">{body}</svg>'
        raster = svg_to_bytes(svg_string=drawing, width=SIDE, height=SIDE)
        found[name] = Image.open(io.BytesIO(bytes(raster))).convert("RGBA")
    return found
