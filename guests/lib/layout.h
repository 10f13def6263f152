/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors of the guests' GDT and fixed addresses; for C and assembly. */
#ifndef GUESTS_LIB_LAYOUT_H
#define GUESTS_LIB_LAYOUT_H

#define SEL_KCODE   0x08
#define SEL_KDATA   0x10
#define SEL_UCODE32 0x18 /* SYSRET's base: data and 64-bit code follow */
#define SEL_UDATA   0x20
#define SEL_UCODE   0x28
#define SEL_TSS     0x38
#define SEL_KCODE32 0x48 /* 64-bit guests */
#define SEL_GATE    0x50 /* a call gate that a check fills in */
#define SEL_ABSENT  0x60

/* 32-bit guests */
#define SEL_CODE16 0x40
#define SEL_DATA16 0x48
#define SEL_FREE   0x68 /* four slots */

#define AP_TRAMPOLINE 0x8000
#define REAL_CODE     0x7000

#endif
