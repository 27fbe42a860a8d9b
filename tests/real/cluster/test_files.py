"""diff, cp, export and commit on a real pod; podman and a pod run the image that was made."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.home import ClusterPaths
from tests.real.cluster.conftest import BIN, Shell
from tests.real.images.builder.test_podman import LIMITS, Podman, podman

__all__ = ["podman"]

pytestmark = pytest.mark.xdist_group("files")

CHANGE = (
    "echo new > /etc/new; rm /etc/os-release; rm -rf /srv; mkdir /srv; echo s > /srv/s;"
    " chmod 700 /home; ln /etc/new /etc/hard; rm -f /etc/mtab; touch -d @1.5 /etc/time;"
    " echo v > /data/mine; echo secret > /data/deep/volume; mkdir /ready; exec sleep 100000"
)
POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: w}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: c
      image: podarium/host
      command: [sh, -c, "{CHANGE}"]
      readinessProbe: {{exec: {{command: [test, -d, /ready]}}, periodSeconds: 1}}
      volumeMounts: [{{name: v, mountPath: /data/deep}}, {{name: v, mountPath: /only/mounted}}]
    - {{name: ro, image: podarium/host, command: [sleep, "100000"],
       securityContext: {{readOnlyRootFilesystem: true}}}}
  volumes: [{{name: v, emptyDir: {{}}}}]
"""


@pytest.fixture(scope="module")
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(ClusterPaths.of(home, "files"))
    _kill_a_build(shell)
    assert list(home.glob("builds/*/*"))
    shell.podarium("up", "--nodes", "1")
    assert not list(home.glob("builds/*/*"))
    manifest = home / "pod.yaml"
    manifest.write_text(POD)
    shell.podarium("apply", "-f", str(manifest))
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/w")
    yield shell
    shell.podarium("down", "--purge")


def _kill_a_build(shell: Shell) -> None:
    """What it leaves is taken down by the next engine that starts."""
    folder = shell.paths.home / "ctx"
    folder.mkdir()
    (folder / "Containerfile").write_text("FROM podarium/host\nRUN echo here; sleep 100000\n")
    command = [str(BIN / "podarium"), "build", str(folder)]
    build = subprocess.Popen(command, env=shell.env, stderr=subprocess.PIPE, text=True)
    assert build.stderr is not None
    for line in build.stderr:
        if line.endswith("| here\n"):
            break
    build.kill()
    build.wait()
    build.stderr.close()


def inside(shell: Shell, script: str) -> str:
    return shell.podarium("exec", "-c", "c", "w", "--", "sh", "-c", script)


