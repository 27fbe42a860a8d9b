/* The floor: a container start in C, with the same isolation as the engine's and nothing else.
 *
 *     start CONFIG SECCOMP-PROGRAM
 *
 * CONFIG says in lines of tab-separated words what is not the same everywhere (see words_of below).
 * Then each line of standard input asks for one start, and gets one line for an answer, after the
 * container has been cleared away:
 *
 *     cold                nothing is prepared: network, ipc and uts namespaces are made too
 *     prepared            they are joined, having been made beforehand
 *     show TAB FILE...    like prepared, but what the container reads there is copied out
 *     run TAB DIR TAB PROGRAM TAB ARGUMENT...     another runtime, started in DIR
 *
 *     answer: first instruction, reaped (ns since the start), CPU time of all that took (us)
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

static void become(int cold, int output, char **argv)
{
    setsid();
    for (int i = 0; joins[i]; i++)
        put(joins[i], "0");
    if (cold)
        furnish_sandbox();
    for (int i = 0; !cold && i < 3; i++)
        must(setns(sandbox[i], 0), "setns");
    must(unshare(CLONE_NEWCGROUP), "unshare");
    enter_root();
    confine(output);
    char *env[] = {"PATH=/bin", NULL};
    execve("/bin/stamp", argv, env);
    fail("/bin/stamp");
}

static pid_t start(int cold, int output, char **argv, int *pidfd)
{
    int directory = -1;
    for (int i = 0; cgroups[i]; i++)
        must(mkdir(cgroups[i], 0755), cgroups[i]);
    for (int i = 0; limits[i][0]; i++)
        put(limits[i][0], limits[i][1]);
    struct clone_args how = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
                             .pidfd = (uint64_t)pidfd, .exit_signal = SIGCHLD};
    if (cold)
        how.flags |= CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    if (born) {
        must(directory = open(born, O_RDONLY | O_DIRECTORY | O_CLOEXEC), born);
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = directory;
    }
    pid_t pid = syscall(SYS_clone3, &how, sizeof how);
    must(pid, "clone3");
    if (!pid)
        become(cold, output, argv);
    close(directory);
    return pid;
}

static pid_t run(char *folder, int output, char **argv)
{
    pid_t pid = vfork();
    must(pid, "vfork");
    if (!pid) {
        must(chdir(folder) | dup2(output, 1), folder);
        execv(argv[0], argv);
        fail(argv[0]);
    }
    return pid;
}

static long cpu_us(void)
{
    long sum = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage used;
        getrusage(who, &used);
        sum += (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000;
        sum += used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    }
    return sum;
}

static int forget(const char *path, const struct stat *found, int type, struct FTW *where)
{
    (void)found, (void)type, (void)where;
    return remove(path);
}

static void clear_layers(void)
{
    char *both[] = {upper, work};
    for (int i = 0; i < 2; i++) {
        nftw(both[i], forget, 8, FTW_DEPTH | FTW_PHYS);
        must(mkdir(both[i], 0755), both[i]);
    }
}

static void answer(char **words)
{
    static char said[1 << 17];
    int ours = strcmp(words[0], "run"), output[2], pidfd = -1, size = 0, part;
    char *stamp[WORDS] = {"stamp"};
    if (!strcmp(words[0], "show"))
        memcpy(stamp + 1, words + 1, (WORDS - 1) * sizeof *words);
    if (ours)
        clear_layers();
    must(pipe2(output, O_CLOEXEC), "pipe2");
    long cpu = cpu_us();
    uint64_t began = now();
    pid_t pid = ours ? start(!strcmp(words[0], "cold"), output[1], stamp, &pidfd)
                     : run(words[1], output[1], words + 2);
    close(output[1]);
    while ((part = read(output[0], said + size, sizeof said - 1 - size)) > 0)
        size += part;
    said[size] = 0;
    siginfo_t how = {0};
    must(waitid(P_PID, pid, &how, WEXITED), "waitid");
    uint64_t reaped = now();
    close(output[0]);
    if (ours) {
        close(pidfd);
        for (int i = 0; cgroups[i]; i++)
            must(rmdir(cgroups[i]), cgroups[i]);
    }
    if (how.si_status || !size) {
        dprintf(2, "floor: %s ended with %d: %s\n", words[0], how.si_status, said);
        exit(1);
    }
    if (!strcmp(words[0], "show"))
        printf("%s\n.\n", said);
    else
        printf("%lu %lu %ld\n", strtoul(said, NULL, 10) - began, reaped - began, cpu_us() - cpu);
    fflush(stdout);
}

/* One line's words; the last is followed by NULL. The line is the caller's to keep. */
static void words_of(char *line, char **words)
{
    int n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *word = strtok(line, "\t"); word && n < WORDS - 1; word = strtok(NULL, "\t"))
        words[n++] = word;
    words[n] = NULL;
}

static void add(char **list, char *word)
{
    while (*list)
        list++;
    *list = word;
}

static void add_pair(char *(*list)[2], char **words)
{
    while (**list)
        list++;
    (*list)[0] = words[0];
    (*list)[1] = words[1];
}

static void configure(char **w)
{
    struct { const char *key; char **value; } one[] = {
        {"lowers", &lowers}, {"upper", &upper}, {"work", &work}, {"born", &born}, {"hostname", &hostname},
    };
    struct { const char *key; char **list; } many[] = {
        {"cgroup", cgroups}, {"join", joins}, {"tree", trees}, {"read-only", read_only}, {"mask", masked},
    };
    struct { const char *key; char *(*list)[2]; } pairs[] = {
        {"limit", limits}, {"bind", binds}, {"sysctl", sysctls},
    };
    for (int i = 0; i < 5; i++) {
        if (!strcmp(w[0], one[i].key))
            *one[i].value = w[1];
        if (!strcmp(w[0], many[i].key))
            add(many[i].list, w[1]);
        if (i < 3 && !strcmp(w[0], pairs[i].key))
            add_pair(pairs[i].list, w + 1);
    }
    if (!strcmp(w[0], "bounding"))
        bounding = strtoull(w[1], NULL, 0);
}

int main(int argc, char **argv)
{
    static char program[1 << 16];
    char *words[WORDS] = {0}, *line = NULL;
    size_t room = 0;
    FILE *config = argc == 3 ? fopen(argv[1], "r") : NULL;
    int code = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
    if (!config || code < 0)
        fail("usage: start CONFIG SECCOMP-PROGRAM");
    while (getline(&line, &room, config) > 0) {
        words_of(strdup(line), words);
        configure(words);
    }
    filter.len = read(code, program, sizeof program) / sizeof *filter.filter;
    filter.filter = (void *)program;
    close(code);
    fclose(config);
    prepare_sandbox();
    while (getline(&line, &room, stdin) > 0) {
        words_of(line, words);
        answer(words);
    }
    return 0;
}
