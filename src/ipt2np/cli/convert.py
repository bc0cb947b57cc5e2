"""``ipt2np convert``."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ipt2np.conversion import Conversion, Options

SELECTOR_LABEL = "app.kubernetes.io/name"


class FailOn(StrEnum):
    """From which severity on a finding makes the exit status 1."""

    NEVER = "never"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Doubt(StrEnum):
    """The values of --in-doubt."""

    DENY = "deny"
    ALLOW = "allow"


class Other(StrEnum):
    """The values of --other-family."""

    DENY = "deny"
    SAME = "same"


_INPUT, _OBJECT, _HOST, _OUTPUT = "Input", "The policy", "What the file does not say", "Output"


def convert(
    rules: Annotated[
        str,
        typer.Argument(
            metavar="RULES",
            help="What iptables-save or ip6tables-save printed (also `iptables -S`); - reads standard input.",
        ),
    ],
    rules6: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_INPUT,
            help="The same host's ip6tables-save: adds the other family to the policy.",
        ),
    ] = None,
    cni: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_OBJECT,
            help="Which CNI the cluster runs; kubernetes is the portable core.",
        ),
    ] = "kubernetes",
    name: Annotated[
        str | None,
        typer.Option(
            metavar="N", rich_help_panel=_OBJECT, help="The policy's name  [default: from the file's name]"
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option(metavar="NS", rich_help_panel=_OBJECT, help="The namespace of the pods.")
    ] = "default",
    pod_selector: Annotated[
        str | None,
        typer.Option(
            metavar="K=V[,K=V]",
            rich_help_panel=_OBJECT,
            help="Labels of the pods that replace the host  [default: app.kubernetes.io/name=NAME]",
        ),
    ] = None,
    in_doubt: Annotated[
        Doubt,
        typer.Option(
            rich_help_panel=_OBJECT, help="What to do with packets that iptables may accept and may refuse."
        ),
    ] = Doubt.DENY,
    other_family: Annotated[
        Other,
        typer.Option(
            rich_help_panel=_OBJECT,
            help="Without a ruleset for the other IP family: refuse it, or filter it the same way.",
        ),
    ] = Other.DENY,
    interface: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IF[=CIDR,…]",
            rich_help_panel=_HOST,
            help="Pods receive what came in on IF; with CIDRs: these sources are behind IF.",
        ),
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR", rich_help_panel=_HOST, help="The host's own address that the pod replaces."
        ),
    ] = None,
    pod_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            rich_help_panel=_HOST,
            help="Addresses of pods: proved apart from external sources.",
        ),
    ] = None,
    node_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            rich_help_panel=_HOST,
            help="Addresses of nodes: proved apart from external sources.",
        ),
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=VALUE",
            rich_help_panel=_HOST,
            help="Switch an assumption: state, fragment, rate, unicast =undecided; set:NAME=empty; rule:LINE=no-match or =match.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
            help="Where the YAML goes; - is standard output.",
        ),
    ] = "-",
    report: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.json",
            rich_help_panel=_OUTPUT,
            help="Write the full report: findings, every difference with a witness, the fate of every rule.",
        ),
    ] = None,
    fail_on: Annotated[
        FailOn,
        typer.Option(rich_help_panel=_OUTPUT, help="Exit with 1 when a finding is at least this severe."),
    ] = FailOn.ERROR,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="Print no findings.")
    ] = False,
) -> None:
    """Turn a host's INPUT filtering into network policy, and prove it.

    The YAML goes to standard output, findings to standard error. The policy is read back as the target reads it and
    compared with what the kernel accepts: equal, or every difference with a witness and the line of the rule.

    Exit status: 0 done; 1 done, with a finding at or above --fail-on; 2 bad input or usage, nothing written; 3 internal error.
    """
    with _errors():
        options = _options(
            rules,
            cni,
            name,
            namespace,
            pod_selector,
            in_doubt.value,
            other_family.value,
            interface or [],
            address or [],
            pod_cidr or [],
            node_cidr or [],
            assume or [],
        )
        _check_outputs(output, report or [])
        conversion = _converted(rules, rules6, options, quiet)
        _write(conversion, output, report or [], options.version)
        failed = _tell(conversion, fail_on, quiet)
    raise typer.Exit(1 if failed else 0)


@contextmanager
def _errors() -> Iterator[None]:
    """Turns every failure into one message and its exit status."""
    from rich.console import Console

    from ipt2np.errors import InputError, InternalError, UsageError
    from ipt2np.reporting.terminal import problem_lines, write

    console = Console(stderr=True)
    try:
        yield
    except InputError as error:
        write(console, problem_lines(error.problems))
        raise typer.Exit(2) from None
    except UsageError as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except (typer.Exit, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        raise typer.Exit(130) from None
    except InternalError as error:
        _internal(console, str(error))
    except Exception as error:
        _internal(console, f"{type(error).__name__}: {error}")


def _internal(console: object, message: str) -> None:
    from rich.console import Console

    from ipt2np.cni.render import printable

    assert isinstance(console, Console)
    console.print(
        f"internal error: {printable(message, 1000)}", markup=False, highlight=False, soft_wrap=True
    )
    console.print(
        "Nothing was written. This is a fault of ipt2np: please report it with the ruleset.",
        markup=False,
        highlight=False,
    )
    raise typer.Exit(3) from None


def _options(
    rules: str,
    cni: str,
    name: str | None,
    namespace: str,
    pod_selector: str | None,
    in_doubt: str,
    other_family: str,
    interfaces: Sequence[str],
    addresses: Sequence[str],
    pod_cidrs: Sequence[str],
    node_cidrs: Sequence[str],
    assume: Sequence[str],
) -> Options:
    from ipt2np import __version__
    from ipt2np.cni.base import Identity
    from ipt2np.cni.networkpolicy import is_name, is_namespace
    from ipt2np.cni.registry import CNIS
    from ipt2np.conversion import Options, OtherFamily
    from ipt2np.errors import UsageError
    from ipt2np.planning import InDoubt
    from ipt2np.rules.assumptions import Assumptions
    from ipt2np.semantics import Facts

    if cni not in CNIS:
        raise UsageError(f"--cni {cni}: not known; there is {', '.join(CNIS)}")
    if name is not None and not is_name(name):
        raise UsageError(
            f"--name {name}: expected a Kubernetes name: lower-case letters, digits, - and ., at most 253 characters"
        )
    if not is_namespace(namespace):
        raise UsageError(
            f"--namespace {namespace}: expected lower-case letters, digits and -, at most 63 characters"
        )
    chosen = name or _name_of(rules)
    labels = _labels(pod_selector) if pod_selector is not None else {SELECTOR_LABEL: chosen[:63].rstrip("-.")}
    return Options(
        identity=Identity(chosen, namespace, labels),
        placeholder_selector=pod_selector is None,
        cni=cni,
        in_doubt=InDoubt(in_doubt),
        other_family=OtherFamily(other_family),
        assumptions=Assumptions.parse(tuple(assume)),
        facts=Facts(
            tuple(_interface(text) for text in interfaces), tuple(_address(text) for text in addresses)
        ),
        pod_cidrs=tuple(_cidr("--pod-cidr", text) for text in pod_cidrs),
        node_cidrs=tuple(_cidr("--node-cidr", text) for text in node_cidrs),
        version=__version__,
    )


def _name_of(rules: str) -> str:
    """A Kubernetes name from the file's name, or from this machine's for standard input."""
    stem = socket.gethostname() if rules == "-" else Path(rules).name
    stem = re.sub(r"\.(rules|v4|v6|txt|save|conf|dump|ipt|iptables|ip6tables)$", "", stem.lower())
    cleaned = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63].strip("-")
    return cleaned or "host"


def _labels(text: str) -> dict[str, str]:
    from ipt2np.cni.networkpolicy import is_label
    from ipt2np.errors import UsageError

    labels = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals or not is_label(key, value):
            raise UsageError(
                f"--pod-selector {text}: expected KEY=VALUE[,KEY=VALUE] with valid label names, for example app=web"
            )
        labels[key] = value
    return labels


def _cidr(option: str, text: str) -> str:
    from ipt2np.errors import UsageError

    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise UsageError(f"{option} {text}: expected an address or a network such as 10.0.0.0/8") from None


def _interface(text: str) -> tuple[str, tuple[str, ...]]:
    from ipt2np.errors import UsageError

    name, equals, cidrs = text.partition("=")
    if not name or len(name) > 15 or name == "lo" or "+" in name or (equals and not cidrs):
        raise UsageError(
            f"--interface {text}: expected an interface's name such as eth0, or eth1=10.0.0.0/8,192.168.0.0/16 (not lo, no wildcard)"
        )
    return name, tuple(_cidr("--interface", part) for part in cidrs.split(",")) if equals else ()


def _address(text: str) -> str:
    from ipt2np.errors import UsageError

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError(f"--address {text}: expected one address of the host, such as 192.0.2.10") from None


def _check_outputs(output: str, reports: Sequence[str]) -> None:
    from ipt2np.errors import UsageError

    for name in reports:
        if not name.lower().endswith(".json"):
            raise UsageError(f"--report {name}: expected a file name that ends in .json")
    places = [str(Path(name).resolve()) for name in [output, *reports] if name != "-"]
    if len(set(places)) < len(places):
        raise UsageError("two outputs go to the same file")


def _converted(rules: str, rules6: str | None, options: Options, quiet: bool) -> Conversion:
    import sys

    from rich.console import Console

    from ipt2np.conversion import convert
    from ipt2np.errors import UsageError
    from ipt2np.files import read_input
    from ipt2np.syntax.dump import parse_ruleset

    if rules == "-" and rules6 == "-":
        raise UsageError("standard input can be read once only: give RULES or --rules6 as a file")
    console = Console(stderr=True)
    with (
        console.status("Reading, deciding, proving …")
        if console.is_terminal and not quiet and sys.stderr.isatty()
        else _nothing()
    ):
        rulesets = [parse_ruleset(*read_input(rules), family=None if rules6 is None else 4)]
        if rules6 is not None:
            first_number = max((rule.number for rule in rulesets[0].rules), default=-1) + 1
            rulesets.append(parse_ruleset(*read_input(rules6), family=6, first_number=first_number))
        return convert(rulesets, options)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _write(conversion: Conversion, output: str, reports: Sequence[str], version: str) -> None:
    from ipt2np.files import write_all
    from ipt2np.reporting.jsonreport import text

    texts = {name: text(conversion, version) for name in reports}
    if output != "-":
        texts[output] = conversion.text
    write_all(texts)
    if output == "-":
        typer.echo(conversion.text, nl=False)


def _tell(conversion: Conversion, fail_on: FailOn, quiet: bool) -> bool:
    """Prints the findings; True where one is at or above ``--fail-on``."""
    from rich.console import Console

    from ipt2np.findings import Severity
    from ipt2np.reporting.terminal import conversion_lines, write

    if not quiet:
        write(Console(stderr=True), conversion_lines(conversion))
    if fail_on is FailOn.NEVER:
        return False
    least = Severity[fail_on.name]
    return any(finding.severity >= least for finding in conversion.findings)
