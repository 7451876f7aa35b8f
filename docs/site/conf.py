"""The documents as a site: `sphinx-build -W -c docs/site . site` in a checkout. It needs no network to read."""

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from reference import Commands, PlanKeys

project = "erasebench"
version = release = installed("erasebench")
copyright = "the authors of erasebench"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "results/README.md"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "erasebench"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
smartquotes = False  # would join the dashes of options
highlight_language = "none"  # of indented blocks; fenced ones say theirs
suppress_warnings = ["myst.header"]


def setup(app: Any) -> None:
    """The pages that the code writes."""
    app.add_directive("bench-commands", Commands)
    app.add_directive("bench-plan-keys", PlanKeys)
