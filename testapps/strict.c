/* Installs, once everything is loaded, a seccomp filter that kills the process at any system call
 * it does not make itself, and goes on: to functions called before, to more descriptors and system
 * calls than it had met, and to its end. Truth as in known.c, of what it did before the filter as
 * well as after it.
 * needs: known leaf
 * build: -D_GNU_SOURCE */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "truth.h"
enum { BEFORE = 100, CALLS = 50000 };
void leaf(void);
long known_mov(void), known_libc(void), known_xor(int, char *);
static volatile int handled;
static long wrong, parent;
static int zero;
static void round_of_calls(void) {
    char byte = 1;
    leaf();
    wrong += known_mov() != parent || known_libc() != parent;
    wrong += known_xor(zero, &byte) != 1 || byte;
    wrong += lseek(zero, 0, SEEK_CUR) != 0;
}
static void note(int number) { handled += number == SIGUSR1; }
#define ALLOW(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
int main(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(getppid), ALLOW(read), ALLOW(write), ALLOW(close), ALLOW(dup), ALLOW(lseek),
        ALLOW(rt_sigreturn), ALLOW(kill), ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    struct sigaction action = {0};
    action.sa_handler = note;
    sigaction(SIGUSR1, &action, 0);
    zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    pid_t self = getpid();
    parent = getppid();
    puts("before");
    fflush(stdout);
    for (int i = 0; i < BEFORE; i++) round_of_calls();
    truth_calls("leaf", BEFORE + CALLS);
    truth_line("syscall", "known_mov:getppid", BEFORE + CALLS);
    truth_line("syscall", "known_xor:read", BEFORE + CALLS);
    truth_line("syscall", "getppid:getppid", 1 + BEFORE + CALLS);
    truth_line("syscall", "lseek:lseek", BEFORE + CALLS);
    truth_line("number", "kill", 100);
    truth_line("number", "dup", 100);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 3;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 3;
    for (int i = 0; i < CALLS; i++) {
        char byte;
        round_of_calls();
        if (i % 500 == 0) {
            int copy = dup(zero);
            wrong += read(copy, &byte, 1) != 1 || close(copy) || kill(self, SIGUSR1);
        }
    }
    printf("after, wrong %ld, handled %d\n", wrong, handled);
    fflush(stdout);
    return wrong != 0;
}
