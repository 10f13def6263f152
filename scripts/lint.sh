#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formatting, SPDX lines, headers that compile alone, cppcheck. Prints every finding, fails if any.
set -u
cd "$(dirname "$0")/.."
scripts/deps.sh build lint || exit 1
bad=0

files=$(git ls-files '*.c' '*.h')
clang-format --dry-run -Werror $files || bad=1

for f in $(git ls-files '*.c' '*.h' '*.S' '*.sh' '*.py' Makefile); do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' ||
		{ echo "$f: no SPDX line"; bad=1; }
done

for h in $(git ls-files '*.h'); do
	echo "#include \"$h\"" | gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. \
		-I"${BUILD:-build}" -fsyntax-only -x c - || { echo "$h: does not compile alone"; bad=1; }
done

# It knows no address of a label and does not see that panic() ends and what inline assembly writes; the compilers' own
# warnings do.
cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
	--suppress=missingInclude --suppress=unknownMacro --suppress=uninitvar -I. -j2 \
	--suppress=syntaxError:bench/guest/control.c \
	$(git ls-files '*.c' | grep -Ev '^(tests|guests)/') || bad=1

[ "$bad" = 0 ] && echo "lint: nothing found"
exit "$bad"
