"""A headless Chromium for a module's tests, which are skipped where there is none.

`apt-get install chromium` and `pip install erasebench[web]` bring what they need.
"""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from browsing import FLAGS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install erasebench[web]")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()
