/* SPDX-License-Identifier: Apache-2.0 */
/* The little of a C library that the kernel needs, locks and messages. Errors are Linux's numbers:
 * functions return them negative, system calls pass them on. */
#ifndef KERNEL_LIB_LIB_H
#define KERNEL_LIB_LIB_H

#include <asm/errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)           (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)               ((a) < (b) ? (a) : (b))
#define MAX(a, b)               ((a) > (b) ? (a) : (b))
#define CONTAINER(p, type, mem) ((type *)((char *)(p)-offsetof(type, mem)))

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
/* A few bytes are moved in place, others by the functions. */
#define memcpy(to, from, n) __builtin_memcpy(to, from, n)
#define memset(to, c, n)    __builtin_memset(to, c, n)
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
/* Copies with termination; returns strlen(from). */
size_t strlcpy(char *to, const char *from, size_t size);

/* %d %u %x %lx %s %c %p, widths and zero padding. Returns the length it would have. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* One line to the consoles and the log, with the time in front; no newline in `fmt`. */
void klog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The log, "<6>" in front of each line: up to n of its last `back` bytes; how much there is. */
size_t log_read(uint64_t back, char *to, size_t n);
size_t log_size(void);
/* Whether messages go to the consoles, too (at first they do, and a panic always does). */
void log_to_console(bool on);
/* Raw text to the consoles. */
void console_write(const char *s, size_t n);
/* Says it, with a back trace, on every console, and stops all processors. */
void panic_begin(void);     /* for who has more to say before */
void panic_stop_here(void); /* does not return if another CPU panics */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What the kernel cannot start without: `p`, or a panic for want of memory for it. */
void *must(void *p, const char *what);

/* Writes who called whom, from an address and a frame pointer. */
void backtrace(uint64_t rip, uint64_t rbp);
/* The function an address lies in; "?" if there is no table of symbols. */
const char *symbol_of(uint64_t addr, uint64_t *offset);

/* ---- lists ----------------------------------------------------------------------------------- */

/* Of zeros it is empty, or an item that is in no list. */
struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

/* Of an empty list it is the list itself. */
static inline struct list *list_first(const struct list *l)
{
	return l->next ? l->next : (struct list *)l;
}

static inline bool list_empty(const struct list *l)
{
	return list_first(l) == l;
}

static inline void list_add_tail(struct list *head, struct list *item)
{
	if (!head->next)
		list_init(head);
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

/* Taking an item out twice is allowed. */
static inline void list_del(struct list *item)
{
	if (!item->next)
		return;
	item->next->prev = item->prev;
	item->prev->next = item->next;
	item->next = item->prev = NULL;
}

/* Each item as the struct that it lies in; in the second it may be taken out. */
#define LIST_ITEMS(type, pos, head, mem)                                                \
	for (type *pos = CONTAINER(list_first(head), type, mem); &(pos)->mem != (head); \
	     (pos) = CONTAINER((pos)->mem.next, type, mem))
#define LIST_ITEMS_SAFE(type, pos, head, mem)                          \
	for (type *pos = CONTAINER(list_first(head), type, mem),       \
		  *pos##_next = CONTAINER((pos)->mem.next, type, mem); \
	     &(pos)->mem != (head);                                    \
	     pos = pos##_next, pos##_next = CONTAINER((pos)->mem.next, type, mem))

/* The first item for which the condition holds, or NULL. */
#define LIST_FIND(type, pos, head, mem, condition) \
	({                                         \
		type *found_ = NULL;               \
                                                   \
		LIST_ITEMS(type, pos, head, mem) { \
			if (condition) {           \
				found_ = pos;      \
				break;             \
			}                          \
		}                                  \
		found_;                            \
	})
/* The same of the first n elements of an array. */
#define ARRAY_FIND(type, pos, array, n, condition)                                 \
	({                                                                         \
		type *found_ = NULL;                                               \
                                                                                   \
		for (type *pos = (array); pos < (array) + (n) && !found_; pos++) { \
			if (condition)                                             \
				found_ = pos;                                      \
		}                                                                  \
		found_;                                                            \
	})

/* ---- locks ----------------------------------------------------------------------------------- */

/* Serves other CPUs' requests to flush translations: who waits for us may hold the lock
 * (cpu/smp.h). */
void flush_poll(void);

/* A ticket lock; held with interrupts off, as interrupt handlers take locks too. */
struct spinlock {
	volatile uint32_t next, owner;
};

static inline uint64_t irq_save(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
	return flags;
}

static inline void irq_restore(uint64_t flags)
{
	__asm__ volatile("pushq %0; popfq" ::"r"(flags) : "memory", "cc");
}

/* Both return or take what irq_save() gave. */
static inline uint64_t spin_lock(struct spinlock *l)
{
	uint64_t flags = irq_save();
	uint32_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->owner, __ATOMIC_ACQUIRE) != ticket)
		flush_poll();
	return flags;
}

static inline void spin_unlock(struct spinlock *l, uint64_t flags)
{
	__atomic_store_n(&l->owner, l->owner + 1, __ATOMIC_RELEASE);
	irq_restore(flags);
}

struct spin_guard {
	struct spinlock *lock;
	uint64_t flags;
};

static inline void spin_guard_end(struct spin_guard *g)
{
	spin_unlock(g->lock, g->flags);
}

/* Among the declarations of a block: holds the lock from here to the block's end. */
#define SPIN_GUARD(l)            \
	struct spin_guard guard_ \
		__attribute__((cleanup(spin_guard_end), unused)) = {(l), spin_lock(l)}
/* LOCKED(l) statement: holds the lock for the statement; it is no loop that `break` could leave. */
#define LOCKED(l)                                                            \
	for (struct spin_guard guard_                                        \
	     __attribute__((cleanup(spin_guard_end))) = {(l), spin_lock(l)}, \
	     *once_ = &guard_;                                               \
	     once_; once_ = NULL)

#endif
