"""RUN --mount: what is shown to one command, and is no part of the layer that it makes.

    cache   a directory that lives on between builds      tmpfs   an empty one in memory
    bind    files of the context or a stage, as a copy    secret  a file that no layer holds

What is bound is a copy, so that a command can neither change the user's files nor see what the
ignore file leaves out, and so that a link in it leads nowhere else (CVE-2024-1753).

Source: Dockerfile reference, "RUN --mount".
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.images.containerfile.instructions import Instruction
from engine.images.containerfile.problem import nearest
from engine.images.containerfile.settings import join
from engine.images.containerfile.words import Word

Kind = Literal["bind", "cache", "tmpfs", "secret"]
_TRUE = ("true", "1", "")
_FALSE = ("false", "0")
_ALIASES = {
    "dst": "target", "destination": "target", "src": "source", "ro": "readonly", "rw": "readwrite",
}  # fmt: skip
_OPTIONS: dict[str, tuple[str, ...]] = {
    "bind": ("target", "source", "from", "readonly", "readwrite"),
    "cache": ("target", "id", "sharing", "mode", "uid", "gid", "readonly", "readwrite"),
    "tmpfs": ("target", "size"),
    "secret": ("target", "id", "required", "mode", "uid", "gid", "env"),
}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class RunMount:
    """One mount. `word` is where it stands, `origin` the word of its from=."""

    kind: Kind
    target: str
    word: Word
    source: str = "/"
    origin: Word | None = None
    id: str = ""
    env: str = ""
    sharing: str = "shared"
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    readonly: bool = False
    required: bool = False
    size: int = 0

    @property
    def identity(self) -> tuple[object, ...]:
        """What of it a step's result depends on; what a cache or a secret holds is not."""
        return (self.kind, self.target, self.id, self.env, self.mode, self.uid, self.gid, self.size)

    @property
    def cache_name(self) -> str:
        """The folder of a cache, whatever its id is made of."""
        return hashlib.sha256((self.id or self.target).encode()).hexdigest()[:32]


def mounts(instruction: Instruction, expand: Callable[[Word], str], workdir: str) -> list[RunMount]:
    """A RUN's mounts in order. Raise ContainerfileError for what is wrong or not supported."""
    return [
        _Parser(instruction, word, expand).mount(workdir)
        for word in instruction.flags.get("mount", ())
    ]


class _Parser:
    def __init__(self, instruction: Instruction, word: Word, expand: Callable[[Word], str]) -> None:
        self._statement = instruction.statement
        self._word = word
        self._places: dict[str, int] = {}
        self._values: dict[str, str] = {}
        self._origin: Word | None = None
        at = word.offset
        for option in word.text.split(","):
            key, _, value = option.partition("=")
            key = _ALIASES.get(key.lower(), key.lower())
            if key in self._values:
                self._statement.fail(f"--mount: {key} is given twice", at)
            found = Word(value, at + len(option) - len(value))
            self._places[key] = at
            if key == "from":
                self._origin = found
            self._values[key] = value if key in ("from", "type") else expand(found)
            at += len(option) + 1

    def mount(self, workdir: str) -> RunMount:
        kind = self._values.pop("type", "bind")
        if kind not in _OPTIONS:
            reason = f"--mount: type {kind!r} is not supported{nearest(kind, list(_OPTIONS))}"
            self._statement.fail(f"{reason}: {', '.join(_OPTIONS)}", self._word.offset)
        for key, at in self._places.items():
            if key != "type" and key not in _OPTIONS[kind]:
                self._statement.fail(
                    f"--mount: a {kind} mount has no option {key!r}{nearest(key, _OPTIONS[kind])}",
                    at,
                )
        values = self._values
        id, env = values.get("id", ""), values.get("env", "")
        target = values.get("target", "")
        if kind == "secret":
            id = id or target.rpartition("/")[2]
            if not id:
                self._statement.fail("--mount: a secret needs an id", self._word.offset)
            target = target or ("" if env else f"/run/secrets/{id}")
        elif not target:
            self._statement.fail(f"--mount: a {kind} mount needs a target", self._word.offset)
        full = join(workdir, target) if target else ""
        if full == "/":
            self._statement.fail("--mount: nothing can be mounted on /", self._places["target"])
        sharing = values.get("sharing", "shared")
        if sharing not in ("shared", "private", "locked"):
            self._statement.fail(
                "--mount: sharing is shared, private or locked", self._places["sharing"]
            )
        return RunMount(
            kind=kind,  # type: ignore[arg-type]
            target=full,
            word=self._word,
            source=values.get("source", "/"),
            origin=self._origin,
            id=id,
            env=env,
            sharing=sharing,
            mode=self._number("mode", 0o400 if kind == "secret" else 0o755, base=8),
            uid=self._number("uid", 0),
            gid=self._number("gid", 0),
            readonly=self._is_readonly(kind),
            required=self._flag("required"),
            size=self._size(),
        )

    def _is_readonly(self, kind: str) -> bool:
        if kind == "bind":
            return not self._flag("readwrite")
        return kind == "secret" or self._flag("readonly")

    def _flag(self, key: str) -> bool:
        value = self._values.get(key)
        if value is None or value in _FALSE:
            return False
        if value not in _TRUE:
            self._statement.fail(f"--mount: {key} is true or false", self._places[key])
        return True

    def _number(self, key: str, default: int, base: int = 10) -> int:
        value = self._values.get(key)
        if value is None:
            return default
        try:
            number = int(value, base)
        except ValueError:
            number = -1
        if not 0 <= number < (0o10000 if base == 8 else 1 << 32):
            self._statement.fail(f"--mount: {key} {value!r} is not a number", self._places[key])
        return number

    def _size(self) -> int:
        value = self._values.get("size", "0").lower().removesuffix("b").removesuffix("i")
        digits = value.rstrip("kmg")
        unit = value[len(digits) :]
        if not digits.isdecimal() or unit not in _SIZES or len(digits) > 15:
            self._statement.fail("--mount: size is a number, as 64m", self._places["size"])
        return int(digits) * _SIZES[unit]
