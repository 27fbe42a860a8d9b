"""Images of chosen parts of this machine: they run, are the same each time, and tell no secrets."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.images.elf import Linker
from engine.images.errors import ImageError
from engine.images.explore.explorer import Explorer
from engine.images.fromhost import Made, Wish, from_host
from engine.images.host import Host
from engine.images.hostpackages import choose
from engine.images.hostsecrets import secret
from engine.images.ldcache import kept_cache, read_cache
from engine.images.registry.errors import LocalOnly
from engine.images.registry.push import push
from engine.images.registry.session import Session
from engine.images.store import ImageStore
from tests.real.images.layouts import opened

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the image store belongs to root")

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return opened(tmp_path / "store")


def run(store: ImageStore, made: Made, tmp_path: Path, *words: str) -> str:
    """What a program prints with the image as its root, and the image's environment."""
    image = made.image
    environment = dict(pair.split("=", 1) for pair in image.config.env)
    folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir(parents=True)
    lower = ":".join(map(str, store.prepare(image)))
    options = f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work"
    script = (
        'mount -t overlay overlay -o "$1" "$2"; mount -t proc proc "$2/proc";'
        ' m="$2"; p="$3"; shift 3;'
        ' exec env -i PATH="$p" chroot "$m" "$@"'
    )
    command = ["unshare", "-mpf", "sh", "-ec", script, "sh", options, folder / "merged"]
    done = subprocess.run(
        [*command, environment["PATH"], *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(store: ImageStore, made: Made) -> set[str]:
    stack = Explorer(store).image(made.image.reference).stack
    return {"/" + os.fsdecode(path) for path, _ in stack.walk(b"", stack.root().live)}


def test_programs_come_with_what_they_need(store: ImageStore, tmp_path: Path) -> None:
    script = tmp_path / "greet"
    script.write_text("#!/usr/bin/env -S A=1 bash -e\necho hello from $0\n")
    script.chmod(0o755)
    made = from_host(store, Wish(("awk", "sh", str(script)), reference="my/tools"))
    assert (made.missing, made.left_out) == ([], [])
    assert run(store, made, tmp_path, "awk", "BEGIN { print 6 * 7 }") == "42"
    assert run(store, made, tmp_path, "greet").startswith("hello from ")
    assert made.image.config.cmd == ("awk",)
    assert made.image.config.labels == {"io.podarium.host": "true"}


def test_the_same_files_give_the_same_image(store: ImageStore, tmp_path: Path) -> None:
    wish = Wish(("sort", "sh"), reference="my/tools")
    with_other_umask = os.umask(0o77)
    try:
        again = from_host(opened(tmp_path / "other"), wish)
    finally:
        os.umask(with_other_umask)
    assert from_host(store, wish).image.digest == again.image.digest


def test_busybox_is_everything_that_nothing_else_is(store: ImageStore, tmp_path: Path) -> None:
    made = from_host(store, Wish(busybox=True, reference="my/busybox"))
    assert run(store, made, tmp_path, "sh", "-c", "echo b a | xargs -n1 | sort | head -n1") == "a"
    assert made.image.config.cmd == ("sh",)


def test_programs_of_musl_come_with_musls_linker(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(
        '#include <stdio.h>\nint main(void) { return puts("musl") < 0; }\n'
    )
    program = tmp_path / "x"
    subprocess.run(["musl-gcc", "-o", program, tmp_path / "x.c"], check=True)
    made = from_host(store, Wish((str(program),), reference="my/musl"))
    assert made.missing == []
    assert run(store, made, tmp_path, str(program)) == "musl"
    files = Linker(Host()).closure([str(program)]).files
    assert any("ld-musl" in path for path in files)
    assert not any("linux-gnu" in path for path in files)


def test_what_is_not_here_changes_nothing(store: ImageStore) -> None:
    for wish, why in (
        (Wish(), "nothing is chosen"),
        (Wish(("no-such-program",)), "no-such-program: is not on this machine"),
        (Wish(("./sh",)), "give an absolute path"),
        (Wish(python="/bin/cat"), "/bin/cat: is no Python"),
        (Wish(python=shutil.which("python3") or "", packages=("no-such",)), "no package no-such"),
    ):
        with pytest.raises(ImageError, match=why):
            from_host(store, wish)
    assert store.images() == []
    assert store.gc().blobs == 0


# -- Python ----------------------------------------------------------------------------------


PYTHONS = sorted(
    {
        str(path.resolve())
        for path in (
            Path("/usr/bin/python3"),
            *Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python3"),
            *Path("/usr/local/bin").glob("python3.1?"),
        )
        if path.exists()
    }
)


def environment(folder: Path, python: str) -> Path:
    """A virtual environment with a package that needs another, which has a program."""
    command = [python, "-m", "venv", "--without-pip", folder]
    subprocess.run(command, check=True, capture_output=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wanted = "Requires-Dist: needed-one; python_version > '3'\n"
    wanted += "Requires-Dist: absent; extra == 'more'\n"
    for name, needs in (("needs_it", wanted), ("needed_one", "")):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("from pathlib import Path\nVALUE = 1\n")
        (site / name / "data.pem").write_text(KEY)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}"
        )
        files = [f"{name}/__init__.py", f"{name}/data.pem", f"{info.name}/METADATA"]
        if not needs:
            program = folder / "bin/greet"
            program.write_text(
                f"#!{folder}/bin/python\nimport needed_one\nprint(needed_one.VALUE)\n"
            )
            program.chmod(0o755)
            files.append("../../../bin/greet")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    (site / "mine.pth").write_text("import os\n")
    (folder / ".env").write_text("TOKEN=1\n")
    return folder


@pytest.mark.parametrize("python", PYTHONS)
def test_a_python_runs_with_its_packages(store: ImageStore, tmp_path: Path, python: str) -> None:
    if subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode:
        folder, packages = None, ()
        interpreter = python
    else:
        folder = environment(tmp_path / "env", python)
        packages, interpreter = ("needs.it",), f"{folder}/bin/python"
    made = from_host(store, Wish(python=interpreter, packages=packages, reference="my/python"))
    code = "import json, ssl, sqlite3, ctypes, sys; print(sys.version_info[:2] >= (3, 11))"
    assert run(store, made, tmp_path, "python3", "-c", code) == "True"
    if folder is None:
        return
    assert run(
        store, made, tmp_path, "python", "-c", "import needs_it as n; print(n.__file__)"
    ).endswith("/site-packages/needs_it/__init__.py")
    assert run(store, made, tmp_path, "greet") == "1"
    assert [layer.created_by.split(":")[0] for layer in made.image.layers] == [
        "from this machine",
        "python",
        "packages",
    ]
    assert "needed-one 1.0, needs-it 1.0" in made.image.layers[2].created_by
    there = names(store, made)
    assert not any(name.endswith((".pth", ".env", "data.pem", ".pyc")) for name in there - {
        name for name in there if "__pycache__" in name
    })  # fmt: skip
    assert sorted(line.partition(": ")[2] for line in made.left_out) == ["holds a private key"] * 2


def test_a_distributions_package_without_a_record_is_found_by_its_names(tmp_path: Path) -> None:
    site = tmp_path / "lib"
    (site / "old").mkdir(parents=True)
    (site / "old/__init__.py").write_text("")
    info = site / "Old-1.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 1.1\nName: Old\nVersion: 1\n")
    (info / "top_level.txt").write_text("old\n")
    wrapper = tmp_path / "python"
    code = f"import sys; sys.path.insert(0, '{site}'); exec(sys.argv.pop(1))"
    wrapper.write_text(f'#!/bin/sh\nshift 3\nexec python3 -c "{code}" "$@"\n')
    wrapper.chmod(0o755)
    (package,) = choose(str(wrapper), ("old",)).packages
    assert package.files == (str(info), str(site / "old"))


# -- what is never copied --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow", "/etc/gshadow-", "/root/.netrc", "/home/u/.ssh/config", "/root/.aws/x",
        "/root/.docker/config.json", "/srv/app/.env", "/srv/app/.env.local", "/x/id_ed25519",
        "/etc/ssh/ssh_host_rsa_key", "/etc/ssl/private/a.crt", "/x/site.key", "/x/a.p12",
        "/etc/krb5.keytab", "/root/.kube/config", "/run/secrets/token", "/root/.git-credentials",
        "/var/lib/podarium/clusters/default/pki/ca.crt", "/etc/sudoers.d/x", "/etc/machine-id",
        "/root/.bash_history", "/proc/1/environ", "/root/.config/gh/hosts.yml", "/x/.npmrc",
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_names(path: str) -> None:
    assert secret(path)


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/git", "/etc/passwd", "/usr/lib/python3/dist-packages/credentials.py",
     "/x/id_rsa.pub", "/usr/include/shadow.h", "/usr/share/ca-certificates/mozilla/x.crt"],
)  # fmt: skip
def test_what_only_looks_like_one_is_not(path: str) -> None:
    assert secret(path) is None


