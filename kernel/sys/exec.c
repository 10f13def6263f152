/* SPDX-License-Identifier: Apache-2.0 */
/* execve(): static ELF programs, position independent or not, and scripts with "#!". */
#include <linux/auxvec.h>
#include <linux/elf.h>

#include "kernel/cpu/entry.h"
#include "kernel/cpu/fpu.h"
#include "kernel/mm/heap.h"
#include "kernel/mm/user.h"
#include "kernel/sys/calls.h"
#include "kernel/sys/landlock.h"
#include "kernel/sys/random.h"
#include "kernel/sys/signal.h"
#include "kernel/sys/vfs.h"

#define STACK_TOP  0x00007ffffffff000UL
#define STACK_SIZE (8UL << 20)
#define PIE_BASE   0x0000555555554000UL
#define MAX_PHDRS  32

struct image {
	uint64_t bias, entry, phdr, end;
	unsigned phnum;
};

/* ---- loading --------------------------------------------------------------------------------- */

/* The bytes behind the file's part of the last page, and whole pages for the rest of .bss. */
static int map_bss(struct space *s, const Elf64_Phdr *ph, uint64_t base, unsigned flags)
{
	static char zeros[PAGE_SIZE];
	uint64_t file_end = base + ph->p_vaddr + ph->p_filesz,
		 end = base + ph->p_vaddr + ph->p_memsz;
	uint64_t page_end = page_up(file_end);
	int64_t rc = 0;

	if (end > page_end)
		rc = space_map(s, page_end, end - page_end, flags, NULL, 0, true);
	if (rc < 0 || !(file_end & (PAGE_SIZE - 1)) || !(flags & VMA_WRITE))
		return rc < 0 ? (int)rc : 0;
	return space_copy_bytes(s, file_end, zeros, page_end - file_end, true);
}

static int map_segment(struct space *s, struct memobj *o, const Elf64_Phdr *ph, uint64_t base)
{
	unsigned flags = (ph->p_flags & PF_R ? VMA_READ : 0) |
			 (ph->p_flags & PF_W ? VMA_WRITE : 0) | (ph->p_flags & PF_X ? VMA_EXEC : 0);
	uint64_t start = (base + ph->p_vaddr) & PAGE_MASK, skew = ph->p_vaddr & (PAGE_SIZE - 1);
	int64_t rc;

	if (ph->p_memsz < ph->p_filesz || ph->p_vaddr + ph->p_memsz < ph->p_vaddr ||
	    base + ph->p_vaddr + ph->p_memsz > USER_END ||
	    (ph->p_offset & (PAGE_SIZE - 1)) != skew ||
	    ph->p_offset + ph->p_filesz < ph->p_offset || ph->p_offset + ph->p_filesz > o->size)
		return -ENOEXEC;
	if (ph->p_filesz) {
		rc = space_map(s, start, ph->p_filesz + skew, flags, o, ph->p_offset - skew, true);
		if (rc < 0)
			return (int)rc;
	}
	return map_bss(s, ph, base, flags);
}

static int load_elf(struct space *s, struct memobj *o, struct image *im)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph[MAX_PHDRS];
	int rc = memobj_read(o, &eh, 0, sizeof(eh));

	if (rc == -ENOMEM)
		return rc;
	if (rc || memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_machine != EM_X86_64 ||
	    eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum > MAX_PHDRS ||
	    (eh.e_type != ET_EXEC && eh.e_type != ET_DYN))
		return -ENOEXEC;
	rc = memobj_read(o, ph, eh.e_phoff, eh.e_phnum * sizeof(Elf64_Phdr)) ? -ENOEXEC : 0;
	*im = (struct image){.bias = eh.e_type == ET_DYN ? PIE_BASE : 0, .phnum = eh.e_phnum};
	im->entry = eh.e_entry + im->bias;
	for (unsigned i = 0; !rc && i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP) /* a dynamic program: there is no loader for it */
			return -ENOEXEC;
		if (ph[i].p_type != PT_LOAD)
			continue;
		rc = map_segment(s, o, &ph[i], im->bias);
		if (eh.e_phoff >= ph[i].p_offset && eh.e_phoff < ph[i].p_offset + ph[i].p_filesz)
			im->phdr = im->bias + ph[i].p_vaddr + eh.e_phoff - ph[i].p_offset;
		im->end = MAX(im->end, im->bias + ph[i].p_vaddr + ph[i].p_memsz);
	}
	return rc;
}

