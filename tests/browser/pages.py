"""A report in a browser: the page, what it asked for, and what the browser said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@dataclass
class Opened:
    """A page that was opened from disk."""

    page: Page
    address: str
    requests: list[str]
    """Every address that was asked for."""
    complaints: list[str]
    """Errors of scripts and whatever was written to the console: violations of the page's policy are among that."""

    @classmethod
    def of(cls, context: BrowserContext, path: Path) -> Opened:
        """Opens the file in a tab of its own."""
        page = context.new_page()
        opened = cls(page, path.as_uri(), [], [])
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: opened.complaints.append(dialog.message))
        page.goto(opened.address)
        return opened

    def ask(self, field: str, text: str) -> None:
        """Types into a field of the filters and presses Enter."""
        self.page.fill(f"#filters input[name={field}]", text)
        self.page.press(f"#filters input[name={field}]", "Enter")

    def check(self, name: str, value: str, on: bool) -> None:
        """Sets a box of the filters."""
        self.page.set_checked(f"#filters input[name={name}][value={value}]", on)

    def visible(self, selector: str) -> list[str]:
        """The ids of the elements that are shown."""
        found: list[str] = self.page.evaluate(
            "selector => [...document.querySelectorAll(selector)].filter(e => e.checkVisibility()).map(e => e.id)",
            selector,
        )
        return found

    def status(self) -> str:
        """What the filters say, as a screen reader hears it."""
        return self.page.inner_text("#status")

    def focused(self) -> str:
        """The element that has the focus: its id, or its name and value."""
        found: str = self.page.evaluate(
            "() => { const e = document.activeElement;"
            " return e.id || [e.name, e.value].filter(Boolean).join('=') || e.textContent.trim(); }"
        )
        return found
