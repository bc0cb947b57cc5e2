"""Our reading of NetworkPolicy against network-config-analyzer's, as sets: every source, protocol and port.

Ports are 1 to 65535 of TCP, UDP and SCTP, the packets that both can speak of.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ipt2np import CNIS, AddressSet, Field, Identity, InDoubt, OtherFamily, PacketSet, PacketSpace
from ipt2np.cni.base import Cluster
from ipt2np.cni.kinds.networkpolicy import VALIDATORS
from ipt2np.cni.manifests import load
from tests.sample_hosts import HOSTS, IDENTITY, drafted

from .naive import admits
from .policies import LABELS, NAMESPACE, PROTOCOLS, generate
from .policies import text as address_text
from .reading import Admitted, read

NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}
SEEDS = range(2000, 2320)

pytestmark = pytest.mark.usefixtures("analyzer")


def nameable(space: PacketSpace) -> PacketSet:
    """Packets that both readings speak of."""
    protocols = space.values(Field.PROTOCOL, tuple((n, n) for n in sorted(NUMBERS.values())))
    return protocols & space.values(Field.DESTINATION_PORT, ((1, 65535),))


def as_packets(boxes: Iterable[Admitted], space: PacketSpace) -> PacketSet:
    """The analyser's boxes as one of our sets."""
    result = space.nothing
    for box in boxes:
        sources = space.addresses(Field.SOURCE, AddressSet.of(box.family, box.sources))
        ports = space.values(Field.DESTINATION_PORT, box.ports)
        result |= sources & ports & space.value(Field.PROTOCOL, NUMBERS[box.protocol])
    return result


def ours(text: str, identity: Identity, space: PacketSpace) -> PacketSet:
    return CNIS["kubernetes"].interpret(text, identity, Cluster(), space)["external"].admits & nameable(space)


def assert_read_alike(text: str, identity: Identity) -> PacketSet:
    space = PacketSpace()
    mine = ours(text, identity, space)
    theirs = as_packets(read(text, namespace=identity.namespace, labels=identity.pod_labels), space)
    for difference, who in ((mine - theirs, "only we admit"), (theirs - mine, "only the analyser admits")):
        if difference:
            witness = difference.witness()
            family = 6 if witness.get(Field.FAMILY) else 4
            source = address_text(family, witness.get(Field.SOURCE, 0))
            protocol = next(name for name, n in NUMBERS.items() if n == witness.get(Field.PROTOCOL))
            port = witness.get(Field.DESTINATION_PORT, 0)
            answer = admits(text, source, protocol, port)
            pytest.fail(f"{who} {source} {protocol}/{port}; the API text says {answer}\n{text}")
    assert mine == theirs
    return mine


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("in_doubt", InDoubt)
@pytest.mark.parametrize("other_family", OtherFamily)
def test_what_is_emitted_for_a_sample(host: str, in_doubt: InDoubt, other_family: OtherFamily) -> None:
    assert_read_alike(drafted(host, in_doubt, other_family).text, IDENTITY)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_policy(seed: int) -> None:
    """None of them is refused by ``validate``: ``load`` would raise."""
    text = generate(seed)
    assert load(text, VALIDATORS)
    assert_read_alike(text, Identity("any", NAMESPACE, LABELS))


@pytest.mark.parametrize(
    ("namespace", "labels"),
    [(NAMESPACE, {"app": "db"}), (NAMESPACE, {}), ("other", LABELS), (NAMESPACE, {**LABELS, "tier": "81"})],
)
@pytest.mark.parametrize("seed", SEEDS[:20])
def test_pods_that_only_some_policies_select(seed: int, namespace: str, labels: dict[str, str]) -> None:
    assert_read_alike(generate(seed), Identity("any", namespace, labels))


def test_the_random_policies_admit_something_and_refuse_something() -> None:
    """Agreement is not had for nothing: most admit a part only, and in both families."""
    partly = 0
    for seed in SEEDS:
        space = PacketSpace()
        admitted = ours(generate(seed), Identity("any", NAMESPACE, LABELS), space)
        partly += all(
            bool(admitted & of_family) and not of_family <= admitted
            for of_family in (space.family(4) & nameable(space), space.family(6) & nameable(space))
        )
    assert partly > len(SEEDS) // 3


def test_every_protocol_of_the_analyser_is_known() -> None:
    assert set(PROTOCOLS) == set(NUMBERS)
