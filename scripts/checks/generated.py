"""What generators write into hand-written pages: the text between two comments of a page. Pure."""

import re


def replaced(page: str, name: str, text: str, *, heading: str) -> str:
    """The page with a generated part as it should be.

    Args:
        page: the whole page, Markdown.
        name: which part.
        text: what stands there.
        heading: of the section that is added at the end where the page has no such part yet.
    """
    begin, end = f"<!-- generated, {name}: invoke format writes this -->", f"<!-- end of {name} -->"
    part = f"{begin}\n\n{text.strip()}\n\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if pattern.search(page) is None:
        return f"{page.rstrip()}\n\n{heading}\n\n{part}\n"
    return pattern.sub(lambda _: part, page, count=1)
