"""``make bench``: CPU seconds of each stage, for each shape, as rulesets grow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import TypeVar

from shapes import SHAPES

from ipt2np import Options, conclude, decide, draft, parse_ruleset

SIZES = (500, 1000, 2000)

T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds that ``run`` took, and what it gave."""
    start = process_time()
    result = run()
    return process_time() - start, result


def main(sizes: tuple[int, ...]) -> None:
    """Prints one line for each shape and size."""
    print(
        f"{'shape':12} {'rules':>7} {'parse':>7} {'decide':>7} {'draft':>7} {'prove':>7}   (CPU seconds; draft holds decide)"
    )
    for name, shape in SHAPES.items():
        for size in sizes:
            data = shape(size).encode()
            parsing, ruleset = timed(partial(parse_ruleset, data, "bench.v4"))
            deciding, _ = timed(partial(decide, [ruleset]))
            drafting, drafted = timed(partial(draft, [ruleset], Options()))
            proving, _ = timed(partial(conclude, drafted, drafted.text))
            rules = len(ruleset.rules)
            print(
                f"{name:12} {rules:7} {parsing:7.2f} {deciding:7.2f} {drafting:7.2f} {proving:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
