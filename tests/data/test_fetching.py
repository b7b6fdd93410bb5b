"""Fetching: sources in order, checksums, retries, nothing half-written."""

import gzip
import hashlib
import io
import lzma
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pipeline.data import fetch, fetching, mirror_folder, require, sources
from pipeline.data.sources import Download, RawFile
from pipeline.errors import DataError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, server) -> Download:
    """A data set "toy" of one file, packed by gzip at two addresses of the server: a/toy.gz and b/toy.gz."""
    file = RawFile("toy", hashlib.sha256(CONTENT).hexdigest())
    download = Download("toy.gz", (file,), (f"{server.url}a/toy.gz", f"{server.url}b/toy.gz"))
    monkeypatch.setitem(sources.SOURCES, "toy", (download,))
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    return download


@pytest.fixture
def packed() -> bytes:
    return gzip.compress(CONTENT, mtime=0)


def run(tmp_path: Path, mirror: Path | None = None, timeout: float = 5, retries: int = 1) -> bytes:
    (path,) = fetch("toy", tmp_path / "raw", mirror, timeout, retries)
    return path.read_bytes()


def leftovers(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "raw" / "toy").iterdir())


def test_gzip_layer_is_removed(tmp_path, toy, server, packed):
    server.answers["a/toy.gz"] = [packed]
    assert run(tmp_path) == CONTENT
    assert leftovers(tmp_path) == ["toy"]
    require("toy", tmp_path / "raw")


@pytest.mark.parametrize("name", ["toy.gz", "toy.xz", "toy"])
def test_mirror_comes_first_however_it_is_packed(tmp_path, toy, server, name):
    pack = {"toy.gz": gzip.compress, "toy.xz": lzma.compress, "toy": bytes}[name]
    (tmp_path / name).write_bytes(pack(CONTENT))
    assert run(tmp_path, mirror=tmp_path) == CONTENT
    assert server.requests == []


@pytest.mark.parametrize(
    "damage", [lambda p: p[:-9], lambda p: p[:50] + bytes(1) + p[51:], lambda p: gzip.compress(b"else", mtime=0)]
)
def test_bad_mirror_file_is_named_and_passed_over(tmp_path, toy, server, packed, caplog, damage):
    (tmp_path / "toy.gz").write_bytes(damage(packed))
    server.answers["a/toy.gz"] = [packed]
    assert run(tmp_path, mirror=tmp_path) == CONTENT
    assert str(tmp_path / "toy.gz") in caplog.text
    assert leftovers(tmp_path) == ["toy"]
    assert (tmp_path / "toy.gz").exists()  # a mirror is not ours to clean up


@pytest.mark.parametrize(
    "first", ["403", "404", "500", "cut", "hang", b"not the file", gzip.compress(b"else", mtime=0)]
)
def test_next_address_is_tried(tmp_path, toy, server, packed, first, caplog):
    server.answers |= {"a/toy.gz": [first], "b/toy.gz": [packed]}
    assert run(tmp_path, timeout=0.3) == CONTENT
    assert server.requests == ["a/toy.gz", "b/toy.gz"]
    assert f"{server.url}a/toy.gz" in caplog.text


def test_addresses_are_asked_again(tmp_path, toy, server, packed):
    server.answers |= {"a/toy.gz": ["cut", packed], "b/toy.gz": ["404"]}
    assert run(tmp_path) == CONTENT
    assert server.requests == ["a/toy.gz", "b/toy.gz", "a/toy.gz"]


def test_number_of_attempts_and_404_only_once(tmp_path, toy, server):
    server.answers["a/toy.gz"] = ["500"]
    with pytest.raises(DataError):
        run(tmp_path, retries=2)
    assert server.requests.count("a/toy.gz") == 3
    assert server.requests.count("b/toy.gz") == 1


def test_failure_names_everything_and_leaves_nothing(tmp_path, toy, server):
    server.answers["a/toy.gz"] = ["cut"]
    with pytest.raises(DataError) as caught:
        run(tmp_path, mirror=tmp_path / "nowhere", retries=0)
    for part in (
        "toy:", f"{server.url}a/toy.gz: the connection ended after 1000 of 10240 bytes",
        f"{server.url}b/toy.gz: HTTP", "nowhere: no such folder", "data.mirror", "VLAE_DATA_MIRROR",
        "need no network: mnist5k, photos",
    ):  # fmt: skip
        assert part in str(caught.value)
    assert leftovers(tmp_path) == []


def test_offline(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match=r"mnist_dynamic: train-images-idx3-ubyte\.gz could not") as caught:
        fetch("mnist_dynamic", tmp_path, None, 1, 0)
    for url in sources.SOURCES["mnist_dynamic"][0].urls:
        assert f"{url}: <urlopen error Temporary failure in name resolution>" in str(caught.value)


