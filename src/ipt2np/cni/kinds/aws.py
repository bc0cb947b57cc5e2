"""NetworkPolicy as the AWS VPC CNI reads it: all policies of a pod in one table of prefixes.

The longest prefix that holds the source decides alone. To make up for that, a prefix takes over the ports of the blocks
around it, and every ``except`` becomes a prefix that refuses everything, for all rules of all policies of the pod.

Sources: aws-network-policy-agent, pkg/fwruleprocessor/fw_rule_processor.go (ComputeMapEntriesFromEndpointRules),
pkg/utils/utils.go (ComputeTrieValue), pkg/ebpf/c/tc.v4ingress.bpf.c; amazon-network-policy-controller-k8s,
pkg/resolvers/endpoints.go; https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds.networkpolicy import (
    CLASSES,
    PROTOCOLS,
    IngressRule,
    IPBlock,
    PortEntry,
    rules_for,
    services,
)
from ipt2np.cni.kinds.prefixes import Prefix, longest_match
from ipt2np.cni.manifests import require
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS, Range, merged

SLOTS = 24
"""Entries of protocol and ports that a prefix keeps; which ones, if there are more, is the order of a map."""
MOST_PREFIXES = 65_536
"""Of a pod's table, with one for the node's own address."""
MOST_ENTRIES = 5_000_000
"""Entries of all prefixes together that are followed: far beyond what an agent could load."""

Entry = PortEntry | None
"""None is the entry of a rule without ports: any protocol."""
Entries = frozenset[Entry]
NO_ENTRIES: Entries = frozenset()


def read_aws(
    policies: Sequence[Object], identity: Identity, space: PacketSpace, cluster: Cluster, family: int = 4
) -> Mapping[str, Reading]:
    """What the policies, each valid, let through to the pods of ``identity``, by source class.

    ``family`` is that of the cluster: blocks of the other one have no effect and its packets are not filtered. The pods
    that selectors find get prefixes of their own; which pods those are is known only of the selector of all pods, and
    whether pods that share a node's address are among them is not known either.
    PolicyFault where the agent could not load the table.
    """
    rules = rules_for(policies, identity)
    if rules is None:
        return dict.fromkeys(CLASSES, Reading(space.everything, space.nothing))
    table = _table(rules, family)
    every_pod = _entries(rule for rule in rules if any(peer.everyone for peer in rule.pods))
    some_pods = _entries(rule for rule in rules if rule.pods)
    decided = longest_match(table.values)
    external = _reading(space, family, [(low, high, entries, entries) for low, high, entries in decided])
    if not some_pods:
        return dict.fromkeys(CLASSES, external)
    inside = list(_aligned(decided, table.own_prefix(), family))
    pods = [
        (low, high, own | every_pod if every_pod else prefix, own | some_pods)
        for low, high, prefix, own in inside
    ]
    nodes = [(low, high, prefix, own | some_pods) for low, high, prefix, own in inside]
    return {
        "external": external,
        "pod": _reading(space, family, pods),
        "node": _reading(space, family, nodes),
    }


def _entries(rules: Iterable[IngressRule]) -> Entries:
    """The entries of all ``rules`` together."""
    result: set[Entry] = set()
    for rule in rules:
        result.update((None,) if rule.ports is None else rule.ports)
    return frozenset(result)


# -- the table -------------------------------------------------------------------------------------------


@dataclass
class _Unions:
    """Unions of sets of entries, each made once, and never more than can be followed."""

    made: dict[frozenset[int], Entries] = field(default_factory=dict)
    sets: dict[Entries, int] = field(default_factory=dict)
    spent: int = 0

    def of(self, parts: Sequence[Entries]) -> Entries:
        """The union of ``parts``: equal sets are the same object."""
        key = frozenset(self.sets.setdefault(part, len(self.sets)) for part in parts)
        found = self.made.get(key)
        if found is None:
            found = frozenset().union(*parts)
            self.spent += len(found)
            require(
                self.spent <= MOST_ENTRIES, f"more than {MOST_ENTRIES} entries of ports in the table of a pod"
            )
            found = self.made[key] = next(iter(parts)) if len(key) == 1 else found
        return found


@dataclass(frozen=True)
class _Table:
    """The prefixes of a pod's table with their entries; those without refuse everything."""

    values: Mapping[Prefix, Entries]
    blocks: Mapping[Prefix, IPBlock]
    """The prefixes that are blocks, each with the exceptions of all blocks that are equal to it."""
    unions: _Unions

    def own_prefix(self) -> list[tuple[int, int, Entries]]:
        """What a prefix for one address alone would take over: ascending ranges, where it is anything.

        It takes the entries of each block around it that does not except it.
        """
        steps: list[tuple[int, bool, Prefix]] = []
        for prefix, block in self.blocks.items():
            for low, high in block.ranges():
                steps += [(low, True, prefix), (high + 1, False, prefix)]
        result: list[tuple[int, int, Entries]] = []
        around: set[Prefix] = set()
        at = 0
        for place, begins, prefix in sorted(steps):
            if around and at < place:
                result.append((at, place - 1, self.unions.of([self.values[each] for each in around])))
            at = place
            (around.add if begins else around.discard)(prefix)
        return result


