"""How long the HTML report of a large ruleset takes: to write, and in Chromium until it is shown."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from shapes import SHAPES

from ipt2np import Options, convert, parse_ruleset
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.reporting.html import html

SIZE = 5000
_PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def page_lines(size: int = SIZE) -> list[str]:
    """One line for each shape whose reports are long."""
    lines = []
    for name in ("ban list", "allow lists", "mixed"):
        text = SHAPES[name](size)
        conversion = convert([parse_ruleset(text.encode(), "bench.v4")], Options())
        report = conversion_report(conversion, "", {"bench.v4": text.splitlines()})
        start = process_time()
        page = html(report)
        written = process_time() - start
        lines.append(f"{name:12} {size:7} {written:7.2f} {len(page) / 1e6:7.2f} {_shown(page):>7}")
    return lines


def _shown(page: str) -> str:
    """Seconds from the start of the navigation until the page is painted; ``-`` where there is no browser."""
    browser = shutil.which("chromium")
    if browser is None:
        return "-"
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        tab = started.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
        start = perf_counter()
        tab.goto(path.as_uri())
        tab.evaluate(_PAINTED)
        return f"{perf_counter() - start:.2f}"


if __name__ == "__main__":
    print(
        f"{'HTML report':12} {'rules':>7} {'write':>7} {'MB':>7} {'shown':>7}   (write: CPU seconds; shown: seconds)"
    )
    print("\n".join(page_lines()))
