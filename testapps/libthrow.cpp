// Throws, and calls back into functions that throw: frames that an exception passes through.
#include <stdexcept>
struct Passenger {
    long *gone;
    explicit Passenger(long *counter) : gone(counter) {}
    ~Passenger() { ++*gone; }
};
extern "C" long throw_it(long value) {
    if (value >= 0) throw std::runtime_error("value " + std::to_string(value));
    return value;
}
// Calls `back` under a local with a destructor, so the exception is seen to pass.
extern "C" long throw_through(long (*back)(long), long value, long *gone) {
    Passenger passenger(gone);
    return back(value) + 1;
}
// Catches what `back` throws and throws it again.
extern "C" long throw_again(long (*back)(long), long value) {
    try {
        return back(value);
    } catch (const std::exception &) {
        throw;
    }
}
