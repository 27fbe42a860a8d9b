"""Rules of devices for v2, which has no controller of them: an eBPF program that the kernel asks
at each open(2) and mknod(2) of a device (include/uapi/linux/bpf.h, struct bpf_cgroup_dev_ctx)."""

from __future__ import annotations

import functools
import os
import struct

from engine.linux.bpf import (
    attach_device_filter,
    detach_device_filter,
    device_filters,
    load_device_filter,
)

# <linux/bpf_common.h>, <linux/bpf.h>: 64 bit arithmetic and jumps with a constant, loads of a word.
_LOAD_WORD, _MOVE, _MOVE_REGISTER, _AND, _SHIFT_RIGHT = 0x61, 0xB7, 0xBF, 0x57, 0x77
_IF_EQUAL, _IF_NOT_EQUAL, _EXIT = 0x15, 0x55, 0x95

_RESULT, _CONTEXT, _ACCESS, _TYPE, _MAJOR, _MINOR, _SCRATCH = range(7)
_TYPES = {"b": 1, "c": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}
_EVERY_ACCESS = 7
_NOTHING = "!a *:* rwm"


def compile(rules: tuple[str, ...]) -> bytes:
    """Of rules as Resources.devices has them: the last that is about a device decides. Pure."""
    code = [
        # access_type: the type in its lower half, what is asked for in its upper.
        _instruction(_LOAD_WORD, _ACCESS, _CONTEXT, 0),
        _instruction(_MOVE_REGISTER, _TYPE, _ACCESS),
        _instruction(_AND, _TYPE, constant=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS, constant=16),
        _instruction(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _instruction(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    # The kernel refuses what no path leads to: behind a rule about everything there is nothing.
    for rule in reversed((_NOTHING, *rules)):
        tested = _rule(rule.removeprefix("!"), not rule.startswith("!"))
        code += tested
        if len(tested) == len(_answer(True)):
            break
    return b"".join(code)


def _rule(rule: str, allow: bool) -> list[bytes]:
    kind, numbers, letters = rule.split(" ")
    access = sum(_ACCESSES[letter] for letter in letters)
    # Each as (what comes before the test, its code, register, constant): jumping past the answer.
    tests: list[tuple[list[bytes], int, int, int]] = []
    if kind in _TYPES:
        tests.append(([], _IF_NOT_EQUAL, _TYPE, _TYPES[kind]))
    if access != _EVERY_ACCESS:
        # Allowed is what asks for nothing else, denied what asks for any of it.
        mask = _EVERY_ACCESS & ~access if allow else access
        before = [
            _instruction(_MOVE_REGISTER, _SCRATCH, _ACCESS),
            _instruction(_AND, _SCRATCH, constant=mask),
        ]
        tests.append((before, _IF_NOT_EQUAL if allow else _IF_EQUAL, _SCRATCH, 0))
    for register, number in zip((_MAJOR, _MINOR), numbers.split(":"), strict=True):
        if number != "*":
            tests.append(([], _IF_NOT_EQUAL, register, int(number)))
    code = _answer(allow)
    for before, test, register, constant in reversed(tests):
        code = [*before, _instruction(test, register, 0, len(code), constant), *code]
    return code


def _answer(allow: bool) -> list[bytes]:
    return [_instruction(_MOVE, _RESULT, constant=int(allow)), _instruction(_EXIT)]


def _instruction(
    code: int, to: int = 0, from_: int = 0, offset: int = 0, constant: int = 0
) -> bytes:
    return struct.pack("=BBhi", code, from_ << 4 | to, offset, constant)


@functools.cache
def loads() -> bool:
    """Whether the kernel takes such a program from us: as root of the machine, since 4.15."""
    try:
        os.close(load_device_filter(compile(())))
    except OSError:
        return False
    return True


def attach(cgroup: int, program: bytes) -> None:
    """To the directory of a v2 cgroup, in place of what was attached to it: at no moment is there
    none. It lasts as long as the cgroup."""
    before = device_filters(cgroup)
    loaded = load_device_filter(program)
    try:
        attach_device_filter(cgroup, loaded)
    finally:
        os.close(loaded)
    for id in before:
        detach_device_filter(cgroup, id)
