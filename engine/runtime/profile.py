"""The default seccomp profile: every system call that a well-behaved program makes, and no more.

In the manner of Docker's: an allow list; what reaches the machine rather than the container
(mounts, modules, clocks, keyrings, BPF, io_uring, ...) fails with EPERM, unless the capability that
the kernel asks for it anyway was granted. Calls are grouped by what they are for.
"""

import errno
import functools
import socket

from engine.linux.flags import CLONE
from engine.runtime.scmp import ALLOW, EQ, ERRNO, MASKED_EQ, NE
from engine.runtime.seccomp import Argument, LinuxSeccomp, Syscalls

_ALLOWED = {
    "files": """
        access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3
        faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat
        fcntl fdatasync fgetxattr file_getattr flistxattr flock fremovexattr fsetxattr fstat fstatfs
        fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat ioctl lchown
        lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat
        mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv
        preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr
        removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat
        statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink
        unlinkat utime utimensat utimes vmsplice write writev
    """,
    "events": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
        inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit pipe
        pipe2 poll ppoll pselect6 select signalfd signalfd4 timerfd_create timerfd_gettime
        timerfd_settime
    """,
    "memory": """
        brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2
        mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
        pkey_mprotect remap_file_pages
    """,
    "processes": """
        arch_prctl execve execveat exit exit_group fork get_robust_list get_thread_area getcpu
        getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid ioprio_get
        ioprio_set kill modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease
        restart_syscall rseq sched_get_priority_max sched_get_priority_min sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area
        set_tid_address setpgid setpriority setrlimit setsid sysinfo tgkill times tkill uname vfork
        wait4 waitid
    """,
    # A debugger sees only its own pid namespace (Linux 4.8 closed the way around seccomp).
    "debugging": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "credentials": """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr setfsgid setfsuid setgid setgroups
        setregid setresgid setresuid setreuid setuid
    """,
    "signals": """
        alarm getitimer pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
        rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo setitimer sigaltstack
    """,
    # adjtimex and clock_adjtime also read; to change anything they ask for CAP_SYS_TIME.
    "time": """
        adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep
        time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    """,
    "locks": "futex futex_requeue futex_wait futex_waitv futex_wake",
    "ipc": """
        mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv
        msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget
    """,
    "network": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg
        recvmsg sendmmsg sendmsg sendto setsockopt shutdown socketpair
    """,
    "sandboxing": "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    "randomness": "getrandom",
}

_WITH_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount
        mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns statmount syslog umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime settimeofday",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_NEW_NAMESPACES = (
    CLONE.NEWNS
    | CLONE.NEWCGROUP
    | CLONE.NEWUTS
    | CLONE.NEWIPC
    | CLONE.NEWUSER
    | CLONE.NEWPID
    | CLONE.NEWNET
)

# personality(2): Linux or a 32-bit uname, with or without the address-space quirk of old programs
# (UNAME26), and 0xffffffff which only asks. ADDR_NO_RANDOMIZE is left out: it weakens ASLR.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# AF_ALG had kernel holes (CVE-2017-7541 and others) and needs no namespace; AF_VSOCK reaches the
# hypervisor past every network namespace.
_REFUSED_FAMILIES = (socket.AF_ALG, socket.AF_VSOCK)


@functools.cache
def default_profile(capabilities: tuple[str, ...]) -> LinuxSeccomp:
    """The profile for a container that holds `capabilities` ("CAP_SYS_ADMIN", ...)."""
    allowed = [Syscalls(names=tuple(n.split()), action=ALLOW) for n in _ALLOWED.values()]
    for capability, names in _WITH_CAPABILITY.items():
        if capability in capabilities:
            allowed.append(Syscalls(names=tuple(names.split()), action=ALLOW))
    if "CAP_SYS_ADMIN" not in capabilities:
        allowed.append(
            Syscalls(
                names=("clone",),
                action=ALLOW,
                args=(Argument(index=0, value=int(_NEW_NAMESPACES), op=MASKED_EQ),),
            )
        )
        # A filter cannot read clone3's struct; told that the kernel lacks it, libc uses clone.
        allowed.append(Syscalls(names=("clone3",), action=ERRNO, errno_ret=errno.ENOSYS))
    for personality in _PERSONALITIES:
        argument = Argument(index=0, value=personality, op=EQ)
        allowed.append(Syscalls(names=("personality",), action=ALLOW, args=(argument,)))
    families = tuple(Argument(index=0, value=int(f), op=NE) for f in _REFUSED_FAMILIES)
    allowed.append(Syscalls(names=("socket",), action=ALLOW, args=families))
    return LinuxSeccomp(
        default_action=ERRNO, default_errno_ret=errno.EPERM, syscalls=tuple(allowed)
    )
