/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the VM's main thread: file descriptors, timers, and calls from other threads.
 *
 * Callbacks run on the main thread with the machine lock held (the loop takes it round each
 * batch), so devices need no locks of their own. All functions below may be called from any
 * thread that holds the lock, loop_stop() and loop_call() from any thread at all.
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

/* `events` are EPOLLIN/EPOLLOUT/... that happened. */
typedef void loop_fd_fn(void *opaque, uint32_t events);
typedef void loop_fn(void *opaque);

int loop_create(struct loop **out, pthread_mutex_t *lock, struct err *e);
void loop_destroy(struct loop *l);

/* Watches `fd` (not owned) until loop_unwatch(); watching it again replaces events and callback. */
int loop_watch(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *opaque);
void loop_unwatch(struct loop *l, int fd);

/* Runs `fn` once on the main thread, soon. */
void loop_call(struct loop *l, loop_fn *fn, void *opaque);

/* A one-shot timer; embed it in the device. Deadlines are CLOCK_MONOTONIC nanoseconds. */
struct loop_timer {
	loop_fn *fn;
	void *opaque;
	uint64_t deadline;
	unsigned heap_index; /* 0: not armed */
};

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);
uint64_t loop_now(void);

/* Runs until loop_stop(); returns the code given there. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int code);

#endif
