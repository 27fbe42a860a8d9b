"""Messages of the channel protocols, theirs and ours."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stream import channel
from engine.stream.channel import Channel
from engine.stream.socket import ProtocolError
from engine.types.status import BadRequest, StatusError


@given(st.sampled_from(Channel), st.binary())
def test_a_frame_is_read_as_it_was_written(name: Channel, data: bytes) -> None:
    message = channel.frame(name, data)
    assert message[0] == name
    assert channel.parse(message) == (name, data)


@given(st.binary(max_size=40))
def test_any_message_is_read_or_refused(message: bytes) -> None:
    try:
        name, data = channel.parse(message)
    except ProtocolError:
        assert not message or message[0] not in set(Channel)
    else:
        assert channel.frame(name, data) == message


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_sizes(columns: int, rows: int) -> None:
    assert channel.read_size(channel.size(columns, rows)) == (columns, rows)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"Width": -1}', b'{"Height": 65536}', b'{"Width": "1"}']
)
def test_sizes_that_are_none(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        channel.read_size(data)


@given(st.integers(1, 255))
def test_an_exit_code_travels_as_kubernetes_sends_it(code: int) -> None:
    data = channel.outcome(code)
    status = json.loads(data)
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": str(code)}]
    assert channel.read_outcome(data) == code


@pytest.mark.parametrize("code", [0, None])
def test_success(code: int | None) -> None:
    assert json.loads(channel.outcome(code))["status"] == "Success"
    assert channel.read_outcome(channel.outcome(code)) == 0


def test_a_failure_is_raised_at_the_other_end() -> None:
    with pytest.raises(BadRequest, match="no such thing"):
        channel.read_outcome(channel.failure(BadRequest("no such thing")))


KEYS = st.sampled_from(["status", "reason", "details", "causes", "message"])
VALUES = st.none() | st.integers() | st.sampled_from(["Failure", "NonZeroExitCode", "ExitCode"])
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=60) | DOCUMENTS.map(lambda value: json.dumps(value).encode()))
def test_any_outcome_is_read_or_refused(data: bytes) -> None:
    try:
        channel.read_outcome(data)
    except (ProtocolError, StatusError):
        pass
