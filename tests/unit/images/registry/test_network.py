"""Addresses, and what is set about registries and proxies."""

import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.images.registry.errors import BadAnswer, BadSettings, Unreachable
from engine.images.registry.http import Request
from engine.images.registry.network import Network, Origin, Proxy, Url
from tests.unit.images.registry.conftest import World


def settings(folder: Path, text: str) -> Network:
    (folder / "registries.toml").write_text(text)
    return Network.read(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://h/a?b=c", "https://h/a?b=c"),
        ("http://h:80", "http://h/"),
        ("https://h:80/", "https://h:80/"),
        ("https://[::1]:5000/x", "https://[::1]:5000/x"),
        ("https://H/x#part", "https://h/x"),
    ],
)
def test_addresses(text: str, found: str) -> None:
    assert str(Url.parse(text)) == found


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("/b?c", "https://h:1/b?c"),
        ("b", "https://h:1/x/b"),
        ("//other/b", "https://other/b"),
        ("http://other/b", "http://other/b"),
        ("?c", "https://h:1/x/?c"),
    ],
)
def test_relative_addresses(location: str, found: str) -> None:
    assert str(Url.parse(location, Url.parse("https://h:1/x/y?z"))) == found


@pytest.mark.parametrize(
    "text",
    ["", "/x", "ftp://h/", "file:///x", "http://", "http://u@h/", "http://h:x/", "http://h:99999/",
     "http://h/a b", "http://h/\r\nX: y", "http://h/\u20ac", "http://[::1/", "http://\u0130/"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAnswer, match="address"):
        Url.parse(text)


def test_docker_hub_lives_elsewhere() -> None:
    (endpoint,) = Network().endpoints("docker.io")
    assert list(map(str, endpoint.origins)) == ["https://registry-1.docker.io"]


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "127.8.8.8"])
def test_this_machine_may_speak_plainly(host: str) -> None:
    https, http = map(str, Network().endpoint(host).origins)
    assert (https, http) == (f"https://{host}", f"http://{host}")


def test_others_may_not() -> None:
    for host in ("h.example", "128.0.0.1:5000", "localhost.example", "127.0.0.1.example"):
        assert [o.scheme for o in Network().endpoint(host).origins] == ["https"]
        context = Network().context(Origin("https", host, 443))
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_settings(tmp_path: Path) -> None:
    network = settings(
        tmp_path,
        """
        [registry."docker.io"]
        mirrors = ["https://m.example", "http://n.example:5000"]
        [registry."lan:5000"]
        insecure = true
        """,
    )
    hosts = [endpoint.host for endpoint in network.endpoints("docker.io")]
    assert hosts == ["m.example", "n.example:5000", "docker.io"]
    assert [o.scheme for o in network.endpoint("lan:5000").origins] == ["https", "http"]
    assert network.context(Origin("https", "lan", 5000)).verify_mode is ssl.CERT_NONE
    assert Network.read(tmp_path / "nowhere").registries == {}


@pytest.mark.parametrize(
    "text",
    ["x", "[registry]\nx = 1", '[registry."a"]\nmirror = []', '[registry."a"]\ninsecure = "no"'],
)
def test_settings_that_are_not_understood(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"registries\.toml: "):
        settings(tmp_path, text)


def test_a_mirror_and_certificates_that_are_none(tmp_path: Path) -> None:
    network = settings(tmp_path, '[registry."a"]\nmirrors = ["m"]\nca = "gone.pem"')
    with pytest.raises(BadSettings, match="mirror of a"):
        network.endpoints("a")
    with pytest.raises(BadSettings, match=r"certificates of a: .*No such file"):
        network.context(Origin("https", "a", 443))


HTTPS = Origin("https", "h.example", 443)


@pytest.mark.parametrize(
    ("proxies", "proxy"),
    [
        ({}, None),
        ({"https": "http://p:3128"}, Proxy("p", 3128, "")),
        ({"https": "p:3128"}, Proxy("p", 3128, "")),
        ({"all": "http://u:p%40@p"}, Proxy("p", 80, "u:p@")),
        ({"http": "http://p:3128"}, None),
        ({"https": "http://p", "no": "x, .example"}, None),
        ({"https": "http://p", "no": "h.example"}, None),
        ({"https": "http://p", "no": "*"}, None),
        ({"https": "http://p", "no": "le,xample,"}, Proxy("p", 80, "")),
    ],
)
def test_proxies(proxies: dict[str, str], proxy: Proxy | None) -> None:
    assert Network(proxies=proxies).proxy(HTTPS) == proxy


def test_no_proxy_for_networks_and_this_machine() -> None:
    network = Network(proxies={"https": "http://p", "no": "10.0.0.0/8"})
    assert network.proxy(Origin("https", "10.1.2.3", 443)) is None
    assert network.proxy(Origin("https", "11.1.2.3", 443)) is not None
    assert network.proxy(Origin("https", "localhost", 443)) is None
    with pytest.raises(BadSettings, match="no http proxy"):
        Network(proxies={"https": "socks5://p"}).proxy(HTTPS)


def test_a_proxy_is_asked(world: World) -> None:
    """Plain http by a whole address, https through a tunnel that is asked for by name."""
    asked: list[bytes] = []

    def serve(server: socket.socket) -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        address = f"http://u:p@127.0.0.1:{server.getsockname()[1]}"
        network = Network(proxies={"http": address, "https": address})
        session = replace(world.session, network=network)
        with session.http() as http:
            with pytest.raises(Unreachable, match="the proxy says 407 Who are you"):
                http.send(Request("GET", Url.parse("https://h.example/v2/"), {}))
            with http.send(Request("GET", Url.parse("http://h.example/v2/"), {})) as answer:
                assert answer.status == 407
        thread.join()
    assert asked[0].startswith(b"CONNECT h.example:443 HTTP/1.1\r\n")
    assert asked[1].startswith(b"GET http://h.example/v2/ HTTP/1.1\r\nHost: h.example\r\n")
    assert all(b"Proxy-Authorization: Basic dTpw\r\n" in each for each in asked)
