"""Programs that ban sources while they run: what they put into chains and sets is gone when they stop."""

from __future__ import annotations

from ipt2np.frames.frame import Chains, Frame, Tested, Together

BANS = (
    Frame(
        "fail2ban",
        what="sources that failed to log in, or were caught otherwise, are refused for a time",
        advice="bans come and go while fail2ban runs: do not carry them over, ban in the application or at the ingress",
        signs=(
            Together("filter", (r"(f2b|fail2ban)-.+",), returns=True),
            Tested(r"(f2b|fail2ban)-.+"),
        ),
        chains=(Chains(r"(f2b|fail2ban)-.+", "bans of a jail", ("filter", "raw", "mangle"), bans=True),),
        reference="https://github.com/fail2ban/fail2ban/blob/master/config/action.d/iptables.conf",
        ban_sets=r"(f2b|fail2ban)-.+",
    ),
    Frame(
        "CrowdSec",
        what="sources that CrowdSec's decisions name are refused for a time",
        advice="decisions come and go while the bouncer runs: do not carry them over, run a bouncer at the ingress",
        signs=(Together("filter", ("CROWDSEC_CHAIN",)), Tested(r"crowdsec6?-blacklists(-[0-9]+)?")),
        chains=(
            Chains("CROWDSEC_CHAIN", "decisions", bans=True),
            Chains("CROWDSEC_LOG", "logging and refusing"),
        ),
        reference="https://docs.crowdsec.net/u/bouncers/firewall/",
        ban_sets=r"crowdsec6?-blacklists(-[0-9]+)?",
    ),
    Frame(
        "sshguard",
        what="sources that attacked a service are refused for a time",
        advice="blocks come and go while sshguard runs: do not carry them over",
        signs=(Together("filter", ("sshguard",), callers=("INPUT", "FORWARD")), Tested("sshguard[46]")),
        chains=(Chains("sshguard", "blocked attackers", bans=True),),
        reference="sshguard-setup(7); https://bitbucket.org/sshguard/sshguard/src/master/src/fw/",
        ban_sets="sshguard[46]",
    ),
)
