"""What the tests keep of logs tells of what was committed, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.support.log_archive import LogArchive, committed
from zkserver.base.zxid import make_zxid


def chain(*zxids: tuple[int, int]) -> dict[int, bytes]:
    return {make_zxid(*zxid): repr(zxid).encode() for zxid in zxids}


def test_an_epoch_ends_where_a_log_goes_on_in_a_later_one() -> None:
    lost_leader = chain((1, 1), (1, 2), (1, 3))
    others = chain((1, 1), (1, 2), (2, 1))
    assert committed([lost_leader, others], [chain((3, 1))]) == chain(
        (1, 1), (1, 2), (2, 1), (3, 1)
    )


def test_a_log_that_goes_alone_was_cut_and_all_at_once_were_replaced(tmp_path: Path) -> None:
    source = tmp_path / "version-2"
    source.mkdir()
    archive = LogArchive({1: source})
    for name in ("log.1", "log.5"):
        (source / name).write_bytes(b"")
    archive._look_at_all()
    (source / "log.5").unlink()
    archive._look_at_all()
    assert [each.name for each in sorted(tmp_path.glob("kept-*/*"))] == ["log.1"]
    (source / "log.1").unlink()
    (source / "log.9").write_bytes(b"")
    archive._look_at_all()
    assert [each.name for each in sorted(tmp_path.glob("kept-*/*"))] == ["log.1", "log.9"]
