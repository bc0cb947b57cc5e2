"""The findings that follow from the input and its decision, whatever the target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipt2np.errors import Location
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Difference, Finding, Predicted
from ipt2np.findings.ipsets import interfaces_in, ipset_findings, looks_at, missing_remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.frames import Frames
from ipt2np.packets import AddressSet, Field, PacketSet, PortSet
from ipt2np.packets.intervals import Range
from ipt2np.planning import InDoubt
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.extension import Effect
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Jump, Rule
from ipt2np.rules.names import protocol_name
from ipt2np.rules.unread import why_unread
from ipt2np.semantics import Can, Decision
from ipt2np.semantics.decide import CONNECTION_PROTOCOLS, Side
from ipt2np.semantics.existing import UNNAMEABLE_SOURCES
from ipt2np.semantics.local import published
from ipt2np.semantics.nat import Rewriting
from ipt2np.semantics.outcomes import ADDRESS, CONNTRACK, IMPOSSIBLE, INTERFACE, WAYS
from ipt2np.semantics.provenance import Policy
from ipt2np.semantics.replies import reply_rules
from ipt2np.semantics.states import effect_of

SHOWN_PORTS = 6
_NOTE_CODES = {
    "family-assumed": "N2P001",
    "undeclared-chain": "N2P004",
    "lenient": "N2P007",
    "unread": "N2P008",
    "other-backend": "N2P009",
    "one-backend": "N2P010",
    "beyond-iptables": "N2P013",
}
_OF_ONE_BACKEND = ("other-backend", "one-backend")
"""Notes that have no point where the other backend's ruleset was given too."""
_ASSUMPTION_CODES = {
    "state": "N2P101",
    "fragment": "N2P102",
    "unicast": "N2P103",
    "rate": "N2P104",
    "plain-header": "N2P108",
    "transient": "N2P111",
    "reverse-path": "N2P112",
}
HEADER_OPTIONS = {
    "interface": ("--in-interface",),
    "reverse-path": ("--in-interface",),
    "address": ("--destination", "--dst-range"),
}
"""The options that a fact about interfaces or addresses settles."""


def path_rules(decision: Decision) -> Iterator[tuple[Side, Rule]]:
    """Every rule of a chain on the input path, with the side that walks it."""
    for side in decision.sides:
        on_path = set(side.walker.order)
        for rule in side.ruleset.rules:
            if (rule.table, rule.chain) in on_path:
                yield side, rule


def has_option(rule: Rule, options: Sequence[str]) -> bool:
    """True where the rule uses one of the options, loopback aside."""
    return any(
        clause.option in options and clause.values[:1] != ("lo",)
        for use in rule.matches
        for clause in use.clauses
    )


def _looks_at(decision: Decision, rule: Rule, fact: str) -> bool:
    """True where the rule tests what a fact of that name settles, by an option or by an ipset."""
    return has_option(rule, HEADER_OPTIONS[fact]) or looks_at(rule, decision.facts.ipsets, fact)


def arrives(side: Side, rule: Rule) -> bool:
    """True where some packet that can exist gets as far as the rule and may match it."""
    return any(side.arrives(rule, half) for half in Half)


def relied_on(decision: Decision) -> dict[str, list[Rule]]:
    """Assumption id to the rules of the input path that rely on it, in the order of the file."""
    result: dict[str, dict[int, Rule]] = {}
    facts = decision.facts
    given = {
        "interface": bool(facts.interfaces or facts.receiving),
        "reverse-path": facts.by_reverse_path and decision.assumptions["reverse-path"] != UNDECIDED,
        "address": any(facts.destinations(family) is not None for family in decision.families),
    }
    for side, rule in path_rules(decision):
        ids = {identifier for meaning in side.meanings(rule) for identifier in meaning.assumptions}
        ids |= {name for name, said in given.items() if said and _looks_at(decision, rule, name)}
        for identifier in ids:
            result.setdefault(identifier, {})[rule.number] = rule
    return {identifier: list(rules.values()) for identifier, rules in sorted(result.items())}


