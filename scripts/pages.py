"""Pages of Markdown: their fenced blocks, headings and links."""
import pathlib
import re

FENCE = re.compile(r"( *)(`{3,})(.*)")
HEADING = re.compile(r"#{1,6} +(.*?)(?: +#+)?$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+)\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
NO_PAGES = re.compile(r"^(build|\.)|^node_modules$")

# What a fence may say; docs/README.md tells what it means, and tests/e2e/test_docs.py sees to it.
KINDS = ("text", "yaml config", "yaml rules", "yaml prometheus", "sh run", "sh elsewhere",
         "console run", "json", "jsonrpc run", "python run", "python part", "c", "c of", "ts of",
         "nginx", "haproxy", "kamailio", "opensips")


class Block:
    """A fenced block: kind is one of KINDS, rest what its fence says beyond."""

    def __init__(self, page, line, info, indent):
        self.page, self.line, self.info, self.indent = page, line, info, indent
        self.lines = []
        words = info.split()
        self.kind = " ".join(words[:2]) if " ".join(words[:2]) in KINDS else "".join(words[:1])
        self.rest = " ".join(words[len(self.kind.split()):])

    @property
    def text(self):
        return "".join(line[len(self.indent):] if line.startswith(self.indent) else line.lstrip(" ")
                       for line in self.lines)

    def __str__(self):
        return f"{self.page.name}:{self.line}"


class Page:
    def __init__(self, root, path):
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.blocks, self.links, self.anchors = [], [], set()
        self.fault = None
        self._read()

    def _read(self):
        block, ticks = None, ""
        for number, line in enumerate(self.path.read_text().splitlines(keepends=True), 1):
            fence = FENCE.fullmatch(line.rstrip("\n"))
            if block and fence and fence[3].strip() == "" and len(fence[2]) >= len(ticks):
                block = None
            elif block:
                block.lines.append(line)
            elif fence:
                ticks = fence[2]
                block = Block(self, number, fence[3].strip(), fence[1])
                self.blocks.append(block)
            else:
                self._read_text(number, line)
        if block:
            self.fault = f"{block}: the block has no end"

    def _read_text(self, number, line):
        heading = HEADING.fullmatch(line.rstrip("\n"))
        if heading:
            self._add_anchor(heading[1])
        for target in LINK.findall(CODE.sub("", line)):
            self.links.append((number, target))

    def _add_anchor(self, text):
        """As GitHub makes them."""
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        name, count = slug, 0
        while name in self.anchors:
            count += 1
            name = f"{slug}-{count}"
        self.anchors.add(name)


def pages(root):
    """All of the project."""
    root = pathlib.Path(root)
    found = []

    def walk(folder):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and not NO_PAGES.match(path.name):
                walk(path)
            elif path.suffix == ".md" and path.is_file():
                found.append(Page(root, path))
    walk(root)
    return found
