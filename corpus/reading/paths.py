"""Files by path or by URL: find them, identify them without reading them, open them.

A local file is a plain `Path`.  Anything else that fsspec knows (`s3://`, `hf://`, `gs://`,
`https://`, ...) is a `RemotePath`: its URL, its size, and an identity made of what the store says
about it (checksum, version, time), so that nothing is downloaded before it is read.  Credentials
come from the environment, as each protocol's own package reads them; a URL that holds any is
refused, because URLs are written into records, origins and messages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from tongwen.errors import TongwenError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET = re.compile(r"key|secret|sig|token|password|credential|auth", re.IGNORECASE)
_TELLING = (
    *("ETag", "etag", "checksum", "md5Hash", "crc32c", "content_md5", "Content-MD5", "Digest"),
    *("blob_id", "xet_hash", "sha256", "generation", "version_id", "VersionId"),
    *("LastModified", "Last-Modified", "last_modified", "mtime", "modified", "updated", "created"),
)
"""What the stores call the facts that change when a file's content does."""
_READ_AHEAD = 8 << 20


@dataclass(frozen=True)
class RemotePath:
    """A file behind a URL, with the parts of `Path` that the reader needs.

    Attributes:
        size: bytes.
        identity: changes when the file does.
    """

    url: str
    size: int
    identity: str

    def __str__(self) -> str:
        return self.url

    def as_posix(self) -> str:
        """The URL."""
        return self.url

    @property
    def name(self) -> str:
        return self._last.name

    @property
    def suffix(self) -> str:
        return self._last.suffix

    @property
    def stem(self) -> str:
        return self._last.stem

    @property
    def _last(self) -> PurePosixPath:
        return PurePosixPath(self.url.partition("?")[0])


AnyPath = Path | RemotePath


def is_url(pattern: str) -> bool:
    """Whether a pattern of the recipe names remote files; `file://` does not."""
    return bool(_URL.match(pattern)) and not pattern.startswith("file://")


def find_remote(pattern: str) -> list[RemotePath]:
    """The files that a URL or a glob of URLs names, sorted; none where nothing matches.

    Raises:
        TongwenError: the URL holds credentials, its protocol is not known or its package not
            installed, or the store cannot be asked.
    """
    _refuse_secrets(pattern)
    with _explain(pattern):
        system, path = _connect(pattern)
        try:
            found = _list(system, path, pattern)
        except FileNotFoundError:
            return []
    return sorted(found, key=RemotePath.as_posix)


def _list(system: Any, path: str, pattern: str) -> list[RemotePath]:
    is_glob = bool(re.search(r"[*\[]" if pattern.startswith("http") else r"[*?\[]", pattern))
    infos = system.glob(path, detail=True) if is_glob else {path: system.info(path)}
    return [
        RemotePath(system.unstrip_protocol(name), int(info["size"]), _identify(info))
        for name, info in infos.items()
        if info["type"] == "file"
    ]


def _identify(info: dict[str, Any]) -> str:
    facts = [f"size {info['size']}"]
    for name in _TELLING:
        value = info.get(name)
        if value is not None:
            # The same store says a time now so, now so.
            value = value.timestamp() if isinstance(value, datetime) else value
            facts.append(f"{name} {value}")
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


def stamp(path: AnyPath) -> str:
    """What changes when the file does; asked for before and after reading it.

    Raises:
        OSError: the file is not there (any more).
    """
    if isinstance(path, Path):
        status = path.stat()
        return f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
    with _explain(path.url):
        system, place = _connect(path.url)
        system.invalidate_cache()
        return _identify(system.info(place))


@contextmanager
def refuse_changes(path: AnyPath) -> Iterator[None]:
    """Watch over a file while a block reads it.

    Raises:
        TongwenError: the file changed or went away in the meantime.
    """
    before = stamp(path)
    yield
    try:
        what = "changed" if stamp(path) != before else ""
    except OSError:
        what = "went away"
    if what:
        raise TongwenError(
            f"the file {what} while it was read",
            where=str(path),
            expected="files that nobody writes to during the run",
            do="wait until it is complete (or copy it), then run again",
        )


def measure(path: AnyPath) -> int:
    """Bytes of a file."""
    return path.stat().st_size if isinstance(path, Path) else path.size


def open_binary(path: AnyPath) -> BinaryIO:
    """Open a file for reading.

    Raises:
        OSError: a local file cannot be opened.
        TongwenError: a remote file cannot be opened.
    """
    if isinstance(path, Path):
        return path.open("rb")
    with _explain(path.url):
        system, place = _connect(path.url)
        return cast(BinaryIO, system.open(place, "rb", block_size=_READ_AHEAD))


def read_pieces(path: AnyPath, size: int) -> Iterator[bytes]:
    """The bytes of a file, in pieces of `size`.

    Raises:
        OSError: a local file cannot be read.
        TongwenError: a remote file cannot be read (any further).
    """
    with open_binary(path) as file:
        if isinstance(path, Path):
            yield from iter(lambda: file.read(size), b"")
            return
        while True:
            with _explain(path.url):
                piece = file.read(size)
            if not piece:
                return
            yield piece


def _connect(url: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(url)


@contextmanager
def _explain(url: str) -> Iterator[None]:
    """Turn what fsspec and its packages raise into the error that a user sees."""
    protocol = url.partition(":")[0]
    try:
        yield
    except FileNotFoundError:
        raise
    except ImportError as error:
        package = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
        names = {**package, "abfs": "adlfs", "az": "adlfs", "http": "aiohttp", "https": "aiohttp"}
        raise TongwenError(
            f"a package for {protocol}:// is not installed ({error})",
            where=url,
            do=f"pip install {names.get(protocol, f'the fsspec package for {protocol}')}",
        ) from None
    except Exception as error:
        # Every protocol's package has errors of its own; none of them is a defect of ours.
        raise TongwenError(
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason'}",
            where=url,
            expected="a URL that fsspec can open, with the credentials in the environment",
            do="correct the URL or the credentials; after a network failure, run again",
        ) from None


def _refuse_secrets(url: str) -> None:
    """URLs end up in records, origins and messages, so a key in one would be published."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    names = [name for name, _ in parse_qsl(parts.query)]
    if "::" not in url and not (at and ":" in user) and not any(map(_SECRET.search, names)):
        return
    raise TongwenError(
        "the URL is a chain of URLs or holds credentials",
        where=f"corpus.inputs, {parts.scheme}://{host}/...",
        expected="one plain URL; keys and passwords stay in the environment",
        do="take user:password@ and signed parameters out of it, and set the variables that the "
        "protocol's package reads (AWS_ACCESS_KEY_ID, HF_TOKEN, ...)",
    )
