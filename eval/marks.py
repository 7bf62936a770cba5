"""Blocks of a documentation page that a program writes: only what stands between two marks is its own."""


def between_marks(page: str, name: str, writer: str, lines: str) -> str:
    """The page with `lines` between `<!-- NAME: WRITER -->` and `<!-- end of NAME -->`; ValueError without them."""
    begin, end = f"<!-- {name}: {writer} -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(f"{begin}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{lines}\n{end}{after}"
