/* What isolates a container of the floor, with the same means as the engine's: the namespaces of its
 * sandbox, its root filesystem, and what it gives up. Included once, by start.c.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 64 };

static char *lowers, *upper, *work, *born, *hostname;
static uint64_t bounding;
static char *cgroups[WORDS], *limits[WORDS][2], *joins[WORDS], *binds[WORDS][2], *trees[WORDS];
static char *read_only[WORDS], *masked[WORDS], *sysctls[WORDS][2];
static struct sock_fprog filter;
static int sandbox[3];

static void fail(const char *what)
{
    dprintf(2, "floor: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void must(long result, const char *what)
{
    if (result < 0)
        fail(what);
}

static void put(const char *file, const char *value)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    must(fd, file);
    must(write(fd, value, strlen(value)), file);
    close(fd);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Namespaces of the sandbox: those that we are in when called. */
static void raise_loopback(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd, "socket");
    must(ioctl(fd, SIOCSIFFLAGS, &lo), "lo");
    close(fd);
}

static void furnish_sandbox(void)
{
    must(sethostname(hostname, strlen(hostname)), "sethostname");
    for (int i = 0; sysctls[i][0]; i++)
        put(sysctls[i][0], sysctls[i][1]);
    raise_loopback();
}

static const char *const KINDS[] = {"/proc/self/ns/net", "/proc/self/ns/ipc", "/proc/self/ns/uts"};

static void prepare_sandbox(void)
{
    int home[3];
    for (int i = 0; i < 3; i++)
        must(home[i] = open(KINDS[i], O_RDONLY | O_CLOEXEC), KINDS[i]);
    must(unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS), "unshare");
    furnish_sandbox();
    for (int i = 0; i < 3; i++) {
        must(sandbox[i] = open(KINDS[i], O_RDONLY | O_CLOEXEC), KINDS[i]);
        must(setns(home[i], 0), "setns");
        close(home[i]);
    }
}

/* The root filesystem. Paths are relative to the root, which is where we are. */
static void fill_dev(void)
{
    static const struct { const char *name; int major, minor; } nodes[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7},
        {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
    };
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
        {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
        {"pts/ptmx", "dev/ptmx"}, {"/proc/kcore", "dev/core"},
    };
    umask(0);
    for (int i = 0; i < 6; i++) {
        dev_t number = makedev(nodes[i].major, nodes[i].minor);
        must(mknod(nodes[i].name, S_IFCHR | 0666, number), nodes[i].name);
    }
    umask(022);
    for (int i = 0; i < 6; i++)
        must(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void mount_on(const char *target, const char *type, const char *source, long flags, const char *data)
{
    must(mount(source, target, type, flags, data), target);
}

static void mount_cgroups(void)
{
    const long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char target[64];
    if (!strcmp(trees[0], "cgroup2")) {
        mount_on("sys/fs/cgroup", "cgroup2", "cgroup", flags | MS_RDONLY, NULL);
        return;
    }
    mount_on("sys/fs/cgroup", "tmpfs", "none", flags, "mode=755");
    for (int i = 0; trees[i]; i++) {
        snprintf(target, sizeof target, "sys/fs/cgroup/%s", trees[i]);
        must(mkdir(target, 0755), target);
        mount_on(target, "cgroup", "none", flags | MS_RDONLY, trees[i]);
    }
    mount_on("sys/fs/cgroup", NULL, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL);
}

static void mount_all(void)
{
    const long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    for (int i = 0; binds[i][0]; i++) {
        mount_on(binds[i][1], NULL, binds[i][0], MS_BIND, NULL);
        mount_on(binds[i][1], NULL, NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL);
    }
    mount_on("proc", "proc", "proc", flags, NULL);
    mount_on("dev", "tmpfs", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    fill_dev();
    must(mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) | mkdir("dev/mqueue", 0755), "mkdir dev/...");
    mount_on("dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    mount_on("dev/shm", "tmpfs", "shm", flags, "mode=1777,size=65536k");
    mount_on("dev/mqueue", "mqueue", "mqueue", flags, NULL);
    mount_on("sys", "sysfs", "sysfs", flags | MS_RDONLY, NULL);
    mount_cgroups();
}

static void restrict_paths(void)
{
    const long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    for (int i = 0; read_only[i]; i++) {
        if (!mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL))
            mount_on(read_only[i], NULL, NULL, flags, NULL);
        else if (errno != ENOENT)
            fail(read_only[i]);
    }
    for (int i = 0; masked[i]; i++) {
        if (!mount("dev/null", masked[i], NULL, MS_BIND, NULL) || errno == ENOENT)
            continue;
        if (errno != ENOTDIR)
            fail(masked[i]);
        const long empty = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
        mount_on(masked[i], "tmpfs", "none", empty, "size=0k,nr_inodes=1");
    }
}

static void enter_root(void)
{
    static char data[8192];
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
    snprintf(data, sizeof data, "lowerdir=%s,upperdir=%s,workdir=%s,volatile,redirect_dir=off,metacopy=off",
             lowers, upper, work);
    mount_on(upper, "overlay", "overlay", MS_NODEV, data);
    must(chdir(upper), upper);
    mount_all();
    restrict_paths();
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "umount2");
    must(chdir("/"), "/");
}

/* What it gives up. */
static void confine(int output)
{
    int null = open("/dev/null", O_RDONLY);
    must(null, "/dev/null");
    must(dup2(null, 0) | dup2(output, 1) | dup2(output, 2), "dup2");
    for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        if (!(bounding >> c & 1))
            must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0), "PR_CAPBSET_DROP");
    must(setgroups(0, NULL), "setgroups");
    must(setresgid(0, 0, 0) | setresuid(0, 0, 0), "setresuid");
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    uint32_t low = bounding, high = bounding >> 32;
    struct __user_cap_data_struct sets[2] = {{low, low, 0}, {high, high, 0}};
    must(syscall(SYS_capset, &header, sets), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
    must(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
}
