"""Mutated policies: what ``verify`` shows as witnesses of differences, sent to the kernel that has the ruleset.

A certain difference that closes is shown by a connection that the kernel accepts, one that opens by one that it refuses.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import yaml

from ipt2np import Identity, Options, Ruleset, convert
from ipt2np.policies.loading import checked
from ipt2np.policies.manifest import manifests_of
from ipt2np.reporting.verificationreport import verification_report
from ipt2np.review.verification import verify
from tests.review.hosts import OWN_CASES
from tests.review.judge import PROTOCOLS, dumped
from tests.review.mutations import CHANGES, Objects
from tests.sample_hosts import FOLDER, HOSTS, rulesets

from .differential import TALLY, ask
from .host import KernelHost
from .probe import EXTENSION_HEADERS, UDPLITE, Probe

CNI_NAMES = ("kubernetes", "calico", "cilium", "antrea", "gke-dataplane-v2", "kube-router", "aws-vpc-cni")
SAMPLES = tuple(
    title
    for title, files in HOSTS.items()
    if len(files) == 1 and title not in ("kube-node.v4", "hypervisor.v4", "odd-matches.v4")
)
"""Those without what no witness says, as the content of packets."""
MUTATIONS = 2
MOST_WITNESSES = 40
"""Of one policy: the ruleset's boundaries make thousands where everything is open."""
IDENTITY = Identity("web", "shop", {"app": "web", "tier": "front"})

Difference = Mapping[str, Any]


def texts() -> Iterator[tuple[str, str, int, list[Ruleset]]]:
    """Rulesets by title: text, family, parsed."""
    for title in SAMPLES:
        (file,) = HOSTS[title]
        yield title, (FOLDER / file).read_text(), int(file[-1]), rulesets(HOSTS[title])
    for number, case in enumerate(OWN_CASES):
        for host in case.hosts:
            from tests.dumps import parsed

            text = host.text()
            yield f"own {number}", text, host.family, [parsed(text, host.family, f"rules.v{host.family}")]


def witness(difference: Difference, family: int, host: KernelHost) -> Probe | None:
    """The witness as a probe; None where none can be sent: a header that is no protocol."""
    shown = difference["witness"]
    number = PROTOCOLS.get(shown["protocol"])
    protocol = int(shown["protocol"]) if number is None else number
    if (family == 6 and protocol in EXTENSION_HEADERS) or protocol == UDPLITE:
        return None
    return Probe(
        family,
        shown["source"],
        host.own(family)[0],
        protocol,
        shown.get("source_port", 40000),
        shown.get("port", 0),
        shown.get("icmp_type", 8 if family == 4 else 128),
        shown.get("icmp_code", 0),
        shown.get("interface", host.interfaces[0]),
    )


def differences(read: Sequence[Ruleset], objects: Objects, cni: str, family: int) -> list[Difference]:
    """The certain differences of one family for sources outside the cluster."""
    policies = checked(manifests_of(dumped(objects), "policy.yaml"), (), cni, "shop")
    data = verification_report(verify(read, policies, Options(identity=IDENTITY)), "test").data
    return [
        each
        for each in data["proof"]["differences"]
        if each["certain"]
        and each["source_class"] == "external"
        and (":" in each["source"][0]) == (family == 6)
    ]


@pytest.mark.parametrize("title", [title for title, *_ in texts()])
def test_the_kernel_confirms_the_witnesses_of_mutated_policies(title: str, host: KernelHost) -> None:
    ((text, family, read),) = ((text, family, read) for name, text, family, read in texts() if name == title)
    rng = random.Random(f"kernel {title}")
    shown: list[tuple[str, Difference, Probe]] = []
    for cni in rng.sample(CNI_NAMES, 2):
        objects = list(yaml.safe_load_all(convert(read, Options(identity=IDENTITY, cni=cni)).text))
        for kind, changed in _mutated(rng, objects):
            found = differences(read, changed, cni, family)
            for each in rng.sample(found, min(len(found), MOST_WITNESSES)):
                probe = witness(each, family, host)
                if probe is not None:
                    shown.append((f"{cni}, {kind}", each, probe))
    probes = [probe for _, _, probe in shown]
    heard = ask(text, family, host, probes)
    assert list(heard.probes) == probes
    counts: Counter[str] = Counter()
    for (what, each, probe), accepted in zip(shown, heard.connections, strict=True):
        if accepted is None:
            continue  # the kernel itself refuses such a packet, or no connection can be made of it
        TALLY.comparisons += 1
        TALLY.certain += 1
        assert accepted == (each["effect"] == "closes"), (
            f"{what}: the kernel {'accepts' if accepted else 'refuses'} {probe} of {each}"
        )
        counts[each["effect"]] += 1
    CONFIRMED[title] = counts


CONFIRMED: dict[str, Counter[str]] = {}


def _mutated(rng: random.Random, objects: Objects) -> Iterator[tuple[str, Objects]]:
    kinds = sorted(CHANGES)
    rng.shuffle(kinds)
    count = 0
    for kind in kinds:
        changed = CHANGES[kind].of(rng, objects)
        if changed is not None:
            count += 1
            yield kind, changed
        if count == MUTATIONS:
            return


def test_both_effects_were_confirmed_often() -> None:
    """What the tests above rest on."""
    if not CONFIRMED:
        pytest.skip("the tests above did not run")
    counts: Counter[str] = Counter()
    for each in CONFIRMED.values():
        counts += each
    assert counts["closes"] >= 50
    assert counts["opens"] >= 100
