/* Walks its own stack from below hooked calls: backtrace(), backtrace_symbols and
 * _Unwind_Backtrace. Prints the functions of its own files it finds and the depth of frames that
 * belong to known objects; the same with and without anything watching.
 * needs: runback top mid leaf
 * build: -D_GNU_SOURCE -rdynamic -O1 -fno-optimize-sibling-calls -fexceptions */
#include <dlfcn.h>
#include <execinfo.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>
#include "truth.h"
void run_back(void (*)(void *), void *);
long top_call(long (*)(long), long);
static const char *name_of(void *address) {
    Dl_info info;
    if (!dladdr((char *)address - 1, &info) || !info.dli_fname) return "(unknown)";
    const char *file = strrchr(info.dli_fname, '/');
    file = file ? file + 1 : info.dli_fname;
    if (!strncmp(file, "libc.so", 7)) return "libc";
    return info.dli_sname ? info.dli_sname : file;
}
void print_backtrace(void *unused) {
    (void)unused;
    void *frames[64];
    int depth = backtrace(frames, 64);
    printf("backtrace depth %d:", depth);
    for (int i = 0; i < depth; i++) printf(" %s", name_of(frames[i]));
    puts("");
}
static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *count) {
    printf(" %s", name_of((void *)_Unwind_GetIP(context)));
    ++*(int *)count;
    return _URC_NO_REASON;
}
void print_unwind(void *unused) {
    (void)unused;
    int depth = 0;
    printf("unwind");
    _Unwind_Backtrace(step, &depth);
    printf(" depth %d\n", depth);
}
void both(void *argument) {
    run_back(print_backtrace, argument);
    run_back(print_unwind, argument);
}
long from_top(long value) {
    run_back(both, 0);
    return value;
}
int main(void) {
    print_backtrace(0);
    for (int i = 0; i < 3; i++) top_call(from_top, i);
    truth_calls("run_back", 9);
    truth_calls("top_call", 3);
    truth_calls("backtrace", 4);
    return 0;
}
