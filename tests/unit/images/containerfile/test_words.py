"""Variables and quotes, told apart from what a shell makes of the same words."""

import fnmatch
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images.containerfile.words import (
    LENGTH_MAX,
    Word,
    WordError,
    expand,
    expand_document,
    split,
)

ENV = {"a": "value", "empty": "", "path": "/usr/local/lib/x.tar.gz", "star": "a*b"}


def value(text: str, escape: str = "\\") -> str:
    return expand(Word(text, 0), ENV.get, escape)


@pytest.mark.parametrize(
    "text",
    [
        "$a", "${a}", "x${a}y", "$a$a", "${none}", "${none:-else}", "${empty:-else}",
        "${empty-else}", "${a:-else}", "${a:+then}", "${empty:+then}", "${empty+then}",
        "${none+then}", "'$a'", '"$a"', '"\\$a"', "\\$a", '"a\\b"', "a\\bc", "'it'\"s\"",
        "${none:-${a}}", "${none:-'q'}", '${none:-"$a"}', "${path#*/}", "${path##*/}",
        "${path%.*}", "${path%%.*}", "${path#nothing}", "${a%?}", "${a#va}", "${none#x}",
        "${path%/*/*}", "${star#a\\*}", "a'b'c\"d\"",
    ],
)  # fmt: skip
def test_words_mean_what_they_mean_in_a_shell(text: str) -> None:
    shell = shutil.which("dash") or "/bin/sh"
    command = [shell, "-fc", f"IFS=; printf %s {text}"]
    ran = subprocess.run(command, env=ENV, capture_output=True, text=True, check=True)
    assert value(text) == ran.stdout


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("${path/local/share}", "/usr/share/lib/x.tar.gz"),
        ("${path//l/L}", "/usr/LocaL/Lib/x.tar.gz"),
        ("${path/l*b/}", "/usr//x.tar.gz"),
        ("${path//[/x}", "/usr/local/lib/x.tar.gz"),
        ("${a:?why}", "value"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$1x", "x"),
    ],
)
def test_what_a_shell_has_not(text: str, meaning: str) -> None:
    assert value(text) == meaning


@pytest.mark.parametrize(
    ("text", "offset", "reason"),
    [
        ("ab${x", 2, "has no }"),
        ("${}", 2, "a variable's name"),
        ("${a!x}", 3, "'!' is no modifier"),
        ("${a:x}", 4, "is no modifier"),
        ("x'y", 1, "has no partner"),
        ('x"y$a', 1, "has no partner"),
        ("${none:?give it}", 0, "none: give it"),
        ("${a:-" * 40 + "x" + "}" * 40, 0, ""),
    ],
)
def test_what_is_wrong_is_told_with_its_character(text: str, offset: int, reason: str) -> None:
    if not reason:
        text, reason = text.replace("a:-", "b:-"), "more than 32 variables"
        offset = 5 * 32
    with pytest.raises(WordError, match=reason.replace("}", "\\}").replace("!", "\\!")) as caught:
        value(text)
    assert caught.value.offset == offset


def test_a_value_cannot_grow_without_end() -> None:
    big = {"x": "y" * 1000}
    assert len(expand(Word("$x" * 100, 0), big.get, "\\")) == 100_000
    for text in ("$x" * 200, "${x//y/$x}", "${none:-" + "$x" * 200 + "}"):
        with pytest.raises(WordError, match=f"more than {LENGTH_MAX}"):
            expand(Word(text, 0), big.get, "\\")
    with pytest.raises(WordError, match="at most 4096"):
        expand(Word("${x#y}", 0), {"x": "y" * 5000}.get, "\\")


def test_documents_keep_their_quotes() -> None:
    text = "\"$a\" '$a' \\$a \\n ${none:-x}\n"
    assert expand_document(text, ENV.get, "\\") == "\"value\" 'value' $a \\n x\n"


def test_words_part_at_blanks_outside_quotes() -> None:
    assert split("a  'b c'\t\"d \\\" e\" f\\ g", "\\", 5) == [
        Word("a", 5), Word("'b c'", 8), Word('"d \\" e"', 14), Word("f\\ g", 23),
    ]  # fmt: skip


@given(st.text(alphabet="ab$\\{}'\"-:+#%/*? ", max_size=40))
def test_any_word_has_a_value_or_an_error_within_it(text: str) -> None:
    offset = 0
    try:
        value(text)
        split(text, "\\")
    except WordError as error:
        offset = error.offset
    assert 0 <= offset <= len(text)


@given(st.text(alphabet="ab.", max_size=12), st.text(alphabet="ab.*?", max_size=6))
def test_prefixes_and_suffixes_as_a_shell_cuts_them(text: str, pattern: str) -> None:
    matches = [
        n for n in range(len(text) + 1) if re.fullmatch(fnmatch.translate(pattern), text[:n])
    ]
    for operator, length in (("#", matches[:1]), ("##", matches[-1:])):
        expected = text[length[0] :] if length else text
        assert expand(Word(f"${{v{operator}{pattern}}}", 0), {"v": text}.get, "\\") == expected
