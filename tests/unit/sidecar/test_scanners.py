"""What is remembered of scanners, and what is not."""

from __future__ import annotations

from portkin.blocking.block import Evidence
from portkin.blocking.limits import Limits
from portkin.net.addresses import text_of
from portkin.net.ports import Port
from support.enforcing import Bench, block, nets

OPEN = Limits(max_ports=10_000)


def latest(bench, since=0.0, limit=10):
    return bench.enforcer.scanners.latest(since, limit)


def started(tmp_path, **more):
    bench = Bench(tmp_path, **more)
    bench.enforcer.start()
    return bench


def test_what_was_probed_predicted_and_came(tmp_path):
    """Two predicted ports, one of which comes: one of two, and three blocks."""
    bench = started(tmp_path)
    bench.ask(
        block("203.0.113.5", "80/tcp"),
        block("203.0.113.5", "8080/tcp", rank=1, probed="80/tcp"),
        block("203.0.113.5", "443/tcp", rank=2, probed="80/tcp"),
    )
    bench.clock.pass_(5.0)
    bench.ask(block("203.0.113.5", "8080/tcp"))
    number, (view,) = latest(bench)
    assert (1, "203.0.113.5", 2, (Port(8080, "tcp"), Port(80, "tcp"))) == (
        number, text_of(view.src), view.probed, view.ports,
    )  # fmt: skip
    assert (2, 1, 0, 3, 5.0) == (view.predicted, view.came, view.held_out, view.blocked, view.latest - view.first)
    assert Evidence("TRW", answered=1, probe=True) == view.evidence


def test_a_port_that_came_stays_so(tmp_path):
    """That it is predicted again after it came takes nothing back."""
    bench = started(tmp_path)
    predicted = block("203.0.113.5", "8080/tcp", rank=1, probed="80/tcp")
    bench.ask(predicted)
    bench.ask(block("203.0.113.5", "8080/tcp"))
    bench.ask(block("203.0.113.5", "8080/tcp", rank=1, probed="81/tcp"))
    (_, (view,)) = latest(bench)
    assert (1, 1) == (view.predicted, view.came)


def test_what_is_refused_has_its_reason(tmp_path):
    """A source that is never blocked scans all the same, and the page says why it is not blocked."""
    bench = started(tmp_path, limits=Limits(never_nets=nets("203.0.113.0/24")))
    bench.ask(block("203.0.113.5", "80/tcp"), block("203.0.113.5", "81/tcp", rank=1, probed="80/tcp"))
    (_, (view,)) = latest(bench)
    assert ("never-net", 1, 0, 0) == (view.veto, view.predicted, view.came, view.blocked)


def test_held_out_predictions_are_told_apart(tmp_path):
    """A prediction that is not blocked on purpose counts as held out, and as come once the source tries it."""
    bench = started(tmp_path, limits=Limits(holdout=0.5), draw=lambda: 0.0)
    bench.ask(block("203.0.113.5", "81/tcp", rank=1, probed="80/tcp"))
    assert 1 == latest(bench)[1][0].held_out
    bench.ask(block("203.0.113.5", "81/tcp"))
    (_, (view,)) = latest(bench)
    assert (0, 1) == (view.held_out, view.came)


def test_orders_make_nobody_a_scanner(tmp_path):
    """Neither a block by hand nor one of NetControl."""
    bench = started(tmp_path)
    bench.ask(*(block("203.0.113.5", "80/tcp", why=f"evidence={kind}") for kind in ("OPERATOR", "NETCONTROL")))
    assert (0, []) == latest(bench)


def test_the_latest_come_first_and_old_ones_do_not_count(tmp_path):
    """In the order of their latest probe; those of before are in no count."""
    bench = started(tmp_path)
    for last in (1, 2, 3, 1):
        bench.clock.pass_(100.0)
        bench.ask(block(f"203.0.113.{last}", "80/tcp"))
    now = bench.clock.wall
    assert ["203.0.113.1", "203.0.113.3", "203.0.113.2"] == [text_of(view.src) for view in latest(bench)[1]]
    number, views = latest(bench, since=now - 150.0, limit=1)
    assert (2, ["203.0.113.1"]) == (number, [text_of(view.src) for view in views])


def test_sources_and_ports_are_bounded(tmp_path):
    """Of 2,100 sources 2,000 are remembered, of a sweep's ports 256; the latest of both."""
    bench = started(tmp_path, limits=OPEN)
    bench.ask(*(block("203.0.113.5", f"{n}/tcp") for n in range(1, 400)))
    (_, (view,)) = latest(bench)
    assert (256, Port(399, "tcp")) == (view.probed, view.ports[0])
    bench.ask(*(block(f"198.51.{n // 250}.{1 + n % 250}", "80/tcp") for n in range(2100)))
    assert 2000 == latest(bench)[0]
    assert "198.51.8.100" == text_of(latest(bench)[1][0].src)


def test_figures_of_a_day_add_up(tmp_path):
    """Two recordings of one day are one row, the next day has its own; nothing is counted twice."""
    bench = started(tmp_path)
    bench.ask(block("203.0.113.5", "80/tcp"))
    bench.enforcer.tick()
    bench.enforcer.tick()
    bench.ask(block("203.0.113.5", "81/tcp"))
    bench.enforcer.tick()
    bench.clock.pass_(86_400.0)
    bench.ask(block("203.0.113.5", "82/tcp"))
    bench.enforcer.stop()
    from portkin.blocking.listing import Listing

    listing = Listing(bench.path)
    # 1,000,000 s after 1970 is in day 11.
    assert [(12, "shadow", 1), (11, "shadow", 2)] == [(day, mode, each.probes) for day, mode, each in listing.days(30)]
    assert [(12, "shadow", 1)] == [(day, mode, each.probes) for day, mode, each in listing.days(1)]
    listing.close()
