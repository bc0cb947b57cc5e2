"""``ipt2np convert``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.output import print_text

if TYPE_CHECKING:
    from rich.text import Text

    from ipt2np.conversion import Conversion, Options
    from ipt2np.rules.model import Ruleset
    from ipt2np.semantics import Facts


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


class Whose(StrEnum):
    """The values of --scope."""

    POD = "pod"
    HOST = "host"


class MatchMode(StrEnum):
    """The values of --cidr-match-mode."""

    NODES = "nodes"
    PODS = "pods"


ALL = "all"
"""In place of a CNI's name: every one."""

_INPUT, _OBJECT, _HOST, _OUTPUT = "Input", "The policy", "What the file does not say", "Output"


def convert(
    rules: Annotated[
        str,
        typer.Argument(
            metavar="RULES",
            help="What iptables-save or ip6tables-save printed, or both one after the other (also `iptables -S`, or a script "
            "of iptables commands); - reads standard input.",
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
    dump: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_INPUT,
            help="Where RULES holds several dumps: take the N-th (at most one of each family).",
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            rich_help_panel=_INPUT,
            help="Take a line that cannot be read as an undecided rule, with an error, instead of refusing the file.",
        ),
    ] = False,
    also_rules: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_INPUT,
            help="A second ruleset loaded on the same host (the other iptables backend): both must accept.",
        ),
    ] = None,
    ipset: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_INPUT, help="What `ipset save` printed: settles -m set."
        ),
    ] = None,
    drop_transient: Annotated[
        bool,
        typer.Option(
            "--drop-transient",
            rich_help_panel=_INPUT,
            help="Leave out what expires by itself: entries of ipsets that have a timeout.",
        ),
    ] = False,
    addr: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_INPUT,
            help="What `ip -j addr` printed: the host's interfaces and own addresses.",
        ),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_INPUT,
            help="What `ip -j route show table all` (or `ip -j route`, `ip -j -6 route`) printed: which sources are behind which interface.",
        ),
    ] = None,
    cni: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_OBJECT,
            help="Which CNI the cluster runs (`ipt2np cnis` lists them); kubernetes is the portable core. With all: no policy, "
            "but what each CNI would keep and lose.",
        ),
    ] = "kubernetes",
    scope: Annotated[
        Whose,
        typer.Option(
            rich_help_panel=_OBJECT,
            help="Whose filter it is to be: that of the pods that replace the host, or of the host itself where it stays as a "
            "node (calico, cilium, antrea).",
        ),
    ] = Whose.POD,
    cidr_match_mode: Annotated[
        list[MatchMode] | None,
        typer.Option(
            metavar="nodes|pods",
            rich_help_panel=_OBJECT,
            help="Cilium: what CIDRs match beside sources outside the cluster (the agent's policy-cidr-match-mode).",
        ),
    ] = None,
    in_cluster: Annotated[
        bool,
        typer.Option(
            rich_help_panel=_OBJECT,
            help="Where CIDRs do not match pods (Cilium, GKE Dataplane V2): admit all pods where the host accepts everybody "
            "but some sources.",
        ),
    ] = True,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="N", rich_help_panel=_OBJECT, help="The policy's name (default: from the file's name)"
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
            help="Labels of the pods that replace the host (default: app.kubernetes.io/name=NAME), or with --scope host of the node "
            "(default: kubernetes.io/hostname=NAME)",
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
    template_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            rich_help_panel=_OUTPUT,
            help="Templates in DIR stand in for those of the same name (layout and comments only: the objects must stay).",
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
    with reported_errors():
        from ipt2np import __version__
        from ipt2np.cli.arguments import address_of, cidr_of, identity_of, interface_of
        from ipt2np.cni.base import Cluster
        from ipt2np.conversion import Options, OtherFamily, Scope
        from ipt2np.errors import UsageError
        from ipt2np.planning import InDoubt
        from ipt2np.rules.assumptions import Assumptions
        from ipt2np.semantics import Facts

        modes = frozenset(mode.value for mode in cidr_match_mode or [])
        _check_cni(cni, modes)
        options = Options(
            identity=identity_of(rules, name, namespace, pod_selector, host=scope is Whose.HOST),
            placeholder_selector=pod_selector is None and scope is Whose.POD,
            cni=cni,
            scope=Scope(scope.value),
            in_doubt=InDoubt(in_doubt.value),
            other_family=OtherFamily(other_family.value),
            assumptions=Assumptions.parse(tuple(assume or [])),
            facts=Facts(
                interfaces=tuple(interface_of(text) for text in interface or []),
                addresses=tuple(address_of(text) for text in address or []),
                drop_transient=drop_transient,
            ),
            cluster=Cluster(
                tuple(cidr_of("--pod-cidr", text) for text in pod_cidr or []),
                tuple(cidr_of("--node-cidr", text) for text in node_cidr or []),
                modes,
                in_cluster,
            ),
            templates=template_dir,
            version=__version__,
        )
        inputs = _Inputs(
            rules,
            rules6,
            tuple(also_rules or []),
            ipset,
            addr,
            tuple(route or []),
            tuple(dump or []),
            keep_going,
        )
        _check_outputs(output, report or [], inputs.names())
        if cni == ALL:
            if output != "-" or report or scope is Whose.HOST:
                raise UsageError("--cni all writes no policy: -o, --report and --scope host go with one CNI")
            _compare(inputs, options, quiet)
            raise typer.Exit(0)
        conversion = _converted(inputs, options, quiet)
        account = [] if quiet else _account(conversion)
        _write(conversion, output, report or [], options.version)
        _tell(account)
        failed = _failed(conversion, fail_on)
    raise typer.Exit(1 if failed else 0)


