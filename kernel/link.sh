#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# link.sh CC... -- SCRIPT OUTPUT LIBRARY: links the kernel with a table of its own symbols.
set -eu
cc=
while [ "$1" != -- ]; do
	cc="$cc $1"
	shift
done
script=$2 out=$3 lib=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Assembly: N, addresses, offsets of names, names.
table() {
	awk 'BEGIN { n = 0; print ".section .rodata\n.global symbol_count, symbol_addresses, symbol_names" }
		{ addr[n] = $1; name[n++] = $3 }
		END {
			print ".align 8\nsymbol_count: .quad " (n + 0) "\nsymbol_addresses:"
			for (i = 0; i < n; i++) print ".quad 0x" addr[i]
			print "symbol_names:"
			for (i = 0; i < n; i++) print ".asciz \"" name[i] "\""
			print ".section .note.GNU-stack,\"\""
		}' >"$tmp/symbols.S"
}

link() {
	$cc -c "$tmp/symbols.S" -o "$tmp/symbols.o"
	$cc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments \
		-T "$script" -o "$1" -Wl,--whole-archive "$lib" -Wl,--no-whole-archive "$tmp/symbols.o"
}

table </dev/null
link "$tmp/first"
nm -n "$tmp/first" | grep -i ' t ' | grep '^ffffffff8' | table
link "$tmp/out"
mv "$tmp/out" "$out"
