"""What has been computed is kept in a folder, a file for each part, so that a run that was cut off goes on where it was."""

import hashlib
import os
from pathlib import Path

from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent


class Store:
    """A folder of safetensors. Its name has a hash of the code that training depends on."""

    def __init__(self, cache: Path, task: str, quick: bool):
        sources = [HERE / name for name in ("lora.py", "decoder.py", "task.py", f"{task}.py")]
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]
        self.folder = cache / f"{task}-{'quick' if quick else 'full'}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def part(self, name: str, make, complete=lambda tensors: True) -> dict:
        """The tensors called `name`: read, or made and written whole; those that are not complete are made again."""
        path = self.path(name)
        if not path.exists() or not complete(load_file(path)):
            partial = path.with_suffix(".partial")
            save_file({key: tensor.contiguous() for key, tensor in make().items()}, partial)
            os.replace(partial, path)
        return load_file(path)