def test_a_secret_is_refused_under_any_name(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(f"my notes\n{KEY}")
    (tmp_path / "innocent").symlink_to("/etc/shadow")
    (tmp_path / "program").write_text(KEY)
    (tmp_path / "program").chmod(0o755)
    for name in ("notes.txt", "innocent", "program"):
        with pytest.raises(ImageError, match="never copied"):
            from_host(store, Wish((str(tmp_path / name),)))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "public.txt").write_text("public")
    (folder / ".netrc").write_text("machine x password y")
    (folder / "link").symlink_to("/etc/shadow")
    (folder / "key.pem").write_text(KEY)
    os.mkfifo(folder / "pipe")
    made = from_host(store, Wish((str(folder),), reference="my/folder"))
    there = {name for name in names(store, made) if name.startswith(f"{folder}/")}
    assert there == {f"{folder}/public.txt"}
    assert [line.partition(":")[0] for line in made.left_out] == [
        f"{folder}/.netrc",
        f"{folder}/key.pem",
        f"{folder}/link",
        f"{folder}/pipe",
    ]


def test_no_registry_is_given_it(store: ImageStore, tmp_path: Path) -> None:
    from_host(store, Wish(("sh",), reference="my/tools"))
    store.add("localhost:5000/innocent:1", store.resolve("my/tools").digest)
    with pytest.raises(LocalOnly, match="this machine's own files"):
        push(store, "localhost:5000/innocent:1", Session.of(tmp_path, {}))


