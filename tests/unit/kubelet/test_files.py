"""What the kubelet writes: volumes that change at once, and the files of /etc."""

import os
from pathlib import Path
from typing import Any

import pytest

from engine.kubelet import atomic, etc, subpath, volumes
from engine.kubelet.atomic import File
from engine.kubelet.downward import ConfigError, NodeFacts
from engine.kubelet.environment import References
from engine.kubelet.folders import PodFolders
from engine.kubelet.volumes import Context, VolumeError
from engine.types import codec
from engine.types.pods import Pod

NODE = NodeFacts("n1", "10.0.0.1", 1.0, 1 << 30, 0)


def pod(**spec: Any) -> Pod:
    meta = {"name": "web-1", "namespace": "shop", "uid": "u"}
    return codec.from_dict(Pod, {"metadata": meta, "spec": spec})


def shown(folder: Path) -> dict[str, str]:
    names = (entry.name for entry in folder.iterdir() if not entry.name.startswith(".."))
    return {name: (folder / name).read_text() for name in names if (folder / name).is_file()}


def test_a_version_replaces_the_other_at_once(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, {"a": File(b"1", 0o644), "b": File(b"1", 0o600)})
    opened = (tmp_path / "a").open()
    old = os.readlink(tmp_path / "..data")
    assert atomic.write(tmp_path, {"a": File(b"2", 0o644), "c": File(b"2", 0o644)})
    assert opened.read() == "1"
    assert shown(tmp_path) == {"a": "2", "c": "2"}
    assert not (tmp_path / old).exists()
    assert len(list(tmp_path.iterdir())) == 4  # two names, ..data, one version


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    files = {"a": File(b"1", 0o640), "deep/er": File(b"2", 0o400)}
    assert atomic.write(tmp_path, files)
    version = os.readlink(tmp_path / "..data")
    assert not atomic.write(tmp_path, files)
    assert os.readlink(tmp_path / "..data") == version
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert atomic.write(tmp_path, files | {"a": File(b"1", 0o600)})


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "..data", "a//b", ""])
def test_a_file_stays_in_its_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="must be relative"):
        atomic.write(tmp_path, {path: File(b"", 0o644)})


def set_up(tmp_path: Path, volume: dict[str, Any], known: References | None = None) -> Path:
    made = pod(volumes=[{"name": "v", **volume}])
    context = Context(tmp_path, known or References("shop"), "10.0.1.2", NODE)
    return volumes.set_up(made, context)["v"].source


def test_items_choose_keys_and_modes(tmp_path: Path) -> None:
    known = References("shop", config_maps={"c": {"a": b"A", "b": b"B"}})
    items = [{"key": "a", "path": "x/y", "mode": 0o400}]
    folder = set_up(tmp_path, {"configMap": {"name": "c", "items": items}}, known)
    assert (folder / "x/y").read_text() == "A"
    assert (folder / "x/y").stat().st_mode & 0o777 == 0o400
    assert not (folder / "b").exists()


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "no"}}, 'volume "v" : configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'volume "v" : secret "no" not found'),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "k"}]}},
            "non-existent key: k",
        ),
        ({"hostPath": {"path": "/none", "type": "File"}}, "/none is not a file"),
        ({"hostPath": {"path": "/etc/passwd", "type": "Directory"}}, "is not a directory"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, "not supported yet"),
    ],
)
def test_a_volume_that_cannot_be_set_up(
    tmp_path: Path, volume: dict[str, Any], message: str
) -> None:
    with pytest.raises(VolumeError, match=message):
        set_up(tmp_path, volume, References("shop", config_maps={"c": {}}))


def test_optional_sources_make_an_empty_volume(tmp_path: Path) -> None:
    folder = set_up(tmp_path, {"secret": {"secretName": "no", "optional": True}})
    assert shown(folder) == {}


def test_an_empty_dir_is_for_everyone_and_stays(tmp_path: Path) -> None:
    folder = set_up(tmp_path, {"emptyDir": {}})
    assert folder.stat().st_mode & 0o7777 == 0o777
    (folder / "kept").touch()
    set_up(tmp_path, {"emptyDir": {}})
    assert (folder / "kept").exists()


def test_host_paths_are_made_where_their_type_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    set_up(tmp_path, {"hostPath": {"path": str(folder), "type": "DirectoryOrCreate"}})
    assert folder.is_dir()
    set_up(tmp_path, {"hostPath": {"path": str(folder / "f"), "type": "FileOrCreate"}})
    assert (folder / "f").is_file()


def test_a_subpath_is_made_inside_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to("inner")
    (volume / "inner").mkdir()
    (volume / "out").symlink_to(tmp_path)
    subpath.ensure(volume, "link/a/b")
    assert (volume / "inner/a/b").is_dir()
    with pytest.raises(FileExistsError):
        subpath.ensure(volume, "out/escaped")
    assert not (tmp_path / "escaped").exists()
    with pytest.raises(ConfigError):
        subpath.ensure(volume, "../x")


def test_hosts() -> None:
    made = pod(subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["one", "two"]}])
    text = etc.hosts(made, "10.0.1.2", "node-1", "cluster.local").decode()
    assert "127.0.0.1\tlocalhost\n" in text
    assert "10.0.1.2\tweb-1.sub.shop.svc.cluster.local\tweb-1\n" in text
    assert text.endswith("1.2.3.4\tone\ttwo\n")


def test_a_hostname_is_at_most_63_characters() -> None:
    made = pod()
    made.metadata.name = "a" * 62 + "-b"
    assert etc.hostname(made, "node-1", "cluster.local") == "a" * 62
    assert etc.hostname(pod(hostname="own"), "node-1", "cluster.local") == "own"


HOST = "nameserver 127.0.0.53\nnameserver 192.0.2.1\nsearch lan home\noptions edns0\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {},
            "nameserver 192.0.2.1\n"
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan home\n"
            "options ndots:5\n",
        ),
        ({"dnsPolicy": "Default"}, "nameserver 192.0.2.1\nsearch lan home\n"),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["192.0.2.9"],
                    "searches": ["x"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                },
            },
            "nameserver 192.0.2.9\nsearch x\noptions ndots:2 edns0\n",
        ),
        (
            {"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}},
            "nameserver 192.0.2.1\n"
            "search shop.svc.cluster.local svc.cluster.local cluster.local lan home\n"
            "options ndots:1\n",
        ),
    ],
)
def test_resolv_conf(spec: dict[str, Any], expected: str) -> None:
    assert etc.resolv_conf(pod(**spec), HOST, "cluster.local").decode() == expected


def test_only_the_last_logs_stay(tmp_path: Path) -> None:
    folders = PodFolders(tmp_path / "pod", tmp_path / "logs")
    (tmp_path / "logs/main").mkdir(parents=True)
    for name in ("0.log", "0.log.1", "1.log", "2.log", "10.log"):
        (tmp_path / "logs/main" / name).touch()
    folders.forget_logs("main", before=2)
    assert {path.name for path in (tmp_path / "logs/main").iterdir()} == {"2.log", "10.log"}


def test_a_uid_must_be_a_file_name() -> None:
    made = pod()
    made.metadata.uid = "../x"
    with pytest.raises(ValueError, match="not usable"):
        PodFolders.of(None, made)  # type: ignore[arg-type]
