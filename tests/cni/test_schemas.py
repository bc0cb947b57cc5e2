"""Every object that is emitted is one that the API server takes, and that the CNI's own rules take.

Core kinds are held against the API server's OpenAPI (kubernetes-validate, the oldest version with endPort and the
newest), the others against their CRDs, which are not part of the project: without them (``IPT2NP_SHARED``, or
``shared`` beside the checkout) that half skips and says so, and so do the real rulesets.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from ipt2np import CNIS, Facts, Ruleset, decide, parse_ruleset, render, translate
from ipt2np.cni.base import Cluster, PolicyFault
from ipt2np.cni.kinds import antrea, calico, cilium, networkpolicy
from ipt2np.cni.manifests import load
from ipt2np.reporting.conversionreport import conversion_report
from tests.cni.crd_schemas import faults, validators
from tests.cni.matrix import CASES, Case, conversion, facts_of, rulesets_of
from tests.corpus.measure import corpus_files, host_facts, shared_folder
from tests.corpus.test_corpus import ROWS
from tests.sample_hosts import HOSTS, IDENTITY, rulesets

CORE = "networking.k8s.io/v1"
OWN_RULES: Mapping[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    **networkpolicy.VALIDATORS,
    **calico.VALIDATORS,
    **cilium.VALIDATORS,
    **antrea.VALIDATORS,
}
SHARED = shared_folder()
FILES = corpus_files(SHARED) if SHARED else []

without_crds = pytest.mark.skipif(
    not validators(), reason="the CRDs are absent: NOT checked that native objects fit them"
)
without_corpus = pytest.mark.skipif(
    not FILES, reason="the corpus of real rulesets is absent: NOT checked that its objects are valid"
)


def assert_valid(objects: Sequence[dict[str, Any]], *, crds: bool = True) -> Counter[str]:
    """Each object by its schema and by the code rules; how many of each kind there were."""
    for item in objects:
        OWN_RULES[item["apiVersion"], item["kind"]](copy.deepcopy(item))
        if item["apiVersion"] == CORE:
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)
            kubernetes_validate.validate(item, "1.25", strict=True)
        elif crds:
            assert not faults(item)
    return Counter(item["kind"] for item in objects)


def emitted(
    hosts: Sequence[Ruleset], facts: Facts | None = None, cluster: Cluster | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For every target the objects in its text, the rulesets decided once."""
    plan = translate(decide(hosts, facts=facts))
    for name, cni in CNIS.items():
        fitted = cni.fit(plan, IDENTITY, cluster or Cluster(), "rules")
        objects = list(load(render(cni, fitted, "a header"), OWN_RULES))
        assert objects == list(fitted.objects)
        yield name, objects


@pytest.mark.parametrize("host", HOSTS)
def test_what_a_sample_becomes_is_valid(host: str) -> None:
    native = set()
    for cni, objects in emitted(rulesets(HOSTS[host])):
        assert assert_valid(objects, crds=bool(validators()))
        native |= {cni for item in objects if item["apiVersion"] != CORE}
    assert native == {"calico", "cilium", "azure-cilium", "antrea"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_ruleset_of_the_matrix_becomes_is_valid(case: Case) -> None:
    for _, objects in emitted(rulesets_of(case), facts_of(case), case.cluster):
        assert assert_valid(objects, crds=bool(validators()))


def test_long_lists_become_sets_of_their_own_kinds() -> None:
    (case,) = (each for each in CASES if each.name == "300 scattered addresses")
    kinds = {cni: assert_valid(objects, crds=False) for cni, objects in emitted(rulesets_of(case))}
    assert {cni: kinds[cni] for cni in ("kubernetes", "calico", "cilium", "antrea")} == {
        "kubernetes": {"NetworkPolicy": 1},
        "calico": {"NetworkSet": 1, "NetworkPolicy": 1},
        "cilium": {"CiliumCIDRGroup": 1, "CiliumNetworkPolicy": 1},
        "antrea": {"NetworkPolicy": 1},
    }


@without_corpus
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_real_ruleset_becomes_is_valid(path: Path) -> None:
    """With an interface and an address, so that nearly all its rules count."""
    ruleset = parse_ruleset(path.read_bytes(), path.name)
    interface, address, _ = ROWS[path.stem]
    for _, objects in emitted([ruleset], host_facts(interface, address)):
        assert assert_valid(objects, crds=bool(validators()))


@pytest.mark.parametrize("cni", CNIS)
def test_the_report_names_every_object(cni: str) -> None:
    """Cluster-wide ones too, which have no namespace."""
    (case,) = (each for each in CASES if each.name == "300 scattered addresses")
    result = conversion(case, cni)
    listed = conversion_report(result, "0").data["target"]["objects"]
    assert [each["name"] for each in listed] == [
        item["metadata"]["name"] for item in result.draft.fitted.objects
    ]
    assert all(("namespace" in each) == (each["kind"] != "CiliumCIDRGroup") for each in listed)


# -- the judges can tell -----------------------------------------------------------------------------------

SPOILT: Mapping[str, tuple[str, tuple[str | int, ...], Any]] = {
    # A change that the schema must see: the target, where it is made, what stands there then.
    "an unknown field of Calico": ("calico", ("spec", "ingress", 0, "sourcePorts"), [1]),
    "an unknown action of Calico": ("calico", ("spec", "ingress", 0, "action"), "Reject"),
    "a text for an order of Calico": ("calico", ("spec", "order"), "first"),
    "an unknown field of Cilium": ("cilium", ("spec", "ingress", 0, "ports"), []),
    "no CIDR for Cilium": ("cilium", ("spec", "ingress", 0, "fromCIDRSet", 0, "cidr"), "somewhere"),
    "an unknown action of Antrea": ("antrea", ("spec", "ingress", 0, "action"), "Deny"),
    "an unknown field of Antrea": ("antrea", ("spec", "ingress", 0, "port"), 22),
}


@without_crds
@pytest.mark.parametrize("what", SPOILT)
def test_an_object_that_is_spoilt_does_not_fit_its_crd(what: str) -> None:
    cni, (*way, last), value = SPOILT[what]
    (item,) = conversion(CASES[0], cni).draft.fitted.objects
    item = copy.deepcopy(item)
    assert not faults(item)
    place: Any = item
    for step in way:
        place = place[step]
    place[last] = value
    assert faults(item)
    with pytest.raises(PolicyFault):
        OWN_RULES[item["apiVersion"], item["kind"]](item)
