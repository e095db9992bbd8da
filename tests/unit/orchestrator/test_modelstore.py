"""The folder of kept models: contents, names, uploads, and what still fits."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from daemons.core.errors import Conflict, NoRoom, TooLarge
from daemons.orchestrator.modelstore import room as rooms
from daemons.orchestrator.modelstore import uploads as uploading
from daemons.orchestrator.modelstore.folder import UPLOADS, ModelFolder
from daemons.orchestrator.modelstore.names import MAX_VERSIONS, Named, Names, Version
from daemons.orchestrator.modelstore.pulled import LOCKS_KEPT_FOR_S, Pulled, Record
from daemons.orchestrator.modelstore.room import Disk, Room, shown_size
from daemons.orchestrator.modelstore.uploads import KEPT_FOR_S, Order, Uploads, WrongOffset
from daemons.runtime.background import Stop, Stopped
from daemons.transfer.partial import Validators

ONE, TWO = ("1" * 64, "2" * 64)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path):
    folder = ModelFolder(tmp_path / "models")
    folder.make()
    return folder


def put(folder, content: bytes) -> str:
    whole = folder.root / UPLOADS / "whole"
    whole.write_bytes(content)
    folder.take_in(whole, sha(content))
    return sha(content)


def version(sha256: str, at: str = "2026-01-01T00:00:00.000Z") -> Version:
    return Version(sha256=sha256, size_bytes=1, uploaded_at=at)


# Contents


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "g" * 64, ""])
def test_what_is_no_hash_never_becomes_a_path(folder, name):
    with pytest.raises(ValueError, match="no SHA-256"):
        folder.path_of(name)


def test_contents_are_for_their_owner_alone(folder):
    digest = put(folder, b"x")
    for path in (folder.root / "sha256", folder.path_of(digest).parent):
        assert path.stat().st_mode & 0o077 == 0


def test_the_least_recently_used_comes_first_and_what_is_no_content_is_left_alone(folder):
    first, second = put(folder, b"one"), put(folder, b"two")
    os.utime(folder.path_of(first), ns=(2, 2))
    os.utime(folder.path_of(second), ns=(1, 1))
    (folder.root / "sha256" / "lost+found").mkdir()
    (folder.root / "sha256" / "lost+found" / "x").touch()
    assert [content.sha256 for content in folder.contents()] == [second, first]
    folder.touch(second)
    assert [content.sha256 for content in folder.contents()] == [first, second]


# Names


def test_a_name_points_to_its_newest_and_remembers_the_others_once_each(folder):
    names = Names(folder)
    names.put(Named(name="net", versions=[version(ONE)]))
    names.put(names.get("net").with_newest(version(TWO)))
    names.put(names.get("net").with_newest(version(ONE, "2026-02-01T00:00:00.000Z")))
    assert [known.sha256 for known in names.get("net").versions] == [ONE, TWO]
    assert names.pointed_to() == {ONE}
    assert names.pointed_to(but="net") == set()
    assert names.name_of(TWO) == "net"
    many = names.get("net")
    for number in range(30):
        many = many.with_newest(version(f"{number:064x}"))
    assert len(many.versions) == MAX_VERSIONS


def test_names_that_differ_in_case_alone_are_two_on_any_disk(folder):
    names = Names(folder)
    for name in ("Net", "net"):
        names.put(Named(name=name, versions=[version(ONE)]))
    assert [named.name for named in names.all()] == ["Net", "net"]
    assert len({path.name.lower() for path in names._folder.iterdir()}) == 2


def test_bytes_of_two_names_are_called_as_they_were_last(folder):
    names = Names(folder)
    names.put(Named(name="newer", versions=[version(ONE, "2026-02-01T00:00:00.000Z")]))
    names.put(Named(name="older", versions=[version(ONE, "2026-01-01T00:00:00.000Z")]))
    assert names.name_of(ONE) == "newer"
    assert names.name_of(TWO) is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": "net", "versions": []}', b"[]", b"\xff"])
def test_a_record_that_can_not_be_read_hides_no_other(folder, content):
    names = Names(folder)
    names.put(Named(name="other", versions=[version(ONE)]))
    names._path("net").write_bytes(content)
    assert names.get("net") is None
    assert [named.name for named in names.all()] == ["other"]
    assert names.near("othr") == ["other"]


# Uploads


def opened(uploads: Uploads, **order):
    return uploads.open(Order(name="net", **order), Stop())


def test_an_upload_that_was_placed_leaves_what_the_next_one_has_begun(folder):
    """The next one may open the file's path the moment it is free."""
    uploads = Uploads(folder)
    first = opened(uploads)
    first.append(b"one")
    first.place(folder)
    second = opened(uploads, total_bytes=9)
    second.append(b"second")
    first.discard()
    first.close()
    state = uploads.state("net")
    assert state is not None
    assert (state.offset, state.begun.total_bytes) == (6, 9)
    assert folder.path_of(sha(b"one")).read_bytes() == b"one"
    second.close()


def test_whoever_opened_it_before_it_was_moved_does_not_write_into_a_content(folder, monkeypatch):
    """Between the opening of the path and the lock on it, the one before may have ended."""
    uploads = Uploads(folder)
    first = opened(uploads)
    first.append(b"one")
    lock, calls = uploading.fcntl.flock, []

    def after_the_first_has_ended(descriptor, kind):
        if not calls:
            calls.append(1)
            first.place(folder)
            first.close()
        return lock(descriptor, kind)

    monkeypatch.setattr(uploading.fcntl, "flock", after_the_first_has_ended)
    second = opened(uploads)
    second.append(b"two")
    second.close()
    assert folder.path_of(sha(b"one")).read_bytes() == b"one"


