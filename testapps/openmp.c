/* OpenMP: the worker threads' start routine is libgomp's, the work is the program's.
 * needs: leaf
 * build: -fopenmp */
#include <stdio.h>
#include "truth.h"
long leaf_add(long, long);
int main(void) {
    long sum = 0;
#pragma omp parallel for num_threads(4) reduction(+ : sum)
    for (long i = 0; i < 40000; i++) sum += leaf_add(i, 1);
    truth_calls("leaf_add", 40000);
    printf("sum %ld\n", sum);
    return 0;
}