/* ---- the stack ------------------------------------------------------------------------------- */

static size_t add_pointers(uint64_t *words, size_t n, uint64_t at, const char *texts,
			   unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		words[n++] = at;
		at += strlen(texts) + 1;
		texts += strlen(texts) + 1;
	}
	words[n++] = 0;
	return n;
}

static size_t add_auxv(uint64_t *w, size_t n, const struct image *im, uint64_t random, uint64_t exe)
{
	const uint64_t aux[][2] = {
		{AT_PHDR, im->phdr},
		{AT_PHENT, sizeof(Elf64_Phdr)},
		{AT_PHNUM, im->phnum},
		{AT_PAGESZ, PAGE_SIZE},
		{AT_BASE, 0},
		{AT_FLAGS, 0},
		{AT_ENTRY, im->entry},
		{AT_UID, 0},
		{AT_EUID, 0},
		{AT_GID, 0},
		{AT_EGID, 0},
		{AT_SECURE, 0},
		{AT_CLKTCK, 100},
		{AT_HWCAP, cpuid(1, 0).edx},
		{AT_HWCAP2, 2 /* FSGSBASE */},
		{AT_RANDOM, random},
		{AT_EXECFN, exe},
		{AT_MINSIGSTKSZ, 1024 + fpu_size()},
		{AT_NULL, 0},
	};

	memcpy(w + n, aux, sizeof(aux));
	return n + sizeof(aux) / 8;
}

/* From the top: random bytes, texts, then the words that the program finds at RSP. */
static int build_stack(struct space *s, const struct exec_args *a, const struct image *im,
		       uint64_t *rsp)
{
	uint64_t random_at = STACK_TOP - 32, env_at = random_at - a->env_len;
	uint64_t args_at = env_at - a->args_len, sp;
	size_t max = a->argc + a->envc + 64UL, n = 0;
	uint64_t *words = kzalloc(max * 8);
	uint8_t bytes[16];
	int64_t rc;

	if (!words)
		return -ENOMEM;
	rc = space_map(s, STACK_TOP - STACK_SIZE, STACK_SIZE, VMA_READ | VMA_WRITE, NULL, 0, true);
	random_bytes(bytes, sizeof(bytes));
	words[n++] = a->argc;
	n = add_pointers(words, n, args_at, a->args, a->argc);
	n = add_pointers(words, n, env_at, a->env, a->envc);
	n = add_auxv(words, n, im, random_at, args_at);
	sp = (args_at - n * 8) & ~15UL;
	rc = rc < 0 ? rc : space_copy_bytes(s, random_at, bytes, sizeof(bytes), true);
	rc = rc ? rc : space_copy_bytes(s, env_at, (void *)a->env, a->env_len, true);
	rc = rc ? rc : space_copy_bytes(s, args_at, (void *)a->args, a->args_len, true);
	rc = rc ? rc : space_copy_bytes(s, sp, words, n * 8, true);
	kfree(words);
	*rsp = sp;
	return (int)rc;
}

/* ---- exec ------------------------------------------------------------------------------------ */

static int make_space(struct node *n, const struct exec_args *a, struct space **out,
		      struct image *im, uint64_t *rsp)
{
	struct space *s = space_new();
	int rc = s ? load_elf(s, n->obj, im) : -ENOMEM;

	rc = rc ? rc : build_stack(s, a, im, rsp);
	if (rc) {
		space_put(s);
		return rc;
	}
	s->brk_start = s->brk = page_up(im->end);
	*out = s;
	return 0;
}