# -- the linker's cache ----------------------------------------------------------------------


def test_a_cut_cache_is_one_that_ldconfig_reads(tmp_path: Path) -> None:
    data = Path("/etc/ld.so.cache").read_bytes()
    whole = read_cache(data)
    wanted = sorted({places[0] for places in whole.values()})[::3]
    cut = kept_cache(data, set(wanted).__contains__)
    assert cut is not None
    assert sorted({p for places in read_cache(cut).values() for p in places}) == wanted
    (tmp_path / "cache").write_bytes(cut)
    listed = subprocess.run(
        ["/sbin/ldconfig", "-p", "-C", tmp_path / "cache"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (
        sorted({line.split(" => ")[1] for line in listed.splitlines()[1:] if "=>" in line})
        == wanted
    )
    assert kept_cache(data, lambda path: False) is None
    for damaged in (b"", data[:60], data[: len(data) // 3], b"glibc-ld.so.cache1.1" + b"\xff" * 99):
        assert read_cache(damaged) == {}
        assert kept_cache(damaged, lambda path: True) is None


def test_a_library_of_an_odd_folder_is_found_in_the_image(
    store: ImageStore, tmp_path: Path
) -> None:
    """As those of /usr/local/lib are, which only the cache names."""
    odd = tmp_path / "odd"
    odd.mkdir()
    (tmp_path / "l.c").write_text("int answer(void) { return 42; }\n")
    (tmp_path / "x.c").write_text(
        "#include <stdio.h>\nint answer(void);\n"
        'int main(void) { return printf("%d", answer()) < 0; }\n'
    )
    library = odd / "libodd-podarium.so"
    subprocess.run(["cc", "-shared", "-o", library, tmp_path / "l.c"], check=True)
    rpath = tmp_path / "with-rpath"
    subprocess.run(
        [
            "cc",
            "-o",
            rpath,
            tmp_path / "x.c",
            f"-L{odd}",
            "-lodd-podarium",
            "-Wl,-rpath,$ORIGIN/odd",
        ],
        check=True,
    )
    made = from_host(store, Wish((str(rpath),), reference="my/odd"))
    assert run(store, made, tmp_path, str(rpath)) == "42"
