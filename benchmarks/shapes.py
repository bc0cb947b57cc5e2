"""Rulesets to measure with: shapes that grow, written from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

PORTS = (22, 25, 53, 80, 111, 443, 2049, 3306, 5432, 6379, 8080, 9100)


def _dump(policy: str, rules: Iterator[str], chains: int = 0) -> str:
    head = ["*filter", f":INPUT {policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    return "\n".join([*head, *(f":c{n} - [0:0]" for n in range(chains)), *rules, "COMMIT", ""])


def _host(random: Random) -> str:
    return ".".join(
        str(random.randrange(1, 224) if part == 0 else random.randrange(256)) for part in range(4)
    )


def ban_list(count: int) -> str:
    """Default ACCEPT, every rule drops one host."""
    random = Random(1)
    return _dump("ACCEPT", (f"-A INPUT -s {_host(random)}/32 -j DROP" for _ in range(count)))


def allow_lists(count: int) -> str:
    """Default DROP, every rule lets one network reach one of a dozen services."""
    random = Random(2)
    return _dump(
        "DROP",
        (
            f"-A INPUT -s {_host(random).rpartition('.')[0]}.0/24 -p tcp -m tcp --dport {random.choice(PORTS)} -j ACCEPT"
            for _ in range(count)
        ),
    )


def mixed(count: int) -> str:
    """Hosts and networks accepted and dropped over a dozen ports, in random order."""
    random = Random(3)
    return _dump(
        "DROP",
        (
            f"-A INPUT -s {_host(random)}/32 -p tcp -m tcp --dport {random.choice(PORTS)} "
            f"-j {random.choice(('ACCEPT', 'DROP'))}"
            for _ in range(count)
        ),
    )


def deep_chains(count: int) -> str:
    """User chains that each jump twice to the next, with a rule of their own."""
    chains = max(count // 3, 1)

    def rules() -> Iterator[str]:
        yield "-A INPUT -j c0"
        for number in range(chains - 1):
            yield f"-A c{number} -p tcp -m tcp --dport {number % 60000 + 1} -j c{number + 1}"
            yield f"-A c{number} -s 10.{number >> 8 & 255}.{number & 255}.0/24 -j ACCEPT"
            yield f"-A c{number} -j c{number + 1}"

    return _dump("DROP", rules(), chains)


def undecided(count: int) -> str:
    """Rules that nobody can decide."""
    return _dump(
        "DROP",
        (
            f"-A INPUT -s 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32 -m mac --mac-source 00:00:00:00:00:01 -j ACCEPT"
            for n in range(count)
        ),
    )


SHAPES: Mapping[str, Callable[[int], str]] = {
    "ban list": ban_list, "allow lists": allow_lists, "mixed": mixed, "deep chains": deep_chains,
    "undecided": undecided,
}  # fmt: skip
