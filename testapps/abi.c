/* Arguments and results of every class keep their values across calls: integers, floats, many on
 * the stack, variadic, structures in registers and in memory, long double, __int128, and AVX
 * vectors with their upper halves; also through threads, and when each call is timed.
 * needs: abi
 * build: -pthread -mavx2 -Wno-psabi */
#include <complex.h>
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "truth.h"
struct small { long a; double b; };
struct large { long a[9]; };
struct floats { float x, y, z; };
long abi_many(long, int, short, char, long, long, long, int, long, double, float, double, double,
              double, double, double, double, double);
long abi_variadic(int, ...);
struct small abi_small(long, double);
struct large abi_large(long);
long abi_take(struct large, struct floats, long);
struct floats abi_floats(float);
long double abi_extended(long double, long double);
long double _Complex abi_complex(long double _Complex);
__int128 abi_wide(__int128, unsigned __int128);
__m256d abi_vector(__m256d, __m256d);
__m256i abi_vectors(__m256i, __m256i, __m256i, __m256i, __m256i, __m256i, __m256i, __m256i,
                    __m256i);
_Bool abi_bool(double);
static long one_round(long i) {
    long bad = 0;
    bad += abi_many(i, 2, 3, 4, 5, 6, 7, 8, 9, 1.0, 2.0f, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0) !=
           i + 4 + 9 + 16 + 25 + 36 + 49 + 64 + 81 + 285;
    bad += abi_variadic(4, 1, 0.5, i, 2, 1.5, i, 3, 2.5, i, 4, 3.5, i) != 10 + 16 + 4 * i;
    struct small small = abi_small(i, 1.25);
    bad += small.a != i + 1 || small.b != 2.5;
    struct large large = abi_large(i);
    for (int k = 0; k < 9; k++) bad += large.a[k] != i * k;
    struct floats floats = abi_floats(1.5f);
    bad += floats.x != 1.5f || floats.y != 3.0f || floats.z != 4.5f;
    bad += abi_take(large, floats, 11) != 8 * i + 9 + 11;
    bad += abi_extended((long double)i, 3.0L) != (long double)i * 3.0L + 1.0L / 3.0L;
    long double _Complex complex_value = abi_complex(1.0L + 2.0L * I);
    bad += creall(complex_value) != -3.0L || cimagl(complex_value) != 4.0L;
    __int128 wide = (__int128)i << 70;
    bad += abi_wide(wide, 5) != wide * 3 + 5;
    double out[4];
    __m256d vector = abi_vector(_mm256_set_pd(4, 3, 2, (double)i), _mm256_set1_pd(2));
    _mm256_storeu_pd(out, vector);
    bad += out[0] != 2.0 * (double)i + 2 || out[1] != 6 || out[2] != 8 || out[3] != 10;
    __m256i v[9], x = _mm256_setzero_si256();
    for (int k = 0; k < 9; k++) {
        v[k] = _mm256_set_epi64x(i + k, i * k, ~i - k, 1 + k);
        x = _mm256_xor_si256(x, v[k]);
    }
    __m256i got = abi_vectors(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]);
    bad += memcmp(&got, &x, sizeof x) != 0;
    bad += abi_bool(0.75) != 1 || abi_bool(0.25) != 0;
    return bad;
}
enum { ROUNDS = 20000 };
static void *rounds(void *unused) {
    long bad = 0;
    (void)unused;
    for (long i = 0; i < ROUNDS; i++) bad += one_round(i);
    return (void *)bad;
}
int main(void) {
    pthread_t thread;
    void *other;
    pthread_create(&thread, 0, rounds, 0);
    long bad = (long)rounds(0);
    pthread_join(thread, &other);
    const char *const names[] = {"abi_many",     "abi_variadic", "abi_small",   "abi_large",
                                 "abi_take",     "abi_floats",   "abi_extended", "abi_complex",
                                 "abi_wide",     "abi_vector",   "abi_vectors"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) truth_calls(names[i], 2 * ROUNDS);
    truth_calls("abi_bool", 4 * ROUNDS);
    printf("bad %ld\n", bad + (long)other);
    return 0;
}
