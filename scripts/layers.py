"""What src/layers says, for the lints that hold the project to it."""
import re

ARROW = re.compile(r"^([a-z]+):(.*)$")


def read(root):
    """Each layer, and those below it; "api" among them stands for include/msrpd."""
    arrows = {}
    for line in (root / "src/layers").read_text().splitlines():
        match = ARROW.match(line)
        if match:
            arrows[match[1]] = match[2].split()
    return arrows
