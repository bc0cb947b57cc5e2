"""Policies that exist, as options name them: which CNI reads them, and whose traffic is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ipt2np.cli.options import HostFacts, PolicyFacts, Whose

if TYPE_CHECKING:
    from ipt2np.conversion import Options
    from ipt2np.policies.loading import NamedPort, Policies
    from ipt2np.semantics import Facts


def policies_of(texts: Sequence[tuple[bytes, str]], about: PolicyFacts) -> Policies:
    """The policies of files, as their CNI reads them."""
    from ipt2np.cli.inputs import check_cni
    from ipt2np.policies.loading import policies_in

    if about.cni is not None:
        check_cni(about.cni, about)
    return policies_in(texts, about.cni, about.namespace or "default", _ports(about))


def options_for(
    policies: Policies, about: PolicyFacts, host: HostFacts, facts: Facts, scope: Whose = Whose.POD
) -> Options:
    """Whose traffic is meant, and what is known of the cluster and the host."""
    from ipt2np import __version__
    from ipt2np.cli.arguments import labels_of
    from ipt2np.cli.inputs import assumptions_of, cluster_of
    from ipt2np.cni.base import Identity
    from ipt2np.conversion import Options, Scope
    from ipt2np.errors import UsageError
    from ipt2np.review.verification import chosen_subject

    if about.pod is not None and about.pod_selector is not None:
        raise UsageError("--pod: says the pods' labels as --pod-selector does; give one of the two")
    namespaces = {each.object["metadata"].get("namespace") for each in policies.manifests} - {None}
    namespace = about.namespace or (namespaces.pop() if len(namespaces) == 1 else "default")
    if about.pod is not None:
        labels = labels_of("--pod", about.pod.removeprefix("labels="))
    elif about.pod_selector is not None:
        labels = labels_of("--pod-selector", about.pod_selector)
    else:
        found, pairs = chosen_subject(policies)
        labels, namespace = dict(pairs), about.namespace or found or namespace
    return Options(
        identity=Identity(about.name or policies.name, namespace, labels),
        cni=policies.cni.name,
        scope=Scope(scope.value),
        assumptions=assumptions_of(host),
        facts=facts,
        cluster=cluster_of(about),
        version=__version__,
    )


def _ports(about: PolicyFacts) -> list[NamedPort]:
    from ipt2np.errors import UsageError
    from ipt2np.policies.loading import NamedPort

    found = []
    for text in about.named_port or []:
        name, equals, rest = text.partition("=")
        number, _, protocol = rest.partition("/")
        protocol = protocol.upper() or "TCP"
        fits = re.fullmatch(r"[1-9][0-9]{0,4}", number) is not None and int(number) <= 65535
        if not name or not equals or not fits or protocol not in ("TCP", "UDP", "SCTP"):
            raise UsageError(
                f"--named-port {text}: expected NAME=NUMBER[/PROTOCOL], for example http=8080/tcp"
            )
        found.append(NamedPort(name, int(number), protocol))
    return found
