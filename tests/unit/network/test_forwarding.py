"""Notes about the host's settings: read as they were written, whoever wrote them."""

from engine.network import forwarding


def test_a_note_is_copied_from_whoever_came_first() -> None:
    texts = ["", "wlan0 forwarding was 1", "eth0 forwarding was 0; wlan0 forwarding was 1"]
    assert forwarding.note("eth0", texts) == "eth0 forwarding was 0"
    assert forwarding.note("wlan0", texts) == "wlan0 forwarding was 1"


def test_without_a_note_the_setting_is_read() -> None:
    assert forwarding.note("lo", ["loud forwarding was 1"]) in (
        "lo forwarding was 0",
        "lo forwarding was 1",
    )


def test_notes_are_added_once() -> None:
    text = forwarding.add("", "eth0 forwarding was 0")
    text = forwarding.add(text, "eth0 forwarding was 0")
    assert text == "eth0 forwarding was 0"
    assert forwarding.add(text, "tun0 forwarding was 1") == f"{text}; tun0 forwarding was 1"
