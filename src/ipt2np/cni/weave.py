"""``--cni weave``: Weave Net, archived since 2022."""

from __future__ import annotations

from ipt2np.cni.base import Capability, Grade, Profile
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.dialects import WEAVE
from ipt2np.cni.networkpolicies import Writing
from ipt2np.cni.notes import Note, accepts_sctp, always


class Weave(ByAddress):
    """NetworkPolicy as read by Weave's policy controller."""

    name = "weave"
    dialect = WEAVE
    scope = "every protocol of IPv4"
    writing = Writing(expanded=1024, end_port=False, families=(4,))
    client_address = "ingress traffic is masqueraded unless externalTrafficPolicy is Local"
    notes = (
        Note(
            "N2P417",
            "Weave Net is archived (last release 2.8.1, 2021): nobody mends it, and it fails on hosts with nf_tables",
            always,
            "move to a CNI that is maintained",
        ),
        Note(
            "N2P414",
            "whether Weave's policy controller handles SCTP is not documented; the host accepts some",
            accepts_sctp,
        ),
    )
    profile = Profile(
        "Weave Net (archived)",
        KIND,
        "every source's address, IPv4 only",
        {
            Feature.SCTP: Capability(
                Grade.PARTLY, "whether the policy controller handles it is not documented"
            )
        },
    )
