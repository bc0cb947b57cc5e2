"""What Antrea lets through whatever its policies say.

Sources: antrea: docs/design/ovs-pipeline.md (IngressSecurityClassifier), docs/antrea-node-network-policy.md,
pkg/agent/route/route_linux.go.
"""

from __future__ import annotations

from ipt2np.cni.base import PlatformEffect

TO_PODS = (
    PlatformEffect(
        effect="opens",
        source_class="node",
        protocol="any",
        statement="traffic from the pod's own node, and from the pod to itself, meets no policy",
        reference="antrea: docs/design/ovs-pipeline.md",
    ),
)
"""Effects beside a reading of pods."""

TO_NODES = (
    PlatformEffect(
        effect="opens",
        source_class="any",
        protocol="any",
        statement="loopback traffic and the ports of Antrea itself are accepted before any policy",
        reference="antrea: docs/antrea-node-network-policy.md, pkg/agent/route/route_linux.go",
    ),
)
"""Effects beside a reading of nodes. The feature gate NodeNetworkPolicy is off by default."""
