#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns the instruction table x86/insn.def into what the decoder is compiled from.

usage: gen_insn.py ops|names|tables INSN.DEF OUTPUT

The notation of the table is explained at its head. "ops" is the enum of mnemonics, "names" their
spelling, "tables" the descriptors, rows and the decision tree that leads from opcode bytes to a row.
"""
import copy
import itertools
import re
import sys

MAPS = ['1', '0f', '0f38', '0f3a']
SPACES = ['legacy', 'vex', 'evex']
PREFIXES = {'np': {0}, '66': {1}, 'f3': {2}, 'f2': {3}, 'nf': {0, 1}}

# The questions a decision tree can ask, in the order it asks them, with the number of answers.
# The names are those of enum tree_test in decode_tables.h.
TESTS = {'prefix': 4, 'long': 2, 'mod': 2, 'reg': 8, 'rm': 8, 'w': 2, 'l': 4, 'r': 2, 'b': 2}
NEEDS_MODRM = {'mod', 'reg', 'rm'}

FLAG_BITS = {'c': 'CF', 'p': 'PF', 'a': 'AF', 'z': 'ZF', 's': 'SF', 'o': 'OF', 'd': 'DF', 'i': 'IF'}
CC_FLAGS = ['o', 'c', 'z', 'cz', 's', 'p', 'so', 'zso']  # read by condition codes 0/1, 2/3, ...
ATTRS = {'lock': 'LOCK', 'priv': 'PRIV', 'cond': 'COND', 'd64': 'D64', 'f64': 'D64',
         'i64': 'NORM64', 'o64': 'ONLY64', 'notreal': 'NOTREAL'}
ROW_FLAGS = {'d64': 'D64', 'f64': 'F64', 'nomod': 'NOMOD', 'icount': 'ICOUNT', 'distinct': 'DISTINCT',
             'vsib': 'VSIB', 'bc4': 'BC4', 'bc8': 'BC8', 'er': 'ER', 'sae': 'SAE', 'k': 'MASK',
             'kreq': 'NEEDK'}

# Operand letters: where the operand is encoded and what it is when it is a register.
LETTERS = {
    'E': ('RM', 'GPR'), 'R': ('RM', 'GPR'), 'M': ('RM', 'GPR'), 'G': ('REG', 'GPR'),
    'B': ('VVVV', 'GPR'), 'Z': ('OPREG', 'GPR'), 'S': ('REG', 'SEG'), 'C': ('REG', 'CR'),
    'D': ('REG', 'DR'), 'P': ('REG', 'MMX'), 'Q': ('RM', 'MMX'), 'N': ('RM', 'MMX'),
    'V': ('REG', 'VEC'), 'W': ('RM', 'VEC'), 'U': ('RM', 'VEC'), 'H': ('VVVV', 'VEC'),
    'L': ('IS4', 'VEC'), 'K': ('REG', 'MASK'), 'k': ('RM', 'MASK'), 'j': ('RM', 'MASK'),
    'h': ('VVVV', 'MASK'), 'O': ('MOFFS', 'NONE'), 'J': ('REL', 'REL'), 'A': ('FAR', 'FAR'),
    'I': ('IMM', 'IMM'), 'X': ('STRING', 'NONE'), 'Y': ('STRING', 'NONE'),
}
ACCESS = {'=': 'X86_ACC_WRITE', '+': 'X86_ACC_READ | X86_ACC_WRITE', '~': '0'}
MEMORY_ONLY, REGISTER_ONLY = set('M'), set('RNUj')
SIZES = ['n', 'b', 'w', 'd', 'q', 't', 'o', 'h', 'u', 'v', 'z', 'y', 'Q', 'm', 'p', 's', 'a', 'e',
         'f', 'x', 'hx', 'qx', 'ex', 'hv', 'sb']
SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS']
FIXED = {'AL': ('GPR', 0, 'b'), 'AX': ('GPR', 0, 'w'), 'CL': ('GPR', 1, 'b'), 'DX': ('GPR', 2, 'w'),
         'rAX': ('GPR', 0, 'v'), 'eAX': ('GPR', 0, 'z'), 'ST0': ('X87', 0, 't'),
         'XMM0': ('VEC', 0, 'o'), '1': ('IMM', 1, 'b')}
FIXED.update({s: ('SEG', i, 'w') for i, s in enumerate(SEGMENTS)})
STI = ('RM', 'X87', 0, 't', 't')
IMPLICIT_MEM = {'X': 'SI', 'Y': 'ES_DI', 'bx': 'BX', 'ax': 'AX', 'di': 'DI'}


def fail(where, what):
    sys.exit(f'{where}: {what}')


class Row:
    """One line of the table: conditions on the encoding, operands, and the description."""

    def __init__(self, where, text, section):
        fields = text.split()
        if len(fields) < 3:
            fail(where, 'a row has at least encoding, mnemonic and operands')
        self.where, self.op = where, fields[1]
        self.cls, self.feature = section
        self.need = {}  # test -> set of answers
        self.flags, self.attr, self.mem = set(), set(), 'NONE'
        self.wide_feature, self.scale = None, 0
        self.status = {'r': '', 'w': '', 'u': ''}
        self.encoding(fields[0])
        for word in fields[3:]:
            self.word(word)
        self.operands = [] if fields[2] == '-' else [self.operand(o) for o in fields[2].split(',')]
        if self.space != 'legacy':
            self.attr.add('NOTREAL')
        if NEEDS_MODRM & set(self.need):
            self.flags.add('MODRM')

    def encoding(self, text):
        parts = text.split('.')
        self.space = parts.pop(0) if parts[0] in SPACES else 'legacy'
        if parts[0] in ('l0', 'l1', 'l2', 'l12'):
            self.need['l'] = {int(c) for c in parts.pop(0)[1:]}
        if parts[0] in PREFIXES and len(parts) > 1:
            self.need['prefix'] = PREFIXES[parts[0]]
            if parts.pop(0) in ('np', '66'):
                self.flags.add('PREFIX66')
        self.map = MAPS.index(parts.pop(0)) if parts[0] in MAPS else 0
        m = re.fullmatch(r'([0-9a-f]{2})(\+r|\+cc)?(?:/([0-7,]+))?(?::([mr]))?(?:=([0-9a-f]{2}))?',
                         parts.pop(0))
        if not m:
            fail(self.where, f'cannot read the encoding {text}')
        self.opcode, self.step = int(m[1], 16), m[2]
        if m[3]:
            self.need['reg'] = {int(c) for c in m[3].split(',')}
        if m[4]:
            self.need['mod'] = {'m': {0}, 'r': {1}}[m[4]]
        if m[5]:
            byte = int(m[5], 16)
            self.need.update(mod={1}, reg={byte >> 3 & 7}, rm={byte & 7})
        for bit in parts:
            self.need[bit[0]] = {int(bit[1])}

    def word(self, word):
        key, _, value = word.partition(':')
        if key in self.status:
            self.status[key] = value
        elif word.startswith('f='):
            self.feature = word[2:]
        elif word.startswith('l1='):
            self.wide_feature = word[3:]
        elif word.startswith('cls='):
            self.cls = word[4:]
        elif word.startswith('mem='):
            self.mem = IMPLICIT_MEM[word[4:]]
        elif word.startswith('n='):
            self.scale = int(word[2:])
        elif word == 'kz':
            self.flags |= {'MASK', 'ZERO'}
        elif word in ATTRS or word in ROW_FLAGS:
            self.attr |= {ATTRS[word]} if word in ATTRS else set()
            self.flags |= {ROW_FLAGS[word]} if word in ROW_FLAGS else set()
            if word in ('i64', 'o64'):
                self.need['long'] = {int(word == 'o64')}
        else:
            fail(self.where, f'unknown attribute {word}')

    def operand(self, text):
        """(place, kind, fixed register, register size, memory size, access)"""
        access = ACCESS.get(text[0], 'X86_ACC_READ')
        text = text.lstrip(''.join(ACCESS))
        if text in FIXED:
            kind, reg, size = FIXED[text]
            return ('FIXED', kind, reg, size, size, access)
        if text == 'STi':
            self.flags.add('MODRM')
            return STI + (access,)
        forms = text.split('/')
        letter, size = forms[0][0], forms[0][1:]
        memsize = forms[1][1:] if len(forms) == 2 else size
        place, kind = LETTERS[letter]
        if size not in SIZES or memsize not in SIZES:
            fail(self.where, f'unknown operand size in {text}')
        if place in ('RM', 'REG'):
            self.flags.add('MODRM')
        if place == 'VVVV':
            self.flags.add('VVVV')
        if 'NOMOD' not in self.flags and len(forms) == 1:
            if letter in MEMORY_ONLY:
                self.need['mod'] = {0}
            elif letter in REGISTER_ONLY:
                self.need['mod'] = {1}
        if place == 'STRING':
            self.mem = IMPLICIT_MEM[letter]
        return (place, kind, 0, size, memsize, access)

    def by_width(self):
        """Two rows where 256 bits need another feature than 128, else this one."""
        if not self.wide_feature:
            return [self]
        narrow, wide = copy.copy(self), copy.copy(self)
        narrow.need, wide.need = self.need | {'l': {0}}, self.need | {'l': {1}}
        wide.feature = self.wide_feature
        return [narrow, wide]

    def opcodes(self):
        """Opcodes the row stands for, with the flags it reads there."""
        count = {'+r': 8, '+cc': 16}.get(self.step, 1)
        for i in range(count):
            reads = CC_FLAGS[i // 2] if self.status['r'] == 'cc' else self.status['r']
            yield self.opcode + i, reads

    def desc(self, reads, attr):
        bits = lambda s: ' | '.join('X86_F_' + FLAG_BITS[c] for c in s) or '0'
        return (f'X86_OP_{self.op}', f'X86_CLS_{self.cls}', f'X86_FEAT_{self.feature}',
                ' | '.join('X86_AT_' + a for a in sorted(attr)) or '0',
                bits(reads), bits(self.status['w']), bits(self.status['u']))


def parse(path):
    rows, section = [], None
    with open(path, encoding='ascii') as f:
        for number, line in enumerate(f, 1):
            line = line.split('#')[0].strip()
            if line.startswith('@'):
                words = line[1:].split()
                section = (words[0], words[1] if len(words) > 1 else 'NONE')
            elif line:
                rows += Row(f'{path}:{number}', line, section).by_width()
    return rows


def ops(rows):
    return ['INVALID'] + sorted({r.op for r in rows})


class Tables:
    """Descriptors, operand forms, rows and decision trees, each listed once."""

    def __init__(self, rows):
        self.descs, self.specs, self.rows, self.nodes, self.seen = [], [], [], [], {}
        self.roots = {}
        cells = {}
        for row in rows:
            for opcode, reads in row.opcodes():
                cells.setdefault((row.space, row.map, opcode), []).append((row, self.row(row, reads)))
        for space, number in itertools.product(SPACES, range(len(MAPS))):
            self.roots[space, number] = [
                self.tree(cells.get((space, number, opcode), []), list(TESTS)) for opcode in range(256)]

    def index(self, items, item):
        if item not in items:
            items.append(item)
        return items.index(item)

    def desc(self, row, reads):
        """An immediate shift count has two descriptors: count 0, then any other."""
        if 'ICOUNT' not in row.flags:
            return self.index(self.descs, row.desc(reads, row.attr))
        pair = [row.desc(reads, row.attr | {'COND'}), row.desc(reads, row.attr)]
        for i in range(len(self.descs) - 1):
            if self.descs[i:i + 2] == pair:
                return i
        self.descs += pair
        return len(self.descs) - 2

    def row(self, row, reads):
        specs = [self.index(self.specs, o) + 1 for o in row.operands]
        return self.index(self.rows, (self.desc(row, reads), tuple(specs), row.mem, row.scale,
                                      ' | '.join('ROW_' + f for f in sorted(row.flags)) or '0'))

    def tree(self, candidates, tests):
        """Number of the (sub)tree that tells the candidates apart: 0 none, 0x8000 + row a leaf."""
        if not candidates:
            return 0
        while tests and not any(tests[0] in row.need for row, _ in candidates):
            tests = tests[1:]
        if not tests:
            return self.leaf(candidates)
        test, n = tests[0], TESTS[tests[0]]
        branches = []
        for answer in range(n):
            left = [c for c in candidates if answer in c[0].need.get(test, range(n))]
            branches.append(self.tree(left, tests[1:]))
        return self.node((list(TESTS).index(test), *branches))

    def leaf(self, candidates):
        best = max(len(row.need) for row, _ in candidates)
        found = [c for c in candidates if len(c[0].need) == best]
        if len({number for _, number in found}) > 1:
            fail(found[1][0].where, f'the same encoding as {found[0][0].where}')
        return 0x8000 + found[0][1]

    def node(self, words):
        if words not in self.seen:
            self.seen[words] = len(self.nodes) + 1  # 0 means undefined
            self.nodes += words
        return self.seen[words]


def wrapped(numbers):
    lines = []
    for i in range(0, len(numbers), 14):
        lines.append('\t' + ', '.join(f'{n:#x}' for n in numbers[i:i + 14]) + ',')
    return lines


def emit_ops(rows):
    yield '#ifndef X86_OPS_H'
    yield '#define X86_OPS_H'
    yield 'enum x86_op {'
    yield from (f'\tX86_OP_{op},' for op in ops(rows))
    yield '\tX86_NOPS'
    yield '};'
    yield '#endif'


def emit_names(rows):
    yield from (f'[X86_OP_{op}] = "{op.lower()}",' for op in ops(rows))


def emit_tables(rows):
    t = Tables(rows)
    yield 'static const struct x86_desc descs[] = {'
    yield from ('\t{' + ', '.join(d) + '},' for d in t.descs)
    yield '};'
    yield 'static const struct spec specs[] = {'
    yield '\t{PLACE_NONE},'
    for place, kind, reg, rsize, msize, access in t.specs:
        yield (f'\t{{PLACE_{place}, X86_OPK_{kind}, {reg}, SIZE_{rsize}, SIZE_{msize}, '
               f'{access}}},')
    yield '};'
    yield 'static const struct row rows[] = {'
    for desc, specs, mem, scale, flags in t.rows:
        yield f'\t{{{desc}, {flags}, IMPL_{mem}, {scale}, {{{", ".join(map(str, specs)) or 0}}}}},'
    yield '};'
    yield 'static const uint16_t nodes[] = {0,'
    yield from wrapped(t.nodes)
    yield '};'
    yield f'static const uint16_t roots[{len(SPACES)}][{len(MAPS)}][256] = {{'
    for (space, number), words in t.roots.items():
        if any(words):
            yield f'[SPACE_{space.upper()}][{number}] = {{'
            yield from wrapped(words)
            yield '},'
    yield '};'


def main():
    what, source, target = sys.argv[1:]
    emit = {'ops': emit_ops, 'names': emit_names, 'tables': emit_tables}[what]
    with open(target, 'w', encoding='ascii') as f:
        f.write('/* Generated by x86/gen_insn.py from x86/insn.def. */\n')
        f.writelines(line + '\n' for line in emit(parse(source)))


main()
