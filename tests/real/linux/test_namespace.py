"""Namespaces, and what a process may do in them."""

import errno
import signal


def test_clone3_makes_pid_1_and_a_pidfd(alone):
    found = alone(
        """
r, w = os.pipe()
pid, fd = namespace.clone3(CLONE.NEWPID | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNET | CLONE.NEWNS)
if pid == 0:
    socket.sethostname("inside")
    os.write(w, b"%d %s" % (os.getpid(), socket.gethostname().encode()))
    os._exit(37)
result = os.waitid(os.P_PIDFD, fd, os.WEXITED)
said = os.read(r, 100).decode()
answer([said, result.si_pid == pid, result.si_status, os.get_inheritable(fd), socket.gethostname()])
"""
    )
    assert found[:4] == ["1 inside", True, 37, False]
    assert found[4] != "inside"


def test_the_child_of_clone3_is_a_whole_python(alone):
    """Allocation, signals, fork and a further clone3 work in it."""
    found = alone(
        """
r, w = os.pipe()
pid, fd = namespace.clone3(CLONE.NEWPID)
if pid == 0:
    grown = sum(len(str(n)) for n in range(10000))
    signal.signal(signal.SIGUSR1, lambda *_: os.write(w, b"signal "))
    os.kill(os.getpid(), signal.SIGUSR1)
    child = os.fork()
    if child == 0:
        os._exit(3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    inner, inner_fd = namespace.clone3(0)
    if inner == 0:
        os._exit(4)
    inner_status = os.waitid(os.P_PIDFD, inner_fd, os.WEXITED).si_status
    os.write(w, b"%d %d %d" % (grown, status, inner_status))
    os._exit(0)
os.waitid(os.P_PIDFD, fd, os.WEXITED)
answer(os.read(r, 100).decode())
"""
    )
    assert found == "signal 38890 3 4"


def test_setns_goes_there_and_back(alone):
    found = alone(
        """
home = os.open("/proc/self/ns/uts", os.O_RDONLY)
before = socket.gethostname()
namespace.unshare(CLONE.NEWUTS)
socket.sethostname("elsewhere")
away = os.open("/proc/self/ns/uts", os.O_RDONLY)
names = []
for fd in (home, away, home):
    namespace.setns(fd, CLONE.NEWUTS)
    names.append(socket.gethostname())
answer([before, names])
"""
    )
    assert found[1] == [found[0], "elsewhere", found[0]]


def test_failures_name_the_namespaces(alone):
    found = alone(
        """
fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
answer([failure(namespace.setns, fd, CLONE.NEWNET), failure(namespace.unshare, 1 << 13)])
"""
    )
    assert found == [[errno.EINVAL, "setns NEWNET"], [errno.EINVAL, "unshare 8192"]]


def test_a_signal_through_a_pidfd(alone):
    found = alone(
        """
pid, own = namespace.clone3(0)
if pid == 0:
    signal.pause()
fd = pidfd.pidfd_open(pid)
pidfd.pidfd_send_signal(fd, signal.SIGTERM)
result = os.waitid(os.P_PIDFD, own, os.WEXITED)
answer([result.si_status, failure(pidfd.pidfd_send_signal, fd, 0), failure(pidfd.pidfd_open, pid)])
"""
    )
    assert found[0] == signal.SIGTERM
    assert found[1] == [errno.ESRCH, "signal 0"]
    assert found[2][0] == errno.ESRCH


def test_capabilities_shrink_to_what_is_kept(alone):
    found = alone(
        """
keep = 1 << CAP.KILL | 1 << CAP.CHOWN
process.drop_bounding(keep)
process.capset(keep, keep, keep)
process.ambient_raise(CAP.KILL)
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
sets = [int(status["Cap" + name], 16) for name in ("Eff", "Prm", "Inh", "Bnd", "Amb")]
process.ambient_clear()
answer([keep, sets, list(process.capget()), failure(process.ambient_raise, CAP.SYS_ADMIN)])
"""
    )
    keep, sets, got, refused = found
    assert sets == [keep, keep, keep, keep, 1 << 5]
    assert got == [keep, keep, keep]
    assert refused[0] == errno.EPERM


def test_close_range_leaves_only_what_is_before_it(alone):
    found = alone(
        """
os.dup2(1, 40); os.dup2(1, 50)
process.close_range(41, ~0)
open_still = []
for fd in (40, 50):
    try:
        os.fstat(fd)
        open_still.append(fd)
    except OSError:
        pass
answer(open_still)
"""
    )
    assert found == [40]


def test_a_seccomp_filter_is_obeyed(alone):
    found = alone(
        """
from engine.linux.table import NR
process.set_no_new_privs()
program = b"".join(struct.pack("=HBBI", *i) for i in (
    (0x20, 0, 0, 0),                  # load the number
    (0x15, 0, 1, NR["sethostname"]),  # sethostname?
    (0x06, 0, 0, 0x50000 | 77),       # then fail with errno 77
    (0x06, 0, 0, 0x7FFF0000),         # else allow
))
seccomp.set_mode_filter(program)
try:
    socket.sethostname("x")
except OSError as error:
    answer([error.errno, failure(seccomp.set_mode_filter, struct.pack("=HBBI", 99, 0, 0, 0))])
"""
    )
    assert found == [77, [errno.EINVAL, "seccomp filter of 1 instructions"]]
