"""``--assume client-address=undecided`` and ``sole-policy=undecided``: what then is left open."""

from __future__ import annotations

import pytest

from ipt2np import Assumptions, Conversion, Options, Verdict, convert
from ipt2np.cni.base import Cluster
from tests.dumps import dump, packet, parsed

SSH = "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT"
WEB = "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT"
NODES = Cluster(node_cidrs=("10.0.0.0/24",))


def converted(*settings: str, cni: str = "gke-calico", cluster: Cluster | None = None) -> Conversion:
    options = Options(cni=cni, cluster=cluster or Cluster(), assumptions=Assumptions.parse(settings))
    return convert([parsed(dump(SSH, WEB))], options)


def left_open(conversion: Conversion, source: str, port: int) -> bool:
    return packet(source, "tcp", port) in conversion.readings["external"].undefined


def test_nothing_is_left_open_where_the_client_is_assumed_to_be_seen() -> None:
    conversion = converted()
    assert not any(left_open(conversion, source, port) for source in ("192.0.2.7", "203.0.113.1") for port in (22, 443))


@pytest.mark.parametrize("cluster", [Cluster(), NODES])
def test_only_what_does_not_hang_on_the_source_stays_proven(cluster: Cluster) -> None:
    conversion = converted("client-address=undecided", cluster=cluster)
    assert left_open(conversion, "192.0.2.7", 22)
    assert not left_open(conversion, "192.0.2.7", 443)
    assert not left_open(conversion, "203.0.113.1", 443)
    assert not left_open(conversion, "203.0.113.1", 25)


def test_a_client_may_pass_for_a_node_that_is_let_in() -> None:
    """Nodes in an allowed network: whoever is hidden behind one may come in too."""
    conversion = converted("client-address=undecided", cluster=Cluster(node_cidrs=("192.0.2.128/25",)))
    assert left_open(conversion, "203.0.113.1", 22)
    assert not left_open(conversion, "192.0.2.7", 22)


def test_another_policy_may_admit_what_this_one_does_not() -> None:
    conversion = converted("sole-policy=undecided")
    assert left_open(conversion, "203.0.113.1", 22)
    assert not left_open(conversion, "192.0.2.7", 22)
    assert conversion.proof.verdict is Verdict.EQUAL
