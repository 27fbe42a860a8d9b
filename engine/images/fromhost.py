"""Images of chosen parts of this machine: programs with their libraries, a Python with packages.

What a program needs to start comes along (see elf.py); what it reads later has to be named. Secrets
of the machine are never copied (see hostsecrets.py). As every host image it is for this machine
only: it is labelled so, and no registry is given it.
"""

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.images.elf import Linker
from engine.images.errors import ImageError
from engine.images.host import BIN, Host
from engine.images.hostimage import PATH, base_files, store_layers
from engine.images.hostpackages import ChosenPython, choose
from engine.images.hostpython import add_python, caches
from engine.images.hostsecrets import secret
from engine.images.hosttree import HostTree
from engine.images.ldcache import kept_cache
from engine.images.staging import locked
from engine.images.store import ImageStore
from engine.images.types import Image

REFERENCE = "podarium/from-host:latest"
_CACHE = "/etc/ld.so.cache"
_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be in the image: `include` are names of programs, or absolute paths of files and
    folders; `python` is an interpreter, whose `packages` come with all that they require; `path`
    are the folders where programs are looked for first."""

    include: tuple[str, ...] = ()
    python: str = ""
    packages: tuple[str, ...] = ()
    busybox: bool = False
    reference: str = REFERENCE
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """The image; the libraries this machine lacks; what was left out of it, and why."""

    image: Image
    missing: list[str]
    left_out: list[str]


def from_host(store: ImageStore, wish: Wish) -> Made:
    """Make an image. Raise ImageError for what is not here, or must not be copied."""
    if not (wish.include or wish.python or wish.busybox):
        raise ImageError("nothing is chosen: name programs to include, packages, or busybox")
    making = _Making(wish)
    with locked(store.root / "locks" / "host"), store.busy():
        image = store_layers(store, wish.reference, making.layers(), making.settings)
    return Made(image, sorted(making.missing), sorted(making.left_out))


@dataclass(slots=True)
class _Making:
    wish: Wish
    host: Host = field(default_factory=Host)
    missing: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    _command: str = ""
    _folders: list[str] = field(default_factory=list)

    def layers(self) -> Iterator[tuple[str, HostTree]]:
        """The layers, lowest first, each with what history says of it."""
        linker = Linker(self.host)
        # Before anything is stored: what is not there ends it.
        programs, others = self._programs()
        chosen = choose(self.wish.python, self.wish.packages) if self.wish.python else None
        trees = [HostTree(self.host)]
        base_files(trees[0])
        self._add(trees[0], linker, programs, others)
        if self.wish.busybox:
            self._add_busybox(trees[0], linker)
        if chosen is None:
            self._name_libraries(trees)
        names = sorted(programs) + ["busybox"] * self.wish.busybox + sorted(others)
        yield f"from this machine: {', '.join(names) or 'an empty root'}", trees[0]
        if chosen is not None:
            yield from self._python(chosen, linker, trees)

    def settings(self) -> dict[str, object]:
        """The image's config; once the layers are made."""
        path = ":".join([*self._folders, PATH])
        environment = [f"PATH={path}"]
        if self.wish.python:
            environment += ["PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"]
        return {"Env": environment, "Cmd": [self._command or "sh"], "WorkingDir": "/"}

    def _programs(self) -> tuple[dict[str, str], list[str]]:
        """Programs by name, and other files and folders by path."""
        programs: dict[str, str] = {}
        others: list[str] = []
        for word in self.wish.include:
            path = word if "/" in word else self.host.which(word, self.wish.path)
            real = self.host.real(path) if path and os.path.isabs(path) else None
            if path is None or real is None:
                where = ":".join((*self.wish.path, *BIN))
                hint = "give an absolute path" if "/" in word else f"not in {where}"
                raise ImageError(f"{word}: is not on this machine ({hint})")
            why = secret(path) or secret(real)
            if why:
                raise ImageError(f"{word}: {why}, and is never copied")
            status = self.host.lstat(real)
            if status is not None and stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
                programs[os.path.basename(path)] = path
            else:
                others.append(path)
        self._command = next(iter(programs), "")
        return programs, others

    def _add(
        self, tree: HostTree, linker: Linker, programs: dict[str, str], others: Sequence[str]
    ) -> None:
        closure = linker.closure(programs.values())
        for path in sorted(closure.files):
            tree.copy(path)
        for path in others:
            self._copy_all(tree, path)
        for name, path in programs.items():
            tree.command(name, path)
        self.missing |= {f"{name} (for {path})" for name, path in closure.missing}

    def _copy_all(self, tree: HostTree, path: str) -> None:
        """A file, or a folder with all that is in it but secrets, sockets and devices."""
        pending = [path]
        while pending:
            at = pending.pop()
            real = self.host.real(at)
            status = self.host.lstat(real) if real is not None else None
            mode = status.st_mode if status is not None else 0
            if real is None:
                why: str | None = "leads nowhere"
            elif not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                why = "is neither a file nor a folder"
            else:
                why = secret(at) or secret(real)
            if why:
                self.left_out.add(f"{at}: {why}")
                continue
            tree.copy(at)
            if stat.S_ISDIR(mode) and not os.path.islink(at):
                pending += [f"{at.rstrip('/')}/{name}" for name in self.host.list(at)]

    def _add_busybox(self, tree: HostTree, linker: Linker) -> None:
        """The program, and a link for each of its applets that nothing else is."""
        path = self.host.which("busybox", self.wish.path)
        if path is None:
            raise ImageError("busybox: is not on this machine (apt-get install busybox-static)")
        self._add(tree, linker, {"busybox": path}, ())
        listed = subprocess.run(
            [path, "--list"], capture_output=True, check=True, timeout=_PATIENCE_S, text=True
        )
        for name in sorted(listed.stdout.split()):
            tree.command(name, path)
        tree.link("/bin/sh", path)
        self._command = self._command or "sh"

    def _python(
        self, chosen: ChosenPython, linker: Linker, trees: list[HostTree]
    ) -> Iterator[tuple[str, HostTree]]:
        library = HostTree(self.host, tuple(trees))
        with chosen.python.compile([]) as compiling:
            unresolved = add_python(
                library, chosen.python, linker, caches(compiling), chosen.version
            )
        trees.append(library)
        alone = not (chosen.packages or chosen.prefix)
        if alone:
            self._name_libraries(trees)
        yield f"python: {chosen.version} of this machine, with its standard library", library
        self.missing |= {f"{name} (for {path})" for name, path in unresolved}
        self._command = self._command or "python"
        if alone:
            return
        packages = HostTree(self.host, tuple(trees))
        if chosen.prefix:
            self._venv(packages, chosen)
        programs: list[str] = []
        for package in chosen.packages:
            for path in package.files:
                if path.endswith(".pyc") or self.host.lstat(path) is None:
                    continue
                self._copy_all(packages, path)
                if ".so" in os.path.basename(path) or os.access(path, os.X_OK):
                    programs.append(path)
        closure = linker.closure(path for path in programs if self.host.is_file(path))
        for path in sorted(closure.files):
            if secret(path) is None:
                packages.copy(path)
        self.missing |= {f"{name} (for {path})" for name, path in closure.missing}
        trees.append(packages)
        self._name_libraries(trees)
        names = ", ".join(f"{each.name} {each.version}" for each in chosen.packages)
        yield f"packages: {names or 'none'}", packages

    def _venv(self, tree: HostTree, chosen: ChosenPython) -> None:
        """What makes a folder a virtual environment; its programs come first (PEP 405)."""
        folder = os.path.dirname(chosen.executable)
        self._folders.insert(0, folder)
        tree.copy(f"{chosen.prefix}/pyvenv.cfg")
        for name in self.host.list(folder):
            if name.startswith("python"):
                tree.copy(f"{folder}/{name}")

    def _name_libraries(self, trees: Sequence[HostTree]) -> None:
        """Put the host's cache of the linker, cut down to what the image has, in the last layer."""
        if not self.host.is_file(_CACHE):
            return
        with open(_CACHE, "rb") as file:
            data = file.read()

        def kept(path: str) -> bool:
            real = self.host.real(path)
            return real is not None and any(tree.has(path) or tree.has(real) for tree in trees)

        cache = kept_cache(data, kept)
        if cache is not None:
            trees[-1].data(_CACHE, cache)
