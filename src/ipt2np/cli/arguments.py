"""Texts of options to values; UsageError names the option and what it takes."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ipt2np.cni.manifests import is_label, is_name, is_namespace
from ipt2np.errors import UsageError

if TYPE_CHECKING:
    from ipt2np.cni.base import Identity

SELECTOR_LABEL = "app.kubernetes.io/name"
HOST_LABEL = "kubernetes.io/hostname"


def _name_of(rules: str) -> str:
    """A Kubernetes name from the file's name, or from this machine's for standard input."""
    stem = socket.gethostname() if rules == "-" else Path(rules).name
    stem = re.sub(r"\.(rules|v4|v6|txt|save|conf|dump|ipt|iptables|ip6tables)$", "", stem.lower())
    cleaned = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63].strip("-")
    return cleaned or "host"


def labels_of(option: str, text: str) -> dict[str, str]:
    """Labels from ``KEY=VALUE[,KEY=VALUE]``."""
    labels = {}
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals or not is_label(key, value):
            raise UsageError(
                f"{option} {text}: expected KEY=VALUE[,KEY=VALUE] with valid label names, for example app=web"
            )
        labels[key] = value
    return labels


def cidr_of(option: str, text: str) -> str:
    """A network's canonical text."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise UsageError(f"{option} {text}: expected an address or a network such as 10.0.0.0/8") from None


def interface_of(text: str) -> tuple[str, tuple[str, ...]]:
    """An interface and the networks behind it, none for whatever comes in there."""
    name, equals, cidrs = text.partition("=")
    if not name or len(name) > 15 or name == "lo" or "+" in name or (equals and not cidrs):
        raise UsageError(
            f"--interface {text}: expected an interface's name such as eth0, or eth1=10.0.0.0/8,192.168.0.0/16 (not lo, no wildcard)"
        )
    return name, tuple(cidr_of("--interface", part) for part in cidrs.split(",")) if equals else ()


def address_of(text: str, option: str = "--address") -> str:
    """An address's canonical text."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UsageError(f"{option} {text}: expected one address, such as 192.0.2.10") from None


def identity_of(
    rules: str, name: str | None, namespace: str, pod_selector: str | None, *, host: bool = False
) -> Identity:
    """Whose policy it is; name and labels come from the file's name where they are not given."""
    from ipt2np.cni.base import Identity

    if name is not None and not is_name(name):
        raise UsageError(
            f"--name {name}: expected a Kubernetes name: lower-case letters, digits, - and ., at most 253 characters"
        )
    if not is_namespace(namespace):
        raise UsageError(
            f"--namespace {namespace}: expected lower-case letters, digits and -, at most 63 characters"
        )
    chosen = name or _name_of(rules)
    labels = (
        labels_of("--pod-selector", pod_selector)
        if pod_selector is not None
        else {HOST_LABEL if host else SELECTOR_LABEL: chosen[:63].rstrip("-.")}
    )
    return Identity(chosen, namespace, labels)


def day_of(option: str, text: str, today: datetime.date) -> datetime.date:
    """A day, by itself or as so many days from today."""
    try:
        if text.endswith("d") and text[:-1].isascii() and text[:-1].isdigit():
            return today + datetime.timedelta(days=int(text[:-1]))
        return datetime.date.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text}: expected a day such as 2027-01-31, or 90d for in 90 days"
        ) from None
