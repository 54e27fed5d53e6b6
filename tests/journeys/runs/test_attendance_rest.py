"""Attendance over REST: JSON for programs, CSV that spreadsheets open as it is."""

import csv
import io
from datetime import timedelta

from tests.journeys.runs.scene import NOON
from tests.journeys.runs.stand import Stand


async def over(stand: Stand) -> int:
    run_id = await stand.scene.run(sites=2, links=0)
    minute = timedelta(minutes=1)
    await stand.scene.change(run_id, "qt01", "leg-dialed", at=NOON, way="third-party")
    await stand.scene.change(run_id, "qt01", "site-in", at=NOON + minute, way="third-party")
    await stand.scene.change(run_id, "qt01", "site-out", at=NOON + 11 * minute, cause="lost", side="network")
    await stand.scene.change(run_id, "qt01", "site-in", at=NOON + 13 * minute, way="bridge-dials")
    await stand.scene.change(run_id, "qt02", "leg-dialed", at=NOON, way="third-party", name="=HYPERLINK(1)")
    await stand.scene.change(
        run_id, "qt02", "leg-cleared", at=NOON + minute, cause="busy", side="far_end", raw="486 Busy Here"
    )
    await stand.scene.set_run(run_id, at=NOON + 20 * minute, state="closing")
    await stand.scene.change(run_id, "qt01", "site-out", at=NOON + 20 * minute, cause="local", side="ours")
    await stand.scene.set_run(run_id, at=NOON + 21 * minute, state="done", closed_at=NOON + 21 * minute)
    return run_id


async def test_attendance_as_json(stand: Stand) -> None:
    run_id = await over(stand)
    async with stand.client() as client:
        told = (await client.get(f"/api/v1/runs/{run_id}/attendance")).raise_for_status().json()
        assert (await client.get("/api/v1/runs/999/attendance")).status_code == 404
    assert (told["over"], told["time_zone"]) == (True, "Asia/Ho_Chi_Minh")
    there, absent = told["participants"]
    assert (there["first_in_at"], there["last_out_at"]) == ("2026-12-01T01:01:00Z", "2026-12-01T01:20:00Z")
    assert (there["total_s"], there["ways"], there["absence"]) == (17 * 60, ["third-party", "bridge-dials"], None)
    assert there["gaps"][0]["reason"]["words"] == "the connection was lost (the network)"
    assert (absent["was_there"], absent["attempts"], absent["absence"]["cause"]) == (False, 1, "busy")
    assert absent["absence"]["words"] == "busy in another call (SIP 486 Busy Here)"


async def test_attendance_as_csv_in_the_language_asked_for(stand: Stand) -> None:
    run_id = await over(stand)
    async with stand.client() as client:
        answer = await client.get(f"/api/v1/runs/{run_id}/attendance.csv", headers={"Accept-Language": "vi"})
        by_accept = await client.get(
            f"/api/v1/runs/{run_id}/attendance", headers={"Accept-Language": "vi", "Accept": "text/csv"}
        )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert by_accept.content == answer.content
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"attendance-run-{run_id}.csv" in answer.headers["content-disposition"]
    titles, there, absent = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert titles[:3] == ["Điểm cầu", "Tên", "Có mặt"]
    assert there[:6] == ["qt01", "Điểm cầu 1", "có", "2026-12-01 08:01:00", "2026-12-01 08:20:00", "0:17:00"]
    assert there[7].startswith("08:11:00–08:13:00 mất kết nối")
    assert absent[:3] == ["qt02", "'=HYPERLINK(1)", "không"], "a formula is made text"
    assert absent[10] == "máy bận trong cuộc gọi khác (SIP 486 Busy Here)"
