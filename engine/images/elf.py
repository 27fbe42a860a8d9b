"""Which libraries a program needs, found as the dynamic linker of its machine finds them.

Only what ld.so(8) does before running anything is read: program headers, the dynamic section, the
ld.so cache. Nothing is executed (ldd may run the program it looks at).

Sources: System V ABI chapter 5, ld.so(8), musl's ldso/dynlink.c.
"""

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.images.host import Host
from engine.images.ldcache import read_cache

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 15, 29
_TEXT_LIMIT = 1 << 20


class NotElf(Exception):
    """A file that is not an ELF program or library, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Elf:
    """What a file's headers say about its libraries."""

    machine: tuple[int, int]  # class and e_machine: libraries of another one do not fit
    interpreter: str | None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: str) -> "Elf":
        """Raise NotElf, or OSError when the file cannot be read."""
        with open(path, "rb") as file:
            try:
                return cls._parse(file.fileno())
            except (struct.error, IndexError, ValueError, OverflowError) as error:
                raise NotElf(f"{path}: damaged ELF headers ({error})") from None

    @classmethod
    def _parse(cls, fd: int) -> "Elf":
        ident = os.pread(fd, 64, 0)
        if ident[:4] != b"\x7fELF":
            raise NotElf("not an ELF file")
        wide, order = ident[4] == 2, "<" if ident[5] == 1 else ">"
        header = struct.unpack_from(order + ("HHIQQQIHHH" if wide else "HHIIIIIHHH"), ident, 16)
        offset, entry_size, count = header[4], header[8], header[9]
        if entry_size != (56 if wide else 32):
            raise NotElf(f"program headers of {entry_size} bytes")
        table = os.pread(fd, entry_size * count, offset)
        segments = [_segment(table, n * entry_size, wide, order) for n in range(count)]
        machine = (ident[4], header[1])
        interpreter = dynamic = None
        for kind, start, _, size in segments:
            if kind == _PT_INTERP:
                interpreter = os.fsdecode(os.pread(fd, min(size, 4096), start).rstrip(b"\0"))
            elif kind == _PT_DYNAMIC:
                dynamic = os.pread(fd, min(size, _TEXT_LIMIT), start)
        if dynamic is None:
            return cls(machine, interpreter)
        tags = _tags(dynamic, order + ("qQ" if wide else "iI"))
        texts = _strings(fd, segments, dict(tags))
        paths = {
            tag: tuple(_text(texts, value).split(":"))
            for tag, value in tags
            if tag in (_DT_RPATH, _DT_RUNPATH)
        }
        return cls(
            machine,
            interpreter,
            tuple(_text(texts, value) for tag, value in tags if tag == _DT_NEEDED),
            paths.get(_DT_RPATH, ()),
            paths.get(_DT_RUNPATH, ()),
        )


def _segment(table: bytes, at: int, wide: bool, order: str) -> tuple[int, int, int, int]:
    """(type, file offset, address, size in the file)."""
    if wide:
        kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", table, at)
    else:
        kind, offset, address, _, size = struct.unpack_from(order + "IIIII", table, at)
    return kind, offset, address, size


def _tags(dynamic: bytes, shape: str) -> list[tuple[int, int]]:
    whole = len(dynamic) // struct.calcsize(shape) * struct.calcsize(shape)
    tags = []
    for tag, value in struct.iter_unpack(shape, dynamic[:whole]):
        if tag == 0:
            break
        tags.append((tag, value))
    return tags


def _strings(fd: int, segments: list[tuple[int, int, int, int]], tags: dict[int, int]) -> bytes:
    address, size = tags.get(_DT_STRTAB, 0), min(tags.get(_DT_STRSZ, 0), _TEXT_LIMIT)
    for kind, offset, start, length in segments:
        if kind == _PT_LOAD and start <= address < start + length:
            return os.pread(fd, size, offset + address - start)
    return b""


def _text(texts: bytes, at: int) -> str:
    return os.fsdecode(texts[at : texts.index(b"\0", at)])


@dataclass(slots=True)
class Closure:
    """The files that programs need to start; and the missing: (library, who needs it)."""

    files: set[str] = field(default_factory=set)
    missing: set[tuple[str, str]] = field(default_factory=set)


