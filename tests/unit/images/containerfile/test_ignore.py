"""Which files of a context are left out."""

import pytest

from engine.images.containerfile.ignore import BadPattern, Pattern, Rules


def left_out(patterns: str, *paths: str) -> list[str]:
    rules = Rules.parse(patterns, ".dockerignore")
    return [path for path in paths if rules.leave_out(tuple(path.encode().split(b"/")))]


@pytest.mark.parametrize(
    ("patterns", "out", "kept"),
    [
        ("# a comment\n\n  a  ", ["a", "a/b/c"], ["b", "b/a", "ab"]),
        ("/a\n./b/\n", ["a", "b/x"], ["c"]),
        ("*.o", ["x.o", ".o"], ["d/x.o"]),
        ("**/*.o", ["x.o", "d/e/x.o"], ["x.oo"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["a", "z", "b/z"]),
        ("a/**", ["a/b", "a", "a/b/c"], ["b"]),
        ("*\n!keep\n!d/keep", ["x", "d/x", "d"], ["keep", "keep/y", "d/keep"]),
        ("d\n!d/keep\nd/keep/not", ["d/x", "d/keep/not"], ["d/keep/x"]),
        ("[a-c]?\n[^x]y", ["b1", "zy"], ["d1", "xy", "b"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("node_modules", ["node_modules/x/y"], ["src/node_modules"]),
    ],
)
def test_patterns(patterns: str, out: list[str], kept: list[str]) -> None:
    assert left_out(patterns, *out, *kept) == out


def test_names_that_are_no_text_have_patterns_too() -> None:
    rules = Rules.parse(b"a\xff*".decode(errors="surrogateescape"), "x")
    assert rules.leave_out((b"a\xffb",))
    assert not rules.leave_out((b"a\xfe",))


def test_a_pattern_that_means_nothing_is_told_with_its_line() -> None:
    with pytest.raises(BadPattern, match=r"\.dockerignore:3: pattern 'a\[': this \[ has no \]"):
        Rules.parse("x\n# y\na[", ".dockerignore")
    with pytest.raises(BadPattern, match="z-a"):
        Pattern.parse("[z-a]")


def test_many_stars_take_no_time() -> None:
    assert left_out("**/" * 30 + "b", "a/" * 60 + "a") == []
