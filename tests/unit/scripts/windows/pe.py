"""PE files that are as small as they can be: headers, and the tables that say what a program imports and exports.

The layout is that of Microsoft's specification, https://learn.microsoft.com/windows/win32/debug/pe-format.
"""

import struct

AMD64, I386 = 0x8664, 0x14C
_RVA, _OFFSET = 0x1000, 0x200  # of the one section: in memory and in the file


def program(imports=(), delayed=(), forwarded=(), *, machine=AMD64, managed=False):
    """A DLL or program with these imports, delayed imports, and exports that are another DLL's, as `other.function`."""
    body = bytearray()

    def put(data):
        rva = _RVA + len(body)
        body.extend(data + bytes(-len(data) % 8))
        return rva

    def text(word):
        return put(word.encode() + b"\0")

    word = "<Q" if machine == AMD64 else "<I"

    def thunks():
        return put(struct.pack(word, put(b"\0\0function\0")) + bytes(8))

    directories = [(0, 0)] * 16
    if forwarded:
        targets = put(struct.pack(f"<{len(forwarded)}I", *bytes(len(forwarded))))
        names = put(struct.pack(f"<{len(forwarded)}I", *[text(f"e{n}") for n in range(len(forwarded))]))
        ordinals = put(struct.pack(f"<{len(forwarded)}H", *range(len(forwarded))))
        counts = (1, len(forwarded), len(forwarded))
        start = put(struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, text("self.dll"), *counts, targets, names, ordinals))
        # A forwarder lies within the table's own range: that is what makes it one.
        places = [text(name) for name in forwarded]
        body[targets - _RVA : targets - _RVA + 4 * len(places)] = struct.pack(f"<{len(places)}I", *places)
        directories[0] = (start, _RVA + len(body) - start)
    if imports:
        entries = [struct.pack("<IIIII", thunks(), 0, 0, text(name), thunks()) for name in imports]
        directories[1] = (put(b"".join(entries) + bytes(20)), 20 * (len(entries) + 1))
    if delayed:
        entries = [struct.pack("<8I", 1, text(name), put(bytes(8)), thunks(), thunks(), 0, 0, 0) for name in delayed]
        directories[13] = (put(b"".join(entries) + bytes(32)), 32 * (len(entries) + 1))
    if managed:
        directories[14] = (put(bytes(72)), 72)
    wide = machine == AMD64
    size = len(body) + -len(body) % 512
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, 14, 0, 0, size, 0, 0, _RVA)
    optional += struct.pack("<Q", 0x180000000) if wide else struct.pack("<II", _RVA, 0x400000)
    optional += struct.pack("<IIHHHHHHIIIIHH", 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 3, 0)
    optional += (struct.pack("<QQQQ", *[1 << 20] * 4) if wide else struct.pack("<IIII", *[1 << 20] * 4)) + bytes(4)
    optional += struct.pack("<I", 16) + b"".join(struct.pack("<II", *entry) for entry in directories)
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0x2022) + optional
    head += struct.pack("<8sIIIIIIHHI", b".rdata", len(body), _RVA, size, _OFFSET, 0, 0, 0, 0, 0x40000040)
    return head.ljust(_OFFSET, b"\0") + bytes(body).ljust(size, b"\0")
