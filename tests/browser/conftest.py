"""Skip the whole folder, in one line, where there is no browser; or fail, where there must be one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .pages import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ViewportSize

_HERE = Path(__file__).parent
SIZE: ViewportSize = {"width": 1400, "height": 900}
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def _chromium() -> str | None:
    return next((found for found in map(shutil.which, _NAMES) if found), None)


def _missing() -> str:
    if _chromium() is None:
        return "no chromium"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "no playwright"
    return ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if _HERE in item.path.parents]
    reason = _missing() if ours else ""
    if not reason:
        return
    line = f"{len(ours)} tests of the HTML report not run in a browser ({reason})"
    if os.environ.get("IPT2NP_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError(f"IPT2NP_REQUIRE_BROWSER=1, but {line}")
    # One test stands for all, so that the report has one line.
    ours[0].add_marker(pytest.mark.skip(reason=line))
    items[:] = [item for item in items if item not in ours[1:]]
    config.hook.pytest_deselected(items=ours[1:])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """A window of usual size, light, for the tests that ask for no other."""
    made = browser.new_context(viewport=SIZE)
    yield made
    made.close()


@pytest.fixture
def opened(browser: Browser, window: BrowserContext, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a report from disk; at the end of the test nothing may have been fetched and nothing complained.

    Options are those of a window of its own.
    """
    made: list[Opened] = []
    own: list[BrowserContext] = []

    def open_report(text: str, **options: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        if options:
            own.append(browser.new_context(**{"viewport": SIZE, **options}))
        made.append(Opened.of(own[-1] if options else window, path))
        return made[-1]

    yield open_report
    for each in made:
        each.page.close()
        assert each.requests == [each.address]
        assert each.complaints == []
    for context in own:
        context.close()
