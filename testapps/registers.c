/* A system call gives back every register but rax, rcx and r11 as it was, the vector registers,
 * the 128 bytes below the stack pointer, and errno: checked around instructions of three shapes,
 * thousands of times. Code that looks at the flags right behind gets these back, too. Truth:
 * "number NAME N" calls of the first shape; the others may stand where nothing can lead to them.
 * build: -D_GNU_SOURCE -mno-red-zone */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "truth.h"
struct state {
    uint64_t general[12]; /* rbx rbp rdi rsi rdx r8 r9 r10 r12 r13 r14 r15 */
    uint64_t vector[32];  /* xmm0 to xmm15 */
    uint64_t red[16];     /* -8(%rsp) to -128(%rsp) */
    uint64_t flags;
    int64_t result;
};
struct state in_state, out_state;
long check_mov(void), check_xor(void), check_register(void), check_flags(void);
#define GENERAL(at, reg) "mov 8*" #at "+in_state(%rip), %" #reg "\n"
#define VECTOR(at) "movups 96+16*" #at "+in_state(%rip), %xmm" #at "\n"
#define KEEP(at, reg) "mov %" #reg ", 8*" #at "+out_state(%rip)\n"
#define KEEP_VECTOR(at) "movups %xmm" #at ", 96+16*" #at "+out_state(%rip)\n"
#define RED(at) "mov 352+8*" #at "+in_state(%rip), %rax\nmov %rax, -8-8*" #at "(%rsp)\n"
#define KEEP_RED(at) "mov -8-8*" #at "(%rsp), %rax\nmov %rax, 352+8*" #at "+out_state(%rip)\n"
#define EACH_GENERAL(m) \
    m(0, rbx) m(1, rbp) m(2, rdi) m(3, rsi) m(4, rdx) m(5, r8) m(6, r9) m(7, r10) m(8, r12)    \
        m(9, r13) m(10, r14) m(11, r15)
#define EACH_16(m) \
    m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
/* Keeps the flags; the red zone is stepped over, and neither `lea` nor `mov` changes a flag. */
#define KEEP_FLAGS "lea -128(%rsp), %rsp\npushf\npop 480+out_state(%rip)\nlea 128(%rsp), %rsp\n"
/* What compilers do next: from there on nobody can ask for the flags from before. */
#define TEST "test %rax, %rax\n"
#define CHECK(name, before, load, behind)                                                      \
    __asm__(".globl " name "\n.type " name ", @function\n" name ":\n"                          \
            "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"               \
            EACH_16(VECTOR) "push 480+in_state(%rip)\npopf\n" EACH_16(RED)                     \
            EACH_GENERAL(GENERAL) before load "syscall\n" behind                               \
            "mov %rax, 488+out_state(%rip)\n" EACH_GENERAL(KEEP) EACH_16(KEEP_VECTOR)          \
            EACH_16(KEEP_RED) "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"   \
            "mov 488+out_state(%rip), %rax\nret\n.size " name ", .-" name "\n")
CHECK("check_mov", "", "mov $110, %eax\n", TEST);
CHECK("check_xor", "", "xor %eax, %eax\n", TEST);
CHECK("check_register", "mov $102, %ecx\n", "mov %rcx, %rax\n", TEST);
CHECK("check_flags", "", "mov $111, %eax\n", KEEP_FLAGS);
static uint64_t random_state = 88172645463325252u;
static uint64_t next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}
/* Carry, parity, adjust, zero, sign, direction and overflow. */
enum { FLAGS = 0xcd5 };
static long differs(long (*check)(void), long expected, int flags) {
    uint64_t *words = (uint64_t *)&in_state;
    for (unsigned i = 0; i < sizeof in_state / 8; i++) words[i] = next();
    in_state.general[2] = (uint64_t)-1; /* no descriptor, for read */
    /* The direction flag stays clear: nobody calls anything with it set. */
    in_state.flags = 0x202 | (next() & FLAGS & ~0x400);
    memset(&out_state, 0, sizeof out_state);
    errno = 77;
    long result = check();
    long wrong = result != expected || errno != 77;
    wrong += memcmp(in_state.general, out_state.general, sizeof in_state.general) != 0;
    wrong += memcmp(in_state.vector, out_state.vector, sizeof in_state.vector) != 0;
    wrong += memcmp(in_state.red, out_state.red, sizeof in_state.red) != 0;
    wrong += flags && ((in_state.flags ^ out_state.flags) & FLAGS) != 0;
    return wrong;
}
int main(void) {
    long parent = truth_syscall(SYS_getppid, 0, 0, 0, 0, 0, 0);
    long group = truth_syscall(SYS_getpgrp, 0, 0, 0, 0, 0, 0);
    long user = truth_syscall(SYS_getuid, 0, 0, 0, 0, 0, 0);
    long mov = 0, xor = 0, reg = 0, flags = 0;
    for (int i = 0; i < 20000; i++) {
        mov += differs(check_mov, parent, 0);
        xor += differs(check_xor, -EBADF, 0);
        reg += differs(check_register, user, 0);
        flags += differs(check_flags, group, 1);
    }
    printf("mov %ld xor %ld register %ld flags %ld\n", mov, xor, reg, flags);
    truth_line("number", "getppid", 20001);
    return mov + xor + reg + flags != 0;
}
