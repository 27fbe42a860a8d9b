"""What instructions set in an image's config."""

from typing import Any

import pytest

from engine.images.containerfile.instructions import parse
from engine.images.containerfile.problem import ContainerfileError
from engine.images.containerfile.settings import apply, changed, environment, join


def after(text: str, settings: dict[str, Any] | None = None, *, own: bool = True) -> Any:
    result: Any = settings or {}
    for instruction in parse(text.encode(), "C"):
        result = apply(result, instruction, environment(result).get, cmd_is_own=own)
    return result


def test_every_instruction_that_sets_something() -> None:
    settings = after(
        'ENV A=1 B="two words" PATH=/x:$PATH\nENV A=$A$A\nLABEL a=b "c.d"=$A\n'
        'EXPOSE 80 53/udp 9-10\nVOLUME /data "$A"\nWORKDIR a\nWORKDIR ../b\nUSER u:g\n'
        'STOPSIGNAL SIGQUIT\nSHELL ["bash","-c"]\n'
        'CMD run me\nHEALTHCHECK --interval=1m30s --retries=3 CMD curl x\nONBUILD RUN <<E\nx\nE\n'
        "ONBUILD COPY a b\n",
        {"Env": ["PATH=/bin"]},
    )  # fmt: skip
    assert settings == {
        "Env": ["PATH=/x:/bin", "A=11", "B=two words"],
        "Labels": {"a": "b", "c.d": "11"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "9/tcp": {}, "10/tcp": {}},
        "Volumes": {"/data": {}, "/11": {}},
        "WorkingDir": "/b",
        "User": "u:g",
        "StopSignal": "SIGQUIT",
        "Shell": ["bash", "-c"],
        "Cmd": ["bash", "-c", "run me"],
        "Healthcheck": {
            "Test": ["CMD", "bash", "-c", "curl x"], "Interval": 90 * 10**9, "Retries": 3,
        },
        "OnBuild": ["RUN <<E\nx\nE", "COPY a b"],
    }  # fmt: skip
    assert after("HEALTHCHECK NONE") == {"Healthcheck": {"Test": ["NONE"]}}
    assert after("HEALTHCHECK CMD a b")["Healthcheck"] == {"Test": ["CMD-SHELL", "a b"]}


def test_an_entrypoint_drops_only_a_cmd_that_was_inherited() -> None:
    inherited = {"Cmd": ["old"]}
    assert after('ENTRYPOINT ["e"]', inherited, own=False) == {"Entrypoint": ["e"]}
    assert after('CMD ["c"]\nENTRYPOINT ["e"]', inherited) == {"Cmd": ["c"], "Entrypoint": ["e"]}
    assert after("CMD []\nENTRYPOINT []", {"Cmd": ["c"], "Entrypoint": ["e"]}) == {}


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("EXPOSE 80 99999", 11, "'99999' is no port"),
        ("EXPOSE 80/icmp", 8, "is no port"),
        ("EXPOSE 9-8", 8, "is no port"),
        ("HEALTHCHECK --interval=soon CMD x", 24, "--interval: a duration"),
        ("HEALTHCHECK --retries=x CMD x", 23, "--retries: a number"),
        ("ENV $none=x", 5, "an empty name"),
    ],
)
def test_wrong_values(text: str, column: int, reason: str) -> None:
    with pytest.raises(ContainerfileError, match=reason.replace("$", "\\$")) as caught:
        after(text)
    assert caught.value.place.column == column


def test_changes_of_an_option_are_only_settings() -> None:
    assert changed({}, ["CMD sh", "ENV A=1"])["Env"] == ["A=1"]
    for change in ("RUN x", "FROM x", "COPY a b", "ADD a b", "ARG a"):
        with pytest.raises(ContainerfileError, match="makes no setting"):
            changed({}, [change])


def test_paths_are_cleaned_by_text() -> None:
    assert [join("/a", p) for p in ("b", "/b", "../../..", "b//c/.", "")] == [
        "/a/b", "/b", "/", "/a/b/c", "/a",
    ]  # fmt: skip
