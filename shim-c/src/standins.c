/*
 * Stand-ins: what a patched slot leads to instead of the libc function, where counting and timing
 * are not enough. In C, because each depends on a tail call being a jump or on its own return
 * address, and because foreign unwinders pass through them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <threads.h>
#include <unwind.h>

/* Set by the hook (interpose/) before any slot leads here. */
void *(*perfvisor_real_dlsym)(void *, const char *);
void *(*perfvisor_real_dlvsym)(void *, const char *, const char *);
int (*perfvisor_real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int (*perfvisor_real_thrd_create)(thrd_t *, thrd_start_t, void *);
int (*perfvisor_real_backtrace)(void **, int);
_Unwind_Reason_Code (*perfvisor_real_unwind_backtrace)(_Unwind_Trace_Fn, void *);
/* Of the same unwinder: its frames mean nothing to another one. */
_Unwind_Ptr (*perfvisor_real_unwind_get_ip)(struct _Unwind_Context *);

/* In Rust (interpose/). */
void *perfvisor_wrap_pointer(uintptr_t caller, const char *name, void *address);
void *perfvisor_thread_prepare(uintptr_t start, void *arg, const pthread_attr_t *attr);
void perfvisor_thread_unprepare(void *prepared);
void perfvisor_thread_begin(void *prepared, uintptr_t *start, void **arg);
int perfvisor_is_own_code(uintptr_t address);

/*
 * dlsym(RTLD_NEXT) and dlsym(RTLD_DEFAULT) depend on who calls: they pass by jump, unwrapped. The
 * site is counted by tail jump, so the return address here is the true caller's.
 */
void *perfvisor_dlsym(void *handle, const char *name)
{
	if (handle == RTLD_NEXT || handle == RTLD_DEFAULT)
		return perfvisor_real_dlsym(handle, name);
	void *found = perfvisor_real_dlsym(handle, name);
	if (found == NULL)
		return NULL;
	return perfvisor_wrap_pointer((uintptr_t)__builtin_return_address(0), name, found);
}

void *perfvisor_dlvsym(void *handle, const char *name, const char *version)
{
	if (handle == RTLD_NEXT || handle == RTLD_DEFAULT)
		return perfvisor_real_dlvsym(handle, name, version);
	void *found = perfvisor_real_dlvsym(handle, name, version);
	if (found == NULL)
		return NULL;
	return perfvisor_wrap_pointer((uintptr_t)__builtin_return_address(0), name, found);
}

/* The user's function is reached by a jump: no frame of ours stays at the bottom of its stack. */
static void *thread_start(void *prepared)
{
	uintptr_t start;
	void *arg;
	perfvisor_thread_begin(prepared, &start, &arg);
	return ((void *(*)(void *))start)(arg);
}

static int thrd_start(void *prepared)
{
	uintptr_t start;
	void *arg;
	perfvisor_thread_begin(prepared, &start, &arg);
	return ((thrd_start_t)start)(arg);
}

int perfvisor_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			     void *(*start)(void *), void *arg)
{
	void *prepared = perfvisor_thread_prepare((uintptr_t)start, arg, attr);
	if (prepared == NULL)
		return perfvisor_real_pthread_create(thread, attr, start, arg);
	int result = perfvisor_real_pthread_create(thread, attr, thread_start, prepared);
	if (result != 0)
		perfvisor_thread_unprepare(prepared);
	return result;
}

int perfvisor_thrd_create(thrd_t *thread, thrd_start_t start, void *arg)
{
	void *prepared = perfvisor_thread_prepare((uintptr_t)start, arg, NULL);
	if (prepared == NULL)
		return perfvisor_real_thrd_create(thread, start, arg);
	int result = perfvisor_real_thrd_create(thread, thrd_start, prepared);
	if (result != thrd_success)
		perfvisor_thread_unprepare(prepared);
	return result;
}

/* A backtrace must show the frames it shows without us: ours are left out. */
int perfvisor_backtrace(void **buffer, int size)
{
	enum { OURS = 64 };
	if (size <= 0)
		return perfvisor_real_backtrace(buffer, size);
	void *all[size + OURS];
	int got = perfvisor_real_backtrace(all, size + OURS);
	int kept = 0;
	for (int i = 0; i < got && kept < size; i++)
		if (!perfvisor_is_own_code((uintptr_t)all[i]))
			buffer[kept++] = all[i];
	return kept;
}

struct trace {
	_Unwind_Trace_Fn function;
	void *argument;
};

static _Unwind_Reason_Code trace_frame(struct _Unwind_Context *context, void *argument)
{
	struct trace *trace = argument;
	if (perfvisor_is_own_code(perfvisor_real_unwind_get_ip(context)))
		return _URC_NO_REASON;
	return trace->function(context, trace->argument);
}

_Unwind_Reason_Code perfvisor_unwind_backtrace(_Unwind_Trace_Fn function, void *argument)
{
	struct trace trace = { function, argument };
	return perfvisor_real_unwind_backtrace(trace_frame, &trace);
}

/* What load-time calibration calls through a stub: the cheapest function there is. */
void perfvisor_empty(void)
{
	__asm__ volatile("");
}

typedef void (*nothing)(void);
void perfvisor_call_many(nothing function, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		function();
		__asm__ volatile("" ::: "memory");
	}
}
