import itertools

from uav_perception.actions.schedule import TrackSchedule

MS = 1_000_000


def run(schedule: TrackSchedule, visible: list[int], ticks: int, start: int = 0) -> dict[int, list[int]]:
    looks: dict[int, list[int]] = {t: [] for t in visible}
    for tick in range(start, start + ticks):
        for track in schedule.choose(tick * 100 * MS, visible)[0]:
            looks[track].append(tick)
    return looks


def new(budget: int = 4, tenure_ms: int = 4000) -> TrackSchedule:
    return TrackSchedule(budget, 100 * MS, 600 * MS, tenure_ms * MS)


def test_few_actors_are_all_served_every_tick():
    looks = run(new(), [3, 1, 2], 10)
    assert all(len(stamps) == 10 for stamps in looks.values())


def test_the_budget_is_never_exceeded_and_no_admitted_actor_falls_into_its_gap():
    schedule = new()
    assert schedule.places == 19
    looks = run(schedule, list(range(50)), 40)
    per_tick = [sum(tick in stamps for stamps in looks.values()) for tick in range(40)]
    assert max(per_tick) == 4
    served = [stamps for stamps in looks.values() if stamps]
    assert len(served) == 19
    assert schedule.waiting == 31
    assert all(b - a <= 6 for stamps in served for a, b in itertools.pairwise(stamps))


def test_places_are_handed_on_so_that_everybody_is_seen():
    schedule = new(tenure_ms=2000)
    looks = run(schedule, list(range(50)), 200)
    assert all(looks.values())


def test_released_actors_are_named():
    schedule = TrackSchedule(1, 100 * MS, 200 * MS, 300 * MS)
    assert schedule.places == 1
    assert schedule.choose(0, [7]) == ([7], [])
    assert schedule.choose(100 * MS, [7, 8]) == ([7], [])
    assert schedule.choose(300 * MS, [7, 8]) == ([8], [7])


def test_the_most_urgent_first():
    schedule = new(budget=1)
    schedule.choose(0, [5, 6, 7])
    assert [schedule.choose(tick * 100 * MS, [5, 6, 7])[0] for tick in (1, 2, 3, 4)] == [[6], [7], [5], [6]]


def test_lost_actors_leave_their_place():
    schedule = new(budget=1)
    run(schedule, [1, 2, 3, 4], 4)
    assert schedule.places == 4
    assert schedule.choose(1200 * MS, [9])[0] == [9]
    schedule.forget(9)
    assert schedule.choose(1300 * MS, [10])[0] == [10]
