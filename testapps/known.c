/* Functions of two libraries with known system calls below them, in one thread. Truth: "syscall
 * API:NAME N" are those whose innermost open API is API, "below API:NAME N" those with API
 * anywhere above them.
 * needs: outer known
 * build: -D_GNU_SOURCE */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "raw.h"
#include "truth.h"
enum { CALLS = 2000 };
long outer_save(int, const char *, long);
long known_mov(void), known_far(void), known_register(void), known_xor(int, char *);
long known_libc(void), known_number(void), known_pointer(void), known_three(int);
int main(void) {
    long parent = RAW_REGISTER(SYS_getppid, 0, 0, 0), wrong = 0;
    long session = RAW_REGISTER(SYS_getsid, 0, 0, 0);
    long ids = RAW_REGISTER(SYS_getuid, 0, 0, 0) + RAW_REGISTER(SYS_getgid, 0, 0, 0);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < CALLS; i++) {
        char byte = 1;
        wrong += known_mov() != parent;
        wrong += known_far() != parent;
        wrong += known_register() != parent;
        wrong += known_xor(zero, &byte) != 1 || byte != 0;
        wrong += known_libc() != parent;
        wrong += known_number() != parent;
        wrong += known_pointer() != session;
        wrong += known_three(zero) != ids;
        wrong += outer_save(zero, "abcde", 5) != 5;
    }
    close(zero);
    printf("wrong %ld\n", wrong);
    const char *own[] = {"known_far:getppid",   "known_register:getppid", "known_xor:read",
                         "getppid:getppid",     "syscall:getppid",        "known_pointer:getsid",
                         "known_three:getuid",  "known_three:getgid",     "lseek:lseek",
                         "write:write"};
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++) truth_line("syscall", own[i], CALLS);
    truth_line("syscall", "known_mov:getppid", 2 * CALLS);
    truth_line("syscall", "open:openat", 1);
    const char *below[] = {"known_libc:getppid", "known_number:getppid", "known_three:lseek",
                           "known_three:getuid", "outer_save:write",     "outer_save:getppid",
                           "known_write:write",  "known_xor:read"};
    for (unsigned i = 0; i < sizeof below / sizeof *below; i++) truth_line("below", below[i], CALLS);
    truth_calls("outer_save", CALLS);
    truth_calls("known_three", CALLS);
    return wrong != 0;
}