class Linker:
    """Finds libraries on a host."""

    def __init__(self, host: Host, cache: str = "/etc/ld.so.cache") -> None:
        self._host = host
        self._elves: dict[str, Elf | None] = {}
        self._cache: dict[str, list[str]] = {}
        if host.is_file(cache):
            with open(cache, "rb") as file:
                self._cache = read_cache(file.read())

    def named(self, names: Iterable[str]) -> list[str]:
        """Where libraries are that no header tells of, as far as they are there."""
        found = [place for name in names for place in self._cache.get(name, ())[:1]]
        return [place for place in found if self._host.is_file(place)]

    def closure(self, programs: Iterable[str]) -> Closure:
        """Everything `programs` (ELF files or scripts) need, themselves included."""
        result = Closure()
        todo: list[tuple[str, tuple[str, ...]]] = [(path, ()) for path in programs]
        while todo:
            path, loaders = todo.pop()
            if path in result.files:
                continue
            result.files.add(path)
            elf = self._elf(path)
            if elf is None:
                todo.extend((program, ()) for program in self._script_programs(path))
                continue
            if elf.interpreter:
                todo.append((elf.interpreter, ()))
                if self._host.is_file(musl_path_file(elf.interpreter)):
                    result.files.add(musl_path_file(elf.interpreter))
            for name in elf.needed:
                found = self._find(name, path, elf, loaders)
                if found:
                    todo.append((found, (*loaders, path)))
                elif not name.startswith(("ld-linux", "ld-musl", "libc.musl")):
                    result.missing.add((name, path))
        return result

    def _elf(self, path: str) -> Elf | None:
        if path not in self._elves:
            try:
                self._elves[path] = Elf.read(path) if self._host.is_file(path) else None
            except (NotElf, OSError):
                self._elves[path] = None
        return self._elves[path]

    def _script_programs(self, path: str) -> list[str]:
        """A script's interpreter; "#!/usr/bin/env X" names a second one."""
        if not self._host.is_file(path):
            return []
        with open(path, "rb") as file:
            line = file.readline(256)
        words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
        programs = [word for word in words[:1] if self._host.is_file(word)]
        if words and words[0].endswith("/env"):
            # Its options, and the variables it sets, come before the program (env(1), -S).
            named = next((w for w in words[1:] if not w.startswith("-") and "=" not in w), "")
            if found := self._host.which(named):
                programs.append(found)
        return programs

    def _find(self, name: str, path: str, elf: Elf, loaders: tuple[str, ...]) -> str | None:
        if "/" in name:
            candidates = _expand(name, path)
        else:
            folders: list[str] = []
            if not elf.runpath:  # DT_RUNPATH switches every DT_RPATH off
                for loader in (path, *reversed(loaders)):
                    by = self._elf(loader)
                    folders += [
                        f for rpath in (by.rpath if by else ()) for f in _expand(rpath, loader)
                    ]
            folders += [f for runpath in elf.runpath for f in _expand(runpath, path)]
            candidates = [f"{folder}/{name}" for folder in folders if folder]
            # A library has no interpreter: its program's says which linker it is.
            program = self._elf(loaders[0] if loaders else path) or elf
            musl = program.interpreter if "ld-musl" in (program.interpreter or "") else None
            if musl is None:
                candidates += self._cache.get(name, [])
            defaults = self._default_folders() if musl is None else self._musl_folders(musl)
            candidates += [f"{folder}/{name}" for folder in defaults]
        for candidate in candidates:
            library = self._elf(candidate)
            if library is not None and library.machine == elf.machine:
                return candidate
        return None

    def _musl_folders(self, interpreter: str) -> list[str]:
        """Where musl's linker looks: its path file lies beside it, in etc (musl's dynlink.c)."""
        file = musl_path_file(interpreter)
        if not self._host.is_file(file):
            return ["/lib", "/usr/local/lib", "/usr/lib"]
        with open(file, "rb") as opened:
            words = os.fsdecode(opened.read(_TEXT_LIMIT)).replace(":", "\n").split("\n")
        return [word.strip() for word in words if word.strip()]

    def _default_folders(self) -> list[str]:
        folders = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]
        # Debian's multiarch folders are built into its linker.
        for root in ("/lib", "/usr/lib"):
            folders = [f"{root}/{name}" for name in self._multiarch(root)] + folders
        return folders

    def _multiarch(self, root: str) -> list[str]:
        names = ("x86_64-linux-gnu", "aarch64-linux-gnu")
        return [name for name in names if self._host.real(f"{root}/{name}")]


def musl_path_file(interpreter: str) -> str:
    """/lib/ld-musl-ARCH.so.1 reads /etc/ld-musl-ARCH.path."""
    prefix, _, name = interpreter.rpartition("/lib/")
    return f"{prefix}/etc/{name.split('.so')[0]}.path"


def _expand(folder: str, path: str) -> list[str]:
    """A name with its tokens replaced (ld.so(8), "Dynamic string tokens"). What $LIB is was decided
    when the linker was built: every way is tried."""
    origin = os.path.dirname(os.path.realpath(path))
    machine = os.uname().machine
    for token, value in (("ORIGIN", origin), ("PLATFORM", machine)):
        folder = folder.replace(f"${{{token}}}", value).replace(f"${token}", value)
    if "$LIB" not in folder and "${LIB}" not in folder:
        return [folder]
    ways = ("lib64", "lib", f"lib/{machine}-linux-gnu")
    return [folder.replace("${LIB}", way).replace("$LIB", way) for way in ways]
