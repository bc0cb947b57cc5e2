"""What network-config-analyzer (np-guard/IBM, import name ``nca``) makes of NetworkPolicy YAML.

``read`` puts one synthetic pod beside the policies and asks nca which addresses outside the cluster may
connect to it.  Everything about who is admitted is nca's work; this module only feeds it and takes its
cubes apart.  Written against, and checked with, network-config-analyzer 2.1.0.

How nca represents an answer, and what follows for ``read``:

* The answer is a set of disjoint cubes over source peers, destination peers, protocols and destination
  ports.  A dimension a cube does not mention is full.  Addresses outside the cluster come as ``IpBlock``
  objects, each holding any number of ranges; IPv4 and IPv6 never share an ``IpBlock`` here.
* "Every port" is 1-65535 (port 0 is outside nca's domain) and "every protocol" is all 256 IP protocol
  numbers.  Thus a rule without ``ports`` admits ICMP and the rest too.  ``read`` gives tcp, udp and sctp
  only, the three a NetworkPolicy can name; the others are cut off.
* A rule with ``from`` missing, null or ``[]`` admits all of IPv4 and all of IPv6.  A rule with ``from``
  admits what it lists: IPv4 blocks alone never make IPv6 appear.  (nca's *command line* hides IPv6 unless
  a policy names it, an output filter that the calls used here do not pass through.)
* ``podSelector`` and ``namespaceSelector`` peers select pods, never outside addresses.
* A pod that no policy selects for ingress is open: ``read`` then gives everything, in both families.  A
  policy without ``metadata.namespace`` is in ``default``.

What is done about behaviour that would spoil the answer:

* nca's file reader turns every scalar that looks like an integer into one, quoted or not, so the label
  ``tier: "80"`` is refused as "must be a string".  ``read`` loads the text with PyYAML itself, as nca's
  own fast path does.
* nca refuses ``policyTypes: [Egress, Ingress]``; the API attaches no meaning to the order.  ``read`` hands
  the list over in the order nca knows.
* nca skips what it does not know (a misspelt kind, another API group) without a word, and drops the second
  of two policies of one name.  Either way fewer policies are judged than were written, so ``read`` refuses.
* A named port is looked up in the pod's containers; the synthetic pod has none and nca would print a
  warning and admit nothing.  ``read`` refuses.
* nca prints its misgivings to the ``stdout``/``stderr`` it saw, some at import.  ``read`` collects them;
  those known to be harmless are dropped, any other makes it refuse.
* nca numbers pods in a process-wide table that keeps the first ``Pod`` of each name, labels included.
  ``read`` empties it first, so that one call cannot colour the next.

Left as it is, since nca then refuses and nothing is judged wrongly: ``ingress`` rules beside
``policyTypes: [Egress]`` and a missing ``podSelector``.  nca also accepts what an API server rejects
(``except`` outside its ``cidr``, a ``cidr`` without prefix length): ``read`` is no validator.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import yaml

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}

_HARMLESS = re.compile(
    "|".join(
        (
            r"policyTypes is missing/empty in the spec of",  # the API's default applies, in nca as well
            r"Selector selects no pods",  # a peer that is never outside the cluster
            r"Rule selects no pods",
            r"Selector selects all pods",
            r"Namespace \S+ is missing from the network configuration",  # a policy of another namespace
        )
    )
)

_said = io.StringIO()  # lives as long as the process: nca's modules bind it at import


class UnreadableError(ValueError):
    """nca does not, or not reliably, judge this text."""


@dataclass(frozen=True)
class Admitted:
    """One box of what the policies admit to the selected pod from addresses outside the cluster."""

    sources: tuple[tuple[int, int], ...]
    """Inclusive ranges of addresses as integers, ascending, never touching."""
    family: int
    """4 or 6."""
    protocol: str
    """``tcp``, ``udp`` or ``sctp``."""
    ports: tuple[tuple[int, int], ...]
    """Inclusive ranges of destination ports, ascending, never touching, within 1-65535."""


def available() -> bool:
    """Whether nca is installed.  One that is installed and broken counts, and fails where it is used."""
    return importlib.util.find_spec("nca") is not None


def read(policy_yaml: str, *, namespace: str, labels: Mapping[str, str]) -> list[Admitted]:
    """The boxes nca admits to a pod of these labels in this namespace, disjoint and in a fixed order.

    Raises ``UnreadableError`` if nca refuses the text or would judge only part of it.
    """
    documents = list(_documents(policy_yaml))
    with listening():
        nca = parts()
        nca.BasePeerSet.reset()
        namespaces = nca.NamespacesFinder()
        namespaces.parse_yaml_code_for_ns({"kind": "Namespace", "metadata": {"name": namespace}})
        pods = nca.PodsFinder()
        pods.namespaces_finder = namespaces
        metadata = {"name": "pod", "namespace": namespace, "labels": dict(labels)}
        pods.add_eps_from_yaml({"kind": "Pod", "metadata": metadata, "spec": {}})
        peers = nca.PeerContainer(pods.peer_set, namespaces.namespaces, [], pods.representative_peers)
        (pod,) = pods.peer_set

        finder = nca.PoliciesFinder()
        finder.set_peer_container(peers)
        for document in documents:
            finder.parse_yaml_code_for_policy(document, "policies")
        try:
            finder.parse_policies_in_parse_queue()
        except SyntaxError as error:
            raise UnreadableError(f"nca refuses the policies: {error.msg}") from error
        if (taken := len(finder.policies_container.policies)) != len(documents):
            raise UnreadableError(f"nca took up {taken} of {len(documents)} policies")

        config = nca.NetworkConfig("policies", peers, finder)
        only = nca.PolicyConnectionsFilter.only_all_allowed_connections()
        connections = config.allowed_connections(res_conns_filter=only).all_allowed_conns
        boxes = [box for cube in connections for box in _boxes(connections.get_connectivity_cube(cube), pod)]
    return sorted(boxes, key=lambda box: (box.family, box.protocol, box.sources, box.ports))


def covers(boxes: Iterable[Admitted], *, family: int, source: int, protocol: str, port: int) -> bool:
    """Whether some box holds this packet."""
    return any(
        box.family == family
        and box.protocol == protocol
        and any(first <= source <= last for first, last in box.sources)
        and any(first <= port <= last for first, last in box.ports)
        for box in boxes
    )


def _documents(policy_yaml: str) -> Iterator[dict[str, Any]]:
    """The policies of the text, as nca can be trusted with them."""
    try:
        documents = list(yaml.load_all(policy_yaml, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise UnreadableError(f"not YAML: {error}") from error
    names = set()
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise UnreadableError("a document is no mapping")
        if (document.get("apiVersion"), document.get("kind")) != ("networking.k8s.io/v1", "NetworkPolicy"):
            raise UnreadableError(f"not a NetworkPolicy of networking.k8s.io/v1: {document.get('kind')!r}")
        metadata, spec = document.get("metadata"), document.get("spec")
        if not isinstance(metadata, dict) or not isinstance(spec, dict):
            raise UnreadableError("a policy lacks metadata or spec")
        name = (metadata.get("namespace", "default"), metadata.get("name"))
        if name in names:
            raise UnreadableError(f"two policies are named {name}")
        names.add(name)
        for rule in spec.get("ingress") or ():
            for port in (rule or {}).get("ports") or ():
                if isinstance(port.get("port"), str):
                    raise UnreadableError(
                        f"the port {port['port']!r} is a name, and the pod has no containers"
                    )
        if spec.get("policyTypes") == ["Egress", "Ingress"]:
            document = {**document, "spec": {**spec, "policyTypes": ["Ingress", "Egress"]}}
        yield document


def _boxes(cube: Any, pod: Any) -> Iterator[Admitted]:
    """The part of one cube that leads from outside the cluster to the pod."""
    if pod not in cube["dst_peers"]:
        return
    ports = ranges(cube["dst_ports"].port_set)
    for peer in cube["src_peers"]:
        if not isinstance(peer, parts().IpBlock):
            continue
        for family in (4, 6):
            sources = ranges(r for r in peer if r.start.address.version == family)
            for protocol, number in _PROTOCOLS.items():
                if sources and ports and number in cube["protocols"]:
                    yield Admitted(sources, family, protocol, ports)


def ranges(intervals: Iterable[Any]) -> tuple[tuple[int, int], ...]:
    return tuple((int(interval.start), int(interval.end)) for interval in intervals)


@contextmanager
def listening(harmless: re.Pattern[str] = _HARMLESS) -> Iterator[None]:
    """Collect what nca prints, and refuse on anything not known to be harmless."""
    _said.seek(0)
    _said.truncate()
    with redirect_stdout(_said), redirect_stderr(_said):
        yield
    for line in _said.getvalue().splitlines():
        if line.strip() and not harmless.search(line):
            raise UnreadableError(f"nca says: {line}")


@functools.cache
def parts() -> SimpleNamespace:
    """The parts of nca in use.  It ships no types; loading it by name keeps that in this one place."""
    places = {
        "nca.CoreDS.Peer": ("BasePeerSet", "IpBlock"),
        "nca.NetworkConfig.NetworkConfig": ("NetworkConfig",),
        "nca.NetworkConfig.PeerContainer": ("PeerContainer",),
        "nca.NetworkConfig.PoliciesFinder": ("PoliciesFinder",),
        "nca.NetworkConfig.TopologyObjectsFinder": ("NamespacesFinder", "PodsFinder"),
        "nca.Resources.PolicyResources.NetworkPolicy": ("PolicyConnectionsFilter",),
    }
    found = SimpleNamespace()
    for module, names in places.items():
        for name in names:
            setattr(found, name, getattr(importlib.import_module(module), name))
    return found