def input_findings(decision: Decision) -> list[Finding]:
    """What the files say, or leave out."""
    result: list[Finding] = []
    for ruleset in decision.rulesets:
        alone = sum(each.family == ruleset.family for each in decision.rulesets) == 1
        result += [
            Finding(
                _NOTE_CODES[note.kind],
                note.message,
                "correct the line" if note.kind == "unread" else remedy(_NOTE_CODES[note.kind]),
                file=note.location.file,
                line=note.location.line,
            )
            for note in ruleset.notes
            if alone or note.kind not in _OF_ONE_BACKEND
        ]
        if ruleset.policy_is_default:
            result.append(
                Finding(
                    "N2P002",
                    "the filter table does not say INPUT's policy; the kernel's initial ACCEPT is taken",
                    remedy("N2P002"),
                    file=ruleset.file,
                )
            )
        if ("filter", "INPUT") not in ruleset.chains:
            result.append(
                Finding(
                    "N2P003",
                    "the dump has no filter table: nothing filters INPUT, the host accepts everything",
                    remedy("N2P003"),
                    file=ruleset.file,
                )
            )
    first = decision.rulesets[0]
    if len(decision.families) == 1:
        other = 10 - first.family
        option = " by --rules6" if other == 6 else ""
        result.append(
            Finding(
                "N2P005",
                f"no IPv{other} ruleset was given: the policy speaks of IPv{first.family} only and admits no IPv{other}",
                f"give the IPv{other} dump too{option}, or --other-family same if both families are filtered alike",
                file=first.file,
            )
        )
    elif len(decision.rulesets) == 1:
        result.append(
            Finding(
                "N2P006",
                f"the IPv{first.family} ruleset stands for both families",
                remedy("N2P006"),
                file=first.file,
            )
        )
    return result


def statement_of(decision: Decision, identifier: str) -> str:
    """What an assumption says of this host: facts that were given, else its general statement."""
    facts = decision.facts
    if identifier == "interface" and facts.interfaces:
        return "packets come in on " + ", ".join(
            name + ("=" + ",".join(cidrs) if cidrs else "") for name, cidrs in facts.interfaces
        )
    if identifier == "interface" and facts.receiving:
        return f"packets come in on {' or '.join(facts.receiving[:8])}, which the --addr dump shows to be up"
    if identifier == "address" and facts.addresses:
        return f"the pod stands for {', '.join(facts.addresses)}"
    own = [text for family in decision.families for text in facts.own_texts(family)]
    if identifier == "address" and own:
        return f"packets are addressed to one of the host's own addresses: {', '.join(own[:8])}"
    return decision.assumptions.statement(identifier)


def assumption_findings(decision: Decision) -> list[Finding]:
    """One finding for each assumption that rules rely on, and the one that every policy relies on."""
    result: list[Finding] = []
    for identifier, rules in relied_on(decision).items():
        code = _ASSUMPTION_CODES.get(identifier, "N2P105")
        statement = statement_of(decision, identifier)
        result.append(
            Finding(
                code,
                f"{statement} ({counted(rules)} rel{'ies' if len(rules) == 1 else 'y'} on it: "
                f"{lines_of(rules, decision.frames)})",
                remedy(code),
                tuple(rules),
            )
        )
    result.append(Finding("N2P106", decision.assumptions.statement("sole-policy"), remedy("N2P106")))
    return result


