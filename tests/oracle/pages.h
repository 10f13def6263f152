/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are in the memory of the page-table fuzzer's guest; for C and assembly. */
#ifndef TESTS_ORACLE_PAGES_H
#define TESTS_ORACLE_PAGES_H

#define WINDOW 0x8000000000 /* linear address of 64 pages, PML4 entry 1 */

/* Code in every frame: ADD RBX, imm32; RET. The second goes on at the start of the next page. */
#define PAGES_INSIDE 0x100
#define PAGES_ACROSS 0xffd

#define PAGES_FRAMES  0x100000 /* 32 of them */
#define PAGES_NFRAMES 32

/* Two address spaces; each may use either page table. The first PML4 is the machine's. */
#define PAGES_PML4   0x10000
#define PAGES_PML4_2 0x80000
#define PAGES_PDPT   0x81000
#define PAGES_PDPT2  0x82000
#define PAGES_PD     0x84000
#define PAGES_PD2    0x85000
#define PAGES_PT     0x86000
#define PAGES_PT2    0x87000

/* Variables. */
#define PAGES_DIRECTORY 0x88000 /* address of the page directory in use */
#define PAGES_TABLE     0x88008 /* of the page table that it points to */
#define PAGES_GLOBAL    0x88010 /* 100h: pages may be global */
#define PAGES_FAULTS    0x88018 /* how many there were */

#define PAGES_HOST 0x88020 /* an address in the test's own memory */

#define PAGES_STACK 0x57000 /* top of the exceptions' stack */
#define PAGES_UCODE 0x1b
#define PAGES_UDATA 0x23

/* As tests/unit/translate/machine.c puts them. */
#define GDT_AT 0x18000
#define IDT_AT 0x19000
#define PT_AT  0x13000

#endif
