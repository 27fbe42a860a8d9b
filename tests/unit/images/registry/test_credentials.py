"""Where credentials are found, and which of them is meant."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.images.registry.credentials import Credential, Keychain
from engine.images.registry.errors import BadSettings


def keychain(**file: Any) -> Keychain:
    return Keychain([("file", json.dumps(file).encode())])


def auths(**keys: str) -> Keychain:
    return keychain(auths={key: {"username": name, "password": "p"} for key, name in keys.items()})


@pytest.mark.parametrize(
    ("key", "host", "path"),
    [
        ("https://index.docker.io/v1/", "docker.io", "library/debian"),
        ("docker.io", "docker.io", "me/mine"),
        ("index.docker.io", "docker.io", "me/mine"),
        ("https://r.example:5000/v2/", "r.example:5000", "x"),
        ("r.example/team", "r.example", "team/app"),
        ("r.example/team/app", "r.example", "team/app"),
        ("*.example", "r.example", "x"),
        ("*.dkr.*.example", "1.dkr.eu.example", "x"),
        ("http://[::1]:5000", "[::1]:5000", "x"),
    ],
)
def test_a_key_means_a_repository(key: str, host: str, path: str) -> None:
    assert auths(**{key: "u"}).find(host, path) == Credential("u", "p")


@pytest.mark.parametrize(
    ("key", "host", "path"),
    [
        ("r.example", "r.example:5000", "x"),
        ("r.example", "evil-r.example", "x"),
        ("r.example", "r.example.evil", "x"),
        ("r.example/team", "r.example", "teams/app"),
        ("*.example", "a.b.example", "x"),
        ("*", "r.example", "x"),
        ("https://index.docker.io/v1/", "quay.io", "x"),
    ],
)
def test_a_key_means_nobody_else(key: str, host: str, path: str) -> None:
    assert auths(**{key: "u"}).find(host, path) is None


def test_the_most_particular_key_wins() -> None:
    found = auths(**{"r.example": "all", "r.example/a": "team", "r.example/a/b": "one"})
    names = [found.find("r.example", path) for path in ("a/b", "a/c", "c")]
    assert [each.username for each in names if each] == ["one", "team", "all"]


def test_forms_of_an_entry() -> None:
    def found(**auth: str) -> Credential | None:
        return keychain(auths={"h.example": auth}).find("h.example", "x")

    assert found(auth="dTpwOnE=") == Credential("u", "p:q")
    assert found(auth="dTpw", identitytoken="i") == Credential("u", "", "i")
    assert found() is None  # what docker leaves when a helper has it
    for wrong in ("!", "dXA=", "/w=="):
        with pytest.raises(BadSettings, match=r"h\.example: auth must be base64"):
            found(auth=wrong)


def test_a_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Credential("u", "hidden", "hidden"))


def test_files_in_order(tmp_path: Path) -> None:
    def write(path: Path, name: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"auths": {"h.example": {"username": name, "password": "p"}}}))

    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert Keychain.of(environment).find("h.example", "x") is None
    order = [".docker/config.json", ".config/containers/auth.json", "run/containers/auth.json"]
    for place in order:
        write(tmp_path / place, place)
        found = Keychain.of(environment).find("h.example", "x")
        assert found is not None
        assert found.username == place
    write(tmp_path / "chosen", "chosen")
    chosen = Keychain.of(environment | {"REGISTRY_AUTH_FILE": str(tmp_path / "chosen")})
    assert [each.username for each in chosen.candidates("h.example", "x")] == ["chosen"]
    secret = b'{"auths": {"h.example": {"username": "secret", "password": "p"}}}'
    both = Keychain.of(environment, [("secret default/s", secret)])
    assert [each.username for each in both.candidates("h.example", "x")] == ["secret", *order[::-1]]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{"auths": []}')
    environment = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    with pytest.raises(BadSettings, match=r"auth\.json: Expected `object`"):
        Keychain.of(environment).find("h.example", "x")


HELPER = """#!/bin/sh
test "$1" = get || exit 9
read server
case $server in
https://index.docker.io/v1/) echo '{"ServerURL": "x", "Username": "hub", "Secret": "s"}';;
t.example) echo '{"Username": "<token>", "Secret": "s"}';;
n.example) echo 'credentials not found in native keychain'; exit 1;;
b.example) echo broken;;
*) echo "no keychain: $server" >&2; exit 1;;
esac
"""


def with_helper(tmp_path: Path, **file: Any) -> Keychain:
    helper = tmp_path / "docker-credential-try"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    document = json.dumps(file).encode()
    return Keychain([("file", document)], environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})


def test_helpers(tmp_path: Path) -> None:
    found = with_helper(tmp_path, credsStore="try")
    assert found.find("docker.io", "x") == Credential("hub", "s")
    assert found.find("t.example", "x") == Credential("<token>", "", "s")
    assert found.find("n.example", "x") is None
    with pytest.raises(BadSettings, match=r"docker-credential-try: no keychain: o\.example"):
        found.find("o.example", "x")
    with pytest.raises(BadSettings, match="not the answer of a helper"):
        found.find("b.example", "x")
    one = with_helper(tmp_path, credHelpers={"t.example": "try"})
    assert one.find("t.example", "x") == Credential("<token>", "", "s")
    assert one.find("docker.io", "x") is None


def test_a_helper_that_is_not_there_or_no_name(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="docker-credential-gone: not found"):
        with_helper(tmp_path, credsStore="gone").find("h.example", "x")
    with pytest.raises(BadSettings, match="not a program's name"):
        with_helper(tmp_path, credsStore="../../bin/sh").find("h.example", "x")
