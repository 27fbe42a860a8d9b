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
 *     hold                like prepared, but it stays until stop
 *     exec                another process in the one that stays
 *     stop                SIGTERM to it
 *
 *     answer: first instruction, reaped (ns since the start), CPU time of all that took (us), the
 *             start (CLOCK_MONOTONIC); of a stop, when its end was known and when all of it was gone
 */
#include "isolate.h"

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

static int birthplace(struct clone_args *how)
{
    int directory = -1;
    if (born) {
        must(directory = open(born, O_RDONLY | O_DIRECTORY | O_CLOEXEC), born);
        how->flags |= CLONE_INTO_CGROUP;
        how->cgroup = directory;
    }
    return directory;
}

static pid_t start(int cold, int output, char **argv, int *pidfd)
{
    for (int i = 0; cgroups[i]; i++)
        must(mkdir(cgroups[i], 0755), cgroups[i]);
    for (int i = 0; limits[i][0]; i++)
        put(limits[i][0], limits[i][1]);
    struct clone_args how = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
                             .pidfd = (uint64_t)pidfd, .exit_signal = SIGCHLD};
    if (cold)
        how.flags |= CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    int directory = birthplace(&how);
    pid_t pid = syscall(SYS_clone3, &how, sizeof how);
    must(pid, "clone3");
    if (!pid)
        become(cold, output, argv);
    close(directory);
    return pid;
}

static pid_t held;
static int held_fd, held_output;

/* Into all the namespaces of the one that stays. */
static pid_t enter(int output, char **argv)
{
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), pidfd;
    must(own, "/proc/self/ns/pid");
    must(setns(held_fd, CLONE_NEWPID), "setns");
    struct clone_args how = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)&pidfd, .exit_signal = SIGCHLD};
    int directory = birthplace(&how);
    pid_t pid = syscall(SYS_clone3, &how, sizeof how);
    must(pid, "clone3");
    if (!pid) {
        setsid();
        for (int i = 0; joins[i]; i++)
            put(joins[i], "0");
        must(setns(held_fd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP), "setns");
        confine(output);
        char *env[] = {"PATH=/bin", NULL};
        execve("/bin/stamp", argv, env);
        fail("/bin/stamp");
    }
    must(setns(own, CLONE_NEWPID), "setns");
    close(own);
    close(directory);
    close(pidfd);
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

static void remove_cgroups(void)
{
    for (int i = 0; cgroups[i]; i++)
        must(rmdir(cgroups[i]), cgroups[i]);
}

static void hold(void)
{
    char *stay[] = {"stamp", "-", NULL}, said[32];
    int output[2];
    clear_layers();
    must(pipe2(output, O_CLOEXEC), "pipe2");
    held = start(0, output[1], stay, &held_fd);
    held_output = output[0];
    close(output[1]);
    must(read(held_output, said, sizeof said) - 1, "hold");
    printf("0 0 0 0\n");
}

static void stop(void)
{
    long cpu = cpu_us();
    uint64_t began = now();
    must(kill(held, SIGTERM), "kill");
    siginfo_t how = {0};
    must(waitid(P_PID, held, &how, WEXITED), "waitid");
    uint64_t ended = now();
    close(held_fd);
    close(held_output);
    remove_cgroups();
    printf("%lu %lu %ld %lu\n", ended - began, now() - began, cpu_us() - cpu, began);
}

static void answer(char **words)
{
    static char said[1 << 17];
    int other = !strcmp(words[0], "run"), inside = !strcmp(words[0], "exec");
    int output[2], pidfd = -1, size = 0, part;
    char *stamp[WORDS] = {"stamp"};
    if (!strcmp(words[0], "show"))
        memcpy(stamp + 1, words + 1, (WORDS - 1) * sizeof *words);
    if (!other && !inside)
        clear_layers();
    must(pipe2(output, O_CLOEXEC), "pipe2");
    long cpu = cpu_us();
    uint64_t began = now();
    pid_t pid = other    ? run(words[1], output[1], words + 2)
                : inside ? enter(output[1], stamp)
                         : start(!strcmp(words[0], "cold"), output[1], stamp, &pidfd);
    close(output[1]);
    while ((part = read(output[0], said + size, sizeof said - 1 - size)) > 0)
        size += part;
    said[size] = 0;
    siginfo_t how = {0};
    must(waitid(P_PID, pid, &how, WEXITED), "waitid");
    uint64_t reaped = now();
    close(output[0]);
    if (!other && !inside) {
        close(pidfd);
        remove_cgroups();
    }
    if (how.si_status || (!other && !size)) {
        dprintf(2, "floor: %s ended with %d: %s\n", words[0], how.si_status, said);
        exit(1);
    }
    if (!strcmp(words[0], "show"))
        printf("%s\n.\n", said);
    else
        printf("%lu %lu %ld %lu\n", strtoul(said, NULL, 10) - began, reaped - began, cpu_us() - cpu, began);
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
        if (!strcmp(words[0], "hold"))
            hold();
        else if (!strcmp(words[0], "stop"))
            stop();
        else
            answer(words);
        fflush(stdout);
    }
    return 0;
}
