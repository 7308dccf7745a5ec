"""What the environment may say, what it may not, and where secrets come from."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kpi_core.errors import InvalidSetting
from kpi_core.server.settings import PROJECT, Settings, load, redacted, secret_key


def test_without_any_setting_the_database_is_a_file_in_the_project() -> None:
    settings = load()
    assert settings.database == f"duckdb:///{PROJECT / 'data' / 'kpi.duckdb'}"
    assert settings.is_duckdb
    assert settings.address == "http://localhost:8501"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KPI_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KPI_PORT", "80")
    monkeypatch.setenv("KPI_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("KPI_PUBLIC_URL", "https://kpi.example.com/")
    settings = load()
    assert settings.database == f"duckdb:///{tmp_path / 'kpi.duckdb'}"
    assert (settings.port, settings.log_level) == (80, "debug")
    assert settings.address == "https://kpi.example.com"
    assert settings.is_https


def test_an_empty_setting_is_one_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_DATABASE_URL", "")
    monkeypatch.setenv("KPI_PORT", "")
    assert load().port == 8501


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("KPI_PROT", "did you mean KPI_PORT?"),
        ("KPI_DATABSE_URL", "did you mean KPI_DATABASE_URL?"),
        ("KPI_QZX", "there are KPI_DATABASE_URL, KPI_DATA_DIR"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(InvalidSetting, match=name) as refused:
        load()
    assert hint in str(refused.value)


def test_everything_wrong_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_PORT", "eighty")
    monkeypatch.setenv("KPI_LOG_LEVEL", "loud")
    with pytest.raises(InvalidSetting) as refused:
        load()
    says = str(refused.value)
    assert "KPI_PORT=eighty" in says
    assert "KPI_LOG_LEVEL=loud" in says
    assert "\n" not in says


@pytest.mark.parametrize(
    "url",
    ["mysql://kpi:geheim@db/kpi", "geheim", "postgresql+asyncpg://kpi:geheim@db/kpi", "://geheim@", "duckdb://"],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("KPI_DATABASE_URL", url)
    with pytest.raises(InvalidSetting, match="KPI_DATABASE_URL") as refused:
        load()
    assert "geheim" not in str(refused.value)


def test_the_driver_of_postgresql_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_DATABASE_URL", "postgresql://kpi:p%40ss@db/kpi")
    settings = load()
    assert settings.database == "postgresql+psycopg://kpi:p%40ss@db/kpi"
    assert not settings.is_duckdb


def test_settings_never_show_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPI_DATABASE_URL", "postgresql://kpi:geheim@db/kpi")
    assert "geheim" not in repr(load())
    assert "geheim" not in str(load())


@pytest.mark.parametrize("spelling", ["p@ss w", "p%40ss%20w", "p%40ss+w"])
def test_a_password_is_taken_out_of_a_text_however_it_is_spelt(spelling: str) -> None:
    url = "postgresql+psycopg://kpi:p%40ss%20w@db/kpi"
    assert redacted(f"could not connect with {spelling}!", url) == "could not connect with ***!"


def test_a_text_without_a_password_stays_as_it_is() -> None:
    assert redacted("a plain text", "duckdb:///data/kpi.duckdb") == "a plain text"
    assert redacted("a plain text", "") == "a plain text"


# --- the secret -------------------------------------------------------------------------------------------------------


def test_the_first_run_makes_a_secret_that_only_its_owner_can_read(settings: Settings) -> None:
    key = secret_key(settings)
    path = settings.secrets_dir / "secret_key"
    assert len(key) >= 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_the_secret_stays_the_same(settings: Settings) -> None:
    assert secret_key(settings) == secret_key(settings)


def test_two_products_have_two_secrets(settings: Settings, tmp_path: Path) -> None:
    assert secret_key(settings) != secret_key(Settings(data_dir=tmp_path / "other"))


def test_a_secret_that_others_could_read_is_closed_to_them(settings: Settings) -> None:
    secret_key(settings)
    path = settings.secrets_dir / "secret_key"
    path.chmod(0o644)
    secret_key(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("weak", ["tiny7", "changeme" * 8, "a" * 64, "your-Secret-key-your-Secret-key-0123456789"])
def test_a_short_or_default_secret_is_refused_unshown(monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    monkeypatch.setenv("KPI_SECRET_KEY", weak)
    with pytest.raises(InvalidSetting, match="KPI_SECRET_KEY") as refused:
        load()
    assert weak not in str(refused.value)


def test_a_weak_secret_in_the_file_is_refused_too(settings: Settings) -> None:
    settings.secrets_dir.mkdir(parents=True)
    (settings.secrets_dir / "secret_key").write_text("changeme\n")
    with pytest.raises(InvalidSetting, match="too short"):
        secret_key(settings)


def test_a_strong_secret_from_the_environment_is_used_and_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strong = "vZ3Jq8tR1xWm5NfKc7LbYh2PdGs9EuTa"
    monkeypatch.setenv("KPI_SECRET_KEY", strong)
    monkeypatch.setenv("KPI_DATA_DIR", str(tmp_path / "data"))
    assert secret_key(load()) == strong
    assert not (tmp_path / "data").exists()


def test_a_secret_that_cannot_be_kept_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(InvalidSetting, match="cannot be kept or read"):
        secret_key(Settings(data_dir=tmp_path / "data"))
