"""Pod + container + image -> OCI spec."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.images.accounts import Accounts
from engine.kubelet.container import Surroundings, container_spec
from engine.kubelet.downward import ConfigError
from engine.kubelet.volumes import Mountable
from engine.runtime import capabilities
from engine.runtime.spec import MOUNTS, Mount, Spec
from engine.types import codec
from engine.types.pods import Pod


class Image(msgspec.Struct, frozen=True):
    env: tuple[str, ...] = ("PATH=/image/bin", "KEEP=1")
    entrypoint: tuple[str, ...] = ("/entry",)
    cmd: tuple[str, ...] = ("cmd",)
    working_dir: str = "/srv"
    user: str = ""


ACCOUNTS = Accounts(
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:Web:/var/www:/bin/sh\nbroken\n",
    "root:x:0:\nweb:x:34:\nmail:x:8:web,other\nstaff:x:50:\n",
)


def spec(
    container: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    image: Image | None = None,
    variables: dict[str, str] | None = None,
    volumes: dict[str, Mountable] | None = None,
) -> Spec:
    made = codec.from_dict(
        Pod, {"spec": {"containers": [{"name": "main", **(container or {})}], **(pod or {})}}
    )
    around = Surroundings(
        hostname="web-1",
        environment=variables or {},
        node_memory=1 << 30,
        volumes=volumes or {},
        accounts=ACCOUNTS,
    )
    return container_spec(made, made.spec.containers[0], image or Image(), around)


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], [], ("/entry", "cmd")),
        ([], ["a"], ("/entry", "a")),
        (["c"], [], ("c",)),
        (["c", "$(X)"], ["$(X)", "$(Y)"], ("c", "1", "1", "$(Y)")),
    ],
)
def test_the_command_line(command: list[str], args: list[str], expected: tuple[str, ...]) -> None:
    found = spec({"command": command, "args": args}, variables={"X": "1"})
    assert found.process.args == expected


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="no command specified"):
        spec(image=Image(entrypoint=(), cmd=()))


def test_the_environment_lies_over_the_image_s() -> None:
    found = spec(variables={"KEEP": "2", "NEW": "x"})
    assert set(found.process.env) == {
        "PATH=/image/bin",
        "KEEP=2",
        "NEW=x",
        "HOSTNAME=web-1",
        "HOME=/root",
    }


def test_the_working_folder() -> None:
    assert spec().process.cwd == "/srv"
    assert spec({"workingDir": "/own"}).process.cwd == "/own"
    assert spec(image=Image(working_dir="")).process.cwd == "/"


@pytest.mark.parametrize(
    ("image_user", "own", "of_pod", "ids"),
    [
        ("", {}, {}, (0, 0, ())),
        ("web", {}, {}, (33, 34, (8,))),
        ("33", {}, {}, (33, 34, (8,))),
        ("web:staff", {}, {}, (33, 50, (8,))),
        ("77:78", {}, {}, (77, 78, ())),
        ("web", {"runAsUser": 5}, {}, (5, 0, ())),
        ("web", {"runAsUser": 5, "runAsGroup": 6}, {"runAsGroup": 7}, (5, 6, ())),
        ("", {}, {"runAsUser": 33}, (33, 34, (8,))),
        ("", {}, {"fsGroup": 9, "supplementalGroups": [4, 9]}, (0, 0, (4, 9))),
    ],
)
def test_the_user(
    image_user: str, own: dict[str, int], of_pod: dict[str, Any], ids: tuple[Any, ...]
) -> None:
    found = spec(
        {"securityContext": own}, {"securityContext": of_pod}, Image(user=image_user)
    ).process.user
    assert (found.uid, found.gid, found.additional_gids) == ids


@pytest.mark.parametrize(
    ("image_user", "own", "message"),
    [
        ("nobody", {}, "unable to find user nobody"),
        ("web:nogroup", {}, "unable to find group nogroup"),
        ("", {"runAsNonRoot": True}, "runAsNonRoot and image will run as root"),
    ],
)
def test_a_user_that_cannot_be(image_user: str, own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec({"securityContext": own}, image=Image(user=image_user))


def test_capabilities() -> None:
    def held(**changes: list[str]) -> set[str]:
        found = spec({"securityContext": {"capabilities": changes}}).process.capabilities
        assert found.bounding == found.effective == found.permitted
        assert not found.ambient
        assert not found.inheritable
        return set(found.bounding)

    assert held() == set(capabilities.DEFAULT)
    assert held(drop=["ALL"]) == set()
    assert held(drop=["ALL"], add=["NET_BIND_SERVICE"]) == {"CAP_NET_BIND_SERVICE"}
    assert held(add=["SYS_TIME"]) - set(capabilities.DEFAULT) == {"CAP_SYS_TIME"}
    assert "CAP_CHOWN" not in held(drop=["CAP_CHOWN"])
    with pytest.raises(ConfigError, match="unknown capability"):
        held(add=["FLY"])


def test_only_root_has_capabilities() -> None:
    found = spec({"securityContext": {"runAsUser": 1}}).process.capabilities
    assert found.bounding == tuple(sorted(found.bounding, key=found.bounding.index))
    assert found.effective == found.permitted == ()


def test_privileges_are_only_gained_on_request() -> None:
    assert spec().process.no_new_privileges
    assert not spec(
        {"securityContext": {"allowPrivilegeEscalation": True}}
    ).process.no_new_privileges


def test_seccomp() -> None:
    unconfined = {"seccompProfile": {"type": "Unconfined"}}
    default = {"seccompProfile": {"type": "RuntimeDefault"}}
    assert spec().linux.seccomp is not None
    assert spec({"securityContext": unconfined}).linux.seccomp is None
    assert spec(pod={"securityContext": unconfined}).linux.seccomp is None
    both = spec({"securityContext": default}, {"securityContext": unconfined})
    assert both.linux.seccomp is not None


@pytest.mark.parametrize(
    ("container", "pod", "message"),
    [
        ({"securityContext": {"procMount": "Unmasked"}}, {}, "procMount"),
        ({}, {"hostUsers": False}, "hostUsers"),
        ({"securityContext": {"seLinuxOptions": {"level": "s0"}}}, {}, "seLinuxOptions"),
        ({}, {"securityContext": {"appArmorProfile": {"type": "Localhost"}}}, "appArmorProfile"),
        ({"volumeMounts": [{"name": "x", "mountPath": "/x"}]}, {}, "no volume of that name"),
        ({"livenessProbe": {"grpc": {"port": 1}}}, {}, "grpc"),
    ],
)
def test_what_cannot_be_done_is_refused(
    container: dict[str, Any], pod: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        spec(container, pod)


def test_mounts_are_ordered_by_depth_and_keep_their_access() -> None:
    volumes = {
        "a": Mountable(Path("/v/a")),
        "b": Mountable(Path("/v/b"), read_only=True),
    }
    mounts = [
        {"name": "b", "mountPath": "/data/deep/er"},
        {"name": "a", "mountPath": "/data", "subPath": "x/./y"},
        {"name": "a", "mountPath": "/other", "readOnly": True, "subPathExpr": "of-$(NAME)"},
    ]
    found = spec({"volumeMounts": mounts}, volumes=volumes, variables={"NAME": "me"})
    assert found.mounts[: len(MOUNTS)] == MOUNTS

    def bind(destination: str, source: str, below: str, access: str) -> Mount:
        return Mount(
            destination=destination,
            type="bind",
            source=source,
            below=below,
            options=("rbind", access),
        )

    assert found.mounts[len(MOUNTS) :] == (
        bind("/data", "/v/a", "x/y", "rw"),
        bind("/other", "/v/a", "of-me", "ro"),
        bind("/data/deep/er", "/v/b", "", "ro"),
    )


@pytest.mark.parametrize("path", ["../x", "a/../../b", "/etc"])
def test_a_subpath_stays_in_its_volume(path: str) -> None:
    mount = {"name": "a", "mountPath": "/a", "subPath": path}
    with pytest.raises(ConfigError, match="subPath"):
        spec({"volumeMounts": [mount]}, volumes={"a": Mountable(Path("/v/a"))})
