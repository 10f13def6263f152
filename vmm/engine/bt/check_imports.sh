#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fails if an object of the translation engine calls a memory function of the C library.
found=$(nm -A -u "$1" | grep -E ' (memcpy|memmove|memset|memcmp|bcmp)$')
if [ -n "$found" ]; then
	echo "these use vector registers, and the guest's values are in them:"
	echo "$found"
	exit 1
fi
