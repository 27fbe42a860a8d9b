"""Labels of security modules: AppArmor's profile and SELinux's context of a process, and of files.

They take effect at the exec, and are written just before it, to a file of the machine's /proc that
was opened while that was in sight: what an image has there is not asked (CVE-2025-52881).
"""

from __future__ import annotations

import os

from engine.runtime.oci.document import Value
from engine.runtime.ops.base import Context, Op, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_APPARMOR = "/sys/module/apparmor/parameters/enabled"
_SELINUX = "/sys/fs/selinux/enforce"
# Linux 5.8 has a file for each module; the old one is whoever's came first.
_ATTRIBUTES = {
    "apparmor": ("/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"),
    "selinux": ("/proc/self/attr/exec",),
}


class HoldLabel(Op):
    """Open where the label will be written. `module`: apparmor or selinux."""

    NAME = "hold-label"
    PHASE = "namespaces"
    module: str

    @property
    def about(self) -> str:
        return self.module

    def apply(self, context: Context) -> None:
        *newer, last = _ATTRIBUTES[self.module]
        path = next((path for path in newer if os.path.exists(path)), last)
        context.label = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"hold on to where {self.module} is told a label"

    def shell(self) -> str:
        return f"exec 9> {_ATTRIBUTES[self.module][0]}"


class Label(Op):
    NAME = "label"
    PHASE = "confine"
    module: str
    label: str

    @property
    def about(self) -> str:
        return self.label

    def apply(self, context: Context) -> None:
        text = f"exec {self.label}" if self.module == "apparmor" else self.label
        try:
            os.write(context.label, text.encode())
        except OSError as error:
            raise OSError(error.errno, f"{self.module}: {error.strerror}", self.label) from None
        os.close(context.label)

    def describe(self) -> str:
        return f"be confined by {self.module} as {self.label}"

    def shell(self) -> str:
        return f"echo {quoted(self.label)} >&9"


def hold(process: Value) -> Iterator[HoldLabel]:
    """Before the machine's /proc is out of sight. Raise ConfigError."""
    for label in _labels(process):
        yield HoldLabel(label.module)


def _labels(process: Value) -> list[Label]:
    found = []
    for module, name, there in (
        ("apparmor", "apparmorProfile", apparmor()),
        ("selinux", "selinuxLabel", selinux()),
    ):
        field = process.get(name)
        if not field or not field.text():
            continue
        if not there:
            raise field.error(f"this machine is without {module}; leave it out")
        found.append(Label(module, field.text()))
    if len(found) > 1:
        # No kernel that is about has both confine processes in full.
        raise process.get("apparmorProfile").error("goes without a selinuxLabel")
    return found


def labels(process: Value) -> tuple[Label, ...]:
    """Just before the filter and the exec. Raise ConfigError."""
    return tuple(_labels(process))


def mount_label(linux: Value) -> str:
    """What SELinux is to see the container's own filesystems as. Raise ConfigError."""
    label = linux.get("mountLabel")
    if label and label.text() and not selinux():
        raise label.error("this machine is without selinux; leave it out")
    return label.text("")


def apparmor() -> bool:
    try:
        with open(_APPARMOR, "rb") as file:
            return file.read(1) == b"Y"
    except FileNotFoundError:
        return False


def selinux() -> bool:
    return os.path.exists(_SELINUX)
