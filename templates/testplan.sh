#!/bin/sh
# shellcheck disable=SC2016  # rules are quoted as they stand
@HEADER@
#
#   sh testplan.sh --side old --target ADDRESS    asks the host, before it goes
#   sh testplan.sh --side new --target ADDRESS    asks a pod that replaces it
#
# Runs the probes whose source address this machine has, each once, and skips the others. Prints TAP: ok, not ok, or skipped with
# the reason. Exit status: 0 nothing differs; 1 an answer is not the expected one; 2 wrong usage, or no probe was run.

set -u
LC_ALL=C
export LC_ALL

side='' class=external target4='' target6='' sources='' listening=no pause=0 wait=3 ping=${PING:-ping}
program=${NC:-nc}

usage() {
    cat >&2 <<'USAGE'
usage: sh testplan.sh --side old|new --target ADDRESS [--target ADDRESS] [--source ADDRESS]... [--class CLASS]
                      [--listening] [--pause SECONDS] [--wait SECONDS] [--nc PROGRAM]
  --side       whose answers are expected: those of the old host or of the new pod
  --target     the address to probe; one of each family
  --source     an address that this machine has, beside those that `ip addr` shows
  --class      what this machine is to the new pod: external (the default), pod or node
  --listening  something listens on every probed TCP port, and answers on every probed UDP port: without it a closed
               port cannot be told from a rejected packet, nor a silent UDP service from a dropped one
  --pause      seconds to wait between probes, where rules limit rates
  --wait       seconds to wait for an answer (3)
  --nc         the netcat to use, such as ncat or "busybox nc"
USAGE
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --listening) listening=yes; shift; continue ;;
        --side | --target | --source | --class | --pause | --wait | --nc) [ $# -ge 2 ] || usage ;;
        *) usage ;;
    esac
    case $1 in
        --side) side=$2 ;;
        --target) case $2 in *:*) target6=$2 ;; *) target4=$2 ;; esac ;;
        --source) sources="$sources $2" ;;
        --class) class=$2 ;;
        --pause) pause=$2 ;;
        --wait) wait=$2 ;;
        --nc) program=$2 ;;
    esac
    shift 2
done
case $side in old | new) ;; *) usage ;; esac
case $class in external | pod | node) ;; *) usage ;; esac
[ -n "$target4$target6" ] || usage

for shown in $(ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do echo "${address%%/*}"; done); do
    sources="$sources $shown"
done

# Which netcat it is; its options are not the same everywhere.
# shellcheck disable=SC2086  # the program may be two words
about=$($program -h 2>&1 </dev/null)
case $about in
    *Ncat*) flavour=ncat ;;
    *BusyBox*) case $about in *-s\ ADDR*) flavour=netcat ;; *) flavour=small ;; esac ;;
    *OpenBSD* | *usage:\ nc* | *v1.10*) flavour=netcat ;;
    *) flavour=none ;;
esac

said=$(mktemp) || exit 2
trap 'rm -f "$said"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What standard error said, as a word: rejected, cannot, or silent.
in_a_word() {
    case $(cat "$said") in
        *assign* | *ermission* | *permitted* | *"in use"* | *nvalid* | *ind:*) got=cannot ;;
        *efused* | *rohibited* | *nreachable* | *"No route"* | *reset* | *iltered*) got=rejected ;;
        *) got=silent ;;
    esac
}

# The source that the kernel takes by itself.
own_source() {
    ip route get "$1" 2>/dev/null | {
        found=''
        while read -r line; do
            case $line in *" src "*) rest=${line#* src }; found=${found:-${rest%% *}} ;; esac
        done
        echo "$found"
    }
}

# tcp TARGET PORT SOURCE SOURCE_PORT
# shellcheck disable=SC2086
tcp() {
    from=''
    [ "$4" = - ] || from="-p $4"
    case $flavour in
        netcat | ncat)
            if $program -n -v -z -w "$wait" -s "$3" $from "$1" "$2" </dev/null >/dev/null 2>"$said"; then
                got=open
            else
                in_a_word
            fi
            ;;
        small)
            if [ "$(own_source "$1")" != "$3" ]; then
                got=cannot
                echo "$program cannot choose the source" >"$said"
            elif $program -w "$wait" $from "$1" "$2" -e true </dev/null >/dev/null 2>"$said"; then
                got=open
            else
                in_a_word
            fi
            ;;
        *) got=cannot; echo "no netcat that is known" >"$said" ;;
    esac
}

