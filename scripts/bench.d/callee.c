/* A library of functions that do nothing, so that what a call costs is only the call.
 * `callee_empty` is the micro loop's target; `callee_table` lets a thread call many APIs. */

#define FUNCTION(n)                                                                                \
    void callee_##n(void) { __asm__ volatile(""); }
#define TEN(n)                                                                                     \
    FUNCTION(n##0) FUNCTION(n##1) FUNCTION(n##2) FUNCTION(n##3) FUNCTION(n##4)                     \
    FUNCTION(n##5) FUNCTION(n##6) FUNCTION(n##7) FUNCTION(n##8) FUNCTION(n##9)

void callee_empty(void) { __asm__ volatile(""); }

TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
