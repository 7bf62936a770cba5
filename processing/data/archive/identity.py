"""Names that lead back to nobody: keyed hashes of ids and file names. The key stays outside what is built."""

import hashlib
import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def read_key(path: Path) -> bytes:
    """The key in the file, which is made where there is none. Who has it can tell which hash is whose."""
    if not path.exists():
        new = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # for its owner alone
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
        os.replace(new, path)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} holds no key: {2 * KEY_BYTES} hexadecimal digits; remove it to have one made"
        ) from error
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} holds a key of {len(key)} bytes and not {KEY_BYTES}; remove it to have one made")
    return key


def pseudonym(key: bytes, kind: str, name: str) -> str:
    """32 hexadecimal digits: the same for the same name, and without the key no way to tell from which."""
    return hashlib.blake2b(os.fsencode(name), key=key, person=kind.encode()[:16], digest_size=16).hexdigest()


def key_check(key: bytes) -> str:
    """What a later run recognises the key by."""
    return pseudonym(key, "check", "pedclip")[:12]
