"""Boot the machine under QEMU, read its console, and tell how each of its jobs ended."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import image
from tests.vm.kernel import Kernel, VmError

_QEMU = "qemu-system-x86_64"
_MEMORY = "2G"
# Without what an emulation pays for and the tests do not need, a fifth of the time. A second CPU,
# too, costs more than it gives: locks and TLB flushes are dear.
_CPU = "max,la57=off,smap=off,smep=off,umip=off,pku=off,avx=off,avx2=off,f16c=off,fma=off"
_CONSOLE = "console=ttyS0 quiet loglevel=2 panic=-1 mitigations=off random.trust_cpu=on"


@dataclass(frozen=True)
class Ended:
    """One job: its exit code, what it said, and how many seconds it took inside."""

    code: int
    output: str
    seconds: float


def boot(
    jobs: Sequence[tuple[str, Sequence[str]]], *, timeout_s: float = 480, echo: bool = False
) -> dict[str, Ended]:
    """Run (name, command) one after the other in one machine; `echo` shows the console.

    The machine is stopped after timeout_s: what has not ended by then has code 124, as timeout(1)
    says it. Raise VmError when the machine cannot be made or does not boot.
    """
    if shutil.which(_QEMU) is None:
        raise VmError(f"no {_QEMU} on PATH: apt-get install qemu-system-x86 (sh tests/install.sh)")
    kernel = Kernel.get()
    with tempfile.TemporaryDirectory(prefix="podarium-vm-") as folder:
        initramfs = Path(folder) / "initramfs"
        image.build(initramfs, kernel, jobs)
        machine = subprocess.Popen(
            _command(kernel, initramfs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        late = threading.Timer(timeout_s, machine.kill)
        late.start()
        try:
            lines = _read(machine, echo)
        finally:
            machine.kill()
            machine.wait()
            late.cancel()
    if not any(line.startswith("::begin") for line in lines):
        raise VmError("the machine did not boot:\n" + "\n".join(lines[-40:]))
    ended = _parse(lines)
    return {name: ended.get(name, Ended(124, "not reached", 0.0)) for name, _ in jobs}


def _command(kernel: Kernel, initramfs: Path) -> list[str]:
    return [
        *(_QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", "tcg", "-cpu", _CPU, "-smp", "1"),
        *("-m", _MEMORY, "-serial", "stdio", "-kernel", str(kernel.image)),
        *("-initrd", str(initramfs), "-append", _CONSOLE),
    ]


def _read(machine: subprocess.Popen[str], echo: bool) -> list[str]:
    assert machine.stdout is not None
    lines = []
    with machine.stdout:
        for line in machine.stdout:
            lines.append(line.rstrip())
            if echo:
                sys.stdout.write(lines[-1] + "\n")
                sys.stdout.flush()
    return lines


def _parse(lines: list[str]) -> dict[str, Ended]:
    """Of every job that began; the last one may have been cut off."""
    ended: dict[str, Ended] = {}
    name = ""
    output: list[str] = []
    for line in lines:
        word, *rest = line.split(" ")
        if word == "::begin":
            name, output = rest[0], []
        elif word == "::end":
            ended[name] = Ended(int(rest[1]), "\n".join(output), float(rest[2]))
            name = ""
        else:
            output.append(line)
    if name:
        ended[name] = Ended(124, "\n".join([*output, "cut off here"]), 0.0)
    return ended