def _table(rules: Sequence[IngressRule], family: int) -> _Table:
    """The table that the agent makes of ``rules``, blocks and exceptions of ``family`` alone."""
    unions = _Unions()
    own: dict[Prefix, list[Entries]] = {}
    holes: dict[Prefix, list[Prefix]] = {}
    for rule in rules:
        entries = _entries([rule])
        everyone = (IPBlock(Prefix(family, 0, 0)),)
        for block in everyone if rule.peers is None else rule.blocks:
            if block.cidr.family == family:
                own.setdefault(block.cidr, []).append(entries)
                holes.setdefault(block.cidr, []).extend(block.excepts)
    blocks = {prefix: IPBlock(prefix, tuple(excepts)) for prefix, excepts in holes.items()}
    values: dict[Prefix, Entries] = {}
    around: list[tuple[Prefix, _Holes]] = []
    for prefix in sorted(own):
        while around and around[-1][0].last < prefix.first:
            around.pop()
        # The agent asks of the prefix's first address whether it is excepted, and takes that for the whole.
        taken = [values[outer] for outer, excepted in around if not excepted.hold(prefix.first)]
        values[prefix] = unions.of([*own[prefix], *taken])
        around.append((prefix, _Holes.of(holes[prefix])))
    for excepts in holes.values():
        for hole in excepts:
            values.setdefault(hole, NO_ENTRIES)
    require(
        len(values) < MOST_PREFIXES,
        f"the network policy agent cannot load {len(values)} prefixes for a pod: its table takes {MOST_PREFIXES}",
    )
    return _Table(values, blocks, unions)


@dataclass(frozen=True)
class _Holes:
    """The exceptions of a block, to be asked for single addresses."""

    starts: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, prefixes: Iterable[Prefix]) -> _Holes:
        ranges = merged((prefix.first, prefix.last) for prefix in prefixes)
        return cls([low for low, _ in ranges], [high for _, high in ranges])

    def hold(self, address: int) -> bool:
        place = bisect_right(self.starts, address) - 1
        return place >= 0 and address <= self.ends[place]


def _aligned(
    first: Sequence[tuple[int, int, Entries]], second: Sequence[tuple[int, int, Entries]], family: int
) -> Iterator[tuple[int, int, Entries, Entries]]:
    """All addresses in ranges over which neither of two lists of ranges changes; no entries where a list has a gap."""
    end = 1 << ADDRESS_BITS[family]
    cuts = sorted(
        {0, end} | {cut for each in (first, second) for low, high, _ in each for cut in (low, high + 1)}
    )
    places = [0, 0]
    for low, following in pairwise(cuts):
        values = [NO_ENTRIES, NO_ENTRIES]
        for which, ranges in enumerate((first, second)):
            while places[which] < len(ranges) and ranges[places[which]][1] < low:
                places[which] += 1
            if places[which] < len(ranges) and ranges[places[which]][0] <= low:
                values[which] = ranges[places[which]][2]
        yield low, following - 1, values[0], values[1]


# -- what it lets through --------------------------------------------------------------------------------


def _reading(space: PacketSpace, family: int, ranges: Iterable[tuple[int, int, Entries, Entries]]) -> Reading:
    """The reading of addresses with the entries that they have at least, and at most."""
    by_entries: dict[tuple[Entries, Entries], list[Range]] = {}
    for low, high, least, most in ranges:
        if most:
            by_entries.setdefault((least, most), []).append((low, high))
    admits = undefined = space.nothing
    for (least, most), spans in by_entries.items():
        certain, possible = _verdict(space, least, most)
        addresses = space.addresses(Field.SOURCE, AddressSet.of(family, spans))
        admits |= certain & addresses
        undefined |= (possible - certain) & addresses
    return Reading(admits | ~space.family(family), undefined)


def _verdict(space: PacketSpace, least: Entries, most: Entries) -> tuple[PacketSet, PacketSet]:
    """The packets that are certainly let through, and those that may be.

    ``least`` are entries that the prefix has in any case, ``most`` all that it may have; of more than ``SLOTS`` any
    choice may be left, so a packet is safe only while the entries that do not match it are fewer.
    """
    certain: list[tuple[int, Range]] = []
    possible: list[tuple[int, Range]] = []
    for protocol in PROTOCOLS.values():
        for span, surely, perhaps in _counted(protocol, least, most):
            if perhaps:
                possible.append((protocol, span))
            if surely and len(most) - perhaps < SLOTS:
                certain.append((protocol, span))
    others = ~space.values(Field.PROTOCOL, merged((number, number) for number in PROTOCOLS.values()))
    result = []
    for spans, any_protocol in (
        (certain, None in least and len(most) - 1 < SLOTS),
        (possible, None in most),
    ):
        result.append(services(space, spans) | (others if any_protocol else space.nothing))
    return result[0], result[1]


def _counted(protocol: int, least: Entries, most: Entries) -> Iterator[tuple[Range, int, int]]:
    """Ranges of ports with the number of entries of ``least`` and of ``most`` that match the protocol there."""
    steps: dict[int, list[int]] = {0: [0, 0], 0x10000: [0, 0]}
    for which, entries in enumerate((least, most)):
        for entry in entries:
            if entry is not None and entry.protocol != protocol:
                continue
            low, high = (0, 0xFFFF) if entry is None else entry.range
            steps.setdefault(low, [0, 0])[which] += 1
            steps.setdefault(high + 1, [0, 0])[which] -= 1
    surely = perhaps = 0
    cuts = sorted(steps)
    for low, following in pairwise(cuts):
        surely, perhaps = surely + steps[low][0], perhaps + steps[low][1]
        yield (low, following - 1), surely, perhaps