@dataclass(frozen=True)
class _Inputs:
    """The files to read, by option, and how."""

    rules: str
    rules6: str | None
    also: tuple[str, ...]
    ipset: str | None
    addr: str | None
    routes: tuple[str, ...]
    dumps: tuple[int, ...]
    keep_going: bool

    def names(self) -> list[str]:
        return [
            name
            for name in (self.rules, self.rules6, *self.also, self.ipset, self.addr, *self.routes)
            if name
        ]


def _check_cni(cni: str, modes: frozenset[str]) -> None:
    from ipt2np.cni.registry import CNIS, REFUSED
    from ipt2np.errors import UsageError

    if cni.lower() in REFUSED:
        raise UsageError(f"--cni {cni}: {REFUSED[cni.lower()]}")
    if cni != ALL and cni not in CNIS:
        raise UsageError(f"--cni {cni}: not known; there is {', '.join(CNIS)}, or all")
    if modes and cni != ALL and not CNIS[cni].match_modes:
        raise UsageError(f"--cidr-match-mode: what CIDRs match is not to be chosen with --cni {cni}")


def _check_outputs(output: str, reports: Sequence[str], inputs: Sequence[str]) -> None:
    from ipt2np.errors import UsageError

    for name in reports:
        if not name.lower().endswith(".json"):
            raise UsageError(f"--report {name}: expected a file name that ends in .json")
    places = [str(Path(name).resolve()) for name in [output, *reports] if name != "-"]
    if len(set(places)) < len(places):
        raise UsageError("two outputs go to the same file")
    read = {str(Path(name).resolve()): name for name in inputs if name != "-"}
    for place in places:
        if place in read:
            raise UsageError(f"{read[place]} is an input: writing the output there would destroy it")


def _converted(inputs: _Inputs, options: Options, quiet: bool) -> Conversion:
    from ipt2np.conversion import convert
    from ipt2np.errors import UsageError
    from ipt2np.reporting.terminal import ErrorConsole

    if inputs.names().count("-") > 1:
        raise UsageError("standard input can be read once only: give the other inputs as files")
    console = ErrorConsole()
    with (
        console.status("Reading, deciding, proving …") if console.is_terminal and not quiet else nullcontext()
    ):
        options = replace(options, facts=_with_files(options.facts, inputs))
        rulesets, also = _rulesets(inputs)
        return convert(rulesets, options, also)


