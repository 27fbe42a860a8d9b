"""The system call tables: complete, and as the kernel's own headers have them."""

import re
from pathlib import Path

import pytest

from engine.linux import table

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


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


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_number_and_no_name_is_there_twice(machine: str) -> None:
    runs = table._RUNS[machine]
    names = [name for _, text in runs for name in text.split()]
    numbers = table.numbers(machine)
    assert len(names) == len(set(names)) == len(set(numbers.values()))


@pytest.mark.skipif(not HEADER.exists(), reason="no kernel headers for x86_64")
def test_agrees_with_the_kernel_headers() -> None:
    found = re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())
    known = table.numbers("x86_64")
    assert {name: known.get(name) for name, _ in found} == {n: int(v) for n, v in found}


def test_unknown_machine_names_those_known() -> None:
    with pytest.raises(NotImplementedError, match="riscv64; known: x86_64, aarch64"):
        table.numbers("riscv64")
