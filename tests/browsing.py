"""Pages in headless Chromium, offline, for tests: what goes wrong in them is kept."""

from pathlib import Path
from typing import Any

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class Tab:
    """A page in a browser: what went wrong in it is kept."""

    def __init__(self, browser: Any, file: Path, width: int = 1200, scheme: str = "light") -> None:
        self.wrong: list[str] = []
        context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": width, "height": 800})
        self.page = context.new_page()
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._asked)
        self.page.goto(file.as_uri())

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.wrong.append(f"request: {request.url}")

    def again(self, file: Path, state: str = "") -> None:
        """Open another page, or the same in a state."""
        self.page.goto("about:blank")
        self.page.goto(file.as_uri() + state)

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_text_contents()]


def accessible(tab: Tab) -> str:
    """What axe-core finds wrong with the page as it is shown; "" for nothing."""
    import pytest

    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install erasebench[web]")
    found = axe.Axe().run(tab.page)
    return str(found.generate_report()) if found.violations_count else ""
