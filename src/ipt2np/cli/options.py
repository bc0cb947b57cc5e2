"""The options that commands share, in the groups in which they go together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer


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


class Form(StrEnum):
    """The values of --format."""

    TERMINAL = "terminal"
    GITHUB = "github"


INPUT, OBJECT, HOST, OUTPUT = "Input", "The policy", "What the file does not say", "Output"

Rules = Annotated[
    str,
    typer.Argument(
        metavar="RULES",
        help="What iptables-save or ip6tables-save printed, or both one after the other (also `iptables -S`, or a script "
        "of iptables commands); - reads standard input.",
    ),
]

FailOnOption = Annotated[
    FailOn,
    typer.Option(rich_help_panel=OUTPUT, help="Exit with 1 when a finding is at least this severe."),
]

OtherFamilyOption = Annotated[
    Other,
    typer.Option(
        rich_help_panel=HOST,
        help="Without a ruleset for the other IP family: refuse it, or filter it the same way.",
    ),
]

ScopeOption = Annotated[
    Whose,
    typer.Option(
        rich_help_panel=OBJECT,
        help="Whose filter it is to be: that of the pods that replace the host, or of the host itself where it stays as a "
        "node (calico, cilium, antrea).",
    ),
]


@dataclass(frozen=True)
class HostDumps:
    """What a host knows beside its rules, and how files are read."""

    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going",
            rich_help_panel=INPUT,
            help="Take a line that cannot be read as an undecided rule, with an error, instead of refusing the file.",
        ),
    ] = False
    ipset: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", rich_help_panel=INPUT, help="What `ipset save` printed: settles -m set."
        ),
    ] = None
    drop_transient: Annotated[
        bool,
        typer.Option(
            "--drop-transient",
            rich_help_panel=INPUT,
            help="Leave out what expires by itself: entries of ipsets that have a timeout.",
        ),
    ] = False
    addr: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=INPUT,
            help="What `ip -j addr` printed: the host's interfaces and own addresses.",
        ),
    ] = None
    route: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=INPUT,
            help="What `ip -j route show table all` (or `ip -j route`, `ip -j -6 route`) printed: which sources are behind which interface.",
        ),
    ] = None


@dataclass(frozen=True)
class Dumps(HostDumps):
    """What else is read beside RULES."""

    rules6: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=INPUT,
            help="The same host's ip6tables-save: adds the other family to the policy.",
        ),
    ] = None
    dump: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            rich_help_panel=INPUT,
            help="Where RULES holds several dumps: take the N-th (at most one of each family).",
        ),
    ] = None
    also_rules: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=INPUT,
            help="A second ruleset loaded on the same host (the other iptables backend): both must accept.",
        ),
    ] = None


@dataclass(frozen=True)
class HostFacts:
    """What the file does not say of the host."""

    interface: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IF[=CIDR,…]",
            rich_help_panel=HOST,
            help="Pods receive what came in on IF; with CIDRs: these sources are behind IF.",
        ),
    ] = None
    address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR", rich_help_panel=HOST, help="The host's own address that the pod replaces."
        ),
    ] = None
    assume: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=VALUE",
            rich_help_panel=HOST,
            help="Switch an assumption: state, fragment, rate, unicast =undecided; set:NAME=empty; rule:LINE=no-match or =match.",
        ),
    ] = None


@dataclass(frozen=True)
class Addresses:
    """Whose addresses are which, and what CIDRs match."""

    cidr_match_mode: Annotated[
        list[MatchMode] | None,
        typer.Option(
            metavar="nodes|pods",
            rich_help_panel=OBJECT,
            help="Cilium: what CIDRs match beside sources outside the cluster (the agent's policy-cidr-match-mode).",
        ),
    ] = None
    pod_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            rich_help_panel=HOST,
            help="Addresses of pods: proved apart from external sources.",
        ),
    ] = None
    node_cidr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            rich_help_panel=HOST,
            help="Addresses of nodes: proved apart from external sources.",
        ),
    ] = None


@dataclass(frozen=True)
class ClusterFacts(Addresses):
    """What is known of the cluster, and which CNI it runs."""

    cni: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=OBJECT,
            help="Which CNI the cluster runs (`ipt2np cnis` lists them); kubernetes is the portable core.",
        ),
    ] = "kubernetes"


@dataclass(frozen=True)
class OneOrAll(ClusterFacts):
    """The same where all CNIs may be asked for at once."""

    cni: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=OBJECT,
            help="Which CNI the cluster runs (`ipt2np cnis` lists them); kubernetes is the portable core. With all: no policy, "
            "but what each CNI would keep and lose.",
        ),
    ] = "kubernetes"


@dataclass(frozen=True)
class Selection:
    """Whose policy it is."""

    scope: ScopeOption = Whose.POD
    name: Annotated[
        str | None,
        typer.Option(
            metavar="N", rich_help_panel=OBJECT, help="The policy's name (default: from the file's name)"
        ),
    ] = None
    namespace: Annotated[
        str, typer.Option(metavar="NS", rich_help_panel=OBJECT, help="The namespace of the pods.")
    ] = "default"
    pod_selector: Annotated[
        str | None,
        typer.Option(
            metavar="K=V[,K=V]",
            rich_help_panel=OBJECT,
            help="Labels of the pods that replace the host (default: app.kubernetes.io/name=NAME), or with --scope host of the node "
            "(default: kubernetes.io/hostname=NAME)",
        ),
    ] = None


@dataclass(frozen=True)
class Telling:
    """What is told of the result, and where."""

    report: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Write a report, in the format that FILE ends in: .json, .html, .md or .sarif. For several, several times.",
        ),
    ] = None
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Differences and findings that a reviewer has accepted (`ipt2np accept` writes the file): they do not count "
            "for the exit status.",
        ),
    ] = None
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            rich_help_panel=OUTPUT,
            help="How the result is told: lines for people, or annotations for a GitHub workflow.",
        ),
    ] = Form.TERMINAL
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Print neither verdict nor findings."),
    ] = False


@dataclass(frozen=True)
class Choices:
    """What a policy makes of what can be made in two ways."""

    in_cluster: Annotated[
        bool,
        typer.Option(
            rich_help_panel=OBJECT,
            help="Where CIDRs do not match pods (Cilium, GKE Dataplane V2): admit all pods where the host accepts everybody "
            "but some sources.",
        ),
    ] = True
    in_doubt: Annotated[
        Doubt,
        typer.Option(
            rich_help_panel=OBJECT, help="What to do with packets that iptables may accept and may refuse."
        ),
    ] = Doubt.DENY
    other_family: OtherFamilyOption = Other.DENY


@dataclass(frozen=True)
class PolicyFacts(Addresses):
    """Policies that exist: which CNI reads them, and whose traffic is meant."""

    cni: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=OBJECT,
            help="Which CNI reads the policies (`ipt2np cnis` lists them). By default the one whose own kinds are there, else kubernetes.",
        ),
    ] = None
    pod_selector: Annotated[
        str | None,
        typer.Option(
            metavar="K=V[,K=V]",
            rich_help_panel=OBJECT,
            help="Labels of the pods whose traffic is meant, or with --scope host of the node (default: those that the policies select, "
            "where they are the same in all).",
        ),
    ] = None
    pod: Annotated[
        str | None,
        typer.Option(
            metavar="labels=K=V[,K=V]",
            rich_help_panel=OBJECT,
            help="The same: all labels of one pod.",
        ),
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(
            metavar="NS",
            rich_help_panel=OBJECT,
            help="The namespace of the pods, and of objects that say none (default: that of the policies, where it is one).",
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            rich_help_panel=OBJECT,
            help="What the result is called (default: by the first policy).",
        ),
    ] = None
    named_port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N[/PROTO]",
            rich_help_panel=OBJECT,
            help="The number that a port's name has in the pods, such as http=8080/tcp.",
        ),
    ] = None
