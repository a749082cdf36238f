"""Parts of Arrow arrays that have no offset, because the writer of nanoarrow takes no others."""

from __future__ import annotations

from array import array as numbers
from typing import Any

STEP = 8
"""A part begins at a multiple of this row, so that its bits begin with a byte."""


def first(array: Any, rows: int) -> Any:
    """Returns the beginning of an array, without copying it. A slice of it would keep its whole children, which would be
    written as they are."""
    from nanoarrow.c_array import c_array_from_buffers

    layout, view = array.schema.format, array.view()
    if layout == "+s" or layout.startswith("+us"):
        lengths = [rows] * array.n_children
    elif layout.startswith("+w:"):
        lengths = [rows * int(layout[3:])]
    elif layout in ("+l", "+L", "+m"):
        lengths = [view.buffer(1)[rows]]
    else:
        return array[:rows]
    buffers = [view.buffer(number) for number in range(view.n_buffers)]
    children = [first(array.child(number), length) for number, length in enumerate(lengths)]
    return c_array_from_buffers(array.schema, rows, buffers, children=children)


def part(array: Any, start: int, rows: int) -> Any:
    """Returns a copy of some rows. Lists keep all elements before theirs."""
    from nanoarrow.c_array import c_array_from_buffers

    layout, view = array.schema.format, array.view()
    children = []
    if layout == "+s" or layout.startswith("+us"):
        children = [part(child, start, rows) for child in array.children]
    elif layout.startswith("+w:"):
        size = int(layout[3:])
        children = [part(array.child(0), start * size, rows * size)]
    elif layout in ("+l", "+L", "+m"):
        children = [first(array.child(0), view.buffer(1)[start + rows])]
    buffers = [_buffer(view, number, start, rows, layout) for number in range(view.n_buffers)]
    return c_array_from_buffers(array.schema, rows, buffers, children=children)


def _buffer(view: Any, number: int, start: int, rows: int, layout: str) -> Any:
    buffer = view.buffer(number)
    if not buffer.size_bytes:
        return None
    if view.buffer_type(number) == "data_offset":
        offsets = numbers(buffer.format, buffer.elements())[start : start + rows + 1]
        if not layout.startswith("+"):
            offsets = numbers(buffer.format, [one - offsets[0] for one in offsets])
        return bytes(offsets)
    bits = buffer.element_size_bits
    if bits:
        return bytes(buffer)[start * bits // 8 : ((start + rows) * bits + 7) // 8]
    # The bytes of texts and blobs.
    offsets = view.buffer(number - 1)
    return bytes(buffer)[offsets[start] : offsets[start + rows]]
