"""Run as a program by rag/read_bounded.py: a PDF on standard input, its title and text as JSON on standard output.

It bounds itself before it reads: python -I read_pdf.py MAX_PAGES MAX_CHARS MAX_SECONDS MAX_BYTES.
"""

import io
import json
import logging
import resource
import sys


def main() -> None:
    """Print {"title", "text"}, or {"large": why}, or {"broken": why}."""
    pages, chars, seconds, memory = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    logging.disable()
    try:
        answer = read(sys.stdin.buffer.read(), pages, chars)
    except MemoryError:
        answer = {"large": "it takes too much memory to read"}
    json.dump(answer, sys.stdout)


def read(data: bytes, max_pages: int, max_chars: int) -> dict[str, str]:
    """The text layer of all pages, or what is wrong with the file."""
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

    try:
        return extract(data, max_pages, max_chars)
    except LimitReachedError:
        return {"large": "it unpacks to more than the reader allows"}
    except (FileNotDecryptedError, DependencyError):
        return {"broken": "it is encrypted"}
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError):
        return {"broken": "it is damaged"}


def extract(data: bytes, max_pages: int, max_chars: int) -> dict[str, str]:
    """`read` of a sound file; pypdf raises anything at a crafted one."""
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        return {"broken": "it is encrypted"}
    if len(reader.pages) > max_pages:
        return {"large": f"it has more than {max_pages} pages"}
    texts: list[str] = []
    for page in reader.pages:
        texts.append(page.extract_text().strip())
        if sum(map(len, texts)) > max_chars:
            return {"large": f"its text has more than {max_chars} characters"}
    title = str((reader.metadata and reader.metadata.title) or "")
    text = "\n\n".join(text for text in texts if text)
    return {"title": title, "text": text} if text else {"broken": "it has no text layer, only images"}


if __name__ == "__main__":
    main()
