"""What two rulesets leave undecided: told as a difference unless both certainly do the same, whatever is true."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipt2np.conversion import Options
from ipt2np.rules.assumptions import Assumptions
from tests.dumps import table
from tests.review.test_comparing import compared

TEXT = '-m string --string "{}" --algo bm'
A, B = TEXT.format("alpha"), TEXT.format("beta")
RATE = ("rate=undecided",)
KNOCK = (
    "-A INPUT {}-p udp -m udp --dport 1000 -m recent --set --name knock -j DROP",
    "-A INPUT -p tcp -m tcp --dport 22 -m recent --rcheck --name knock -j ACCEPT",
)


def text(rules: Sequence[str], before: str = "", policy: str = "DROP") -> str:
    users = sorted({rule.split()[1] for rule in rules} - {"INPUT"})
    declared = [f":INPUT {policy} [0:0]", *(f":{user} - [0:0]" for user in users)]
    return before + table("filter", *declared, *rules)


def verdict(before: str, after: str, *assumed: str) -> str:
    return compared(before, after, options=Options(assumptions=Assumptions.parse(assumed))).verdict.value


def of_rules(before: Sequence[str], after: Sequence[str], *assumed: str) -> str:
    return verdict(text(before), text(after), *assumed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            [f"-A INPUT {A} -j one", "-A INPUT -j two", "-A one -j a", "-A two -j b", "-A a -j ACCEPT", "-A b -j DROP"],
            [f"-A INPUT {A} -j one", "-A INPUT -j two", "-A one -j b", "-A two -j a", "-A a -j ACCEPT", "-A b -j DROP"],
            id="the same rules, the other way round",
        ),
        pytest.param(
            ["-A INPUT -i eth0 -j one", "-A one -j ACCEPT"],
            ["-A INPUT -i eth1 -j one", "-A one -j ACCEPT"],
            id="another interface before the same chain",
        ),
        pytest.param(
            ["-A INPUT -d 192.0.2.1 -j one", "-A one -j ACCEPT"],
            ["-A INPUT -d 192.0.2.2 -j one", "-A one -j ACCEPT"],
            id="another destination before the same chain",
        ),
        pytest.param(
            [f"-A INPUT {A} -j ACCEPT"], [f"-A INPUT ! -p tcp {A} -j ACCEPT", f"-A INPUT -p tcp {B} -j ACCEPT"],
            id="another text for one protocol",
        ),
        pytest.param(
            ["-A INPUT -j VENDOR --level 0"], ["-A INPUT -j VENDOR --level 1"], id="another unknown target"
        ),
    ],
)  # fmt: skip
def test_what_some_truth_tells_apart_is_a_difference_in_both_directions(
    before: Sequence[str], after: Sequence[str]
) -> None:
    assert of_rules(before, after) == "differs"
    assert of_rules(after, before) == "differs"
    assert of_rules(before, before) == of_rules(after, after) == "equal"


def test_one_more_way_in_only_opens_and_one_less_only_closes() -> None:
    one, both = [f"-A INPUT {A} -g one", "-A one -j ACCEPT"], [f"-A INPUT {B} -g one"]
    assert of_rules(one, both + one) == "wider"
    assert of_rules(both + one, one) == "narrower"


def test_what_no_truth_tells_apart_is_equal_however_it_is_said() -> None:
    inlined = [f"-A INPUT {A} -j DROP", f"-A INPUT {B} -j ACCEPT"]
    split = ["-A INPUT -j one", f"-A one {A} -j REJECT", "-A one -j two", f"-A two {B} -j ACCEPT"]
    assert of_rules(inlined, split) == "equal"
    absorbed = [f"-A INPUT {A} -j DROP", f"-A INPUT {A} {B} -j ACCEPT", f"-A INPUT {B} -j ACCEPT"]
    assert of_rules(inlined, absorbed) == "equal"
    assert of_rules(["-A INPUT -i eth0 -j ACCEPT"], ["-A INPUT -i eth0 -j a", "-A a -j ACCEPT"]) == "equal"


def test_later_packets_of_a_connection_have_truths_of_their_own() -> None:
    each_packet = [f"-A INPUT {A} -j ACCEPT"]
    first_only = ["-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", *each_packet]
    assert of_rules(each_packet, first_only) == "wider"


def test_a_list_that_is_filled_by_others_is_another_list() -> None:
    anybody, somebody = ([KNOCK[0].format(who), KNOCK[1]] for who in ("", "-s 192.0.2.0/24 "))
    assert of_rules(anybody, somebody, *RATE) == "differs"
    assert of_rules(anybody, ["-A INPUT -p udp -m udp --dport 53 -j DROP", *anybody], *RATE) == "equal"


def test_a_rate_that_others_use_up_too_is_another_rate() -> None:
    limited = "-A INPUT -p tcp -m limit --limit 5/min -j ACCEPT"
    assert of_rules([limited], ["-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", limited], *RATE) == "differs"
    assert of_rules([limited], ["-A INPUT -p udp -m udp --dport 80 -j DROP", limited], *RATE) == "equal"
    assert of_rules([limited], [limited, limited], *RATE) == "wider"


def test_a_set_without_a_dump_is_the_same_set_unless_rules_change_it() -> None:
    known = "-A INPUT -m set --match-set friends src -j ACCEPT"
    adding = "-A INPUT {}-p udp -m udp --dport 9 -j SET --add-set friends src"
    assert of_rules([known], ["-A INPUT -j one", f"-A one {known[9:]}"]) == "equal"
    assert of_rules([adding.format(""), known], [adding.format("-s 192.0.2.0/24 "), known]) == "differs"
    assert of_rules([known], [known.replace("friends", "enemies")]) == "differs"


def test_a_packet_that_a_rule_has_changed_does_not_look_as_it_came() -> None:
    tested = "-A INPUT -m dscp --dscp 0x0a -j ACCEPT"
    marked = table("mangle", "-A PREROUTING -j DSCP --set-dscp 0x0a")
    assert verdict(text([tested]), text([tested], marked)) != "equal"
    assert (
        verdict(text([tested], marked), text(["-A INPUT -j one", f"-A one {tested[9:]}"], marked)) == "equal"
    )


def test_a_mark_is_worth_what_the_rules_before_it_are() -> None:
    tested = "-A INPUT -m mark --mark 0x1 -j ACCEPT"
    one, two = (table("mangle", f"-A PREROUTING {each} -j MARK --set-mark 0x1") for each in (A, B))
    assert verdict(text([tested], one), text([tested], two)) == "differs"
    assert verdict(text([tested], one), text(["-A INPUT -j a", f"-A a {tested[9:]}"], one)) == "equal"


def test_a_port_that_nat_leads_to_is_judged_by_its_ways() -> None:
    one, two = (
        table("nat", f"-A PREROUTING -p tcp -m tcp --dport {p} -j REDIRECT --to-ports 8080") for p in (80, 81)
    )
    rules = ["-A INPUT -i eth0 -p tcp -m tcp --dport 8080 -j ACCEPT"]
    said_otherwise = ["-A INPUT -i eth0 -j a", "-A a -p tcp -m tcp --dport 8080 -j ACCEPT"]
    assert verdict(text(rules, one), text(said_otherwise, one)) == "equal"
    assert verdict(text(rules, one), text([*said_otherwise, f"-A INPUT -i eth0 {A} -j DROP"], one)) == "equal"
    assert verdict(text(rules, one), text([f"-A INPUT -i eth0 {A} -j DROP", *rules], one)) == "narrower"
    assert verdict(text(rules, one), text(rules, two)) == "differs"


def test_an_assumption_about_a_line_of_one_file_tells_equal_texts_apart() -> None:
    rules = text([f"-A INPUT {A} -j ACCEPT"])
    assert verdict(rules, rules) == "equal"
    assert verdict(rules, rules, "rule:before.v4:3=match") == "narrower"


def test_many_open_rules_in_another_order_are_compared_in_bounded_time() -> None:
    rules = [
        f"-A INPUT -p tcp {TEXT.format(f't{number}')} -j {('ACCEPT', 'DROP')[number % 2]}"
        for number in range(60)
    ]
    assert of_rules(rules, [rules[1], rules[0], *rules[2:]]) == "narrower"
    accepted = [rule.replace("DROP", "ACCEPT") for rule in rules]
    assert of_rules(accepted, accepted[::-1]) == "equal"
