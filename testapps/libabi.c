/* Every way a value can be passed or returned on x86-64.
 * build: -mavx2 -Wno-psabi */
#include <complex.h>
#include <immintrin.h>
#include <stdarg.h>
struct small { long a; double b; };
struct large { long a[9]; };
struct floats { float x, y, z; };
long abi_many(long a, int b, short c, char d, long e, long f, long g, int h, long i, double j,
              float k, double l, double m, double n, double o, double p, double q, double r) {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + (long)(j + k * 2 +
           l * 3 + m * 4 + n * 5 + o * 6 + p * 7 + q * 8 + r * 9);
}
long abi_variadic(int count, ...) {
    va_list list;
    long sum = 0;
    va_start(list, count);
    for (int i = 0; i < count; i++) {
        sum += va_arg(list, int);
        sum += (long)(va_arg(list, double) * 2);
        sum += va_arg(list, long);
    }
    va_end(list);
    return sum;
}
struct small abi_small(long a, double b) { return (struct small){a + 1, b * 2}; }
struct large abi_large(long seed) {
    struct large result;
    for (int i = 0; i < 9; i++) result.a[i] = seed * i;
    return result;
}
long abi_take(struct large by_value, struct floats f, long last) {
    return by_value.a[8] + (long)(f.x + f.y + f.z) + last;
}
struct floats abi_floats(float seed) { return (struct floats){seed, seed * 2, seed * 3}; }
long double abi_extended(long double a, long double b) { return a * b + 1.0L / 3.0L; }
long double _Complex abi_complex(long double _Complex a) { return a * a; }
__int128 abi_wide(__int128 a, unsigned __int128 b) { return a * 3 + (__int128)b; }
__m256d abi_vector(__m256d a, __m256d b) { return _mm256_add_pd(_mm256_mul_pd(a, b), b); }
__m256i abi_vectors(__m256i a, __m256i b, __m256i c, __m256i d, __m256i e, __m256i f, __m256i g,
                    __m256i h, __m256i on_stack) {
    __m256i sum = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    sum = _mm256_xor_si256(sum, _mm256_xor_si256(_mm256_xor_si256(e, f), _mm256_xor_si256(g, h)));
    return _mm256_xor_si256(sum, on_stack);
}
_Bool abi_bool(double x) { return x > 0.5; }
