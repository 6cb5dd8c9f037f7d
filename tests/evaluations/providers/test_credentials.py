"""Keys are read at call time and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evaluations.providers.credentials import CredentialMissing, read_credential


def test_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", " sk-1 \n")
    assert read_credential("VENDOR_KEY", None) == "sk-1"
    monkeypatch.setenv("VENDOR_KEY", "sk-2")
    assert read_credential("VENDOR_KEY", None) == "sk-2"


def test_the_file_wins_and_is_read_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "from-env")
    file = tmp_path / "token"
    file.write_text("first\n")
    assert read_credential("VENDOR_KEY", str(file)) == "first"
    file.write_text("again\n")
    os.utime(file, ns=(1, 1))
    assert read_credential("VENDOR_KEY", str(file)) == "again"


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    assert read_credential(None, str(file)) == "first"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))
    assert read_credential(None, str(file)) == "first"


def test_an_endpoint_may_have_none() -> None:
    assert read_credential(None, None) is None
    assert read_credential("", "") is None


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENDOR_KEY", raising=False)
    with pytest.raises(CredentialMissing, match="VENDOR_KEY"):
        read_credential("VENDOR_KEY", None)
    monkeypatch.setenv("VENDOR_KEY", "  ")
    with pytest.raises(CredentialMissing, match="VENDOR_KEY"):
        read_credential("VENDOR_KEY", None)
    with pytest.raises(CredentialMissing, match="no-such-file"):
        read_credential(None, str(tmp_path / "no-such-file"))


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "sk-1\r\nX-Evil: 1")
    with pytest.raises(CredentialMissing) as missing:
        read_credential("VENDOR_KEY", None)
    assert "sk-1" not in str(missing.value)
