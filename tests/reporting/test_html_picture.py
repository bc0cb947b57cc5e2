"""The picture of who may reach what answers every packet as the boxes that it is made from."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.reporting.htmlpicture import (
    NOTHING,
    SHOWN_COLUMNS,
    SHOWN_ROWS,
    Picture,
    State,
    TooLarge,
    picture,
    protocol_ranges,
)
from ipt2np.rules.names import PROTOCOLS

HOSTS = [f"10.0.0.{number}" for number in range(8)]
SERVICES = [
    *(("tcp", port) for port in range(1, 6)),
    *(("udp", port) for port in range(1, 4)),
    ("icmp", 8),
    ("icmp", 0),
    ("gre", 0),
]
STATES = ["accepted", "refused", "undecided"]


def boxes(
    table: dict[tuple[int, tuple[str, int]], State], source_class: str = "external"
) -> list[dict[str, Any]]:
    """Disjoint boxes: for each protocol and state the ports with equal sources together."""
    grouped: dict[tuple[str, State, tuple[str, ...]], list[int]] = {}
    for protocol, port in SERVICES:
        by_state: dict[State, list[str]] = {}
        for number, host in enumerate(HOSTS):
            by_state.setdefault(table[number, (protocol, port)], []).append(f"{host}/32")
        for state, hosts in by_state.items():
            if state != NOTHING:
                grouped.setdefault((protocol, state, tuple(hosts)), []).append(port)
    result = []
    for (protocol, (before, after), sources), ports in grouped.items():
        box: dict[str, Any] = {
            "source_class": source_class, "source": list(sources), "protocol": protocol, "before": before, "after": after,
        }  # fmt: skip
        if protocol in ("tcp", "udp"):
            box |= {"ports": ",".join(map(str, ports)), "source_ports": "any"}
        if protocol == "icmp":
            box["icmp"] = [str(port) for port in ports]
        result.append(box)
    return result


def answer(drawn: Picture, host: str, protocol: str, port: int) -> State:
    """What the picture says; refused where it has no row or no column."""
    address = int(ipaddress.IPv4Address(host))
    rows = [row for block in drawn.blocks for row in block.rows if address in row.sources]
    number = PROTOCOLS[protocol]
    columns = [
        place
        for place, column in enumerate(drawn.columns)
        for (low, high), (first, last) in column.services
        if low <= number <= high and (protocol == "gre" or first <= port <= last)
    ]
    assert len(rows) <= 1
    assert len(columns) <= 1
    return rows[0].cells[columns[0]] if rows and columns else NOTHING


tables = st.fixed_dictionaries(
    {
        (number, service): st.tuples(st.sampled_from(STATES), st.sampled_from(STATES)) | st.just(NOTHING)
        for number in range(len(HOSTS))
        for service in SERVICES
    }
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_each_cell_says_what_its_box_says(table: dict[tuple[int, tuple[str, int]], State]) -> None:
    drawn = picture(boxes(table))
    assert isinstance(drawn, Picture)
    for (number, (protocol, port)), state in table.items():
        assert answer(drawn, HOSTS[number], protocol, port) == state


@settings(max_examples=20, deadline=None)
@given(tables)
def test_classes_of_which_the_same_is_said_stand_together(
    table: dict[tuple[int, tuple[str, int]], State],
) -> None:
    found = boxes(table)
    drawn = picture([*found, *boxes(table, "pod")])
    assert isinstance(drawn, Picture)
    assert [block.classes for block in drawn.blocks] == ([("external", "pod")] if found else [])


def one(**box: Any) -> dict[str, Any]:
    return {
        "source_class": "external",
        "source": ["0.0.0.0/0"],
        "before": "accepted",
        "after": "accepted",
        **box,
    }


def labels(*found: dict[str, Any]) -> list[str]:
    drawn = picture(found)
    assert isinstance(drawn, Picture)
    return [column.label for column in drawn.columns]


def test_services_are_named_as_people_name_them() -> None:
    assert labels(one(protocol="any", ports="any", source_ports="any")) == ["any protocol"]
    assert labels(one(protocol="tcp", ports="22,8000-8080", source_ports="any")) == ["tcp 22,8000-8080"]
    assert labels(one(protocol="udp", ports="546", source_ports="547")) == ["udp 546 from port 547"]
    assert labels(one(protocol="icmp", icmp=["8/0"])) == ["icmp 8/0"]
    assert labels(one(protocol="0-5,7-255", ports="any", source_ports="any")) == ["any protocol but tcp"]
    assert labels(
        one(protocol="any", ports="any", source_ports="any", source=["10.0.0.0/8"]),
        one(protocol="tcp", ports="22", source_ports="any", source=["11.0.0.0/8"]),
    ) == ["tcp 22", "tcp 0-21,23-65535; any protocol but tcp"]


def test_icmp_is_told_apart_under_a_box_of_every_protocol() -> None:
    drawn = picture(
        [
            one(protocol="any", ports="any", source_ports="any", source=["10.0.0.0/8"]),
            one(protocol="icmp", icmp=["8"], source=["11.0.0.0/8"]),
        ]
    )
    assert isinstance(drawn, Picture)
    assert drawn.columns[0].label == "icmp 8"
    assert [row.cells[0] for block in drawn.blocks for row in block.rows] == [("accepted", "accepted")] * 2


def test_of_too_many_rows_and_columns_those_that_differ_are_drawn_and_the_others_counted() -> None:
    many = [
        one(
            protocol="tcp",
            ports=str(number),
            source_ports="any",
            source=[f"10.0.{number}.0/24"],
            after="refused" if number == 190 else "accepted",
        )
        for number in range(1, 201)
    ]
    drawn = picture(many)
    assert isinstance(drawn, Picture)
    (block,) = drawn.blocks
    assert (len(block.rows), block.left_out, block.left_out_differing) == (SHOWN_ROWS, 200 - SHOWN_ROWS, 0)
    assert len(drawn.columns) == SHOWN_COLUMNS
    assert (drawn.columns_left_out, drawn.columns_left_out_differing) == (200 - SHOWN_COLUMNS, 0)
    assert [row.sources.to_cidrs() for row in block.rows if row.differs] == [["10.0.190.0/24"]]
    assert [column.label for column in drawn.columns if column.differs] == ["tcp 190"]


def test_what_nobody_could_read_is_not_drawn() -> None:
    wide = [
        one(protocol="tcp", ports=str(n), source_ports="any", source=[f"10.{n // 250}.{n % 250}.0/24"])
        for n in range(1, 4000)
    ]
    assert isinstance(picture(wide), TooLarge)


def test_protocols_of_the_report_are_read_as_numbers() -> None:
    assert protocol_ranges("any") == ((0, 255),)
    assert protocol_ranges("icmpv6") == ((58, 58),)
    assert protocol_ranges("0-5,47") == ((0, 5), (47, 47))
