"""Damage in index files that no checksum tells: what was changed looks as if written so."""

import nearfield as nf


def entry_of(data, info, section):
    """Where the table tells of a section."""
    table = int.from_bytes(data[56:64], "little")
    return table + 96 * [part.name for part in info.sections].index(section)


def read(path, section):
    part = next(part for part in nf.persistence.file_info(path).sections if part.name == section)
    return bytearray(path.read_bytes()[part.offset : part.offset + part.bytes])


def plant(path, section, content):
    """Puts `content`, at most a MB, in place of a section's, and makes all checksums right."""
    info = nf.persistence.file_info(path)
    data = bytearray(path.read_bytes())

    def put(at, value):
        data[at : at + 8] = value.to_bytes(8, "little")

    def checksum(begin, end):
        return nf._core.xxh3(bytes(data[begin:end]))

    entry = entry_of(data, info, section)
    part = next(part for part in info.sections if part.name == section)
    sums = next(part for part in info.sections if part.name == "checksums")
    assert len(content) <= min(part.bytes, 1 << 20)
    data[part.offset : part.offset + part.bytes] = bytes(part.bytes)
    data[part.offset : part.offset + len(content)] = content
    put(entry + 48, len(content))
    put(entry + 56, part.elements * len(content) // part.bytes)
    first = int.from_bytes(data[entry + 64 : entry + 72], "little")
    put(sums.offset + 8 * first, checksum(part.offset, part.offset + len(content)))
    put(entry_of(data, info, "checksums") + 72, checksum(sums.offset, sums.offset + sums.bytes))
    table = int.from_bytes(data[56:64], "little")
    end = table + 96 * len(info.sections)
    put(end, checksum(table, end))
    data[-40:-32] = data[end : end + 8]
    put(len(data) - 8, checksum(len(data) - 64, len(data) - 8))
    path.write_bytes(data)
