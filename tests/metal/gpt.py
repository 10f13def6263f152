# SPDX-License-Identifier: Apache-2.0
"""Writes GUID partition tables (UEFI 2.10, chapter 5) into disk images, also damaged ones."""
import struct
import uuid
import zlib

LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
ENTRIES, ENTRY_BYTES = 128, 128


def _table(parts):
    table = bytearray(ENTRIES * ENTRY_BYTES)
    for i, (first, last) in enumerate(parts):
        struct.pack_into("<16s16sQQ", table, i * ENTRY_BYTES, LINUX_DATA.bytes_le, uuid.uuid4().bytes_le, first, last)
    return bytes(table)


def _header(here, other, table_at, sectors, table):
    usable = 2 + len(table) // 512
    fields = [b"EFI PART", 0x10000, 92, 0, 0, here, other, usable, sectors - usable, uuid.UUID(int=1).bytes_le,
              table_at, ENTRIES, ENTRY_BYTES, zlib.crc32(table)]
    fields[3] = zlib.crc32(struct.pack("<8sIIIIQQQQ16sQIII", *fields))
    return struct.pack("<8sIIIIQQQQ16sQIII", *fields)


def write(path, parts):
    """`parts`: (first, last) sector of 512 bytes of each."""
    with open(path, "r+b") as f:
        sectors = f.seek(0, 2) // 512
        table = _table(parts)
        last_table = sectors - 1 - len(table) // 512
        mbr = bytearray(512)
        struct.pack_into("<BBBBBBBBII", mbr, 446, 0, 0, 2, 0, 0xee, 255, 255, 255, 1, min(sectors - 1, 0xffffffff))
        mbr[510:] = b"\x55\xaa"
        for at, data in ((0, mbr), (1, _header(1, sectors - 1, 2, sectors, table)), (2, table), (last_table, table),
                         (sectors - 1, _header(sectors - 1, 1, last_table, sectors, table))):
            f.seek(at * 512)
            f.write(data)


def damage(path, *sectors):
    """Turns a bit over in each of these; negative ones count from the end."""
    with open(path, "r+b") as f:
        for sector in sectors:
            f.seek(sector * 512 + 40, 0 if sector >= 0 else 2)
            byte = f.read(1)[0]
            f.seek(-1, 1)
            f.write(bytes([byte ^ 1]))
