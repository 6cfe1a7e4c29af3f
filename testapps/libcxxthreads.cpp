// Three C++ thread groups: a function, a lambda and a member function given to std::thread.
// needs: leaf
// build: -pthread
#include <mutex>
#include <thread>
#include <unistd.h>
#include <vector>
extern "C" long leaf_add(long, long);
static long turn(long rounds) {
    long sum = 0;
    for (long i = 0; i < rounds; i++) sum = leaf_add(sum, 1);
    return sum;
}
void cxx_function(long rounds) { turn(rounds); }
struct Worker {
    void cxx_member(long rounds) { turn(rounds); }
};
extern "C" void cxx_threads(long rounds) {
    std::vector<std::thread> threads;
    Worker worker;
    for (int i = 0; i < 2; i++) threads.emplace_back(cxx_function, rounds);
    for (int i = 0; i < 2; i++) threads.emplace_back([rounds] { turn(rounds); });
    for (int i = 0; i < 2; i++) threads.emplace_back(&Worker::cxx_member, &worker, rounds);
    for (auto &thread : threads) thread.join();
}
