"""The HTML report in Chromium: filters, links, keyboard, and that nothing in it runs or is fetched."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ipt2np.reporting.html import html
from ipt2np.reporting.report import Report
from tests.reporting import reports
from tests.reporting.test_html import HOSTILE

from .pages import Opened

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

Open = Callable[..., Opened]

PORTED = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}


@pytest.fixture
def shop(opened: Open) -> Opened:
    return opened(html(reports.of_shop()))


def differences(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report.data["proof"]["differences"]
    return found


# -- filters --------------------------------------------------------------------------------------------


def test_findings_and_differences_are_filtered_by_severity(shop: Opened) -> None:
    report = reports.of_shop()
    severities = [each["severity"] for each in report.data["findings"]]
    assert {"warning", "info"} <= set(severities)
    shop.check("severity", "info", False)
    assert shop.visible(".finding") == [
        f"n{number}" for number, each in enumerate(severities, start=1) if each != "info"
    ]
    assert f"{len(severities) - severities.count('info')} of {len(severities)} findings" in shop.status()
    shop.check("severity", "warning", False)
    assert shop.visible(".finding") == []
    assert len(shop.visible(".difference")) < len(differences(report))
    shop.page.click("button[type=reset]")
    assert len(shop.visible(".finding")) == len(severities)
    assert shop.status() == ""


def test_lines_are_filtered_by_fate(shop: Opened) -> None:
    report = reports.of_shop()
    names = [file.name for file in report.files]
    fates = {f"f{names.index(each['file'])}-{each['line']}": each["fate"] for each in report.data["ledger"]}
    assert len(set(fates.values())) >= 4
    everything = shop.visible(".ruled .l")
    for fate in sorted(set(fates.values())):
        shop.check("fate", fate, False)
        assert shop.visible(".ruled .l") == [line for line in everything if fates.get(line) != fate]
        assert f"of {len(everything)} lines" in shop.status()
        shop.check("fate", fate, True)
    shop.check("fate", "none", False)
    assert set(shop.visible(".ruled .l")) == set(fates)


def asks_for(box: Mapping[str, Any], protocol: str, port: int) -> bool:
    """Whether a packet to a port is in a box, taken word for word."""
    if box["protocol"] not in ("any", protocol):
        low_high = [part.split("-") for part in box["protocol"].split(",") if part[:1].isdigit()]
        number = PORTED[protocol]
        if not any(int(part[0]) <= number <= int(part[-1]) for part in low_high):
            return False
    ports = box.get("ports", "any")
    return ports == "any" or any(
        int(part.split("-")[0]) <= port <= int(part.split("-")[-1]) for part in ports.split(",")
    )


@pytest.mark.parametrize(
    ("asked", "protocols"), [("22", tuple(PORTED)), ("5432/tcp", ("tcp",)), ("udp 161", ("udp",))]
)
def test_differences_and_access_are_filtered_by_port(
    shop: Opened, asked: str, protocols: tuple[str, ...]
) -> None:
    report = reports.of_shop()
    port = int("".join(c for c in asked if c.isdigit()))
    shop.ask("port", asked)
    for mark, selector, boxes in (
        ("d", ".difference", differences(report)),
        ("a", ".entries li", report.data["access"]),
    ):
        expected = [
            f"{mark}{number}"
            for number, box in enumerate(boxes, start=1)
            if any(asks_for(box, protocol, port) for protocol in protocols)
        ]
        if mark == "a":
            shop.page.evaluate("document.getElementById('entries').open = true")
        assert shop.visible(selector) == expected
        assert len(expected) < len(boxes)
    heads = shop.page.eval_on_selector_all(
        "#picture thead th", "cells => cells.filter(e => e.checkVisibility()).map(e => e.innerText)"
    )
    assert 1 < len(heads) < shop.page.locator("#picture thead th").count()


def test_a_port_that_is_none_is_said_so(shop: Opened) -> None:
    for wrong in ("70000", "http?", "5-2", "tcp/udp"):
        shop.ask("port", wrong)
        assert f"{wrong} is no port" in shop.status()
        assert shop.page.get_attribute("input[name=port]", "aria-invalid") == "true"
    shop.ask("port", "443")
    assert shop.page.get_attribute("input[name=port]", "aria-invalid") is None


# -- what can this address reach ------------------------------------------------------------------------


def reached(report: Report, address: str) -> set[tuple[str, str, str]]:
    """The services of an address, one box after another."""
    ip = ipaddress.ip_address(address)
    result = set()
    for box in report.data["access"]:
        if any(ip in ipaddress.ip_network(cidr) for cidr in box["source"]):
            words = ["any protocol" if box["protocol"] == "any" else box["protocol"]]
            if words[0][0].isdigit():
                words.insert(0, "protocol")
            words += [box["ports"].replace(",", ", ")] if box.get("ports", "any") != "any" else []
            words += [", ".join(box["icmp"])] if box.get("icmp") else []
            result.add((" ".join(words), box["before"], box["after"]))
    return result


def classes(report: Report, address: str) -> set[str]:
    """Who an address may be in the picture; of pods and nodes the same is said in this report."""
    ip = ipaddress.ip_address(address)
    return {
        "outside" if box["source_class"] == "external" else "inside"
        for box in report.data["access"]
        if any(ip in ipaddress.ip_network(cidr) for cidr in box["source"])
    }


def boundaries(report: Report, count: int) -> list[str]:
    """Addresses at the edges of the sources, and beside them."""
    found: set[str] = set()
    for box in report.data["access"]:
        for cidr in box["source"]:
            network = ipaddress.ip_network(cidr)
            for edge in (int(network.network_address), int(network.broadcast_address)):
                for value in (edge - 1, edge, edge + 1):
                    if 0 <= value < 1 << network.max_prefixlen:
                        found.add(str(type(network.network_address)(value)))
    every = sorted(found)
    return Random(5).sample(every, min(count, len(every)))


def test_what_an_address_reaches_is_what_the_boxes_say(shop: Opened) -> None:
    report = reports.of_shop()
    addresses = boundaries(report, 40)
    assert {":" in address for address in addresses} == {True, False}
    answers = set()
    for address in addresses:
        shop.ask("address", address)
        rows = shop.page.eval_on_selector_all(
            "#answer tbody tr",
            "rows => rows.map(row => [...row.cells].slice(0, 3).map(cell => cell.textContent))",
        )
        assert {tuple(row) for row in rows} == reached(report, address), address
        assert len(rows) == len({tuple(row) for row in rows})
        answers.add(frozenset(tuple(row) for row in rows))
        lit = shop.visible("#picture tbody tr[id]")
        assert len(lit) == len(classes(report, address))
    assert len(answers) > 5


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2001:db8:1::5", "2001:0db8:0001:0000:0000:0000:0000:0005"),
        ("2001:DB8:1:BAD::1", "2001:db8:1:bad:0:0:0.0.0.1"),
        ("::1", "0:0:0:0:0:0:0:1"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(shop: Opened, text: str, same: str) -> None:
    told = []
    for each in (text, same):
        shop.ask("address", each)
        told.append(shop.page.inner_text("#answer").replace(each, ""))
    assert told[0] == told[1]
    assert reached(reports.of_shop(), text) or "Nothing" in told[0]


def test_an_address_that_is_none_is_said_so(shop: Opened) -> None:
    for wrong in (
        "10.1.2",
        "10.1.2.256",
        "010.1.2.3",
        "1::2::3",
        "12345::",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7:8:9",
        "host",
    ):
        shop.ask("address", wrong)
        assert f"{wrong} is no address" in shop.status()
        assert not shop.page.is_visible("#answer")


def test_a_port_narrows_the_answer(shop: Opened) -> None:
    shop.page.fill("input[name=port]", "443/tcp")
    shop.ask("address", "203.0.113.7")
    assert "Nothing: refused before and after." in shop.page.inner_text("#answer")
    shop.ask("address", "192.0.2.1")
    assert set(shop.page.locator("#answer tbody td:first-child").all_inner_texts()) == {"tcp 443"}


# -- links ----------------------------------------------------------------------------------------------


def test_a_rule_leads_to_its_policy_and_back(opened: Open) -> None:
    page = opened(html(reports.of_shop("calico"))).page
    page.click("#f0-9 .to a >> nth=0")
    target = page.evaluate("location.hash").removeprefix("#")
    assert page.locator(f"#{target}").evaluate("e => e.matches(':target')")
    box = page.locator(f"#{target}").bounding_box()
    assert box is not None
    assert 0 < box["y"] < 900
    assert (
        page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).closest('.l')?.id", [box["x"] + 20, box["y"] + 8]
        )
        == target
    )
    page.click(f"#{target} .to a[href='#f0-9']")
    assert page.evaluate("location.hash") == "#f0-9"
    assert page.locator("#f0-9").evaluate("e => e.matches(':target')")


def test_a_difference_leads_to_its_rule_and_back(shop: Opened) -> None:
    shop.page.click(".difference .about-it a[href^='#f'] >> nth=0")
    line = shop.page.evaluate("location.hash")
    shop.page.click(f"{line} a.note[href^='#d'] >> nth=0")
    assert shop.page.evaluate("location.hash").startswith("#d")


def test_a_link_to_a_line_that_is_filtered_out_shows_it(shop: Opened) -> None:
    line = shop.page.get_attribute(".difference .about-it a[href^='#f'] >> nth=0", "href")
    assert line is not None
    for each in shop.page.locator("input[name=fate]").all():
        each.uncheck()
    assert not shop.page.is_visible(line)
    shop.page.click(f".difference .about-it a[href='{line}'] >> nth=0")
    assert shop.page.is_visible(line)


def test_a_link_to_a_long_list_opens_it(opened: Open) -> None:
    rules = "\n".join(f"-A INPUT -s 198.51.{n}.64/26 -p tcp -m tcp --dport 80 -j ACCEPT" for n in range(100))
    dump = f"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"
    page = opened(html(reports.of_dumps({"a.v4": dump}))).page
    page.click("#picture a.more >> nth=0")
    assert page.is_visible(f"{page.evaluate('location.hash')} p")


# -- hostile input --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conversion", "lint", "diff"])
def test_no_script_of_an_input_runs(opened: Open, kind: str) -> None:
    made = {"conversion": lambda each: each, "lint": reports.as_lint, "diff": reports.as_diff}[kind]
    numbers = iter(range(10**9))
    report = reports.with_texts(
        made(reports.of_shop()), lambda _: HOSTILE[next(numbers) % len(HOSTILE)] + str(next(numbers) % 7)
    )
    shown = opened(html(report))
    shown.page.wait_for_timeout(50)
    assert "owned" not in shown.page.title() or shown.page.title().startswith(
        ("Conversion", "Lint", "Difference")
    )
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("img, svg svg").count() == 0
    for each in shown.page.locator(".cards a, .l a").all()[:20]:
        assert (each.get_attribute("href") or "").startswith("#")


def test_comments_names_and_prefixes_of_a_dump_stay_text(opened: Open) -> None:
    hostile = "</script><script>document.title='owned'</script>"
    dump = (
        reports.SHOP.replace("the shop", hostile)
        .replace("refused ", "<i onclick=x>")
        .replace("-i eth1", "-i <b>eth1</b>")
    )
    shown = opened(html(reports.of_dumps({"<script>document.title='owned'</script>.v4": dump})))
    assert shown.page.title() != "owned"
    assert hostile in shown.page.inner_text(".ruled >> nth=0")


def test_the_policy_of_the_page_stops_what_is_not_its_own(window: BrowserContext, tmp_path: Path) -> None:
    """The same page with a script put into it by other means does not run it."""
    text = html(reports.of_shop()).replace(
        "</body>",
        "<script>document.title='owned'</script><p style='color:red'>x</p><img src='https://192.0.2.1/x'></body>",
    )
    path = tmp_path / "changed.html"
    path.write_text(text, encoding="utf-8")
    shown = Opened.of(window, path)
    assert shown.page.title() != "owned"
    assert len([each for each in shown.complaints if "Content Security Policy" in each]) >= 3
    shown.page.close()


# -- without script, by keyboard, by ear, on paper ------------------------------------------------------


def test_everything_is_there_without_script(opened: Open) -> None:
    report = reports.of_shop()
    shown = opened(html(report), java_script_enabled=False)
    assert not shown.page.is_visible("#filters")
    assert shown.page.locator(".difference").count() == len(differences(report))
    assert shown.page.locator(".finding").count() == len(report.data["findings"])
    assert shown.page.locator(".ruled .l .f:not(:empty)").count() == len(report.data["ledger"])
    shown.page.click("#f0-9 .to a >> nth=0")
    assert "#f2-" in shown.page.url


def test_the_filters_are_reached_and_used_by_keyboard(shop: Opened) -> None:
    shop.page.keyboard.press("Tab")
    assert shop.focused() == "Skip to the verdict"
    reached_fields = []
    for _ in range(40):
        shop.page.keyboard.press("Tab")
        reached_fields.append(shop.focused())
        if reached_fields[-1] == "Show all":
            break
    order = [
        "severity=error",
        "severity=info",
        "fate=lost",
        "fate=none",
        "port",
        "address",
        "Ask",
        "Show all",
    ]
    assert [each for each in reached_fields if each in order] == order
    for _ in range(3):
        shop.page.keyboard.press("Shift+Tab")
    assert shop.focused() == "port"
    shop.page.keyboard.press("Tab")
    shop.page.keyboard.type("10.1.2.3")
    shop.page.keyboard.press("Enter")
    assert shop.focused() == "answer"
    assert "10.1.2.3 may reach" in shop.status()
    assert shop.page.get_attribute("#status", "aria-live") == "polite"
    outline = shop.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize(
    ("kind", "scheme"), [("conversion", "light"), ("conversion", "dark"), ("diff", "light")]
)
def test_axe_has_nothing_serious_to_say(opened: Open, kind: str, scheme: str) -> None:
    report = reports.as_diff(reports.of_shop()) if kind == "diff" else reports.of_shop()
    # axe puts its own script and style into the page.
    shown = opened(html(report), bypass_csp=True, color_scheme=scheme)
    shown.ask("address", "10.1.2.3")
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(shown.page).response["violations"]
    assert [
        (each["id"], node["html"][:200], node["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical", "moderate")
        for node in each["nodes"][:3]
    ] == []


def test_on_paper_both_files_are_whole_and_the_filters_are_not_there(shop: Opened) -> None:
    shop.page.emulate_media(media="print")
    assert not shop.page.is_visible("#filters")
    for pane in shop.page.locator(".pane").all():
        assert pane.evaluate("e => e.scrollHeight <= e.clientHeight + 1")


def test_a_narrow_screen_needs_no_sideways_scrolling(opened: Open) -> None:
    shown = opened(html(reports.of_shop()), viewport={"width": 360, "height": 700})
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 360
