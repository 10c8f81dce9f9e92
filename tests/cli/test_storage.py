"""`irisx storage`: says whether the object store is fit for recordings."""

import json
from pathlib import Path

import pytest

from api.cli import run


def test_a_folder_is_fit_when_it_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BLOBS_DIR", str(tmp_path / "objects"))
    monkeypatch.delenv("S3_ENDPOINT", raising=False)
    assert run(["storage", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["store"] == "folder"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BLOBS_DIR", str(tmp_path / "file" / "objects"))
    assert run(["storage", "check"]) == 1
    assert capsys.readouterr().err.startswith("irisx: the folder for objects fails")


def test_a_bucket_that_lacks_something_is_a_failure_until_it_is_prepared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        given = {
            "S3_ENDPOINT": f"http://{host}:{port}",
            "S3_BUCKET": "talks",
            "S3_ACCESS_KEY": "k",
            "S3_SECRET_KEY": "s",
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert run(["storage", "check"]) == 1
        assert "versioning is off" in capsys.readouterr().err
        assert run(["storage", "prepare"]) == 0
        assert "versioning on" in capsys.readouterr().out
        assert run(["storage", "check"]) == 0
    finally:
        server.stop()
