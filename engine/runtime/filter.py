"""Compiles a seccomp profile to the BPF program that the kernel runs at every system call.

Call numbers with the same answer form ranges, and a balanced tree of comparisons finds the range:
about eight steps a call, where the usual chain of equality tests needs hundreds. Pure.
"""

from __future__ import annotations

import errno
import struct

from engine.linux.table import AUDIT_ARCH, MACHINE, numbers
from engine.runtime import scmp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from engine.runtime.scmp import Argument, Profile, Syscalls

    Answer = int | tuple[Syscalls, ...]

# <linux/bpf_common.h>: load a word, and its bits, compare, jump, return.
_LOAD, _AND, _JUMP, _EQUAL, _GREATER, _AT_LEAST, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x06

# <linux/seccomp.h>: struct seccomp_data, and what a filter may return.
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_RET_KILL_PROCESS = 0x80000000
_RET_ERRNO = 0x00050000
_RET_TRACE = 0x7FF00000
_RETURNS = {
    scmp.ALLOW: 0x7FFF0000,
    scmp.LOG: 0x7FFC0000,
    scmp.NOTIFY: 0x7FC00000,
    scmp.TRAP: 0x00030000,
    scmp.KILL: _RET_KILL_PROCESS,
    # What libseccomp, whose names these are, has always made of the short one.
    scmp.KILL_OLD: 0x00000000,
    scmp.KILL_THREAD: 0x00000000,
}
# These carry a number: an errno, or what a tracer is told.
_WITH_DATA = {scmp.ERRNO: _RET_ERRNO, scmp.TRACE: _RET_TRACE}
_NO_SUCH_CALL = _RET_ERRNO | errno.ENOSYS

# x86-64 knows a second set of calls by this bit, which a filter that forgets it lets through.
_X32 = 0x40000000

# A conditional jump reaches 255 instructions.
_REACH = 255
_WORD = 0xFFFFFFFF


def compile(profile: Profile, machine: str = MACHINE, also: tuple[str, ...] = ()) -> bytes:
    """The profile as an array of struct sock_filter, for seccomp(2).

    A program for another architecture is killed, unless it is one of `also`; a call newer than any
    we know is ENOSYS, so that a newer libc falls back to what the profile allows. Raise ValueError
    for an unknown action or operator, NotImplementedError for an unknown architecture.
    """
    code = [_instruction(_LOAD, _ARCH)]
    for each in (machine, *also):
        calls = _calls(profile, each)
        skip = _instruction(_JUMP, len(calls))
        if each == (machine, *also)[-1]:
            skip = _instruction(_RETURN, _RET_KILL_PROCESS)
        code += [_instruction(_EQUAL, AUDIT_ARCH[each], 1, 0), skip, *calls]
    return b"".join(code)


def _calls(profile: Profile, machine: str) -> list[bytes]:
    """What answers the calls of one architecture."""
    table = numbers(machine)
    default = _return(profile.default_action, profile.default_errno_ret)
    ranges = _ranges(_answers(profile, table), default, last=max(table.values()))
    return [
        _instruction(_LOAD, _NR),
        _instruction(_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _NO_SUCH_CALL),
        *_tree(ranges, default),
    ]


def _answers(profile: Profile, table: dict[str, int]) -> dict[int, Answer]:
    """What each call gets: an action, or the rules to try one after the other."""
    answers: dict[int, Answer] = {}
    for rule in profile.syscalls:
        for name in rule.names:
            number = table.get(name)
            if number is None:
                continue
            earlier = answers.get(number, ())
            if isinstance(earlier, int):
                continue
            if not rule.args and not earlier:
                answers[number] = _return(rule.action, rule.errno_ret)
            elif not earlier or earlier[-1].args:
                answers[number] = (*earlier, rule)
    return answers


def _ranges(answers: dict[int, Answer], default: int, last: int) -> list[tuple[int, Answer]]:
    """(first number, answer) in order; each holds up to the next, the last one for ever."""
    ranges: list[tuple[int, Answer]] = []
    for number in range(last + 1):
        answer = answers.get(number, default)
        if not ranges or ranges[-1][1] != answer:
            ranges.append((number, answer))
    ranges.append((last + 1, _NO_SUCH_CALL))
    return ranges