# udp TARGET PORT SOURCE SOURCE_PORT
# shellcheck disable=SC2086
udp() {
    from=''
    [ "$4" = - ] || from="-p $4"
    case $flavour in
        netcat) reply=$(echo ipt2np | $program -n -v -u -w "$wait" -s "$3" $from "$1" "$2" 2>"$said") ;;
        ncat) # it goes away soon after its input ends
            reply=$({ echo ipt2np; sleep "$wait"; } | $program -n -v -u -w "$wait" -s "$3" $from "$1" "$2" 2>"$said") ;;
        *) got=cannot; echo "$program has no UDP" >"$said"; return ;;
    esac
    status=$?
    if [ -n "$reply" ]; then
        got=open
        return
    fi
    in_a_word
    # A netcat that fails without a word was told that the port is unreachable.
    if [ "$got$flavour" = silentnetcat ] && [ "$status" -ne 0 ]; then
        got=rejected
    fi
}

# echo_request TARGET SOURCE
echo_request() {
    if $ping -n -c 1 -W "$wait" -I "$2" "$1" </dev/null >"$said" 2>&1; then
        got=open
    else
        in_a_word
    fi
}

number=0 asked='' failed=0 unsure=0 skipped=0 passed=0

skip() {
    skipped=$((skipped + 1))
    echo "ok $number - $what # SKIP $1"
}

# probe CLASS FAMILY SOURCE PROTOCOL POD_PORT HOST_PORT SOURCE_PORT ICMP HOST HOW POD RULE
probe() {
    number=$((number + 1))
    family=$2 source=$3 protocol=$4 source_port=$7 icmp=$8
    if [ "$side" = old ]; then
        port=$6 want=$9 how=${10}
    else
        port=$5 want=${11} how=-
    fi
    what="$protocol"
    [ "$5" = - ] || what="$what port $port"
    [ "$icmp" = - ] || what="$what type $icmp"
    what="$what from $source"
    [ "$source_port" = - ] || what="$what port $source_port"
    what="$what ($1): expected $want"
    [ "$how" = - ] || what="$what, $how"
    [ -z "${12}" ] || printf '# %s\n' "${12}"

    if [ "$family" = 4 ]; then target=$target4; else target=$target6; fi
    case $want in undecided | undefined) skip "no answer is expected"; return ;; esac
    if [ "$how" = later ]; then
        skip "the connection is opened and cut off later: no probe of this script tells"
        return
    fi
    [ -n "$target" ] || { skip "no target of IPv$family"; return; }
    case "$sources " in *" $source "*) ;; *) skip "not an address of this machine"; return ;; esac
    if [ "$side" = new ] && [ "$1" != "$class" ]; then
        skip "is not sent by what is $class"
        return
    fi
    case "$asked " in *" $source/$protocol/$port/$source_port/$icmp "*) skip "was asked before"; return ;; esac
    asked="$asked $source/$protocol/$port/$source_port/$icmp"
    case $protocol:$icmp in
        tcp:* | udp:* | icmp:8/0 | icmpv6:128/0 | ipv6-icmp:128/0) ;;
        icmp:* | icmpv6:* | ipv6-icmp:*) skip "ping sends echo requests alone"; return ;;
        *) skip "netcat has TCP and UDP alone"; return ;;
    esac
    if [ "$5" != - ] && [ "$port" = - ]; then
        skip "nat leaves no port of the host that leads there"
        return
    fi

    [ "$pause" = 0 ] || sleep "$pause"
    case $protocol in
        tcp) tcp "$target" "$port" "$source" "$source_port" ;;
        udp) udp "$target" "$port" "$source" "$source_port" ;;
        *) echo_request "$target" "$source" ;;
    esac
    if [ "$got" = cannot ]; then
        skip "cannot be sent from here: $(head -n 1 "$said" | tr -d '#' | tr -c '[:print:]' ' ')"
        return
    fi

    result=yes
    case $want:$got:$protocol:$listening in
        accepted:open:* | admitted:open:*) ;;
        accepted:rejected:tcp:no | accepted:rejected:udp:no | admitted:rejected:tcp:no | admitted:rejected:udp:no)
            result="unsure: rejected, or nothing listens there" ;;
        accepted:silent:udp:no | admitted:silent:udp:no)
            result="unsure: dropped, or what listens there does not answer" ;;
        refused:open:*) result=no ;;
        refused:rejected:*) case $how:$protocol:$listening in
            dropped:*) result=no ;;
            *:tcp:no | *:udp:no) result="unsure: rejected, or let through and nothing listens there" ;;
        esac ;;
        refused:silent:udp:no) result="unsure: dropped, or what listens there does not answer" ;;
        refused:silent:*) ;;
        *) result=no ;;
    esac
    case $result in
        yes) passed=$((passed + 1)); echo "ok $number - $what, got $got" ;;
        no) failed=$((failed + 1)); echo "not ok $number - $what, got $got" ;;
        *) unsure=$((unsure + 1)); echo "ok $number - $what, got $got # SKIP $result" ;;
    esac
}

echo "TAP version 13"
echo "1..@COUNT@"
@PROBES@
echo "# $passed as expected, $failed not, $unsure unsure, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ $((passed + unsure)) -gt 0 ] || { echo "no probe was run: none of the sources is an address of this machine" >&2; exit 2; }