class _Causes:
    """What leaves packets open, grouped: a code, a reason, the rules, the packets."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.code: dict[str, str] = {}
        self.rules: dict[str, dict[int, Rule]] = {}
        self.place: dict[str, Location] = {}
        """Where a cause stands that is no rule."""

    def declared(self, policy: Policy) -> Location:
        """Where a built-in policy that could not be read stands."""
        found = (
            ruleset.chains[policy.table, policy.chain].location or Location(ruleset.file)
            for ruleset in self.decision.rulesets
            if ruleset.family == policy.family and (policy.table, policy.chain) in ruleset.chains
        )
        return next(found, Location(""))

    def label(self, cause: int) -> str:
        if cause == INTERFACE:
            return self.grouped("N2P203", "interface", [])
        if cause == ADDRESS:
            return self.grouped("N2P204", "address", [])
        if cause == CONNTRACK:
            return self.grouped("N2P207", "conntrack", [])
        if cause == WAYS:
            return self.grouped("N2P209", "ways", _mapping_rules(self.decision))
        if cause in self.decision.policies:
            policy = self.decision.policies[cause]
            name = f"the policy of {policy.chain} in the table {policy.table}"
            self.place[f"N2P008:{name}"] = self.declared(policy)
            return self.grouped("N2P008", name, [])
        rule = self.decision.rules[cause]
        why = why_unread(rule)
        if why is not None:
            return self.grouped("N2P008", _kind_of_fault(why), [rule])
        effect = effect_of(rule)
        if effect is Effect.REWRITE:
            rewriting = next(s.walker.rewritings.get(cause) for s in self.decision.sides if s.holds(rule))
            known = rewriting is not None and rewriting.rewrite is not None and rewriting.forwards
            return self.grouped("N2P208" if known else "N2P205", "nat", [rule])
        whys = [
            why
            for side in self.decision.sides
            if side.holds(rule)
            for meaning in side.meanings(rule)
            if not meaning.exact
            for why in meaning.undecided
        ]
        if whys:
            return self.grouped("N2P201", whys[0], [rule])
        if effect is Effect.CLAIM or (rule.table == "raw" and rule.chain not in ("PREROUTING", "INPUT")):
            return self.grouped("N2P201", "whether conntrack sees the answers", [rule])
        if effect is Effect.UNTRACK:
            return self.grouped("N2P212", "other ruleset", [rule])
        target = (
            rule.target.extension.name
            if rule.target is not None and not isinstance(rule.target, Jump)
            else ""
        )
        return self.grouped("N2P202", target, [rule])

    def grouped(self, code: str, reason: str, rules: list[Rule]) -> str:
        label = f"{code}:{reason}"
        self.code[label] = code
        self.rules.setdefault(label, {}).update({rule.number: rule for rule in rules})
        return label


def undecided_findings(decision: Decision, in_doubt: InDoubt) -> list[Finding]:
    """One finding for each reason that leaves packets between accept and refuse, with those packets."""
    open_packets = decision.may_accept - decision.must_accept
    if not open_packets:
        return []
    causes = _Causes(decision)
    labels = decision.outcomes.labelled(decision.connections.values(open_packets), causes.label)
    effect = Difference.CLOSES if in_doubt is InDoubt.DENY else Difference.OPENS
    by_position = {
        name: [
            rule
            for side, rule in path_rules(decision)
            if _looks_at(decision, rule, name) and arrives(side, rule)
        ]
        for name in HEADER_OPTIONS
    }
    unread = _unread_rules(decision)
    result: list[Finding] = []
    for label in sorted({each for labels_of in labels.values() for each in labels_of}):
        code, _, reason = label.partition(":")
        packets = decision.connections.where(lambda o, label=label: label in labels.get(o, ())) & open_packets  # type: ignore[misc]
        rules = by_position.get(reason) or sorted(causes.rules[label].values(), key=lambda rule: rule.number)
        if code == "N2P008" and rules:
            rules = unread[reason]
        result.append(
            Finding(
                code,
                _undecided_message(code, reason, rules, decision.frames),
                missing_remedy(reason, decision.facts) or _undecided_remedy(decision, code, rules),
                tuple(rules),
                file=causes.place[label].file if label in causes.place else "",
                line=causes.place[label].line if label in causes.place else 0,
                predicted=(Predicted(effect, packets),),
            )
        )
    result.sort(key=lambda finding: finding.place)
    if in_doubt is InDoubt.ALLOW:
        result.append(
            Finding(
                "N2P405",
                "--in-doubt allow admits what is undecided: iptables may refuse some of it",
                remedy("N2P405"),
                file=decision.rulesets[0].file,
                predicted=(Predicted(Difference.OPENS, open_packets),),
            )
        )
    elif not decision.must_accept and result:
        blamed = result[0]
        result.insert(
            0,
            Finding(
                "N2P200",
                "nothing is left to admit: every packet that the host may accept is undecided, first of all "
                f"because {f'of {lines_of(blamed.rules[:1])}' if blamed.rules else blamed.message}",
                blamed.remedy,
                blamed.rules[:1],
            ),
        )
    return result


def _undecided_message(code: str, reason: str, rules: Sequence[Rule], frames: Frames) -> str:
    where = f"{counted(rules)}: {lines_of(rules, frames)}" if rules else "no rule"
    return {
        "N2P008": _unread_message(reason, rules),
        "N2P201": f"undecided: {reason} ({where})",
        "N2P202": f"what the target {reason} does is open: it may accept, drop, divert or continue ({where})",
        "N2P203": f"rules test the input interface, which pods do not have ({where})",
        "N2P204": f"rules test the destination address, and the pod has its own ({where})",
        "N2P207": "nat drops packets, but no rule makes the kernel track connections: whether nat is asked is open",
        "N2P208": f"nat sends packets to addresses that may be the host's own or another's ({where})",
        "N2P209": f"what comes through nat is not treated like what comes to the local port directly ({where})",
        "N2P212": f"another ruleset keeps conntrack from packets that this one looks at ({where})",
        "N2P205": f"nat rewrites these packets before the filter sees them ({where})",
    }[code]


def _undecided_remedy(decision: Decision, code: str, rules: Sequence[Rule]) -> str:
    if code == "N2P203":
        names = sorted(
            interfaces_in(rules, decision.facts.ipsets)
            | {
                str(c.values[0])
                for rule in rules
                for use in rule.matches
                for c in use.clauses
                if c.option == "--in-interface" and c.values[0] != "lo"
            }
        )
        name = names[0].replace("+", "0") if names else "eth0"
        return (
            f"name what the pods will receive: --interface {name} if it came in there, "
            f"or --interface {name}=CIDR for the sources behind it; or give the host's routes by --route"
        )
    if code in ("N2P207", "N2P208", "N2P209", "N2P212"):
        return remedy(code)
    if code == "N2P008":
        return _unread_remedy(rules)
    if code == "N2P204":
        return "name the own address that the pod replaces: --address ADDR"
    line = rules[0].location.line if rules else "LINE"
    return f"settle it with --assume rule:{line}=no-match (or =match), or take the open side with --in-doubt allow"


def _kind_of_fault(why: str) -> str:
    """Faults that differ in what was found there only are one cause."""
    return re.sub(r"'[^']*'|[0-9]+", "…", why)


def _unread_rules(decision: Decision) -> dict[str, list[Rule]]:
    """The rules that could not be read and that nobody settled, by the kind of fault."""
    result: dict[str, list[Rule]] = {}
    for rule in decision.rules.values():
        why = why_unread(rule)
        place = f"{rule.location.file}:{rule.location.line}"
        chosen = {decision.assumptions[f"rule:{at}"] for at in (place, rule.location.line)}
        if why is not None and "no-match" not in chosen:
            result.setdefault(_kind_of_fault(why), []).append(rule)
    return result


def _unread_message(reason: str, rules: Sequence[Rule]) -> str:
    if not rules:
        return f"{reason} cannot be read, and may be either"
    why = why_unread(rules[0]) or reason
    if len(rules) == 1:
        return f"the rule cannot be read and is undecided ({lines_of(rules)}): {why}"
    return f"{counted(rules)} cannot be read and are undecided ({lines_of(rules)}); the first: {why}"


def _unread_remedy(rules: Sequence[Rule]) -> str:
    if not rules:
        return "correct the line"
    line = rules[0].location.line
    return f"correct the line, or settle it with --assume rule:{line}=no-match where it does not matter"


def unread_findings(decision: Decision, told: Sequence[Finding]) -> list[Finding]:
    """The lines that could not be read and leave nothing open: they stay errors all the same."""
    numbers = {rule.number for finding in told for rule in finding.rules if finding.code == "N2P008"}
    return [
        Finding("N2P008", _unread_message(reason, rules), _unread_remedy(rules), tuple(rules))
        for reason, rules in _unread_rules(decision).items()
        if not numbers.intersection(rule.number for rule in rules)
    ]


def divert_findings(decision: Decision) -> list[Finding]:
    """Rules that hand packets to something else."""
    rules = [
        rule
        for side, rule in path_rules(decision)
        if effect_of(rule) in (Effect.DIVERT, Effect.PROXY) and arrives(side, rule)
    ]
    if not rules:
        return []
    return [
        Finding(
            "N2P206",
            f"packets go to a program or proxy on the host; the policy refuses them ({counted(rules)}: "
            f"{lines_of(rules, decision.frames)})",
            remedy("N2P206"),
            tuple(rules),
        )
    ]


@dataclass(frozen=True, slots=True)
class PortPublication:
    """A public port that nat leads to a local one: what a Service would offer."""

    protocol: str
    ports: tuple[Range, ...]
    target_ports: tuple[Range, ...]
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return f"{self.protocol} {PortSet(self.ports)} → {PortSet(self.target_ports)}"


def publications(decision: Decision) -> list[PortPublication]:
    """Every port mapping of nat, by the rules that make it."""
    return [
        PortPublication(
            protocol_name(protocol), ports, (mapping.rewrite.ports,), tuple(side.mapping_rules(mapping))
        )
        for side in decision.sides
        for mapping in side.mappings
        if mapping.rewrite.ports is not None
        for protocol, ports in published(mapping)
    ]


def _mapping_rules(decision: Decision) -> list[Rule]:
    return list({rule.number: rule for each in publications(decision) for rule in each.rules}.values())


def nat_findings(decision: Decision) -> list[Finding]:
    """What nat does to packets of which it is known: mapped ports, forwarding."""
    result: list[Finding] = []
    mapped = publications(decision)
    if mapped:
        rules = _mapping_rules(decision)
        shown = ", ".join(str(each) for each in mapped[:SHOWN_PORTS])
        more = f" and {len(mapped) - SHOWN_PORTS} more" if len(mapped) > SHOWN_PORTS else ""
        result.append(
            Finding(
                "N2P210",
                f"nat leads public ports to local ones: {shown}{more} ({counted(rules)}: "
                f"{lines_of(rules, decision.frames)})",
                remedy("N2P210"),
                tuple(rules),
            )
        )
    forwarding = [
        rule
        for side, rule in path_rules(decision)
        if rule.number in side.walker.rewritings
        and side.walker.rewritings[rule.number] == Rewriting(forwards=True)
        and arrives(side, rule)
    ]
    if forwarding:
        result.append(
            Finding(
                "N2P211",
                f"nat forwards packets to other hosts; the policy does not admit them ({counted(forwarding)}: "
                f"{lines_of(forwarding, decision.frames)})",
                remedy("N2P211"),
                tuple(forwarding),
            )
        )
    return result


def connection_findings(decision: Decision) -> list[Finding]:
    """What a policy of connections leaves to the platform: later packets, ICMP messages, RELATED."""
    result: list[Finding] = []
    others = ~decision.space.values(Field.PROTOCOL, tuple((n, n) for n in CONNECTION_PROTOCOLS))
    replies = {rule.number for rule in reply_rules(decision)}
    later: dict[int, Rule] = {}
    silent: list[Rule] = []
    related: list[Rule] = []
    for side in decision.sides:
        refused = later_refused(decision, side, others)
        if refused:
            values = side.walks[Half.LATER].outcome.values(refused)
            later |= {
                n: decision.rules[n]
                for n in decision.outcomes.deciders(values, Can.REFUSE)
                if n in decision.rules
            }
            if not later:
                result.append(
                    Finding(
                        "N2P306",
                        "INPUT's policy refuses later packets of connections whose first packet is accepted",
                        remedy("N2P306"),
                        file=side.ruleset.file,
                    )
                )
    for side, rule in path_rules(decision):
        acts = effect_of(rule) in (Effect.ACCEPT, Effect.DROP, Effect.REJECT)
        speaks = acts and rule.number not in replies and side.arrives(rule, Half.FIRST)
        if speaks and not _opens_connections(decision, side, rule):
            silent.append(rule)
        if effect_of(rule) is Effect.ACCEPT and any(
            clause.option in ("--state", "--ctstate")
            and not clause.negated
            and "RELATED" in _words(clause.values)
            for use in rule.matches
            for clause in use.clauses
        ):
            related.append(rule)
    if later:
        rules = sorted(later.values(), key=lambda rule: rule.number)
        result.append(
            Finding(
                "N2P306",
                f"later packets of accepted connections are refused ({counted(rules)}: "
                f"{lines_of(rules, decision.frames)})",
                remedy("N2P306"),
                tuple(rules),
            )
        )
    if silent:
        result.append(
            Finding(
                "N2P307",
                "rules about packets that open no connection (ICMP errors, replies, neighbour discovery, INVALID): "
                f"the platform judges those ({counted(silent)}: {lines_of(silent, decision.frames)})",
                remedy("N2P307"),
                tuple(silent),
            )
        )
    if related:
        result.append(
            Finding(
                "N2P308",
                "RELATED packets are accepted: ICMP errors pass by themselves, helper connections (FTP, SIP, …) do not "
                f"({counted(related)}: {lines_of(related, decision.frames)})",
                remedy("N2P308"),
                tuple(related),
            )
        )
    return result


def _words(values: tuple[object, ...]) -> frozenset[str]:
    return values[0] if values and isinstance(values[0], frozenset) else frozenset()


def _opens_connections(decision: Decision, side: Side, rule: Rule) -> bool:
    """True where the rule sees a packet of a connection that counts."""
    arrivals = (side.walks[half].arrivals.get(rule.number) for half in Half)
    return any(found is not None and found.meets(decision.judged) for found in arrivals)


def later_refused(decision: Decision, side: Side, among: PacketSet) -> PacketSet:
    """Packets of ``among`` that are certainly accepted as first and certainly refused as later."""
    can = decision.outcomes.can
    judged = among & side.possible & decision.judged
    first = side.walks[Half.FIRST].outcome.within(judged, IMPOSSIBLE)
    accepted = first.where(lambda outcome: decision.outcomes.only(outcome, Can.ACCEPT))
    later = side.walks[Half.LATER].outcome.within(accepted, IMPOSSIBLE)
    return later.where(lambda outcome: outcome != IMPOSSIBLE and not can[outcome] & Can.ACCEPT)


def mapped_findings(decision: Decision) -> list[Finding]:
    """Rules about IPv4-mapped sources, which no policy can name."""
    rules = [
        rule
        for _, rule in path_rules(decision)
        if any(
            isinstance(addresses, AddressSet)
            and addresses
            and addresses.family == 6
            and addresses <= UNNAMEABLE_SOURCES
            for use in rule.matches
            for clause in use.clauses
            for addresses in (getattr(value, "addresses", value) for value in clause.values)
        )
    ]
    if not rules:
        return []
    where = f"{counted(rules)}: {lines_of(rules, decision.frames)}"
    message = f"IPv4-mapped sources are outside the verdict: no policy can name them ({where})"
    return [Finding("N2P310", message, remedy("N2P310"), tuple(rules))]


def decision_findings(decision: Decision, in_doubt: InDoubt) -> list[Finding]:
    """All findings of this module, the ones that matter most first."""
    undecided = undecided_findings(decision, in_doubt)
    told = {finding.place for finding in undecided if finding.code == "N2P008"}
    return [
        *undecided,
        *unread_findings(decision, undecided),
        *divert_findings(decision),
        *nat_findings(decision),
        *mapped_findings(decision),
        *ipset_findings([(side.ruleset.family, rule) for side, rule in path_rules(decision)], decision.facts),
        *(
            finding
            for finding in input_findings(decision)
            if finding.code != "N2P008" or finding.place not in told
        ),
        *connection_findings(decision),
        *assumption_findings(decision),
    ]