static int set_name(struct process *p, struct thread *t, struct node *n, const char *path,
		    const struct exec_args *a)
{
	struct program *new = kzalloc(sizeof(*new) + a->args_len), *old;
	const char *base = path;

	if (!new)
		return -ENOMEM;
	for (const char *c = path; *c; c++) {
		if (*c == '/')
			base = c + 1;
	}
	strlcpy(t->name, base, sizeof(t->name));
	new->refs = 1;
	new->len = a->args_len;
	memcpy(new->cmdline, a->args, a->args_len);
	vfs_path(n, new->exe, PATH_MAX);
	LOCKED(&processes_lock) { /* for who looks into /proc */
		old = p->program;
		p->program = new;
	}
	program_put(old);
	return 0;
}

static void set_regs(struct thread *t, uint64_t rip, uint64_t rsp)
{
	*t->regs = (struct regs){
		.rip = rip, .rsp = rsp, .cs = SEL_UCODE, .ss = SEL_UDATA, .rflags = RFLAGS_IF | 2};
	t->fs_base = t->gs_base = 0;
	fpu_init_area(t->fpu);
}

static int open_program(const char *path, struct node **out)
{
	uint64_t denied;
	int rc = vfs_walk(NULL, path, 0, out, NULL);

	if (rc)
		return rc;
	LOCKED(&vfs_lock)
		denied = landlock_denied(*out, RIGHT(EXECUTE));
	if (!denied && (*out)->obj && (*out)->mode & 0111)
		return 0;
	node_put(*out);
	return -EACCES;
}

/* Only this thread may be left; the others see `exiting` for a moment. -EINTR: it ends with them,
 * as another one was first or took a signal that ends the process. */
static int end_other_threads(struct process *p)
{
	struct thread *me = current_thread();
	bool ending;

	LOCKED(&p->lock) {
		ending = p->exiting;
		p->exiting = true;
		p->survivor = ending ? p->survivor : me;
	}
	if (ending)
		return -EINTR;
	while (p->nthreads > 1) {
		LOCKED(&p->lock) {
			LIST_ITEMS(struct thread, t, &p->threads, proc_link) {
				if (t != me)
					thread_kick(t);
			}
		}
		schedule();
	}
	p->exiting = p->survivor != me;
	p->survivor = NULL;
	return p->exiting ? -EINTR : 0;
}

static void replace(struct process *p, struct thread *t, struct space *s)
{
	struct space *old = p->space;

	s->limit = old->limit;
	LOCKED(&processes_lock) {
		p->space = s;
		process_release_vfork(p);
	}
	space_load(s);
	space_put(old);
	files_close_on_exec(p->files);
	for (unsigned i = 0; i < SIGNALS; i++) {
		if (p->action[i].handler > 1)
			p->action[i] = (struct sigaction_k){0};
	}
	t->clear_tid = 0;
	t->altstack_flags = 2;
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	fpu_load(t->fpu);
}

/* "#!interpreter argument": the program runs with the script's path in front of the arguments. */
static int exec_script(struct node *n, const char *path, const struct exec_args *a, unsigned depth);

static int exec_node(struct node *n, const char *path, const struct exec_args *a, unsigned depth)
{
	struct thread *t = current_thread();
	struct process *p = t->proc;
	struct space *s;
	struct image im;
	uint64_t rsp;
	char magic[2] = {0};
	int rc;

	if (n->obj->size > 2 && !memobj_read(n->obj, magic, 0, 2) && magic[0] == '#' &&
	    magic[1] == '!')
		return exec_script(n, path, a, depth);
	rc = make_space(n, a, &s, &im, &rsp);
	if (rc)
		return rc;
	rc = set_name(p, t, n, path, a);
	rc = rc ? rc : end_other_threads(p);
	if (rc) {
		space_put(s);
		return rc;
	}
	set_regs(t, im.entry, rsp);
	replace(p, t, s);
	return 0;
}

