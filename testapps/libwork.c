/* Work of known length: spins until the time stamp has moved by `cycles` and says by how much it
 * really did. */
#include <stdint.h>
static inline uint64_t stamp(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32) | low;
}
uint64_t work(uint64_t cycles) {
    uint64_t begin = stamp(), now;
    do now = stamp();
    while (now - begin < cycles);
    return now - begin;
}
