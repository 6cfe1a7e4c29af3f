/* Installs a seccomp filter that kills the process on open, mmap of files, unlink and most else,
 * then goes on calling and ends: what it may do itself, nothing else may add to.
 * needs: leaf */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "truth.h"
void leaf(void);
#define ALLOW(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
int main(void) {
    puts("before");
    fflush(stdout);
    for (int i = 0; i < 1000; i++) leaf();
    truth_calls("leaf", 101000);
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(write), ALLOW(exit_group), ALLOW(exit), ALLOW(brk), ALLOW(futex),
        ALLOW(rt_sigreturn), ALLOW(rt_sigprocmask), ALLOW(munmap), ALLOW(newfstatat),
        ALLOW(getrusage), ALLOW(clock_gettime),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 3;
    for (int i = 0; i < 100000; i++) leaf();
    puts("after");
    return 0;
}
