"""The settings: environment variables that begin with `KPI_`, and nothing else.

A misspelt setting that is silently ignored is the worst kind: the product runs, on another database than its owner
believes. So an unknown `KPI_*` name is an error that offers the nearest real one, and a wrong value is an error that
names the setting and what it takes. Both are one line (`InvalidSetting`), and no line ever shows a password.

Secrets are no settings to be chosen by hand: the product makes its own on the first run and keeps it in
`data/secrets/`, outside the database, readable by its owner only. `KPI_SECRET_KEY` is for those who keep secrets
elsewhere; one that is short or well known is refused.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kpi_core.errors import InvalidSetting

__all__ = ["PREFIX", "PROJECT", "Settings", "load", "redacted", "secret_key"]

PREFIX = "KPI_"
PROJECT = Path(__file__).resolve().parents[2]
"""The folder that holds app.py, pages/ and data/."""

SHORTEST_SECRET = 32
FEWEST_LETTERS = 10
NOT_OURS = frozenset({"KPI_CHROMIUM"})
"""Read by the browser tests, not by the product."""
WELL_KNOWN = ("changeme", "change-me", "change_me", "secret", "password", "default", "example", "12345678", "insecure")


class Settings(BaseSettings):
    """What the environment may say. Paths are made absolute, so that no command depends on where it is started."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    data_dir: Path = PROJECT / "data"
    database_url: SecretStr = SecretStr("")
    """A SQLAlchemy URL; empty means the DuckDB file `kpi.duckdb` in `data_dir`."""
    host: str = "127.0.0.1"
    """Where the server listens, for links; what it binds to is for the launcher to say (`--server.address`)."""
    port: int = Field(default=8501, ge=1, le=65535)
    public_url: str = ""
    """What people type to get here, where a proxy stands in front; empty means http://host:port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    secret_key: SecretStr | None = None
    refresh_minutes: int = Field(default=15, ge=1, le=24 * 60)
    """How often the server brings the numbers up to date."""

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        return SecretStr(_checked_url(url.get_secret_value()))

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("a web address is needed, such as https://kpi.example.com")
        return url.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _strong(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and (weakness := _weakness(key.get_secret_value())):
            raise ValueError(weakness)
        return key

    @cached_property
    def database(self) -> str:
        """The URL to connect with, its password included: never to be printed."""
        return self.database_url.get_secret_value() or f"duckdb:///{self.data_dir / 'kpi.duckdb'}"

    @property
    def is_duckdb(self) -> bool:
        return self.database.startswith("duckdb")

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def run_file(self) -> Path:
        """Where a running server says how to reach it; there is none while none runs."""
        return self.data_dir / "run" / "server.json"

    @property
    def address(self) -> str:
        """The web address that people open."""
        host = "localhost" if self.host in ("0.0.0.0", "::", "127.0.0.1", "::1") else self.host  # noqa: S104
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def is_https(self) -> bool:
        return self.address.startswith("https://")


def load() -> Settings:
    """The settings of this process. Raises InvalidSetting, one line that names everything wrong."""
    _refuse_unknown(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSetting("; ".join(_in_words(problem) for problem in error.errors())) from None


def secret_key(settings: Settings) -> str:
    """The product's own secret: the one given, else the one kept in data/secrets/, made on the first run."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.secrets_dir / "secret_key"
    try:
        if not path.exists():
            _make(path)
        path.chmod(0o600)
        key = path.read_text().strip()
    except OSError as error:
        raise InvalidSetting(f"the secret in {path} cannot be kept or read: {error.strerror}") from error
    if weakness := _weakness(key):
        raise InvalidSetting(f"the secret in {path}: {weakness} (remove the file to have a new one made)")
    return key


def redacted(text: str, url: str) -> str:
    """`text` without the password of `url`, in whatever way the password is spelt there."""
    try:
        password = make_url(url).password
    except ArgumentError:
        password = None
    if not password:
        return text
    for spelling in (str(password), quote(str(password), safe=""), quote_plus(str(password))):
        text = text.replace(spelling, "***")
    return text


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    ours = [name for name in environment if name.upper().startswith(PREFIX)]
    unknown = sorted(name for name in ours if name.upper() not in known | NOT_OURS)
    if unknown:
        raise InvalidSetting("; ".join(_unknown_in_words(name, sorted(known)) for name in unknown))


def _unknown_in_words(name: str, known: list[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"unknown setting {name}: {hint}"


def _in_words(problem: ErrorDetails) -> str:
    name = PREFIX + "_".join(str(part) for part in problem["loc"]).upper()
    says = problem["msg"].removeprefix("Value error, ")
    secret = isinstance(problem["input"], SecretStr) or name in (f"{PREFIX}SECRET_KEY", f"{PREFIX}DATABASE_URL")
    return f"{name}: {says}" if secret else f"{name}={problem['input']!s}: {says}"


def _checked_url(text: str) -> str:
    """The URL as the store takes it; the driver may be left out. Raises ValueError without showing the URL."""
    if not text:
        return text
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("not a database URL; one looks like postgresql+psycopg://user:password@host/name") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("duckdb", "postgresql+psycopg"):
        raise ValueError(
            f"cannot keep our tables on {url.drivername!r}; use duckdb:///FILE or postgresql+psycopg://..."
        )
    if url.drivername == "duckdb" and not url.database:
        raise ValueError("a DuckDB database needs a file: duckdb:///path/to/kpi.duckdb")
    return url.render_as_string(hide_password=False)


def _weakness(key: str) -> str | None:
    """Why a secret is not taken, or None."""
    if len(key) < SHORTEST_SECRET:
        return f"too short for a secret: at least {SHORTEST_SECRET} characters are needed"
    if any(word in key.lower() for word in WELL_KNOWN) or len(set(key)) < FEWEST_LETTERS:
        return "too easy to guess for a secret; leave it out, and the product makes its own"
    return None


def _make(path: Path) -> None:
    """Make a secret file. Two processes may try at once: the first wins, and both read the same secret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody else was first
    finally:
        draft.unlink(missing_ok=True)
