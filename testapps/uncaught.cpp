// An exception that nobody catches, thrown below hooked calls: the program ends by abort and says
// so on standard error, without unwinding.
// needs: throw
#include <cstdio>
#include "truth.h"
extern "C" {
long throw_it(long);
long throw_through(long (*)(long), long, long *);
}
int main() {
    static long gone;
    std::puts("throwing");
    std::fflush(stdout);
    truth_calls("throw_through", 1);
    return (int)throw_through(throw_it, 1, &gone);
}