def raw(shell: Shell, *words: str, data: bytes = b"") -> bytes:
    command = [str(BIN / "podarium"), words[0], "--cluster", shell.paths.name, *words[1:]]
    ran = subprocess.run(command, env=shell.env, input=data, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


def test_diff_tells_what_changed_and_nothing_of_ours(shell: Shell) -> None:
    found = shell.podarium("diff", "w/c").splitlines()
    gone = [line for line in found if line.startswith("D /srv/")]
    assert "D /srv/app.py" in gone
    assert sorted(set(found) - set(gone), key=lambda line: line[2:]) == [
        "A /data/mine", "A /etc/hard", "A /etc/new", "D /etc/os-release", "A /etc/time",
        "C /home", "A /ready", "A /srv/s",
    ]  # fmt: skip
    told = json.loads(shell.podarium("diff", "--json", "w/c"))
    assert {c["kind"] for c in told["changes"]} == {"added", "changed", "deleted"}
    assert shell.podarium("diff", "w/ro") == ""
    assert "w/none" not in shell.podarium("diff", "w/none", code=1)


def test_export_is_the_root_as_seen_but_what_is_mounted(shell: Shell, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(raw(shell, "export", "w/c"))) as file:
        members = {member.name: member for member in file.getmembers()}
        assert members["etc/hard"].islnk() != members["etc/new"].islnk()
        assert members["home"].mode == 0o700
        assert members["etc/time"].mtime == 1.5
        assert file.extractfile("srv/s").read() == b"s\n"  # type: ignore[union-attr]
    names = set(members)
    assert not names & {"etc/os-release", "etc/mtab", "srv/app.py", "only", "only/mounted"}
    assert not names & {"etc/hosts", "etc/resolv.conf", "etc/hostname", "data/deep", "dev/null"}
    assert {"data", "data/mine", "usr", "proc", "dev"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/", "dev/"))]
    out = tmp_path / "rootfs.tar"
    shell.podarium("export", "-o", str(out), "w/c")
    assert out.read_bytes() == raw(shell, "export", "w/c")
    shell.podarium("export", "-o", str(tmp_path / "x"), "none", code=1)
    assert os.listdir(tmp_path) == ["rootfs.tar"]


def test_copies_go_in_and_out_without_a_tar_inside(shell: Shell, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/x").write_text("x")
    (tree / "sub/x").chmod(0o751)
    (tree / "big").write_bytes(os.urandom(8 << 20))
    (tree / "link").symlink_to("sub/x")
    os.link(tree / "sub/x", tree / "hard")
    os.chown(tree / "sub/x", 1234, 5678)
    # The names on both sides: into a directory, as a new name, what is in a folder.
    for target in ("/tmp", "/tmp/renamed", "/data/deep"):
        shell.podarium("cp", str(tree), f"w/c:{target}")
    shell.podarium("cp", f"{tree}/.", "w/c:/tmp/contents")
    shell.podarium("cp", "-a", str(tree / "sub/x"), "w/c:/tmp/owned")
    for at in ("/tmp/tree", "/tmp/renamed", "/data/deep/tree", "/tmp/contents"):
        said = inside(shell, f"cd {at} && cat link && stat -c '%a %u %h' sub/x && ls | wc -l")
        assert said == "x751 0 2\n4\n"
    assert inside(shell, "stat -c %u:%g /tmp/owned") == "1234:5678\n"
    shell.podarium("cp", "w/c:/tmp/tree", str(tmp_path / "back"))
    shell.podarium("cp", "w/c:/tmp/tree/.", str(tmp_path / "contents"))
    shell.podarium("cp", "w/c:/tmp/renamed/link", str(tmp_path))
    for back in ("back", "contents"):
        assert (tmp_path / back / "big").read_bytes() == (tree / "big").read_bytes()
        assert (tmp_path / back / "link").readlink() == Path("sub/x")
        assert (tmp_path / back / "hard").stat().st_nlink == 2
    assert (tmp_path / "link").is_symlink()
    # A stream through pipes, both ways.
    stream = raw(shell, "cp", "w/c:/tmp/tree/sub", "-")
    raw(shell, "cp", "-", "w/c:/tmp/streamed", data=stream)
    assert inside(shell, "cat /tmp/streamed/x") == "x"
    # What is mounted on a file is written in place, and stays mounted.
    mounts = inside(shell, "grep -c /etc/hosts /proc/self/mountinfo")
    (tmp_path / "hosts").write_text("127.0.0.1 mine\n")
    shell.podarium("cp", str(tmp_path / "hosts"), "w/c:/etc/hosts")
    assert inside(shell, "cat /etc/hosts") == "127.0.0.1 mine\n"
    assert inside(shell, "grep -c /etc/hosts /proc/self/mountinfo") == mounts
    assert "/etc/hosts" not in shell.podarium("diff", "w/c")
    inside(shell, "rm -r /tmp/tree /tmp/renamed /tmp/contents /tmp/owned /tmp/streamed")


def test_links_inside_never_lead_to_the_machines_files(shell: Shell, tmp_path: Path) -> None:
    """CVE-2018-15664, CVE-2019-14271: what the other side says of its paths is about its own."""
    canary = tmp_path / "canary"
    canary.write_text("of the machine")
    inside(shell, f"ln -s {canary} /tmp/file; ln -s {tmp_path} /tmp/dir; ln -s ../../../.. /tmp/up;"
                  " ln -s /proc/1/root /tmp/magic; ln -s /proc/self/cwd /tmp/cwd")  # fmt: skip
    (tmp_path / "evil").write_text("evil")
    for path in ("/tmp/dir/canary", "/tmp/file/x", f"/tmp/up{canary}", f"/tmp/magic{canary}"):
        said = shell.podarium("cp", f"w/c:{path}", str(tmp_path / "got"), code=1)
        assert "of the machine" not in said
    assert not (tmp_path / "got").exists()
    for path in ("/tmp/dir/new", "/tmp/dir/", "/tmp/magic/x", "/tmp/cwd/x"):
        shell.podarium("cp", str(tmp_path / "evil"), f"w/c:{path}", code=1)
    shell.podarium("cp", str(tmp_path / "evil"), "w/c:/tmp/up/evil")
    assert inside(shell, "cat /evil") == "evil"
    shell.podarium("cp", str(tmp_path / "evil"), "w/c:/tmp/file")
    assert canary.read_text() == "of the machine"
    # A folder full of them, copied out, is copied as what it is.
    shell.podarium("cp", "w/c:/tmp", str(tmp_path / "out"))
    assert (tmp_path / "out/dir").readlink() == tmp_path
    # And where a link stands already on this side, nothing goes through it.
    (tmp_path / "out2").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out2/tmp").symlink_to(tmp_path / "elsewhere")
    shell.podarium("cp", "w/c:/tmp", str(tmp_path / "out2"), code=1)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    inside(shell, "rm -rf /tmp/* /evil")


def test_what_cannot_be_copied_says_why(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    for source, target, reason in (
        ("w/c:/none", str(tmp_path), '"/none" not found'),
        (str(tmp_path / "none"), "w/c:/", "No such file"),
        (str(tmp_path / "f"), "w/c:/none/x", "not found"),
        (str(tmp_path / "f"), "w/c:/none/", "not found"),
        (str(tmp_path / "f"), "w/ro:/x", "Read-only file system"),
        (str(tmp_path / "f"), "w/c:/proc/x", "not found"),
        ("w/c:/a", "w/c:/b", "one of the two"),
        ("a", "b", "one of the two"),
        (str(tmp_path / "f"), "nobody:/x", "not found"),
    ):
        code = 2 if "one of" in reason else 1
        assert reason in shell.podarium("cp", source, target, code=code)


def test_commit_makes_an_image_that_a_pod_and_podman_run(
    shell: Shell, podman: Podman, tmp_path: Path
) -> None:
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    change = 'CMD ["sh", "-c", "cat /etc/new /srv/s; ls /data /srv; stat -c %a%h /etc/hard"]'
    options = ("-c", change, "-c", "ENV A=b", "-a", "me", "-m", "by hand")
    try:
        told = shell.podarium("commit", *options, "w/c", "t/mended:1")
        again = shell.podarium("commit", *options, "--no-pause", "w/c", "t/again:1")
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
    assert told.startswith("committed t/mended:1 (sha256:")
    assert told.split("(")[1] == again.split("(")[1]  # the same bytes each time
    assert inside(shell, "cat /etc/new") == "new\n"  # it goes on
    said = "new\ns\n/data:\nmine\n\n/srv:\ns\n6442\n"
    assert shell.podarium("run", "t/mended:1") == said
    archive = tmp_path / "i.tar"
    command = [str(BIN / "podarium"), "save", "-o", str(archive), "t/mended:1"]
    subprocess.run(command, env=shell.env, check=True)
    podman("load", "-i", str(archive))
    assert podman("run", "--rm", *LIMITS, "t/mended:1") == said
    inspected = json.loads(podman("inspect", "t/mended:1"))[0]
    assert inspected["Author"] == "me"
    assert inspected["History"][-1]["comment"] == "by hand"
    with tarfile.open(archive) as file:
        document = json.load(file.extractfile("manifest.json"))  # type: ignore[arg-type]
        layer = file.extractfile(document[0]["Layers"][-1])
        assert layer is not None
        names = tarfile.open(fileobj=io.BytesIO(layer.read())).getnames()  # noqa: SIM115
    assert "etc/.wh.os-release" in names
    assert "srv/.wh..wh..opq" in names
    assert not {"etc/hosts", "etc/.wh.mtab", "data/deep", "only", "proc", "dev"} & set(names)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("w/c", "Not A Name"), "is not a name"),
        (("-c", "RUN x", "w/c", "t/x:1"), "RUN makes no setting"),
        (("-c", "EXPOSE x", "w/c", "t/x:1"), "is no port"),
        (("none", "t/x:1"), "not found"),
    ],
)
def test_a_commit_that_cannot_be_made_leaves_nothing(
    shell: Shell, words: tuple[str, ...], reason: str
) -> None:
    blobs = shell.paths.images / "blobs" / "sha256"
    before = set(os.listdir(blobs))
    assert reason in shell.podarium("commit", *words, code=1)
    assert set(os.listdir(blobs)) == before
    assert "t/x" not in shell.podarium("images")


def test_a_container_whose_image_is_another_by_now(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "ctx"
    folder.mkdir()
    (folder / "Containerfile").write_text("FROM podarium/host\nRUN touch /other\n")
    command = [str(BIN / "podarium"), "build", "-q", "-t", "t/moving:1", str(folder)]
    subprocess.run(command, env=shell.env, check=True, capture_output=True)
    shell.podarium("run", "-d", "--name", "moved", "t/moving:1", "--", "sleep", "100000")
    shell.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/moved")
    (folder / "Containerfile").write_text("FROM podarium/host\nRUN touch /another\n")
    subprocess.run(command, env=shell.env, check=True, capture_output=True)
    said = shell.podarium("commit", "moved", "t/x:1", code=1)
    assert "the name means another image than the container runs" in said
    shell.podarium("delete", "pod", "moved")
