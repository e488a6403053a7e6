"""For pages that run commands: a folder of their own, and `%%bash` that shows what a command printed in one piece."""

import os
import subprocess
import tempfile

from IPython.core.magic import register_cell_magic


@register_cell_magic
def bash(line: str, cell: str) -> None:
    """Run a cell in bash; where it fails, so does the page, with what it complained of."""
    done = subprocess.run(["bash", "-euc", cell], capture_output=True, text=True)
    print(done.stdout, end="")
    if done.returncode:
        raise RuntimeError(done.stderr)


os.chdir(tempfile.mkdtemp())
os.environ.pop("FORCE_COLOR", None)  # a notebook's, for which commands would draw their progress
os.environ |= {"COLUMNS": "110", "LAMBDA_VAE_CACHE": "cache"}