def _tree(ranges: list[tuple[int, Answer]], default: int) -> list[bytes]:
    """Instructions that answer a call whose number, in one of `ranges`, is loaded."""
    if len(ranges) == 1:
        answer = ranges[0][1]
        if isinstance(answer, int):
            return [_instruction(_RETURN, answer)]
        return _rules(answer, default)
    middle = len(ranges) // 2
    lower, upper = _tree(ranges[:middle], default), _tree(ranges[middle:], default)
    split = ranges[middle][0]
    if len(lower) <= _REACH:
        return [_instruction(_AT_LEAST, split, len(lower), 0), *lower, *upper]
    jump = _instruction(_JUMP, len(lower))
    return [_instruction(_AT_LEAST, split, 0, 1), jump, *lower, *upper]


def _rules(rules: tuple[Syscalls, ...], default: int) -> list[bytes]:
    code: list[bytes] = []
    for rule in rules:
        verdict = [_instruction(_RETURN, _return(rule.action, rule.errno_ret))]
        for argument in reversed(rule.args):
            verdict = _condition(argument, len(verdict)) + verdict
        code += verdict
    return [*code, _instruction(_RETURN, default)]


def _condition(argument: Argument, then: int) -> list[bytes]:
    """Fall through to the `then` next instructions when the argument is as asked; else skip them.

    BPF sees 32 bits at a time: the high word is tested first.
    """
    if argument.op in _ORDERED:
        return _ordered(argument, then)
    mask, value = _WORD << 32 | _WORD, argument.value
    if argument.op == scmp.MASKED_EQ:
        mask, value = argument.value, argument.value_two
    elif argument.op not in (scmp.EQ, scmp.NE):
        raise ValueError(f"seccomp: operator {argument.op!r} is not supported")
    low = _ARGUMENTS + 8 * argument.index
    low_word = _masked(low, mask & _WORD)
    last = (then, 0) if argument.op == scmp.NE else (0, then)
    low_test = [*low_word, _instruction(_EQUAL, value & _WORD, *last)]
    if not mask >> 32 and not value >> 32:
        return low_test
    # Unequal high words settle it: over the low word's test, and for NE no further.
    skip = len(low_test) + (0 if argument.op == scmp.NE else then)
    high_word = _masked(low + 4, mask >> 32)
    return [*high_word, _instruction(_EQUAL, value >> 32, 0, skip), *low_test]


# Which test of the low word decides when the high words are equal, and whether it must fail.
_ORDERED = {
    scmp.GT: (_GREATER, False),
    scmp.GE: (_AT_LEAST, False),
    scmp.LT: (_AT_LEAST, True),
    scmp.LE: (_GREATER, True),
}


def _ordered(argument: Argument, then: int) -> list[bytes]:
    """Unsigned, as the kernel hands arguments over."""
    low = _ARGUMENTS + 8 * argument.index
    high_value, low_value = argument.value >> 32, argument.value & _WORD
    test, negated = _ORDERED[argument.op]
    # After these three: the low word's two instructions, then `then`.
    met, missed = 2, 2 + then
    above, below = (missed, met) if negated else (met, missed)
    return [
        _instruction(_LOAD, low + 4),
        _instruction(_GREATER, high_value, above + 1, 0),
        _instruction(_EQUAL, high_value, 0, below),
        _instruction(_LOAD, low),
        _instruction(test, low_value, *((then, 0) if negated else (0, then))),
    ]


def _masked(offset: int, mask: int) -> list[bytes]:
    load = _instruction(_LOAD, offset)
    return [load] if mask == _WORD else [load, _instruction(_AND, mask)]


def _return(action: str, errno_ret: int | None) -> int:
    if action in _WITH_DATA:
        return _WITH_DATA[action] | (errno.EPERM if errno_ret is None else errno_ret)
    if action in _RETURNS:
        return _RETURNS[action]
    raise ValueError(f"seccomp: action {action!r} is not supported")


def _instruction(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)
