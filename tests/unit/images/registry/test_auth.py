"""Who one is: challenges, tokens, passwords, and what is sent to whom."""

import pytest

from engine.images.registry.auth import Challenge, challenges
from engine.images.registry.errors import Denied
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import Handler, Seen

ONE, TWO = b"one" * 1000, b"two" * 1000


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Basic realm="a b"'], [("basic", {"realm": "a b"})]),
        (["bearer REALM=x"], [("bearer", {"realm": "x"})]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'],
            [
                (
                    "bearer",
                    {"realm": "https://a/t", "service": "s", "scope": "repository:x:pull,push"},
                )
            ],
        ),
        (['Bearer realm="a\\"b"'], [("bearer", {"realm": 'a"b'})]),
        (["Negotiate, Basic realm=r"], [("negotiate", {}), ("basic", {"realm": "r"})]),
        (["Negotiate", 'Basic realm="r"'], [("negotiate", {}), ("basic", {"realm": "r"})]),
        (['Bearer realm="one", realm="two"'], [("bearer", {"realm": "one"})]),
        ([""], []),
        (["=,"], []),
    ],
)
def test_challenges(headers: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    assert challenges(headers) == [Challenge(*each) for each in found]


def token_requests(world: World) -> list[Seen]:
    return [seen for seen in world.registry.seen if seen.path.startswith("/token")]


def test_a_token_is_got_once(world: World) -> None:
    world.registry.auth = "token"
    world.registry.image([ONE, TWO])
    world.pull()
    (asked,) = token_requests(world)
    assert asked.path == "/token?service=s&scope=repository%3Ax%3Apull"
    assert "authorization" not in asked.headers


def test_a_token_that_expires_is_got_again(world: World) -> None:
    world.registry.auth, world.registry.lifetime = "token", 10
    world.clock.step = 3.0
    world.registry.image([ONE, TWO])
    world.pull()
    assert len(token_requests(world)) > 1


def test_a_token_that_is_refused_early_is_got_again(world: World) -> None:
    world.registry.auth = "token"
    world.registry.image([ONE])

    def forget(handler: Handler) -> None:
        world.registry.expired = world.registry.tokens
        handler.reply(401, WWW_Authenticate=f'Bearer realm="http://{world.registry.host}/token"')

    world.registry.on("GET", "blobs/", forget, times=1)
    world.pull()
    assert len(token_requests(world)) == 2


def test_a_password_goes_to_the_token_server(world: World) -> None:
    world.registry.auth = "token"
    world.login(username="u", password="p")
    world.registry.image([ONE])
    world.pull()
    (asked,) = token_requests(world)
    assert asked.headers["authorization"] == "Basic dTpw"


@pytest.mark.parametrize("missing", [0, 404, 405])
def test_an_identity_token_is_exchanged(world: World, missing: int) -> None:
    world.registry.auth = "token"
    world.login(auth="dTpw", identitytoken="i" if not missing else "p")
    if missing:
        world.registry.on("POST", "/token", lambda h: h.reply(missing))
    world.registry.image([ONE])
    world.pull()
    posted, *got = token_requests(world)
    assert (posted.method, "authorization" in posted.headers) == ("POST", False)
    assert [seen.method for seen in got] == (["GET"] if missing else [])


def test_basic_credentials(world: World) -> None:
    world.registry.auth = "basic"
    world.login(auth="dTpw")
    world.registry.image([ONE, TWO])
    world.pull()
    refused = [s for s in world.registry.asked("GET", "x/") if "authorization" not in s.headers]
    assert len(refused) == 1  # from then on they are sent at once


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_wrong_credentials_are_refused(world: World, auth: str) -> None:
    world.registry.auth = auth
    world.login(username="u", password="wrong")
    world.registry.image([ONE])
    with pytest.raises(Denied, match=r"(refuses access .with|denies access with) credentials"):
        world.pull()


def test_no_credentials_where_some_are_needed(world: World) -> None:
    world.registry.auth = "basic"
    world.registry.image([ONE])
    with pytest.raises(Denied, match="asks for a name and a password"):
        world.pull()


def test_credentials_of_others_are_not_sent(world: World) -> None:
    world.registry.auth = "basic"
    world.login("elsewhere.example", username="u", password="p")
    world.registry.image([ONE])
    with pytest.raises(Denied):
        world.pull()
    assert all("authorization" not in seen.headers for seen in world.registry.seen)