def _compare(inputs: _Inputs, options: Options, quiet: bool) -> None:
    """One line a CNI: what it would keep and lose."""
    from ipt2np.cni.registry import CNIS
    from ipt2np.conversion import compare
    from ipt2np.reporting.comparison import comparison
    from ipt2np.reporting.terminal import ErrorConsole

    console = ErrorConsole()
    options = replace(options, facts=_with_files(options.facts, inputs))
    rulesets, also = _rulesets(inputs)
    conversions = []
    status = console.status("Reading, deciding …") if console.is_terminal and not quiet else None
    with status or nullcontext():
        for number, each in enumerate(compare(rulesets, options, also), start=1):
            conversions.append(each)
            if status is not None:
                status.update(f"{number} of {len(CNIS)} CNIs proven …")
    print_text(comparison(conversions))


def _with_files(facts: Facts, inputs: _Inputs) -> Facts:
    """The facts of the command line and those of the host's own dumps together."""
    from ipt2np.files import read_input
    from ipt2np.rules.host import Host
    from ipt2np.syntax.host import parse_interfaces, parse_routes
    from ipt2np.syntax.ipset import parse_ipsets

    interfaces = parse_interfaces(*read_input(inputs.addr)) if inputs.addr is not None else ()
    routes = tuple(each for name in inputs.routes for each in parse_routes(*read_input(name)))
    ipsets = parse_ipsets(*read_input(inputs.ipset)) if inputs.ipset is not None else facts.ipsets
    return replace(facts, host=Host(interfaces, routes), ipsets=ipsets)


def _rulesets(inputs: _Inputs) -> tuple[list[Ruleset], list[Ruleset]]:
    """The main rulesets and those beside them, all rules numbered apart; all files' faults at once."""
    from ipt2np.errors import InputError, Problem, UsageError
    from ipt2np.files import read_input
    from ipt2np.syntax.dump import parse_rulesets

    main: list[Ruleset] = []
    also: list[Ruleset] = []
    problems: list[Problem] = []
    number = 0
    wanted: list[tuple[str, int | None, list[Ruleset]]] = [(inputs.rules, None, main)]
    if inputs.rules6 is not None:
        wanted.append((inputs.rules6, 6, main))
    for name, family, into in [*wanted, *((name, None, also) for name in inputs.also)]:
        try:
            found = parse_rulesets(
                *read_input(name),
                family=family,
                first_number=number,
                keep_going=inputs.keep_going,
                dumps=inputs.dumps if into is main and family is None else (),
            )
        except InputError as error:
            problems += error.problems
            continue
        number += sum(len(ruleset.rules) for ruleset in found)
        into += found
    if problems:
        raise InputError(problems)
    if len({ruleset.family for ruleset in main}) < len(main):
        raise UsageError(
            f"--rules6: {inputs.rules} holds an IPv6 ruleset already; give the IPv4 dump alone as RULES (--dump N picks one "
            "of several)"
        )
    return main, also


def _write(conversion: Conversion, output: str, reports: Sequence[str], version: str) -> None:
    from ipt2np.files import write_all
    from ipt2np.reporting.jsonreport import text

    texts = {name: text(conversion, version) for name in reports}
    if output != "-":
        texts[output] = conversion.text
    write_all(texts)
    if output == "-":
        print_text(conversion.text)


def _account(conversion: Conversion) -> list[Text]:
    """The lines for standard error, made before anything is written: a fault here leaves no file behind."""
    from ipt2np.reporting.terminal import conversion_lines

    return list(conversion_lines(conversion))


def _tell(account: list[Text]) -> None:
    from ipt2np.reporting.terminal import ErrorConsole, write

    write(ErrorConsole(), iter(account))


def _failed(conversion: Conversion, fail_on: FailOn) -> bool:
    """True where a finding is at or above ``--fail-on``."""
    from ipt2np.findings import Severity

    if fail_on is FailOn.NEVER:
        return False
    least = Severity[fail_on.name]
    return any(finding.severity >= least for finding in conversion.findings)