def test_whole_files_are_kept_and_damaged_ones_fetched_again(tmp_path, toy, server, packed, caplog):
    server.answers["a/toy.gz"] = [packed]
    run(tmp_path)
    run(tmp_path)
    assert len(server.requests) == 1
    path = tmp_path / "raw" / "toy" / "toy"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"toy/toy: .*run `dvc repro download`"):
        require("toy", tmp_path / "raw")
    with pytest.raises(DataError, match=r"toy/toy: missing; run `python -m stages\.download --published`"):
        require("toy", tmp_path / "data/published/raw")
    assert run(tmp_path) == CONTENT
    assert len(server.requests) == 2
    assert f"{path}: the sha256" in caplog.text
    assert "discarded" in caplog.text


def test_leftovers_of_a_killed_run_are_removed(tmp_path, toy, server, packed):
    server.answers["a/toy.gz"] = [packed]
    (tmp_path / "raw" / "toy" / ".partial-old").mkdir(parents=True)
    (tmp_path / "raw" / "toy" / ".partial-old" / "download").write_bytes(b"half")
    run(tmp_path)
    assert leftovers(tmp_path) == ["toy"]


def tar_of(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def toy_archive(monkeypatch):
    files = tuple(RawFile(name, hashlib.sha256(name.encode()).hexdigest()) for name in ("one", "two"))
    monkeypatch.setitem(sources.SOURCES, "toy", (Download("toy.tar.gz", files),))


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_members_by_base_name_and_nothing_outside(tmp_path, toy_archive, kind):
    members = {"deep/one": b"one", "../two": b"two", "../evil": b"evil", "/tmp/evil-absolute": b"evil"}
    (tmp_path / f"toy.tar.{kind}").write_bytes(tar_of(members, f"w:{kind}"))
    paths = fetch("toy", tmp_path / "raw", tmp_path, 1, 0)
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert written == ["raw/toy/one", "raw/toy/two", f"toy.tar.{kind}"]
    assert not Path("/tmp/evil-absolute").exists()


def test_archive_without_a_member_or_cut(tmp_path, toy_archive):
    whole = tar_of({"one": b"one", "two": b"two"})
    for content, reason in (
        (tar_of({"one": b"one"}), "no member two"),
        (whole[: len(whole) // 2], "cut or corrupted"),
    ):
        (tmp_path / "toy.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=reason):
            fetch("toy", tmp_path / "raw", tmp_path, 1, 0)
        assert leftovers(tmp_path) == []


def test_package_file_of_another_content_is_refused(tmp_path, monkeypatch):
    file = RawFile("__init__.py", "0" * 64)
    monkeypatch.setitem(sources.SOURCES, "toy", (Download("__init__.py", (file,), package="pytest"),))
    with pytest.raises(DataError, match="another version of pytest"):
        run(tmp_path)
    monkeypatch.setitem(sources.SOURCES, "toy", (Download("x", (file,), package="no_such_package"),))
    with pytest.raises(DataError, match="no_such_package, which is not installed"):
        run(tmp_path)


def test_mirror_setting(monkeypatch):
    monkeypatch.delenv("VLAE_DATA_MIRROR", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert mirror_folder("../shared/data") == Path("../shared/data")
    assert mirror_folder("") is None
    monkeypatch.setenv("VLAE_DATA_MIRROR", "elsewhere")
    assert mirror_folder("../shared/data") == Path("elsewhere")
    monkeypatch.setenv("VLAE_DATA_MIRROR", "")
    assert mirror_folder("../shared/data") is None


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_relative_mirror_is_found_from_the_copy_an_experiment_runs_in(monkeypatch, by_variable):
    """After reports of queued experiments that did not find files beside the repository."""
    monkeypatch.setenv("DVC_ROOT", "/home/me/project")
    monkeypatch.delenv("VLAE_DATA_MIRROR", raising=False)
    for folder, found in (("../data", "/home/me/project/../data"), ("/data", "/data")):
        if by_variable:
            monkeypatch.setenv("VLAE_DATA_MIRROR", folder)
        assert mirror_folder("elsewhere" if by_variable else folder) == Path(found)


def test_a_server_that_refuses_pythons_user_agent_is_asked_by_another(tmp_path, toy, server, packed):
    """After reports of 403 to urllib from servers that answer a browser."""
    server.answers["a/toy.gz"] = [packed]
    run(tmp_path)
    (agent,) = server.agents
    assert agent.startswith("Mozilla/")
    assert "Python" not in agent


def test_unknown_data_set(tmp_path):
    with pytest.raises(DataError, match=r"mnist6k: no such data set; there are mnist5k, photos"):
        fetch("mnist6k", tmp_path, None, 1, 0)