def test_it_is_added_to_by_one_at_a_time_and_its_hash_goes_on(folder):
    uploads = Uploads(folder)
    first = opened(uploads, total_bytes=6, sha256=ONE)
    first.append(b"one")
    with pytest.raises(Conflict, match="under way"):
        opened(uploads, start=3, sha256=ONE)
    first.close()
    second = opened(uploads, start=3, total_bytes=6, sha256=ONE)
    second.append(b"two")
    assert second.sha256 == sha(b"onetwo")
    second.close()


def test_what_a_failed_write_left_beyond_what_counts_is_not_hashed(folder):
    """A crash may leave the file longer than what its state says; its size is what counts, and its hash decides."""
    uploads = Uploads(folder)
    first = opened(uploads, total_bytes=6)
    first.append(b"one")
    first.close()
    with pytest.raises(WrongOffset) as caught:
        opened(uploads, start=2, sha256=ONE)
    assert caught.value.offset == 3
    with pytest.raises(WrongOffset, match="another file"):
        opened(uploads, start=3, total_bytes=7, sha256=ONE)


def test_catching_up_with_a_large_upload_can_be_stopped(folder):
    uploads = Uploads(folder)
    first = opened(uploads, total_bytes=6)
    first.append(b"one")
    first.close()
    stop = Stop()
    stop.ask()
    with pytest.raises(Stopped):
        uploads.open(Order(name="net", start=3, total_bytes=6, sha256=ONE), stop)
    opened(uploads, start=3, total_bytes=6, sha256=ONE).close()  # nobody holds it


def test_an_upload_that_is_written_to_is_not_stale_however_old_its_file_looks(folder):
    uploads = Uploads(folder)
    upload = opened(uploads)
    upload.append(b"one")
    for path in uploads._folder.iterdir():
        os.utime(path, (0, 0))
    uploads.remove_stale(KEPT_FOR_S)
    assert upload.path.exists()
    upload.close()
    uploads.remove_stale(KEPT_FOR_S)
    assert list(uploads._folder.iterdir()) == []


# What was fetched


def test_what_a_url_led_to_is_known_while_its_bytes_are_kept_and_the_url_is_written_nowhere(folder):
    pulled, url = Pulled(folder), "http://me:secret@host/m?token=hidden"
    digest = put(folder, b"x")
    pulled.put(url, Record(sha256=digest, validators=Validators(etag='"1"')))
    pulled.remove_stale()
    assert pulled.get(url) == Record(sha256=digest, validators=Validators(etag='"1"'))
    written = b"".join(path.read_bytes() + path.name.encode() for path in pulled._folder.iterdir())
    assert b"secret" not in written
    assert b"hidden" not in written
    folder.remove(digest)
    assert pulled.get(url) is None
    pulled.remove_stale()
    assert list(pulled._folder.iterdir()) == []


async def test_locks_that_nobody_has_wanted_for_a_day_go(folder):
    pulled = Pulled(folder)
    for url in ("http://old/", "http://new/"):
        async with pulled.lock(url).held():
            pass
    old = next(path for path in pulled._folder.iterdir() if path.name.startswith(sha(b"http://old/")))
    os.utime(old, (old.stat().st_mtime - 2 * LOCKS_KEPT_FOR_S,) * 2)
    await asyncio.to_thread(pulled.remove_stale)
    assert [path.name for path in pulled._folder.iterdir()] == [f"{sha(b'http://new/')}.lock"]


# Room

GB = 10**9


def room_on(tmp_path, *, total: int, free: int, limit: int = 10 * GB, store_limit: int = 50 * GB) -> Room:
    return Room(tmp_path, limit, store_limit, lambda _folder: Disk(total, free))


@pytest.mark.parametrize(("total", "reserve"), [(1000 * GB, rooms.RESERVE_BYTES), (10 * GB, GB // 2)])
def test_some_of_the_disk_is_left_to_the_database_beside_it(tmp_path, total, reserve):
    room = room_on(tmp_path, total=total, free=2 * GB)
    assert room.missing(2 * GB - reserve, 0) == 0
    assert room.missing(2 * GB - reserve + 5, 0) == 5
    assert "can be taken from the orchestrator's disk" in str(room.refusal(2 * GB, 0))


def test_all_models_together_have_a_limit(tmp_path):
    room = room_on(tmp_path, total=1000 * GB, free=900 * GB)
    assert room.missing(10 * GB, 40 * GB) == 0
    assert room.missing(10 * GB, 41 * GB) == GB
    refusal = room.refusal(10 * GB, 41 * GB)
    assert isinstance(refusal, NoRoom)
    assert "needs 10 GB, and 9 GB are left of 50 GB, this orchestrator's models.store_limit_gb" in str(refusal)


def test_what_is_promised_is_not_given_twice_and_what_is_written_is_counted_once(tmp_path):
    room = room_on(tmp_path, total=1000 * GB, free=900 * GB)
    with room.promise() as promise:
        promise.promised_bytes = 45 * GB
        assert room.missing(10 * GB, 0) == 5 * GB
        promise.written_bytes = 20 * GB
        assert room.missing(10 * GB, 20 * GB) == 5 * GB
    assert room.missing(10 * GB, 0) == 0


def test_one_model_has_a_limit(tmp_path):
    room = room_on(tmp_path, total=1000 * GB, free=900 * GB)
    room.check_size(10 * GB, "the model net")
    with pytest.raises(TooLarge, match=r"the model net is larger than 10 GB, this orchestrator's models\.limit_gb"):
        room.check_size(10 * GB + 1, "the model net")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (10**7, "10 MB"), (10**12, "1,000 GB")]
)
def test_sizes_are_said_in_few_digits(size, text):
    assert shown_size(size) == text
