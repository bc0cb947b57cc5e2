"""Every rule's fate, for targets that keep more than a NetworkPolicy does, and for sources inside the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ipt2np import Conversion, Facts, Options, convert
from ipt2np.cni.base import Cluster
from ipt2np.cni.registry import CNIS
from ipt2np.proof.ledger import Fate
from tests.dumps import dump, parsed
from tests.sample_hosts import HOSTS, rulesets

WEB = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"


def converted(text: str, cni: str, family: int = 4, **cluster: Any) -> Conversion:
    return convert([parsed(text, family)], Options(cni=cni, cluster=Cluster(**cluster)))


def fates(*rules: str, cni: str, policy: str = "DROP", family: int = 4, **cluster: Any) -> list[str]:
    """The fates of the rules of INPUT, in their order."""
    conversion = converted(dump(*rules, policy=policy), cni, family, **cluster)
    return [entry.fate.value for entry in conversion.ledger.entries]


def keeping(rule: str, *others: str, policy: str = "DROP", fate: str = "kept") -> set[str]:
    """The targets under which the rule, before the others, meets ``fate``."""
    return {cni for cni in CNIS if fates(rule, *others, cni=cni, policy=policy)[0] == fate}


# -- what a target can say beside accept and refuse -----------------------------------------------------


def test_a_log_is_kept_where_policies_log_and_lost_elsewhere() -> None:
    log = "-A INPUT -p tcp -m tcp --dport 22 -j LOG"
    assert keeping(log, WEB) == {"calico", "antrea"}
    assert keeping(log, WEB, fate="lost") == set(CNIS) - {"calico", "antrea"}


@pytest.mark.parametrize("cni", ["calico", "antrea"])
@pytest.mark.parametrize(
    "rules",
    [
        ["-A INPUT -p tcp -j LOG", WEB],
        [WEB, "-A INPUT -j LOG"],
        ["-A INPUT -s 10.0.0.0/8 -j LOG", "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -p tcp -j ACCEPT"],
        ["-A INPUT -p tcp --dport 22 -j LOG", "-A INPUT -p tcp --dport 22 -j REJECT", "-A INPUT -j ACCEPT"],
    ],
)
def test_a_log_points_at_the_rules_that_log(rules: Sequence[str], cni: str) -> None:
    conversion = converted(dump(*rules), cni)
    (entry,) = (entry for entry in conversion.ledger.entries if entry.rule.text.endswith("LOG"))
    assert entry.fate is Fate.KEPT and entry.emitted
    for place in entry.emitted:
        number = int(place.rpartition("/")[2])
        rule = conversion.draft.fitted.objects[0]["spec"]["ingress"][number]
        assert rule["action"] == "Log" if cni == "calico" else rule["enableLogging"] is True


def test_a_log_of_what_the_target_has_no_words_for_is_lost_and_told() -> None:
    conversion = converted(dump("-A INPUT -p gre -j LOG", WEB), "antrea")
    assert [entry.fate.value for entry in conversion.ledger.entries] == ["lost", "kept"]
    (finding,) = (finding for finding in conversion.findings if finding.code == "N2P305")
    assert finding.place[1] == 5


def test_a_log_that_hangs_on_an_assumption_is_assumed() -> None:
    log = "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 5/min -j LOG"
    assert fates(log, WEB, cni="calico") == ["assumed", "kept"]
    assert fates(log, WEB, cni="kubernetes") == ["lost", "kept"]


def test_a_long_refusal_that_is_logged_is_written_out() -> None:
    """Without the log it is left to the end, which refuses everything."""
    bans = [f"-A bans -s 10.{n}.0.0/16 -p tcp -m tcp --dport {n + 1} -j DROP" for n in range(40)]
    text = dump(
        "-A INPUT -p tcp -j LOG", "-A INPUT -j bans", *bans, "-A INPUT -p tcp -j ACCEPT", chains=["bans"]
    )
    conversion = converted(text, "antrea")
    assert conversion.ledger.entries[0].fate is Fate.KEPT
    assert "N2P305" not in {finding.code for finding in conversion.findings}


def test_a_rejection_is_kept_where_refused_packets_are_answered() -> None:
    reject = "-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset"
    assert keeping(reject, WEB) == {"antrea", "kube-router"}
    assert keeping(reject, WEB, fate="lost") == {"flannel"}


def test_a_rejection_that_the_target_has_no_words_for_is_told() -> None:
    conversion = converted(dump("-A INPUT -p gre -j REJECT", WEB), "antrea")
    assert [entry.fate.value for entry in conversion.ledger.entries] == ["approximated", "kept"]
    (finding,) = (finding for finding in conversion.findings if finding.code == "N2P304")
    assert finding.place[1] == 5


def test_source_ports_icmp_types_and_protocols_are_kept_where_they_can_be_said() -> None:
    assert keeping("-A INPUT -p udp -m udp --sport 500 --dport 500 -j ACCEPT") == {
        "calico",
        "antrea",
        "flannel",
    }
    ping = "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT"
    assert keeping(ping) >= {"calico", "antrea", "cilium", "azure-cilium", "flannel"}
    assert keeping("-A INPUT -p gre -j ACCEPT") == {"calico", "flannel"}


def test_where_nothing_is_enforced_every_refusal_is_lost() -> None:
    rules = ["-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -p tcp -m tcp --dport 22 -j REJECT", WEB]
    assert fates(*rules, cni="flannel") == ["lost", "lost", "kept"]


# -- sources inside the cluster -------------------------------------------------------------------------

ADMIN = "-A INPUT -s 10.9.0.0/16 -p tcp -m tcp --dport 22 -j ACCEPT"


def test_a_rule_for_declared_pods_goes_by_what_pods_meet() -> None:
    assert fates(ADMIN, cni="cilium", pod_cidrs=("10.9.0.0/16",)) == ["kept"]
    assert fates(ADMIN, cni="cilium", pod_cidrs=("10.9.0.0/16",), in_cluster=False) == ["lost"]


def test_a_rule_that_loses_some_of_its_sources_is_approximated() -> None:
    assert fates(ADMIN, cni="cilium", pod_cidrs=("10.9.4.0/22", "10.8.0.0/16")) == ["approximated"]
    assert fates(ADMIN, cni="calico", pod_cidrs=("10.9.4.0/22", "10.8.0.0/16")) == ["kept"]


def test_addresses_that_nobody_declared_are_taken_for_external_ones() -> None:
    assert fates(ADMIN, cni="cilium") == ["kept"]
    assert fates(ADMIN, cni="kubernetes", pod_cidrs=("10.9.0.0/16",)) == ["kept"]


def test_a_ban_of_declared_pods_that_are_admitted_all_together_is_lost() -> None:
    ban = "-A INPUT -s 10.9.0.0/16 -j DROP"
    everybody = converted(dump(ban, policy="ACCEPT"), "cilium", in_cluster=True, pod_cidrs=("10.9.0.0/16",))
    assert [entry.fate.value for entry in everybody.ledger.entries] == ["kept"]
    assert fates(ban, cni="flannel", policy="ACCEPT", pod_cidrs=("10.9.0.0/16",)) == ["lost"]


# -- all of it together ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["mail-server, both", "web-server, both", "database-one-subnet.v4", "stateless.v4"]
)
@pytest.mark.parametrize("cni", [name for name in CNIS if name != "flannel"])
def test_a_lost_rule_stands_in_a_finding(cni: str, host: str) -> None:
    hosted = rulesets(HOSTS[host])
    conversion = convert(hosted, Options(cni=cni, facts=Facts((("eth0", ()),))))
    assert sum(conversion.ledger.sums().values()) == sum(len(ruleset.rules) for ruleset in hosted)
    told = {rule.number for finding in conversion.findings for rule in finding.rules}
    lost = {entry.rule.number: entry.rule for entry in conversion.ledger.entries if entry.fate is Fate.LOST}
    assert not [rule.text for number, rule in lost.items() if number not in told]
