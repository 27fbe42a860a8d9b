"""Containerfiles become instructions; what is wrong is told with its line and a caret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images.containerfile.instructions import Instruction, parse
from engine.images.containerfile.problem import ContainerfileError
from engine.images.containerfile.scanner import SIZE_MAX


def read(text: str) -> list[Instruction]:
    return parse(text.encode(), "Containerfile")


def one(text: str) -> Instruction:
    (instruction,) = read(text)
    return instruction


def words(instruction: Instruction) -> list[str]:
    return [word.text for word in instruction.words]


def test_continued_lines_comments_and_blank_lines_between_them() -> None:
    text = "# a comment\n\n  run  make \\\n# inside\n   all && \\ \n\n done\nCMD x"
    run, cmd = read(text)
    assert (run.name, words(run)) == ("RUN", ["make    all &&  done"])
    assert words(cmd) == ["x"]
    place = run.statement.place(run.statement.text.index("done"))
    assert (place.line, place.column) == (7, 2)


def test_the_escape_directive_counts_only_at_the_top_and_once() -> None:
    windows = read("# syntax=docker/dockerfile:1\n# escape=`\nRUN a `\n b\nENV x=`$y")
    assert words(windows[0]) == ["a  b"]
    assert windows[1].expand(windows[1].pairs[0][1], {"y": "Y"}.get) == "$y"  # type: ignore[arg-type]
    assert words(one("# a comment\n# escape=`\nRUN a \\\n b")) == ["a  b"]
    with pytest.raises(ContainerfileError, match="given twice"):
        read("# escape=`\n# escape=`\nRUN x")


def test_here_documents_keep_their_bodies() -> None:
    text = (
        "RUN <<EOF cat > /x && cat <<-'B' >> /x\n# no comment\n\\\nEOF\n\tindented $x\n\tB\n"
        'COPY <<"a.txt" <<b.txt /etc/\n$literal\na.txt\n$expanded\nb.txt\n'
        "RUN echo \"<<not\" '<<not' 3<<<no <<\nCMD x"
    )
    run, copy, plain, _ = read(text)
    assert [(h.name, h.body, h.expands) for h in run.heredocs] == [
        ("EOF", "# no comment\n\\\n", True),
        ("B", "indented $x\n", False),
    ]
    assert [(h.name, h.expands) for h in copy.heredocs] == [("a.txt", False), ("b.txt", True)]
    assert plain.heredocs == ()
    inner = one("ONBUILD RUN <<E\nx\nE")
    assert inner.inner is not None
    assert inner.heredocs[0].body == "x\n"


def test_flags_forms_and_pairs() -> None:
    copy = one('COPY --from=a --chown=1:2 --exclude=*.o --exclude=b ["a b", "/c"]')
    assert copy.exec
    assert words(copy) == ["a b", "/c"]
    assert {name: [w.text for w in found] for name, found in copy.flags.items()} == {
        "from": ["a"], "chown": ["1:2"], "exclude": ["*.o", "b"],
    }  # fmt: skip
    assert words(one("RUN [ -f /x ] && echo")) == ["[ -f /x ] && echo"]
    assert one("CMD []").words == ()
    assert one("COPY --link a b").flag("link") is not None
    pairs = one("ENV a=b \"c d\"='e f' g=h\\ i").pairs
    assert [(k.text, v.text) for k, v in pairs if v] == [
        ("a", "b"), ('"c d"', "'e f'"), ("g", "h\\ i"),
    ]  # fmt: skip
    assert [(k.text, v and v.text) for k, v in one("ENV name  all the rest ").pairs] == [
        ("name", "all the rest")
    ]
    assert [(k.text, v and v.text) for k, v in one("ARG a b=c").pairs] == [("a", None), ("b", "c")]


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("FROM x\nCOPPY a b", 2, 1, "unknown instruction COPPY (did you mean COPY?)"),
        ("FROM x\nCOPY --chwn=1 a b", 2, 6, "unknown flag --chwn (did you mean chown?)"),
        ("FROM x\nCOPY \\\n  --chown=1 --chown=2 a b", 3, 13, "--chown is given twice"),
        ("COPY --from a b", 1, 6, "--from needs a value"),
        ("RUN a <<EOF \\\n b\nx", 1, 7, "here-document 'EOF': no line 'EOF' ends it"),
        ("ENV a='b", 1, 7, "this ' has no partner"),
        ("ENV a=b c", 1, 9, "'c' is not NAME=VALUE"),
        ("ENV a", 1, 6, "ENV a: needs a value"),
        ("FROM x y z", 1, 8, "only `AS name` is expected"),
        ("FROM a\n\nONBUILD FROM x", 3, 9, "ONBUILD FROM is not allowed"),
        ("ONBUILD ONBUILD RUN x", 1, 9, "ONBUILD ONBUILD is not allowed"),
        ("ONBUILD", 1, 8, "an instruction must follow"),
        ('SHELL /bin/sh', 1, 7, "SHELL: a JSON list"),
        ("COPY a", 1, 7, "COPY: at least 2 arguments"),
        ("EXPOSE", 1, 7, "EXPOSE: at least 1 arguments"),
        ("HEALTHCHECK --retries=3 curl", 1, 25, "NONE, or CMD and a command"),
        ("  !x", 1, 3, "an instruction's name is expected here"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_place(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(ContainerfileError) as caught:
        read(text)
    place = caught.value.place
    assert (place.line, place.column) == (line, column), caught.value
    assert reason in caught.value.reason
    source = text.split("\n")[line - 1]
    caret = str(caught.value).split("\n")[-1]
    assert f"  {line} | {source}" in str(caught.value)
    assert caret.index("^") == len(f"  {line} | ") + column - 1


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    for data, line, reason in (
        (b"FROM x\nRUN \xff", 2, "not UTF-8"),
        (b"FROM x\n\nRUN \0", 3, "NUL"),
        (b"#" * (SIZE_MAX + 1), 1, "the limit is"),
    ):
        with pytest.raises(ContainerfileError, match=reason) as caught:
            parse(data, "C")
        assert caught.value.place.line == line
    assert parse("\ufeffFROM x\r\nCMD y\r\n".encode(), "C")[1].words[0].text == "y"


_PIECES = st.sampled_from(
    ["FROM a", "RUN ", "COPY ", "ENV ", "ONBUILD ", "HEALTHCHECK ", "--from=", "--", "<<EOF", "EOF",
     "\n", "\\", "`", "'", '"', "$", "${", "}", ":-", "[", "]", ",", "=", " ", "\t", "#", "x", "é"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_understood_or_refused_with_a_place_in_it(text: str) -> None:
    lines = text.split("\n")
    refused = None
    try:
        for instruction in read(text):
            for offset in range(len(instruction.statement.text) + 1):
                place = instruction.statement.place(offset)
                assert 1 <= place.line <= len(lines)
            for word in instruction.words:
                instruction.expand(word, {"x": "$x"}.get)
    except ContainerfileError as error:
        refused = error.place
    if refused is not None:
        assert 1 <= refused.line <= len(lines)
        assert 1 <= refused.column <= len(refused.source) + 1