static int exec_script(struct node *n, const char *path, const struct exec_args *a, unsigned depth)
{
	char line[128] = {0}, *interpreter = line + 2, *arg;
	size_t first = strlen(a->args) + 1, len;
	struct exec_args b = *a;
	struct node *program;
	char *args;
	int rc;

	if (depth > 4)
		return -ELOOP;
	rc = memobj_read(n->obj, line, 0, MIN(sizeof(line) - 1, n->obj->size));
	if (rc || !strchr(line, '\n'))
		return -ENOEXEC;
	*strchr(line, '\n') = 0;
	while (*interpreter == ' ')
		interpreter++;
	arg = strchr(interpreter, ' ');
	if (arg)
		*arg++ = 0;
	rc = open_program(interpreter, &program);
	if (rc)
		return rc;
	args = kzalloc(strlen(interpreter) + (arg ? strlen(arg) : 0) + strlen(path) + a->args_len +
		       4);
	if (!args) {
		node_put(program);
		return -ENOMEM;
	}
	len = strlcpy(args, interpreter, PATH_MAX) + 1;
	if (arg)
		len += strlcpy(args + len, arg, PATH_MAX) + 1;
	len += strlcpy(args + len, path, PATH_MAX) + 1;
	memcpy(args + len, a->args + first, a->args_len - first);
	b.args = args;
	b.args_len = len + a->args_len - first;
	b.argc = a->argc + 1 + (arg != NULL);
	rc = exec_node(program, interpreter, &b, depth + 1);
	node_put(program);
	kfree(args);
	return rc;
}

int process_exec(const char *path, const struct exec_args *a)
{
	struct node *n;
	int rc = open_program(path, &n);

	if (rc)
		return rc;
	rc = exec_node(n, path, a, 0);
	node_put(n);
	return rc;
}

/* Standard input, output and error. */
static void open_console(void)
{
	struct node *n;
	int rc = vfs_walk(root_node, "/dev/console", 0, &n, NULL);

	if (rc)
		panic("there is no /dev/console");
	for (int fd = 0; fd < 3; fd++)
		fd_install(node_open(n, O_RDWR, &rc), false, fd);
	node_put(n);
}

_Noreturn void process_run_init(void *path)
{
	static const char env[] = "PATH=/bin:/sbin:/usr/bin\0HOME=/root\0TERM=linux";
	struct exec_args a = {path, env, strlen(path) + 1, sizeof(env), 1, 3};
	int rc;

	open_console();
	rc = process_exec(path, &a);
	if (rc)
		panic("cannot start %s (error %d): it must be a static program in the initramfs",
		      (char *)path, -rc);
	enter_user(current_thread()->regs);
}

/* Copies a NULL-terminated array of texts; returns their number. */
static int64_t gather(uint64_t array, char *to, size_t *len)
{
	int64_t n = 0;

	*len = 0;
	for (uint64_t p; array; n++, array += 8) {
		int got;

		if (copy_from_user(&p, array, 8))
			return -EFAULT;
		if (!p)
			break;
		got = string_from_user(to + *len, p, MAX_ARGS - *len);
		if (got < 0)
			return got == -ENAMETOOLONG ? -E2BIG : got;
		*len += (size_t)got + 1;
		if (*len >= MAX_ARGS)
			return -E2BIG;
	}
	return n;
}

int64_t sys_execve(const uint64_t *a)
{
	char *path = kzalloc(PATH_MAX), *args = kzalloc(MAX_ARGS), *env = kzalloc(MAX_ARGS);
	struct exec_args x = {.args = args, .env = env};
	int64_t rc = path && args && env ? string_from_user(path, a[0], PATH_MAX) : -ENOMEM;
	int64_t argc = rc < 0 ? 0 : gather(a[1], args, &x.args_len);
	int64_t envc = rc < 0 ? 0 : gather(a[2], env, &x.env_len);

	rc = rc < 0 ? rc : argc < 0 ? argc : envc < 0 ? envc : argc == 0 ? -EINVAL : 0;
	if (!rc) {
		x.argc = (unsigned)argc;
		x.envc = (unsigned)envc;
		rc = process_exec(path, &x);
	}
	kfree(path);
	kfree(args);
	kfree(env);
	return rc;
}
