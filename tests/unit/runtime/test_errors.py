"""A failed start names its step, the object, the reason, and what to do."""

import errno

from engine.runtime.errors import RuntimeFailure, StartError, failed


def test_a_start_error_says_it_all() -> None:
    error = failed(
        "start",
        "web",
        ("start", "exec", "srever", errno.ENOENT, "executable not found in PATH (/bin)", "srever"),
    )
    assert isinstance(error, StartError)
    assert (error.step, error.object, error.errno) == ("exec", "srever", errno.ENOENT)
    assert str(error) == (
        "exec srever: executable not found in PATH (/bin) (is the command right, and in the image?)"
    )


def test_what_the_kernel_complained_of_is_named_once() -> None:
    error = StartError("mount", "proc on /proc", errno.ELOOP, "Too many levels", "/proc/x")
    assert str(error).startswith("mount proc on /proc: /proc/x: Too many levels (")


def test_other_failures_keep_their_kind() -> None:
    missing = failed("remove", "web", ("os", errno.EBUSY, "it is still running", ""))
    assert isinstance(missing, OSError)
    assert (missing.errno, missing.filename) == (errno.EBUSY, "web")
    assert isinstance(failed("start", "web", ("bug", "KeyError()")), RuntimeFailure)
