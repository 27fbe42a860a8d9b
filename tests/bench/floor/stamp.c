/* The program that measured containers run: it writes CLOCK_MONOTONIC, in nanoseconds, as the very
 * first thing it does. With the argument "-" it then stays until SIGTERM; with others it writes the
 * contents of those files instead.
 *
 * No C library: what runs before main() there is not the container's start.
 *     cc -O2 -static -nostdlib -fno-stack-protector -o stamp stamp.c
 */
#include <asm/unistd.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

static long kernel(long number, long a, long b, long c, long d)
{
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, sp\n bl begin\n");

static long kernel(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "only x86-64 and arm64"
#endif

enum { CLOCK_MONOTONIC = 1, AT_FDCWD = -100, SIG_BLOCK = 0, SIGTERM = 15 };

/* As the first process of its namespace it gets no signal that it does not ask for. */
static void stay(void)
{
    unsigned long term = 1ul << (SIGTERM - 1);
    kernel(__NR_rt_sigprocmask, SIG_BLOCK, (long)&term, 0, sizeof term);
    while (kernel(__NR_rt_sigtimedwait, (long)&term, 0, 0, sizeof term) != SIGTERM)
        ;
}

static void show(const char *path)
{
    static char data[65536];
    long file = kernel(__NR_openat, AT_FDCWD, (long)path, 0, 0), size;
    while ((size = kernel(__NR_read, file, (long)data, sizeof data, 0)) > 0)
        kernel(__NR_write, 1, (long)data, size, 0);
}

__attribute__((noreturn)) void begin(long *stack)
{
    long time[2];
    kernel(__NR_clock_gettime, CLOCK_MONOTONIC, (long)time, 0, 0);
    const char *first = (const char *)stack[2];
    int stays = stack[0] == 2 && first[0] == '-' && !first[1];
    for (long word = 2; word <= stack[0] && !stays; word++)
        show((const char *)stack[word]);
    if (stack[0] == 1 || stays) {
        char text[24], *digit = text + sizeof text;
        *--digit = '\n';
        for (unsigned long ns = time[0] * 1000000000ul + time[1]; ns; ns /= 10)
            *--digit = '0' + ns % 10;
        kernel(__NR_write, 1, (long)digit, text + sizeof text - digit, 0);
    }
    if (stays)
        stay();
    for (;;)
        kernel(__NR_exit_group, 0, 0, 0, 0);
}
