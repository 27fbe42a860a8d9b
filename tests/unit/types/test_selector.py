"""Label selectors select what Kubernetes' select."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.types import selector
from engine.types.meta import LabelSelector, LabelSelectorRequirement
from engine.types.selector import InvalidSelector, Requirement, Selector

WEB = {"app": "web", "tier": "front", "rank": "7"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("none!=db", True),
        ("app", True),
        ("!app", False),
        ("none", False),
        ("! none", True),
        ("app in (web,db)", True),
        ("app in(db)", False),
        ("none in (a)", False),
        ("app notin (db, cache)", True),
        ("none notin (a)", True),
        ("rank>6", True),
        ("rank > 7", False),
        ("rank<8", True),
        ("app>1", False),
        ("app=web,tier=front", True),
        (" app = web , tier != back ", True),
        ("app=web,tier=back", False),
        ("app=", False),
        ("app==", False),
        ("app!=", True),
        ("app in (,web)", True),
        ("in=web", False),
    ],
)
def test_text(text: str, selected: bool) -> None:
    assert selector.parse(text).matches(WEB) is selected


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "app,",
        ",app",
        "a=b=c",
        "app in",
        "app in web",
        "app in ()x",
        "app in (web",
        "!",
        "!app=web",
        "app notin",
        "app ~ web",
        "app=-web",
        "-app=web",
        "app=" + "x" * 64,
        "/app=web",
        "Upper/app=web",
        "app>web",
        "(app)",
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(InvalidSelector):
        selector.parse(text)


def test_objects() -> None:
    term = LabelSelectorRequirement
    assert not selector.of(None).matches({})
    assert selector.of(LabelSelector()).matches({})
    both = LabelSelector(
        match_labels={"app": "web"},
        match_expressions=[
            term(key="tier", operator="NotIn", values=["back"]),
            term(key="rank", operator="Exists"),
            term(key="old", operator="DoesNotExist"),
        ],
    )
    assert selector.of(both).matches(WEB)
    assert not selector.of(both).matches({**WEB, "old": ""})
    assert str(selector.of(both)) == "app=web,!old,rank,tier!=back"
    for broken in (
        term(key="a", operator="in", values=["b"]),
        term(key="a", operator="In"),
        term(key="a", operator="Exists", values=["b"]),
        term(key="", operator="Exists"),
    ):
        with pytest.raises(InvalidSelector):
            selector.of(LabelSelector(match_expressions=[broken]))


word = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,5}[A-Za-z0-9])?", fullmatch=True)
terms = st.one_of(
    st.builds(lambda k, v: Requirement(k, "In", tuple(sorted(v))), word, st.sets(word, min_size=1)),
    st.builds(
        lambda k, v: Requirement(k, "NotIn", tuple(sorted(v))), word, st.sets(word, min_size=1)
    ),
    st.builds(lambda k: Requirement(k, "Exists"), word),
    st.builds(lambda k: Requirement(k, "DoesNotExist"), word),
    st.builds(lambda k, v: Requirement(k, "Gt", (str(v),)), word, st.integers(0, 99)),
)


@given(st.lists(terms, max_size=4))
def test_text_is_read_back(requirements: list[Requirement]) -> None:
    ordered = Selector(tuple(sorted(requirements, key=lambda term: term.key)))
    assert selector.parse(str(ordered)) == ordered


@given(st.text(max_size=12))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        selector.parse(text)
    except InvalidSelector:
        pass


@pytest.mark.parametrize("key", ["app", "a.b/c_d", "x" * 63])
def test_label_keys(key: str) -> None:
    assert selector.label_key_fault(key) is None


@pytest.mark.parametrize("key", ["", "/a", "a/", "a/b/c", "x" * 64, "-a", "a b", "é", "a\n"])
def test_what_is_no_label_key(key: str) -> None:
    assert selector.label_key_fault(key)


def test_label_values() -> None:
    assert selector.label_value_fault("") is None
    assert selector.label_value_fault("a-b_c.d") is None
    for value in ("-a", "a ", "x" * 64, "a\n", "ü"):
        assert selector.label_value_fault(value)
