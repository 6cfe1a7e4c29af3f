// Exceptions thrown through hooked calls: caught right above, several levels above, thrown again,
// kept in an exception_ptr, in threads; 100 000 of them in all.
// needs: throw
// build: -pthread
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <thread>
#include <vector>
#include "truth.h"
extern "C" {
long throw_it(long);
long throw_through(long (*)(long), long, long *);
long throw_again(long (*)(long), long);
}
static thread_local long gone;
// Not the library's function itself: a slot whose address is taken keeps what it points to.
static long once(long value) { return throw_it(value); }
static long twice(long value) { return throw_through(once, value, &gone); }
static long thrice(long value) { return throw_through(twice, value, &gone); }
static long near_by(long rounds) {
    long caught = 0;
    for (long i = 0; i < rounds; i++) {
        try {
            throw_it(i);
        } catch (const std::runtime_error &) {
            caught++;
        }
    }
    return caught;
}
static long far_away(long rounds) {
    long caught = 0;
    for (long i = 0; i < rounds; i++) {
        try {
            throw_through(thrice, i, &gone);
        } catch (const std::exception &) {
            caught++;
        }
        try {
            throw_again(twice, i);
        } catch (const std::exception &) {
            caught++;
        }
    }
    return caught;
}
int main() {
    std::printf("near %ld\n", near_by(60000));
    std::printf("far %ld\n", far_away(5000));
    std::printf("gone %ld\n", gone);
    std::exception_ptr kept;
    try {
        throw_it(42);
    } catch (...) {
        kept = std::current_exception();
    }
    try {
        std::rethrow_exception(kept);
    } catch (const std::exception &error) {
        std::printf("kept %s\n", error.what());
    }
    long caught[3] = {};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&caught, i] { caught[i] = near_by(5000) + far_away(2000); });
    for (auto &thread : threads) thread.join();
    std::printf("threads %ld %ld %ld\n", caught[0], caught[1], caught[2]);
    // near_by, twice in far_away's two throws, and the one that was kept.
    truth_calls("throw_it", 60000 + 2 * 5000 + 1 + 3 * (5000 + 2 * 2000));
    truth_calls("throw_again", 5000 + 3 * 2000);
    truth_calls("throw_through", (5000 + 3 * 2000) * (3 + 1));
    return 0;
}
