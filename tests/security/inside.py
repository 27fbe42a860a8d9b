"""What an attack finds around it: its source goes into the container before the attack's own.

An attack is a function of a test. It runs in the container, as its root, in this machine's Python;
what it returns (JSON) is what the test sees. `NR` holds the numbers of the system calls by name.
"""

import ctypes
import errno
import json
import os
import sys

NR: dict = {}
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """The bare system call. Raise OSError."""
    result = libc.syscall(ctypes.c_long(NR[name]), *map(_argument, args))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


def _argument(value):
    return value if isinstance(value, bytes) else ctypes.c_long(value)


def tried(action, *args):
    """The name of the error that it met, "DONE" for none."""
    try:
        action(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "DONE"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def append(path, text=b"escaped\n"):
    with open(path, "ab") as file:
        file.write(text)


def answer(value):
    """To the test."""
    print("\n" + json.dumps(value), flush=True)


def say(word):
    """To the test, while the attack goes on."""
    print(word, flush=True)


def until_told(stream=sys.stdin):
    stream.readline()
