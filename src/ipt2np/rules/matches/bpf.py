"""``-m bpf`` (iptables-extensions(8)): a Berkeley packet filter program looks at the packet."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.names import number_of
from ipt2np.rules.values import word

MOST_INSTRUCTIONS = 64
"""XT_BPF_MAX_NUM_INSTR."""
Instruction = tuple[int, int, int, int]
"""Operation code, offsets of the two jumps, operand (struct sock_filter)."""
_LIMITS = (0xFFFF, 0xFF, 0xFF, 0xFFFFFFFF)
_EXPECTED = "COUNT,CODE TRUE FALSE OPERAND,… as nfbpf_compile(8) prints it"


def _read(text: str, family: int) -> tuple[Instruction, ...]:
    head, *rest = [part.strip() for part in text.rstrip(",").split(",")]
    program: list[Instruction] = []
    for line in rest:
        numbers = [number_of(part, most) for part, most in zip(line.split(), _LIMITS, strict=False)]
        code, yes, no, operand, *_ = [*numbers, None, None, None, None]
        if code is None or yes is None or no is None or operand is None or len(line.split()) != 4:
            raise ValueFault(f"{line!r} is no instruction", _EXPECTED)
        program.append((code, yes, no, operand))
    if number_of(head, MOST_INSTRUCTIONS) != len(program) or not program:
        raise ValueFault(f"the program says {head!r} and has {len(program)} instructions", _EXPECTED)
    return tuple(program)


def _write(program: tuple[Instruction, ...], family: int) -> str:
    lines = [" ".join(map(str, instruction)) for instruction in program]
    return f'"{",".join([str(len(program)), *lines])}"'


_PROGRAM = Kind("PROGRAM", _read, _write, "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0")
_MEANS = Undecided("what a packet filter program says of the packet")


class Bpf(MatchExtension):
    """The program stands in the rule, or is pinned in a file system."""

    name = "bpf"
    options = (
        option("--bytecode", kinds=_PROGRAM, means=_MEANS),
        option("--object-pinned", kinds=word, means=_MEANS),
    )
    required = exclusive = (("--bytecode", "--object-pinned"),)
