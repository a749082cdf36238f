"""PDF files for tests: readable ones, and such that are built to harm their reader."""

from __future__ import annotations

import io
import zlib

import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

PAGE_LOOP = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
)
"""Its tree of pages contains itself."""


def pdf(*pages: str, password: str = "", algorithm: str = "RC4-128", owner: str | None = None) -> bytes:
    """A PDF whose pages show these texts. With `owner` it is encrypted, and readable without a password."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(b"BT /F1 12 Tf 20 200 Td (%b) Tj ET" % text.encode("ascii"))
        page[NameObject("/Contents")] = writer._add_object(content)
    if password or owner is not None:
        writer.encrypt(password, owner, algorithm=algorithm)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def endless_pdf() -> bytes:
    """A page that shows a form, which shows another one twice, and so on: 2 to the power of 60 in all."""
    forms = [
        b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F %d 0 R>>>>/Length 12>>\n"
        b"stream\n/F Do\n/F Do\n\nendstream" % (number + 6)
        for number in range(60)
    ]
    leaf = (
        b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F1 4 0 R>>>>/Length 29>>\n"
        b"stream\nBT /F1 12 Tf (again) Tj ET   \nendstream"
    )
    return _one_page(b"/XObject<</F 5 0 R>>", b"/F Do", [*forms, leaf])


def inflating_pdf(size: int) -> bytes:
    """A page whose content is compressed, and has `size` bytes of spaces."""
    packed = zlib.compressobj(9)
    pieces = [packed.compress(b" " * 2**20) for _ in range(size >> 20)]
    return _one_page(b"", b"".join((*pieces, packed.flush())), [], filter=b"/Filter/FlateDecode")


def verbose_pdf(characters: int) -> bytes:
    """A page with a text of so many characters, in a few kB."""
    shown = b"BT /F1 12 Tf (%b) Tj ET\n" % (b"word " * 2000)
    content = zlib.compress(shown * (characters // 10_000 + 1), 9)
    return _one_page(b"", content, [], filter=b"/Filter/FlateDecode")


def _one_page(resources: bytes, content: bytes, more: list[bytes], filter: bytes = b"") -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents %d 0 R/Resources<</Font<</F1 4 0 R>>%b>>>>"
        % (5 + len(more), resources),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *more,
        b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(content), filter, content),
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for number, one in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(body))
    return body + head + table + trailer
