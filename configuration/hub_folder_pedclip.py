"""Makes what `save_pretrained` writes load by itself: the code files lie beside the weights.

transformers copies a custom model's code by following relative imports inside one folder. Ours lies in three, so the
files are copied here, and their imports shortened from two dots and a folder to one dot.
"""

import os
import re
from pathlib import Path

_CODE_FOLDERS = ("configuration", "modeling_pedclip", "processing")
_CROSS_FOLDER_IMPORT = re.compile(r"^(\s*from \.)\.\w+\.(\w+_pedclip import )", flags=re.MULTILINE)


def flatten_imports(source: str) -> str:
    """Turns imports across the package's folders into imports beside the file; flat source stays as it is."""
    return _CROSS_FOLDER_IMPORT.sub(r"\1\2", source)


def code_files() -> list[Path]:
    """The Hub's code files: in the three folders of the package, or beside this file where it is already flat."""
    here = Path(__file__).resolve().parent
    root = here.parent
    if here.name == "configuration" and (root / "modeling_pedclip").is_dir():
        folders = [root / name for name in _CODE_FOLDERS]
    else:
        folders = [here]
    return sorted(path for folder in folders for path in folder.glob("*_pedclip.py"))


def write_code_files(folder: str | os.PathLike) -> list[Path]:
    """Writes every code file, flattened, into `folder`, and returns the paths. A second call changes nothing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in code_files():
        target = folder / source.name
        if target.resolve() != source:
            target.write_text(flatten_imports(source.read_text(encoding="utf-8")), encoding="utf-8")
        written.append(target)
    return written


class SelfContainedMixin:
    """Adds the code files to what `save_pretrained` writes, so that the folder loads where PedCLIP is not installed.

    Comes first among the bases, before `PreTrainedModel`, `PreTrainedConfig` or `ProcessorMixin`.
    """

    def save_pretrained(self, save_directory: str | os.PathLike, *args, push_to_hub: bool = False, **kwargs):
        """As in transformers. With `push_to_hub=True` the code files are uploaded too."""
        if push_to_hub:
            # transformers uploads inside its own save_pretrained, before the code files are there
            repo_id = kwargs.pop("repo_id", Path(save_directory).name)
            hub_keys = ("commit_message", "commit_description", "private", "token", "revision", "create_pr", "tags")
            hub_kwargs = {key: kwargs.pop(key) for key in hub_keys if key in kwargs}
        result = super().save_pretrained(save_directory, *args, **kwargs)
        write_code_files(save_directory)
        if push_to_hub:
            self.push_to_hub(repo_id, **hub_kwargs)
        return result
