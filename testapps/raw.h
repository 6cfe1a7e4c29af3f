/* System calls made by an instruction of the file that says so, in the shapes compilers and people
 * give it. How the number reaches %eax decides how the instruction can be seen, so each shape is a
 * macro of its own; the result is the kernel's (an error is -errno, and errno stays as it was). */
#ifndef RAW_H
#define RAW_H
#include <sys/syscall.h>

#define RAW_CODE(code, nr, a, b, c)                                        \
    __extension__({                                                        \
        long raw_result;                                                   \
        __asm__ volatile(code                                              \
                         : "=a"(raw_result)                                \
                         : [number] "i"(nr), "D"(a), "S"(b), "d"(c)        \
                         : "rcx", "r11", "memory", "cc");                  \
        raw_result;                                                        \
    })

/* The number is loaded directly before the call. */
#define RAW_MOV(nr, a, b, c) RAW_CODE("mov %[number], %%eax\n\tsyscall", nr, a, b, c)
/* Other instructions stand between. */
#define RAW_FAR(nr, a, b, c) \
    RAW_CODE("mov %[number], %%eax\n\tmov %%rdi, %%rcx\n\txor %%r11, %%r11\n\tsyscall", nr, a, b, c)
/* read(2) as compilers write its number, in two bytes. */
#define RAW_XOR_READ(fd, to, size) \
    RAW_CODE("xor %%eax, %%eax\n\tsyscall", SYS_read, (long)(fd), to, (long)(size))
/* The number comes from elsewhere. */
#define RAW_REGISTER(nr, a, b, c)                                          \
    __extension__({                                                        \
        long raw_result;                                                   \
        volatile long raw_number = (nr);                                   \
        __asm__ volatile("syscall"                                         \
                         : "=a"(raw_result)                                \
                         : "a"(raw_number), "D"(a), "S"(b), "d"(c)         \
                         : "rcx", "r11", "memory", "cc");                  \
        raw_result;                                                        \
    })
#endif
