"""A host of one's own: two network namespaces, veth pairs, a ruleset, and packets to judge.

The client namespace sends raw frames; the host namespace has the ruleset.  An nftables table of our
own, in the host namespace, writes down what happened to each frame:

* ingress, before the IP stack (ip6_rcv_core() drops a few sources ahead of PREROUTING): it arrived;
* prerouting, priority -90 (after nat -100): the address and port that nat gave it;
* input, priority 400 (after security, which is 50 in the legacy backend and 150 in iptables-nft 1.8.9,
  and after nat 100): the frame passed everything that a ruleset can do on the INPUT path;
* output, priority -450 (before conntrack -200): whatever the host's own stack says is dropped;
* output, priority 400: the answers that we forge are dropped after conntrack has seen them.

Priorities: include/uapi/linux/netfilter_ipv4.h, enum nf_ip_hook_priorities.  conntrack confirms a
connection at the priority INT_MAX, so a packet dropped at 400 leaves no connection behind.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from .probe import ACK, SYN, Probe, answer_packet, can_answer, connection_key, first_packet, later_packet

PREFIX: Final = "ipt2np"
BACKENDS: Final = ("nft", "legacy")
DEFAULT_ADDRESSES: Final[Mapping[str, Sequence[str]]] = {"eth0": ("192.0.2.1/24", "2001:db8::1/64")}

#: Frame numbers travel in 16 bits; the last number is the end-of-batch marker's.
FIRST_BATCH: Final = 60_000
#: Every connection of a batch must be in conntrack at once, and must not time out meanwhile.
LATER_BATCH: Final = 20_000
_MARKER: Final = 65_535

#: So many probes are told apart by counters at once: the last one is sent 2 ** (COUNTED - 1) times.
COUNTED: Final = 10
POLICY: Final = -1

_PATIENCE: Final = 20.0
_RESENDS: Final = 5
_ANSWER_MARK: Final = 0x6A756467
_ETHERTYPE: Final = {4: b"\x08\x00", 6: b"\x86\xdd"}
_CLONE_NEWNET: Final = 0x40000000
_TABLES: Final = ("raw", "mangle", "nat", "filter", "security")
_OWN_TABLE: Final = f"""
table inet judge {{
  counter arrived {{ }}
  counter marker {{ }}
  set seen {{ typeof ip id; flags dynamic; size 65536; }}
  set passed {{ typeof ip id; flags dynamic; size 65536; }}
  set places4 {{ typeof ip id . ip daddr . th dport; flags dynamic; size 65536; }}
  set places6 {{ typeof ip id . ip6 daddr . th dport; flags dynamic; size 65536; }}
  chain arrival {{
    type filter hook ingress devices = {{ DEVICES }} priority 0;
    ip id {_MARKER} counter name marker drop
    counter name arrived
    meta nfproto ipv4 add @seen {{ ip id }} accept
    meta nfproto ipv6 add @seen {{ @nh,16,16 }} accept
  }}
  chain place {{
    type filter hook prerouting priority -90;
    meta l4proto != {{ tcp, udp, sctp, dccp, udplite }} return
    meta nfproto ipv4 add @places4 {{ ip id . ip daddr . th dport }}
    meta nfproto ipv6 add @places6 {{ @nh,16,16 . ip6 daddr . th dport }}
  }}
  chain verdict {{ }}
  chain pass {{
    type filter hook input priority 400;
    meta nfproto ipv4 add @passed {{ ip id }} jump verdict
    meta nfproto ipv6 add @passed {{ @nh,16,16 }} jump verdict
  }}
  chain silence {{
    type filter hook output priority -450;
    meta mark != {_ANSWER_MARK} drop
  }}
  chain swallow {{
    type filter hook output priority 400;
    drop
  }}
}}
"""

#: A rule by table, chain and place in it, or with POLICY as its place a built-in chain's policy.
Place = tuple[str, str, int]

_COUNTED_LINE: Final = re.compile(
    r"(?:(?P<before>\[\d+:\d+\]) -A (?P<of>\S+)|:(?P<chain>\S+) (?:ACCEPT|DROP) (?P<behind>\[\d+:\d+\])).*"
)

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


Matched = tuple[frozenset[Place], bool] | None


class HarnessError(Exception):
    """The harness could not do its work; nothing was judged."""


class RulesetRefused(Exception):
    """iptables-restore refused the text; the message is what it said."""


def _run(*command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)


def _must(*command: str, stdin: str = "") -> str:
    done = _run(*command, stdin=stdin)
    if done.returncode:
        raise HarnessError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace: sockets made and programs started here belong to it.

    setns(2) changes the calling thread only.
    """
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        Path("/run/netns", namespace).open("rb") as there,
    ):
        if _libc.setns(there.fileno(), _CLONE_NEWNET):
            raise HarnessError(f"setns {namespace}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            if _libc.setns(home.fileno(), _CLONE_NEWNET):
                os._exit(70)  # never go on in the wrong namespace


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Stay on one CPU: veth queues frames per CPU, so frames sent here are handled in order."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[os.getpid() % len(before)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sweep() -> None:
    """Remove namespaces that a killed process of this harness left behind."""
    for line in _run("ip", "netns", "list").stdout.splitlines():
        name = line.split()[0]
        parts = name.split("-")
        alive = len(parts) == 4 and parts[1].isdigit() and Path("/proc", parts[1]).exists()
        if parts[0] == PREFIX and len(parts) == 4 and not alive:
            _run("ip", "netns", "delete", name)


def _sysctl(name: str, value: str) -> None:
    Path("/proc/sys/net", name).write_text(value, encoding="ascii")


class _Pair:
    """A client and a host namespace, joined by one veth pair per interface."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        routes: Mapping[int, Sequence[str]] | None = None,
        loopback: Sequence[str] = (),
        rp_filter: int = 0,
    ) -> None:
        self._addresses = addresses
        self._routes = routes
        self._loopback = loopback
        self._rp_filter = str(rp_filter)
        self._table = _OWN_TABLE.replace("DEVICES", ", ".join(addresses))
        stem = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.client, self.host = f"{stem}-client", f"{stem}-host"
        self._frames: dict[str, socket.socket] = {}
        self._heads: dict[tuple[str, int], bytes] = {}
        self._raw: dict[int, socket.socket] = {}
        self._conntrack: socket.socket | None = None
        self._arrived = 0
        self._markers = 0
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        for name in (self.client, self.host):
            _must("ip", "netns", "add", name)
        with _inside(self.client):
            _sysctl("ipv6/conf/all/disable_ipv6", "1")
            _sysctl("ipv6/conf/default/disable_ipv6", "1")
        with _inside(self.host):
            for scope in ("all", "default"):
                _sysctl(f"ipv4/conf/{scope}/rp_filter", self._rp_filter)
                _sysctl(f"ipv6/conf/{scope}/accept_ra", "0")
        lines = ["link set lo up", *(f"address add {address} dev lo" for address in self._loopback)]
        for number, (name, addresses) in enumerate(self._addresses.items()):
            ours, theirs = f"02:00:00:00:00:{number:02x}", f"02:00:00:00:01:{number:02x}"
            lines.append(
                f"link add {name} address {ours} type veth peer name c{number} netns {self.client}"
                f" address {theirs}"
            )
            lines.append(f"link set {name} txqueuelen 10000 addrgenmode none up")
            for address in addresses:
                lines.append(f"address add {address} dev {name}" + (" nodad" if ":" in address else ""))
            head = bytes.fromhex(ours.replace(":", "")) + bytes.fromhex(theirs.replace(":", ""))
            for family, ethertype in _ETHERTYPE.items():
                self._heads[name, family] = head + ethertype
        _must("ip", "-n", self.host, "-batch", "-", stdin="\n".join(lines))
        peers = [f"link set c{number} txqueuelen 10000 up" for number in range(len(self._addresses))]
        _must("ip", "-n", self.client, "-batch", "-", stdin="\n".join(peers))
        # Routes need links that are up at both ends.
        first = next(iter(self._addresses))
        routes = (
            {4: [f"default dev {first}"], 6: [f"default dev {first}"]}
            if self._routes is None
            else self._routes
        )
        for family, each in routes.items():
            text = "".join(f"route append {route}\n" for route in each)
            _must("ip", "-n", self.host, f"-{family}", "-batch", "-", stdin=text)
        with _inside(self.client):
            for number, name in enumerate(self._addresses):
                frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                self._frames[name] = frames
                frames.bind((f"c{number}", 0))
        with _inside(self.host):
            for name in self._addresses:
                _sysctl(f"ipv4/conf/{name}/rp_filter", self._rp_filter)
            for family, domain in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                raw = socket.socket(domain, socket.SOCK_RAW, socket.IPPROTO_RAW)
                self._raw[family] = raw
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _ANSWER_MARK)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._conntrack = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
            _must("nft", "-f", "-", stdin=self._table)

    def close(self) -> None:
        for held in (*self._frames.values(), *self._raw.values(), self._conntrack):
            if held is not None:
                held.close()
        for name in (self.client, self.host):
            _run("ip", "netns", "delete", name)

    def restart(self) -> None:
        """Drop every nftables rule of the host, keep only our own table."""
        with _inside(self.host):
            _must("nft", "-f", "-", stdin="flush ruleset\n" + self._table)
        self._arrived = self._markers = 0

    def forget_connections(self) -> None:
        """Empty conntrack: IPCTNL_MSG_CT_DELETE without a tuple (nf_conntrack_netlink.c)."""
        assert self._conntrack is not None
        # nlmsghdr: length, (NFNL_SUBSYS_CTNETLINK 1 << 8 | IPCTNL_MSG_CT_DELETE 2), REQUEST|ACK; nfgenmsg.
        self._conntrack.send(struct.pack("=IHHIIBBH", 20, 0x0102, 0x5, 1, 0, 0, 0, 0))
        answer = self._conntrack.recv(4096)
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", answer)
        if kind != 2 or error:  # NLMSG_ERROR, which also carries the acknowledgement
            raise HarnessError(f"conntrack flush: {os.strerror(-error)}")

    def send(self, packets: Mapping[int, tuple[str, int, bytes]], *, confirm: bool) -> set[int]:
        """Send frames, by number (interface, family, packet); the numbers of those that passed.

        With *confirm* a frame that passed goes on to the host's stack, and conntrack keeps it.
        """
        verdict = "accept" if confirm else "drop"
        self._nft(
            "flush set inet judge seen\nflush set inet judge passed\n"
            "flush set inet judge places4\nflush set inet judge places6\n"
            f"flush chain inet judge verdict\nadd rule inet judge verdict {verdict}\n"
        )
        waiting = set(packets)
        for _ in range(_RESENDS):
            self._transmit({number: packets[number] for number in sorted(waiting)})
            arrived, markers = self._counters()
            new, self._arrived, self._markers = arrived - self._arrived, arrived, markers
            if new == len(waiting):
                return self._read("passed")
            # The kernel lost some on the veth (its per-CPU queue was full): they were not judged yet.
            waiting = set(packets) - self._read("seen")
            if not waiting:
                raise HarnessError("more frames arrived than were sent")
        raise HarnessError(f"{len(waiting)} of {len(packets)} frames were lost on the veth")

    def _transmit(self, packets: Mapping[int, tuple[str, int, bytes]]) -> None:
        marker = first_packet(Probe(4, "192.0.2.254", "192.0.2.253", 17, 1, 1), _MARKER)
        senders = {name: frames.send for name, frames in self._frames.items()}
        heads = self._heads
        last = next(iter(self._frames))
        deadline = time.monotonic() + _PATIENCE
        with _one_cpu():
            for name, family, packet in packets.values():
                senders[name](heads[name, family] + packet)
            # One CPU, one queue: when the marker has arrived, all before it have been judged.
            while True:
                senders[last](heads[last, 4] + marker)
                if self._counters()[1] > self._markers:
                    return
                if time.monotonic() > deadline:
                    raise HarnessError("the end-of-batch marker never arrived")
                time.sleep(0.005)

    def places(self) -> dict[int, tuple[str, int]]:
        """Where nat sent each frame of the last batch that has ports: address and port, by number."""
        return {
            element["concat"][0]: (element["concat"][1], element["concat"][2])
            for name in ("places4", "places6")
            for element in self._elements(name)
            if isinstance(element, dict)
        }

    def answer(self, number: int, probe: Probe) -> bool:
        """Forge the server's answer inside the host; False when the host has no way to send it."""
        scope = 0
        if probe.family == 6 and probe.source.lower().startswith("fe8"):
            with _inside(self.host):
                scope = socket.if_nametoindex(probe.interface)
        where = (probe.source, 0) if probe.family == 4 else (probe.source, 0, 0, scope)
        try:
            self._raw[probe.family].sendto(answer_packet(probe, number), where)
        except PermissionError:
            return True  # our own "swallow" chain, after conntrack has seen the answer
        except OSError:
            return False
        return True

    def _nft(self, script: str) -> None:
        with _inside(self.host):
            _must("nft", "-f", "-", stdin=script)

    def _json(self, *command: str) -> list[dict[str, dict[str, object]]]:
        with _inside(self.host):
            text = _must("nft", "-j", *command)
        items: list[dict[str, dict[str, object]]] = json.loads(text)["nftables"]
        return items

    def _counters(self) -> tuple[int, int]:
        found = {}
        for item in self._json("list", "counters", "table", "inet", "judge"):
            if "counter" in item:
                found[item["counter"]["name"]] = item["counter"]["packets"]
        arrived, markers = found["arrived"], found["marker"]
        assert isinstance(arrived, int)
        assert isinstance(markers, int)
        return arrived, markers

    def _read(self, name: str) -> set[int]:
        return {element for element in self._elements(name) if isinstance(element, int)}

    def _elements(self, name: str) -> list[Any]:
        for item in self._json("list", "set", "inet", "judge", name):
            if "set" in item:
                elements = item["set"].get("elem", [])
                assert isinstance(elements, list)
                return elements
        raise HarnessError(f"nft shows no set {name}")


def _at(probe: Probe, place: tuple[str, int] | None) -> Probe:
    """The probe as it is behind nat."""
    return probe if place is None else replace(probe, destination=place[0], dport=place[1])


class KernelHost:
    """A host with interfaces, addresses and a ruleset, whose kernel judges probes.

    *addresses* gives, for each interface of the host, its addresses with prefix lengths (both
    families), *routes* for each family what stands behind ``ip route append``.  Without *routes* the
    default routes go out by the first interface.  *loopback* are further addresses of ``lo``, *rp_filter* is
    the sysctl's value on every interface.
    """

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]] = DEFAULT_ADDRESSES,
        *,
        backend: str = "nft",
        routes: Mapping[int, Sequence[str]] | None = None,
        loopback: Sequence[str] = (),
        rp_filter: int = 0,
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend {backend!r}")
        for name in addresses:
            if not 0 < len(name) <= 15 or name == "lo":
                raise ValueError(f"interface name {name!r}")
        self.addresses = {name: tuple(given) for name, given in addresses.items()}
        self.backend = backend
        self._routes = routes
        self._loopback = tuple(loopback)
        self._rp_filter = rp_filter
        self._pair_: _Pair | None = None
        self._empty: _Pair | None = None
        self._bearable: dict[Probe, bool] = {}
        self._legacy_used = False
        self._sets_used = False
        self._rewrites = False

    def __enter__(self) -> KernelHost:
        self._pair_ = self._make_pair()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pair in (self._pair_, self._empty):
            if pair is not None:
                pair.close()
        self._pair_ = self._empty = None

    def _make_pair(self) -> _Pair:
        return _Pair(self.addresses, self._routes, self._loopback, self._rp_filter)

    @property
    def _pair(self) -> _Pair:
        if self._pair_ is None:
            raise HarnessError("use the host in a with statement")
        return self._pair_

    @property
    def interfaces(self) -> tuple[str, ...]:
        return tuple(self.addresses)

    def own(self, family: int) -> tuple[str, ...]:
        """The host's own addresses, without prefix lengths."""
        given = [address for each in self.addresses.values() for address in each]
        every = (address.split()[0].split("/")[0] for address in (*given, *self._loopback))
        return tuple(address for address in every if (":" in address) == (family == 6))

    def flush(self) -> None:
        """No ruleset at all, no ipset, no connection."""
        self._pair.restart()
        if self._legacy_used:
            empty = "".join(f"*{table}\nCOMMIT\n" for table in _TABLES)
            accept = {
                "raw": "PREROUTING OUTPUT",
                "mangle": "PREROUTING INPUT FORWARD OUTPUT POSTROUTING",
                "nat": "PREROUTING INPUT OUTPUT POSTROUTING",
                "filter": "INPUT FORWARD OUTPUT",
                "security": "INPUT FORWARD OUTPUT",
            }
            for table, chains in accept.items():
                policies = "".join(f":{chain} ACCEPT\n" for chain in chains.split())
                empty = empty.replace(f"*{table}\n", f"*{table}\n{policies}")
            for program in ("iptables-legacy-restore", "ip6tables-legacy-restore"):
                self.run(program, "-w", stdin=empty)
            self._legacy_used = False
        if self._sets_used:
            self._destroy_sets()
            self._sets_used = False
        self._pair.forget_connections()

    def _destroy_sets(self) -> None:
        """Every ipset goes: lists let go of their members when flushed, deleted nftables rules only after a while."""
        deadline = time.monotonic() + _PATIENCE
        self.run("ipset", "flush")
        while True:
            try:
                self.run("ipset", "destroy")
            except HarnessError as error:
                if "in use" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def load(self, text: str, family: int, *, sets: str = "", keep: bool = False) -> None:
        """Load an iptables-save dump of one family (and an ipset-save dump before it).

        Everything loaded before, of both families, goes first, unless *keep*.
        """
        if not keep:
            self.flush()
        self._rewrites = "*nat" in text
        if sets:
            self._sets_used = True
            self.run("ipset", "restore", stdin=sets)
        program = f"{'iptables' if family == 4 else 'ip6tables'}-{self.backend}-restore"
        wait: tuple[str, ...] = ()
        if self.backend == "legacy":
            self._legacy_used = True
            wait = ("-w",)
        with _inside(self._pair.host):
            done = _run(program, *wait, stdin=text)
        if done.returncode:
            raise RulesetRefused(done.stderr.strip() or done.stdout.strip())

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a program inside the host's namespace; its standard output."""
        with _inside(self._pair.host):
            return _must(*command, stdin=stdin)

    def run_any(self, *command: str) -> str:
        """The same for a program that may fail."""
        with _inside(self._pair.host):
            return _run(*command).stdout

    def listening(self, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
        """A socket of the host, bound and, if it is one of TCP, listening; the caller closes it."""
        with _inside(self._pair.host):
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        made.bind((address, port))
        if kind is socket.SOCK_STREAM:
            made.listen()
        return made

    def _check(self, probes: Sequence[Probe]) -> None:
        for probe in probes:
            if probe.interface not in self.addresses:
                raise ValueError(f"the host has no interface {probe.interface!r}")

    def first(self, probes: Sequence[Probe], *, flags: int = SYN) -> list[bool | None]:
        """For each probe, sent once as the first packet of a connection: does it pass?

        None where the kernel itself refuses the packet, with no ruleset loaded at all.
        """
        self._check(probes)
        results: list[bool | None] = []
        self._pair.forget_connections()
        for start in range(0, len(probes), FIRST_BATCH):
            batch = probes[start : start + FIRST_BATCH]
            passed = self._first(self._pair, batch, flags)
            results.extend(number in passed for number in range(1, len(batch) + 1))
        blocked = [index for index, result in enumerate(results) if not result]
        bearable = self._calibrate([probes[index] for index in blocked])
        for index, good in zip(blocked, bearable, strict=True):
            if not good:
                results[index] = None
        return results

    @staticmethod
    def _first(pair: _Pair, batch: Sequence[Probe], flags: int) -> set[int]:
        packets = {
            number: (probe.interface, probe.family, first_packet(probe, number, flags=flags))
            for number, probe in enumerate(batch, 1)
        }
        return pair.send(packets, confirm=False)

    def _calibrate(self, probes: Sequence[Probe]) -> list[bool]:
        """Whether each probe passes on a twin of the host that has no ruleset.

        Without a ruleset, ports and ICMP types are read by nobody before the end of the INPUT hook.
        """
        plain = [replace(probe, sport=1, dport=1, icmp_type=8, icmp_code=0) for probe in probes]
        unknown = [probe for probe in dict.fromkeys(plain) if probe not in self._bearable]
        if unknown and self._empty is None:
            self._empty = self._make_pair()
        for start in range(0, len(unknown), FIRST_BATCH):
            assert self._empty is not None
            batch = unknown[start : start + FIRST_BATCH]
            passed = self._first(self._empty, batch, SYN)
            for number, probe in enumerate(batch, 1):
                self._bearable[probe] = number in passed
        return [self._bearable[probe] for probe in plain]

    def places(self, probes: Sequence[Probe]) -> list[tuple[str, int] | None]:
        """Where nat sends each probe's first packet: address and port; None where it has no port or got no further."""
        self._check(probes)
        found: list[tuple[str, int] | None] = []
        self._pair.forget_connections()
        for start in range(0, len(probes), FIRST_BATCH):
            batch = probes[start : start + FIRST_BATCH]
            self._first(self._pair, batch, SYN)
            places = self._pair.places()
            found += [places.get(number) for number in range(1, len(batch) + 1)]
        return found

    def later(self, probes: Sequence[Probe], *, flags: int = ACK) -> list[bool | None]:
        """For each probe: its connection is established, then does the client's next packet pass?

        None where there is no connection to judge: the first packet did not pass, no answer to it
        exists (ICMP other than requests), or the host cannot send one.
        """
        self._check(probes)
        results: list[bool | None] = [None] * len(probes)
        # Probes that conntrack cannot tell apart must not be there at the same time: rounds.
        indices: dict[Probe, list[int]] = {}
        for index, probe in enumerate(probes):
            if can_answer(probe):
                indices.setdefault(probe, []).append(index)
        rounds: list[list[Probe]] = []
        uses: dict[tuple[object, ...], int] = {}
        for index, probe in enumerate(indices):
            key = connection_key(probe, index, rewritten=self._rewrites)
            turn = uses[key] = uses.get(key, -1) + 1
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(probe)
        for group in rounds:
            for start in range(0, len(group), LATER_BATCH):
                batch = dict(enumerate(group[start : start + LATER_BATCH], 1))
                for number, verdict in self._later(batch, flags).items():
                    for index in indices[batch[number]]:
                        results[index] = verdict
        self._pair.forget_connections()
        return results

    def _later(self, batch: Mapping[int, Probe], flags: int) -> dict[int, bool]:
        pair = self._pair
        pair.forget_connections()
        opened = pair.send(
            {number: (p.interface, p.family, first_packet(p, number)) for number, p in batch.items()},
            confirm=True,
        )
        places = pair.places() if self._rewrites else {}
        ready = {
            number: batch[number]
            for number in sorted(opened)
            if pair.answer(number, _at(batch[number], places.get(number)))
        }
        if not ready:
            return {}
        passed = pair.send(
            {
                number: (p.interface, p.family, later_packet(p, number, flags=flags))
                for number, p in ready.items()
            },
            confirm=False,
        )
        return {number: number in passed for number in ready}

    def counters(self, family: int) -> dict[Place, int]:
        """How many packets each rule and each policy has counted since the ruleset was loaded."""
        found: dict[Place, int] = {}
        table, places = "", dict[str, int]()
        for line in self.run(
            f"{'iptables' if family == 4 else 'ip6tables'}-{self.backend}-save", "-c"
        ).splitlines():
            if line.startswith("*"):
                table, places = line[1:], {}
            read = _COUNTED_LINE.fullmatch(line)
            if read is None:
                continue
            place = POLICY
            if read["of"]:
                place = places[read["of"]] = places.get(read["of"], -1) + 1
            packets = (read["before"] or read["behind"])[1:].split(":")[0]
            found[table, read["of"] or read["chain"], place] = int(packets)
        return found

    def matched(self, probes: Sequence[Probe], *, flags: int = ACK, later: bool = False) -> list[Matched]:
        """Which counters each probe raises, and whether it passes; at most COUNTED probes of one family.

        Probe i is sent 2 ** i times, so that the bits of a counter say which of them it has counted. With *later* it
        is the connection's next packet behind the answer; None for a probe that has no connection.
        """
        self._check(probes)
        if len(probes) > COUNTED or len({probe.family for probe in probes}) != 1:
            raise ValueError("too many probes, or of different families")
        pair, family = self._pair, probes[0].family
        pair.forget_connections()
        ready = set(range(len(probes)))
        if later:
            openers = {
                number: (p.interface, family, first_packet(p, number)) for number, p in enumerate(probes, 1)
            }
            opened = pair.send(openers, confirm=True)
            places = pair.places() if self._rewrites else {}
            ready = {n - 1 for n in opened if pair.answer(n, _at(probes[n - 1], places.get(n)))}
        before = self.counters(family)
        packets: dict[int, tuple[str, int, bytes]] = {}
        sender: dict[int, int] = {}
        for index in sorted(ready):
            for _ in range(1 << index):
                number = len(packets) + 1
                made = (
                    later_packet(probes[index], number, flags=flags)
                    if later
                    else first_packet(probes[index], number)
                )
                packets[number] = (probes[index].interface, family, made)
                sender[number] = index
        passed = {sender[number] for number in pair.send(packets, confirm=False)} if packets else set()
        pair.forget_connections()
        after = self.counters(family)
        risen = {place: count - before.get(place, 0) for place, count in after.items()}
        return [
            (frozenset(place for place, count in risen.items() if count >> index & 1), index in passed)
            if index in ready
            else None
            for index in range(len(probes))
        ]
