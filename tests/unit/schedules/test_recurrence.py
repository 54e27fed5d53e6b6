"""Occurrences: against a naive oracle, and the dates that daylight saving and calendars bend."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schedules.recurrence import RecurrenceError, check, occurrences

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(2199, 1, 1, tzinfo=UTC)
HANOI = "Asia/Ho_Chi_Minh"


def walls(start, zone, rule, exdates=(), *, after=EPOCH, before=END, limit=None):
    found = occurrences(start, zone, rule, exdates, after=after, before=before, limit=limit)
    return [each.wall.isoformat(timespec="minutes") for each in found]


def instants(start, zone, rule, exdates=(), *, after=EPOCH, before=END, limit=None):
    found = occurrences(start, zone, rule, exdates, after=after, before=before, limit=limit)
    return [each.starts_at.strftime("%Y-%m-%dT%H:%MZ") for each in found]


# --- against an oracle that walks day by day and knows nothing of dateutil ---------------

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@st.composite
def rules(draw):
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"FREQ": freq, "INTERVAL": draw(st.integers(1, 4))}
    if draw(st.booleans()):
        parts["BYDAY"] = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        parts["BYMONTH"] = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True))
    if freq != "WEEKLY" and draw(st.booleans()):
        days = st.integers(1, 31) | st.integers(-31, -1)
        parts["BYMONTHDAY"] = draw(st.lists(days, min_size=1, max_size=4, unique=True))
    if freq in ("MONTHLY", "YEARLY") and "BYDAY" in parts and draw(st.booleans()):
        parts["BYSETPOS"] = draw(st.lists(st.sampled_from([1, 2, -1]), min_size=1, max_size=2, unique=True))
    if draw(st.booleans()):
        parts["COUNT"] = draw(st.integers(1, 12))
    return parts


def as_text(parts):
    return ";".join(f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in parts.items())


def month_length(day):
    following = day.replace(day=28) + timedelta(days=4)
    return (following - timedelta(days=following.day)).day


def naive(first, parts, last):
    """All dates of the rule up to `last`: look at each day, ask each part."""
    freq, interval = parts["FREQ"], parts["INTERVAL"]
    no_day = "BYDAY" not in parts and "BYMONTHDAY" not in parts
    monday = first - timedelta(days=first.weekday())

    def period(day):
        return {
            "DAILY": (day - first).days,
            "WEEKLY": (day - monday).days // 7,
            "MONTHLY": (day.year - first.year) * 12 + day.month - first.month,
            "YEARLY": day.year - first.year,
        }[freq]

    def fits(day):
        if "BYMONTH" in parts and day.month not in parts["BYMONTH"]:
            return False
        if "BYDAY" in parts and DAYS[day.weekday()] not in parts["BYDAY"]:
            return False
        if "BYMONTHDAY" in parts and not {day.day, day.day - month_length(day) - 1} & set(parts["BYMONTHDAY"]):
            return False
        if no_day and freq == "WEEKLY" and day.weekday() != first.weekday():
            return False
        if no_day and freq in ("MONTHLY", "YEARLY") and day.day != first.day:
            return False
        return not (no_day and freq == "YEARLY" and "BYMONTH" not in parts and day.month != first.month)

    begin = {"DAILY": first, "WEEKLY": monday, "MONTHLY": first.replace(day=1), "YEARLY": date(first.year, 1, 1)}[freq]
    periods = {}
    for offset in range((last - begin).days + 1):
        day = begin + timedelta(days=offset)
        if period(day) % interval == 0 and fits(day):
            periods.setdefault(period(day), []).append(day)
    chosen = []
    for key in sorted(periods):
        days = periods[key]
        if "BYSETPOS" in parts:
            picks = [n - 1 if n > 0 else len(days) + n for n in parts["BYSETPOS"]]
            days = [days[i] for i in sorted(set(picks)) if 0 <= i < len(days)]
        chosen.extend(day for day in days if day >= first)
    return chosen[: parts.get("COUNT")]


@settings(max_examples=150, deadline=None)
@given(rules(), st.dates(date(2024, 1, 1), date(2028, 12, 31)), st.integers(0, 900), st.integers(1, 700))
def test_dates_agree_with_a_day_by_day_oracle(parts, first, skip, span):
    since = first + timedelta(days=skip)
    until = since + timedelta(days=span)
    # A period in which the window ends must be whole, or BYSETPOS=-1 would not know its last day.
    expected = [day for day in naive(first, parts, date(until.year + 1, 12, 31)) if since <= day < until]
    found = occurrences(
        f"{first}T08:00",
        HANOI,
        as_text(parts),
        after=datetime.combine(since, datetime.min.time(), ZoneInfo(HANOI)),
        before=datetime.combine(until, datetime.min.time(), ZoneInfo(HANOI)),
    )
    assert [each.wall.date() for each in found] == expected


ZONES = [HANOI, "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_every_day_has_one_occurrence_and_its_wall_time_moves_only_over_a_gap(zone, first, hour, minute):
    found = list(occurrences(f"{first}T{hour:02}:{minute:02}", zone, "FREQ=DAILY;COUNT=370", after=EPOCH, before=END))
    assert len(found) == 370
    assert [each.starts_at for each in found] == sorted({each.starts_at for each in found})
    for offset, each in enumerate(found):
        nominal = datetime.combine(first + timedelta(days=offset), datetime.min.time()).replace(
            hour=hour, minute=minute
        )
        # what it claims is true of the zone
        assert each.starts_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == each.wall
        moved = each.wall - nominal
        assert timedelta(0) <= moved <= timedelta(hours=1)
        if moved:
            # nothing in the whole day reads the nominal time
            day = each.starts_at - timedelta(hours=12)
            shown = ((day + timedelta(minutes=m)).astimezone(ZoneInfo(zone)) for m in range(24 * 60))
            assert nominal not in {s.replace(tzinfo=None, second=0, microsecond=0) for s in shown}


@settings(max_examples=60, deadline=None)
@given(rules(), st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(1, 400), st.integers(1, 400))
def test_two_windows_side_by_side_give_what_one_gives(parts, first, one, two):
    start = f"{first}T02:30"
    edge = [datetime.combine(first, datetime.min.time(), UTC) + timedelta(days=n) for n in (-1, one, one + two)]
    rule = as_text(parts)
    left = list(occurrences(start, "Europe/Berlin", rule, after=edge[0], before=edge[1]))
    right = list(occurrences(start, "Europe/Berlin", rule, after=edge[1], before=edge[2]))
    assert left + right == list(occurrences(start, "Europe/Berlin", rule, after=edge[0], before=edge[2]))


# --- daylight saving --------------------------------------------------------------------


def test_a_weekly_meeting_stays_at_its_wall_time_over_both_changes():
    assert instants("2026-03-23T08:00", "Europe/Berlin", "FREQ=WEEKLY;COUNT=2") == [
        "2026-03-23T07:00Z",
        "2026-03-30T06:00Z",
    ]
    assert instants("2026-10-19T08:00", "Europe/Berlin", "FREQ=WEEKLY;COUNT=2") == [
        "2026-10-19T06:00Z",
        "2026-10-26T07:00Z",
    ]


@pytest.mark.parametrize(
    ("zone", "start", "wall", "instant"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T03:30", "2026-03-29T01:30Z"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T03:30", "2026-03-08T07:30Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-04T02:40", "2026-10-03T15:40Z"),  # half an hour
        ("Pacific/Apia", "2011-12-30T08:00", "2011-12-31T08:00", "2011-12-30T18:00Z"),  # a whole day left out
    ],
)
def test_a_wall_time_that_does_not_exist_moves_forward_by_the_gap(zone, start, wall, instant):
    assert walls(start, zone, None) == [wall]
    assert instants(start, zone, None) == [instant]


@pytest.mark.parametrize(
    ("zone", "start", "instant"),
    [
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30Z"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30Z"),
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z"),
    ],
)
def test_a_wall_time_that_exists_twice_means_the_first(zone, start, instant):
    assert instants(start, zone, None) == [instant]


def test_a_zone_without_daylight_saving_keeps_its_offset_all_year():
    offsets = {each[11:] for each in instants("2026-01-01T08:00", HANOI, "FREQ=WEEKLY;COUNT=60")}
    assert offsets == {"01:00Z"}


def test_two_wall_times_on_one_instant_are_one_occurrence():
    # Samoa had no 30 December 2011: that day's meeting moves onto the next day's.
    assert walls("2011-12-29T08:00", "Pacific/Apia", "FREQ=DAILY;COUNT=4") == [
        "2011-12-29T08:00",
        "2011-12-31T08:00",
        "2012-01-01T08:00",
    ]


def test_a_moved_occurrence_is_still_in_the_order_of_instants():
    rule = "FREQ=DAILY;COUNT=4;BYHOUR=2,3;BYMINUTE=15"
    assert walls("2026-03-29T02:15", "Europe/Berlin", rule) == [
        "2026-03-29T03:15",
        "2026-03-30T02:15",
        "2026-03-30T03:15",
    ]
    # 02:40 moves to 03:40; what moves less far, and what is at 03:05 by itself, comes before it
    rule = "FREQ=DAILY;COUNT=6;BYHOUR=2,3;BYMINUTE=5,10,40"
    found = walls("2026-03-29T02:00", "Europe/Berlin", rule)
    assert found == ["2026-03-29T03:05", "2026-03-29T03:10", "2026-03-29T03:40"]


def test_the_window_holds_its_beginning_and_not_its_end():
    at = [datetime(2026, 12, day, 1, tzinfo=UTC) for day in (1, 2)]
    assert walls("2026-12-01T08:00", HANOI, "FREQ=DAILY", after=at[0], before=at[1]) == ["2026-12-01T08:00"]
    assert walls("2026-12-01T08:00", HANOI, None, after=at[1], before=at[1] + timedelta(days=9)) == []


# --- calendars --------------------------------------------------------------------------


def test_the_last_day_of_each_month():
    assert walls("2027-01-31T09:00", HANOI, "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=4") == [
        "2027-01-31T09:00",
        "2027-02-28T09:00",
        "2027-03-31T09:00",
        "2027-04-30T09:00",
    ]


def test_the_31st_leaves_out_short_months():
    assert walls("2027-01-31T09:00", HANOI, "FREQ=MONTHLY;COUNT=4") == [
        "2027-01-31T09:00",
        "2027-03-31T09:00",
        "2027-05-31T09:00",
        "2027-07-31T09:00",
    ]


def test_29_february_every_year_means_leap_years():
    assert walls("2028-02-29T09:00", HANOI, "FREQ=YEARLY;COUNT=3") == [
        "2028-02-29T09:00",
        "2032-02-29T09:00",
        "2036-02-29T09:00",
    ]
    assert walls("2096-02-29T09:00", HANOI, "FREQ=YEARLY;COUNT=2")[1] == "2104-02-29T09:00"  # 2100 is none


def test_the_first_working_day_and_the_third_tuesday_of_a_month():
    rule = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1;COUNT=3"
    assert walls("2027-05-01T08:00", HANOI, rule) == ["2027-05-03T08:00", "2027-06-01T08:00", "2027-07-01T08:00"]
    assert walls("2026-12-01T08:00", HANOI, "FREQ=MONTHLY;BYDAY=3TU;COUNT=2") == [
        "2026-12-15T08:00",
        "2027-01-19T08:00",
    ]


def test_every_other_week_counts_from_the_week_that_wkst_says():
    # RFC 5545, 3.8.5.3: the example in which WKST makes a difference.
    rule = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST="
    assert [w[8:10] for w in walls("2027-08-03T09:00", HANOI, rule + "MO")] == ["03", "08", "17", "22"]
    assert [w[8:10] for w in walls("2027-08-03T09:00", HANOI, rule + "SU")] == ["03", "15", "17", "29"]


def test_a_start_that_the_rule_does_not_give_is_no_occurrence():
    assert walls("2026-12-01T08:00", HANOI, "FREQ=WEEKLY;BYDAY=MO;COUNT=1") == ["2026-12-07T08:00"]


@pytest.mark.parametrize(
    ("until", "count"),
    [
        ("20261203", 3),  # the whole day counts
        ("20261203T080000", 3),
        ("20261203T075959", 2),
        ("20261203T010000Z", 3),  # 08:00 in Hanoi
        ("20261203T005959Z", 2),
        ("20261203T080000Z", 3),
    ],
)
def test_until_is_inclusive_in_wall_time_or_utc(until, count):
    assert len(walls("2026-12-01T08:00", HANOI, f"FREQ=DAILY;UNTIL={until}")) == count


def test_until_in_utc_is_an_instant_also_over_a_gap():
    # The 29th moves to 03:30 CEST = 01:30Z.
    start, rule = "2026-03-28T02:30", "FREQ=DAILY;UNTIL=20260329T01{}00Z"
    assert len(walls(start, "Europe/Berlin", rule.format(30))) == 2
    assert len(walls(start, "Europe/Berlin", rule.format(29))) == 1


def test_exceptions_are_taken_out_by_time_or_by_day_and_still_count():
    rule = "FREQ=DAILY;COUNT=5"
    found = walls("2026-12-01T08:00", HANOI, rule, ["2026-12-02T08:00", "2026-12-04"])
    assert [each[8:10] for each in found] == ["01", "03", "05"]
    # another hour of that day is another occurrence
    assert len(walls("2026-12-01T08:00", HANOI, rule, ["2026-12-02T09:00"])) == 5
    # one that was moved answers to both its times
    for exdate in ("2026-03-29T02:30", "2026-03-29T03:30", "2026-03-29"):
        assert walls("2026-03-29T02:30", "Europe/Berlin", None, [exdate]) == []


# --- bounds and refusals ----------------------------------------------------------------


def test_a_rule_without_an_end_gives_the_first_at_once_and_no_more_than_the_limit():
    endless = occurrences("2026-12-01T08:00", HANOI, "FREQ=DAILY", after=EPOCH, before=END)
    assert next(endless).wall == datetime(2026, 12, 1, 8)
    assert len(walls("2026-12-01T08:00", HANOI, "FREQ=DAILY", limit=7)) == 7


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=1;BYYEARDAY=100",
        "FREQ=DAILY;UNTIL=20261130",
    ],
)
def test_a_rule_that_never_comes_true_is_refused(rule):
    with pytest.raises(RecurrenceError, match="gives no date from 2026-12-01T08:00 on"):
        check("2026-12-01T08:00", HANOI, rule)
    assert list(occurrences("2026-12-01T08:00", HANOI, rule, after=EPOCH, before=END)) == []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "NAME=VALUE"),
        ("FREQ", "NAME=VALUE"),
        ("weekly", "NAME=VALUE"),
        ("FREQ=WEEKLY;", "NAME=VALUE"),
        ("BYDAY=MO", "FREQ is missing"),
        ("FREQ=SECONDLY", "SECONDLY is not taken"),
        ("FREQ=MINUTELY;INTERVAL=5", "MINUTELY is not taken"),
        ("FREQ=HOURLY", "HOURLY is not taken"),
        ("FREQ=FORTNIGHTLY", "FORTNIGHTLY is not taken"),
        ("FREQ=WEEKLY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=WEEKLY;BYDAYS=MO", "BYDAYS is not taken"),
        ("FREQ=DAILY;BYSECOND=1", "BYSECOND is not taken"),
        ("FREQ=DAILY;BYEASTER=1", "BYEASTER is not taken"),
        ("FREQ=WEEKLY;INTERVAL=0", "INTERVAL=0"),
        ("FREQ=WEEKLY;INTERVAL=-1", "INTERVAL=-1"),
        ("FREQ=WEEKLY;INTERVAL=1001", "INTERVAL=1001"),
        ("FREQ=WEEKLY;COUNT=0", "COUNT=0"),
        ("FREQ=WEEKLY;COUNT=99999999999999999999", "COUNT=9999"),
        ("FREQ=WEEKLY;COUNT=٣", "COUNT=٣"),
        ("FREQ=WEEKLY;COUNT=3;UNTIL=20270101", "both COUNT and UNTIL"),
        ("FREQ=WEEKLY;UNTIL=20270231", "UNTIL=20270231"),
        ("FREQ=WEEKLY;UNTIL=2027-01-01", "UNTIL=2027-01-01"),
        ("FREQ=WEEKLY;UNTIL=20270101Z", "UNTIL=20270101Z"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY=XX"),
        ("FREQ=WEEKLY;BYDAY=MO,", "BYDAY="),
        ("FREQ=WEEKLY;BYDAY=1MO", "numbers weekdays in a WEEKLY rule"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "with BYWEEKNO"),
        ("FREQ=MONTHLY;BYDAY=54MO", "BYDAY=54MO"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY=0MO"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY in a WEEKLY rule"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO in a MONTHLY rule"),
        ("FREQ=MONTHLY;BYYEARDAY=3", "BYYEARDAY in a MONTHLY rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY=32"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY=0"),
        ("FREQ=MONTHLY;BYMONTH=13", "BYMONTH=13"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS alone"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24"),
        ("FREQ=DAILY;BYHOUR=8,9,10,11,12;BYMINUTE=0,10,20,30,40", "25 occurrences a day"),
        ("FREQ=WEEKLY;WKST=1", "WKST=1"),
        ("FREQ=WEEKLY\nDTSTART:20200101T000000", "FREQ=WEEKLY"),
        ("FREQ=DAILY;BYMONTH=" + ",".join(["1"] * 300), "characters"),
    ],
)
def test_a_malformed_rule_is_refused_with_the_part_that_is_wrong(rule, says):
    with pytest.raises(RecurrenceError) as refused:
        check("2026-12-01T08:00", HANOI, rule)
    assert refused.value.field == "recurrence"
    assert says in refused.value.problem + refused.value.expected
    assert refused.value.expected


@pytest.mark.parametrize(
    ("field", "booking"),
    [
        ("start", {"start": "2026-12-01 08:00"}),
        ("start", {"start": "2026-12-01T08:00Z"}),
        ("start", {"start": "2026-12-01T08:00+07:00"}),
        ("start", {"start": "2026-02-29T08:00"}),
        ("start", {"start": "2026-12-01T25:00"}),
        ("start", {"start": "1999-12-31T08:00"}),
        ("start", {"start": "9999-12-31T08:00"}),
        ("start", {"start": ""}),
        ("time_zone", {"time_zone": "Asia/Hanoi"}),
        ("time_zone", {"time_zone": "SE Asia Standard Time"}),
        ("time_zone", {"time_zone": "Europe"}),
        ("time_zone", {"time_zone": "../../etc/passwd"}),
        ("time_zone", {"time_zone": ""}),
        ("exdates[1]", {"exdates": ["2026-12-01", "tomorrow"]}),
        ("exdates[0]", {"exdates": ["20261201"]}),
        ("exdates[0]", {"exdates": ["2026-13-01"]}),
        ("exdates", {"exdates": ["2026-12-01"] * 1_001}),
        ("duration_min", {"duration_min": 0}),
        ("duration_min", {"duration_min": 24 * 60 + 1}),
    ],
)
def test_what_cannot_be_booked_is_refused_by_field(field, booking):
    good = {"start": "2026-12-01T08:00", "time_zone": HANOI, "exdates": [], "duration_min": 60}
    check(recurrence=None, **good)
    with pytest.raises(RecurrenceError) as refused:
        check(recurrence=None, **(good | booking))
    assert refused.value.field == field
    assert refused.value.problem in str(refused.value)


def test_asking_for_occurrences_of_a_bad_booking_fails_when_called_and_not_later():
    with pytest.raises(RecurrenceError):
        occurrences("2026-12-01T08:00", "Nowhere", None, after=EPOCH, before=END)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("FREQ=DAILYWK;BYMONTH,-1390TUZ\n"), max_size=60))
def test_any_text_is_either_a_rule_or_refused(text):
    assume(text)
    try:
        check("2026-12-01T08:00", HANOI, text)
    except RecurrenceError as refused:
        assert refused.field == "recurrence"
    else:
        assert walls("2026-12-01T08:00", HANOI, text, limit=1)
