"""Verifiers against a second, naive implementation, and that quorums overlap."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from zkserver.base.members import parse_membership
from zkserver.base.properties import Given, Place
from zkserver.base.quorum import Hierarchical, Majority, QuorumVerifier, TwoConfigs, verifier_of

ids = st.integers(0, 8)
id_sets = st.frozensets(ids)


@st.composite
def layouts(draw) -> tuple[dict[int, list[int]], dict[int, int]]:
    group_of = draw(st.dictionaries(ids, st.integers(1, 3), min_size=1))
    groups: dict[int, list[int]] = {}
    for server, group in group_of.items():
        groups.setdefault(group, []).append(server)
    return groups, {server: draw(st.integers(0, 4)) for server in group_of}


def naive_hierarchical(groups, weights, observers, acks) -> bool:
    living = {g: s for g, s in groups.items() if sum(weights[x] for x in s) > 0}
    shares = [
        Fraction(sum(weights[x] for x in s if x in acks and x not in observers))
        / sum(weights[x] for x in s)
        for s in living.values()
    ]
    return len([share for share in shares if share > Fraction(1, 2)]) > Fraction(len(living), 2)


@given(st.frozensets(ids, min_size=1), id_sets)
def test_a_majority_is_more_than_half_of_the_voters(voters, acks) -> None:
    agree = [voter for voter in voters if voter in acks]
    rest = [voter for voter in voters if voter not in acks]
    assert Majority(voters).is_quorum(acks) == (len(agree) > len(rest))


@settings(max_examples=300)
@given(layouts(), id_sets, id_sets)
def test_hierarchical_is_what_the_naive_twin_says(layout, observers, acks) -> None:
    groups, weights = layout
    verifier = Hierarchical(groups, weights, observers)
    assert verifier.is_quorum(acks) == naive_hierarchical(groups, weights, observers, acks)


def quorums(verifier: QuorumVerifier) -> list[set[int]]:
    voters = verifier.voters
    subsets = [set(c) for n in range(len(voters) + 1) for c in combinations(voters, n)]
    return [subset for subset in subsets if verifier.is_quorum(subset)]


def overlap(left: list[set[int]], right: list[set[int]]) -> bool:
    return all(a & b for a in left for b in right)


@settings(max_examples=60, deadline=None)
@given(layouts(), st.frozensets(st.integers(0, 5), min_size=1))
def test_two_quorums_share_a_voter_and_both_configurations_agree(layout, others) -> None:
    current, following = Hierarchical(*layout), Majority(others)
    both = TwoConfigs(current, following)
    assert overlap(quorums(current), quorums(current))
    assert overlap(quorums(both), quorums(current))
    assert overlap(quorums(both), quorums(following))


@given(st.frozensets(ids, min_size=1), id_sets, id_sets)
def test_two_configs_are_the_conjunction(current, following, acks) -> None:
    left, right = Majority(current, version=1), Majority(following, version=2)
    both = TwoConfigs(left, right)
    assert both.is_quorum(acks) == (left.is_quorum(acks) and right.is_quorum(acks))
    assert both.voters == tuple(sorted(current | following))
    assert both.version == 1
    assert all(both.weight(x) == int(x in both.voters) for x in range(10))


def membership(*lines: str):
    pairs = [line.split("=") for line in lines]
    return parse_membership([Given(Place("zoo.cfg"), key, value) for key, value in pairs])


def test_a_membership_without_groups_is_a_majority() -> None:
    verifier = verifier_of(
        membership("server.2=b:1:2", "server.1=a:1:2", "server.3=c:1:2:observer", "version=1f")
    )
    assert isinstance(verifier, Majority)
    assert (verifier.voters, verifier.observers, verifier.version) == ((1, 2), (3,), 31)
    assert [verifier.weight(x) for x in (1, 2, 3, 4)] == [1, 1, 0, 0]
    assert not verifier.is_quorum([1, 3, 4])
    assert verifier.is_quorum([1, 2])


def test_a_membership_with_groups_is_hierarchical() -> None:
    servers = [f"server.{n}=h{n}:1:2" for n in range(1, 7)]
    verifier = verifier_of(
        membership(*servers, "server.7=o:1:2:observer", "group.1=1:2:3", "group.2=4:5:6", "weight.6=0")
    )
    assert isinstance(verifier, Hierarchical)
    assert (verifier.voters, verifier.observers) == ((1, 2, 3, 4, 5, 6), (7,))
    assert verifier.weight(6) == verifier.weight(7) == 0
    assert not verifier.is_quorum([1, 2, 3, 4, 6])
    assert verifier.is_quorum([1, 2, 4, 5])


def test_a_group_may_name_a_server_without_a_line() -> None:
    verifier = verifier_of(membership("server.1=a:1:2", "group.1=1:9", "weight.9=1"))
    assert verifier.voters == (1,)
    assert not verifier.is_quorum([1, 9])
