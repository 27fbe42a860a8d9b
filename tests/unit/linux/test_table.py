"""The system call tables: complete, and as the kernel's own headers have them."""

import os
import re
import shutil
import subprocess

import pytest

from engine.linux import table

# Where Debian's linux-libc-dev, and its -arm64-cross, keep them.
HEADERS = {
    "x86_64": ("/usr/include", "/usr/include/x86_64-linux-gnu", "asm/unistd_64.h"),
    "i386": ("/usr/include", "/usr/include/x86_64-linux-gnu", "asm/unistd_32.h"),
    "aarch64": ("/usr/aarch64-linux-gnu/include", "", "asm/unistd.h"),
}
AUDITED = {"x86_64": "X86_64", "i386": "I386", "aarch64": "AARCH64"}


def preprocessed(machine: str, text: str, *options: str) -> str:
    """What the C preprocessor makes of a program that includes a machine's kernel headers."""
    *places, _ = HEADERS[machine]
    if not os.path.isdir(places[0]) or shutil.which("cc") is None:
        pytest.skip(f"no kernel headers for {machine}")
    includes = [f"-I{place}" for place in places if place]
    command = ["cc", "-E", *options, "-nostdinc", *includes, "-"]
    return subprocess.run(command, input=text, text=True, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("machine", "name", "number"),
    [
        ("x86_64", "read", 0),
        ("x86_64", "mount", 165),
        ("x86_64", "setns", 308),
        ("x86_64", "rseq", 334),
        ("aarch64", "io_setup", 0),
        ("aarch64", "renameat", 38),
        ("aarch64", "mount", 40),
        ("aarch64", "accept4", 242),
        ("aarch64", "wait4", 260),
        ("aarch64", "kexec_file_load", 294),
        *[
            (machine, name, number)
            for machine in ("x86_64", "aarch64")
            for name, number in [("pidfd_send_signal", 424), ("clone3", 435), ("openat2", 437)]
        ],
    ],
)
def test_numbers(machine: str, name: str, number: int) -> None:
    assert table.numbers(machine)[name] == number


@pytest.mark.parametrize("machine", ["x86_64", "i386", "aarch64"])
def test_no_number_and_no_name_is_there_twice(machine: str) -> None:
    runs = table._RUNS[machine]
    names = [name for _, text in runs for name in text.split()]
    numbers = table.numbers(machine)
    assert len(names) == len(set(names)) == len(set(numbers.values()))


@pytest.mark.parametrize("machine", HEADERS)
def test_agrees_with_the_kernel_headers(machine: str) -> None:
    macros = preprocessed(machine, f"#include <{HEADERS[machine][2]}>\n", "-dM")
    found = dict(re.findall(r"#define (__NR\w+) (\w+)", macros))
    known = table.numbers(machine)
    checked = 0
    for name, value in found.items():
        # One name for the 32 and the 64 bit call: __NR_fcntl is __NR3264_fcntl.
        number = found.get(value, value)
        # Where a block of numbers begins, and how many there are in all.
        if name in ("__NR_arch_specific_syscall", "__NR_syscalls"):
            continue
        if name.startswith("__NR_") and number.isdecimal():
            assert known.get(name.removeprefix("__NR_")) == int(number), name
            checked += 1
    assert checked > 300


@pytest.mark.parametrize("machine", HEADERS)
def test_the_name_of_the_architecture(machine: str) -> None:
    text = f"#include <linux/audit.h>\nresult AUDIT_ARCH_{AUDITED[machine]}\n"
    expression = preprocessed(machine, text, "-P").rpartition("result ")[2]
    assert table.AUDIT_ARCH[machine] == eval(expression, {})  # noqa: S307 - of the kernel's header


def test_unknown_machine_names_those_known() -> None:
    with pytest.raises(NotImplementedError, match="riscv64; known: x86_64, aarch64, i386"):
        table.numbers("riscv64")
