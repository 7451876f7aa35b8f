"""What pyproject.toml says is in the wheel."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_package_of_the_sources_is_named() -> None:
    """One that is left out is missed by whoever installs the wheel, and by nobody who works in a checkout."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        place: name for name, place in setuptools["package-dir"].items() if (ROOT / place / "__init__.py").exists()
    }
    found = {
        ".".join((name, *file.parent.relative_to(ROOT / place).parts))
        for place, name in folders.items()
        for file in (ROOT / place).rglob("__init__.py")
    }
    assert found <= set(setuptools["packages"])
