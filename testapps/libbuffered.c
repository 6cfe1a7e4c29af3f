/* Functions of which one call in a hundred (or fewer) reaches the kernel, as of a buffered stream:
 * cheap and frequent, so that most of their calls are only counted.
 * build: -pthread -D_GNU_SOURCE */
#include <unistd.h>
#include "raw.h"
static __thread char buffer[128];
static __thread unsigned held, ticks, saved;
/* Every 100th call writes what was held, by an instruction of its own. */
long buffered_put(int fd, char byte) {
    buffer[held++] = byte;
    if (held < 100) return 0;
    held = 0;
    return RAW_MOV(SYS_write, (long)fd, buffer, 100L);
}
/* Every 37th call asks for the parent. */
long buffered_tick(void) { return ++ticks % 37 ? 0 : RAW_MOV(SYS_getppid, 0, 0, 0); }
/* Every 250th call writes by the C library's function. */
long buffered_save(int fd) { return ++saved % 250 ? 0 : write(fd, buffer, 10); }
/* Never. */
long buffered_peek(void) { return held; }
