"""What the shared options ask for: files read, facts and cluster made of texts; UsageError and InputError say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ipt2np.cli.options import (
    Addresses,
    Choices,
    ClusterFacts,
    Dumps,
    HostDumps,
    HostFacts,
    Selection,
    Whose,
)

if TYPE_CHECKING:
    from ipt2np.cni.base import Cluster
    from ipt2np.conversion import Options
    from ipt2np.review.signoff import SignOffs
    from ipt2np.rules.assumptions import Assumptions
    from ipt2np.rules.model import Ruleset
    from ipt2np.semantics import Facts


def names_of(rules: str, dumps: Dumps) -> list[str]:
    """The files that are read, each as it was named."""
    others = (dumps.rules6, *(dumps.also_rules or []), dumps.ipset, dumps.addr, *(dumps.route or []))
    return [name for name in (rules, *others) if name]


def check_inputs(names: Sequence[str]) -> None:
    """UsageError where standard input is wanted twice."""
    from ipt2np.errors import UsageError

    if names.count("-") > 1:
        raise UsageError("standard input can be read once only: give the other inputs as files")


def check_outputs(outputs: Sequence[str], inputs: Sequence[str]) -> None:
    """UsageError where outputs would overwrite each other or an input, or a report is of no known format."""
    from ipt2np.errors import UsageError

    places = [str(Path(name).resolve()) for name in outputs if name != "-"]
    if len(set(places)) < len(places):
        raise UsageError("two outputs go to the same file")
    read = {str(Path(name).resolve()): name for name in inputs if name != "-"}
    for place in places:
        if place in read:
            raise UsageError(f"{read[place]} is an input: writing the output there would destroy it")


def assumptions_of(host: HostFacts) -> Assumptions:
    """The assumptions as they were switched."""
    from ipt2np.rules.assumptions import Assumptions

    return Assumptions.parse(tuple(host.assume or []))


def facts_of(host: HostFacts, dumps: HostDumps) -> Facts:
    """The facts of the command line and those of the host's own dumps together."""
    from ipt2np.cli.arguments import address_of, interface_of
    from ipt2np.files import read_input
    from ipt2np.rules.host import Host
    from ipt2np.semantics import Facts
    from ipt2np.syntax.host import parse_interfaces, parse_routes
    from ipt2np.syntax.ipset import parse_ipsets

    given = Facts(
        interfaces=tuple(interface_of(text) for text in host.interface or []),
        addresses=tuple(address_of(text) for text in host.address or []),
        drop_transient=dumps.drop_transient,
    )
    interfaces = parse_interfaces(*read_input(dumps.addr)) if dumps.addr is not None else ()
    routes = tuple(each for name in dumps.route or [] for each in parse_routes(*read_input(name)))
    ipsets = parse_ipsets(*read_input(dumps.ipset)) if dumps.ipset is not None else given.ipsets
    return replace(given, host=Host(interfaces, routes), ipsets=ipsets)


def cluster_of(addresses: Addresses, *, in_cluster: bool = True) -> Cluster:
    """What was said of the cluster."""
    from ipt2np.cli.arguments import cidr_of
    from ipt2np.cni.base import Cluster

    return Cluster(
        tuple(cidr_of("--pod-cidr", text) for text in addresses.pod_cidr or []),
        tuple(cidr_of("--node-cidr", text) for text in addresses.node_cidr or []),
        frozenset(mode.value for mode in addresses.cidr_match_mode or []),
        in_cluster,
    )


def check_cni(cni: str, addresses: Addresses, *others: str) -> None:
    """UsageError where the CNI is not known (nor one of ``others``), or has no say in what CIDRs match."""
    from ipt2np.cni.registry import CNIS, REFUSED
    from ipt2np.errors import UsageError

    if cni.lower() in REFUSED:
        raise UsageError(f"--cni {cni}: {REFUSED[cni.lower()]}")
    if cni in others:
        return
    if cni not in CNIS:
        raise UsageError(f"--cni {cni}: not known; there is {', or '.join([', '.join(CNIS), *others])}")
    if addresses.cidr_match_mode and not CNIS[cni].match_modes:
        raise UsageError(f"--cidr-match-mode: what CIDRs match is not to be chosen with --cni {cni}")


@dataclass(frozen=True)
class Given:
    """The rulesets that were read, and the lines of their files by name."""

    rulesets: tuple[Ruleset, ...]
    also: tuple[Ruleset, ...]
    texts: Mapping[str, Sequence[str]]


def read_rulesets(rules: str, dumps: Dumps, first_number: int = 0) -> Given:
    """The main rulesets and those beside them, all rules numbered apart; all files' faults at once."""
    from ipt2np.errors import InputError, Problem, UsageError
    from ipt2np.files import read_input
    from ipt2np.syntax.dump import parse_rulesets
    from ipt2np.syntax.source import text_lines

    texts: dict[str, Sequence[str]] = {}
    main: list[Ruleset] = []
    also: list[Ruleset] = []
    problems: list[Problem] = []
    number = first_number
    wanted: list[tuple[str, int | None, list[Ruleset]]] = [(rules, None, main)]
    if dumps.rules6 is not None:
        wanted.append((dumps.rules6, 6, main))
    for name, family, into in [*wanted, *((name, None, also) for name in dumps.also_rules or [])]:
        try:
            data, file = read_input(name)
            found = parse_rulesets(
                data,
                file,
                family=family,
                first_number=number,
                keep_going=dumps.keep_going,
                dumps=tuple(dumps.dump or []) if into is main and family is None else (),
            )
        except InputError as error:
            problems += error.problems
            continue
        texts[file] = text_lines(data, file)
        number += sum(len(ruleset.rules) for ruleset in found)
        into += found
    if problems:
        raise InputError(problems)
    if len({ruleset.family for ruleset in main}) < len(main):
        raise UsageError(
            f"--rules6: {rules} holds an IPv6 ruleset already; give the IPv4 dump alone as RULES (--dump N picks one "
            "of several)"
        )
    return Given(tuple(main), tuple(also), texts)


def signoffs_of(names: Sequence[str]) -> SignOffs:
    """What reviewers have accepted, as it counts today."""
    import datetime

    from ipt2np.files import read_input
    from ipt2np.review.signoff import SignOffs, parse_signoffs

    entries = [each for name in names for each in parse_signoffs(*read_input(name))]
    return SignOffs.of(entries, datetime.datetime.now(datetime.UTC).date())


def options_of(
    rules: str, cluster: ClusterFacts, selection: Selection, choices: Choices, host: HostFacts
) -> Options:
    """The options of a conversion, but for the facts that are read from files."""
    from ipt2np import __version__
    from ipt2np.cli.arguments import identity_of
    from ipt2np.conversion import Options, OtherFamily, Scope
    from ipt2np.planning import InDoubt

    of_host = selection.scope is Whose.HOST
    return Options(
        identity=identity_of(
            rules, selection.name, selection.namespace, selection.pod_selector, host=of_host
        ),
        placeholder_selector=selection.pod_selector is None and not of_host,
        cni=cluster.cni,
        scope=Scope(selection.scope.value),
        in_doubt=InDoubt(choices.in_doubt.value),
        other_family=OtherFamily(choices.other_family.value),
        assumptions=assumptions_of(host),
        cluster=cluster_of(cluster, in_cluster=choices.in_cluster),
        version=__version__,
    )
