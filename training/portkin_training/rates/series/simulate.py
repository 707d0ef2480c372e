"""A seeded telescope: counts per port and hour whose groups, lags, bursts and outages are known.

It is there to show that the method can find what is in the data: recordings never say. Everything it makes is
labelled synthetic. It was fixed before any model was fitted to it and is not tuned to an order of models.

Per group of ports a slow random walk about a level (an AR(1) process in logarithms) and campaigns, which rise, stay
and fade, drive all its ports, each some hours later than the first. Every port has its own level, growth, day and
week, and negative binomial counting noise; some ports are driven by nothing but a process of their own. On top of
that bursts hit single ports (the planted anomalies), and outages blind the whole sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portkin.net.ports import Port
from portkin.timeseries.bins import HOUR
from portkin_training.rates.series.rate_series import Rates

MONTH = 720


@dataclass(frozen=True)
class Telescope:
    """What is simulated. Durations and lags are in hours; ranges are drawn from uniformly unless said otherwise."""

    hours: int = 6_000
    groups: int = 8
    group_size: tuple[int, int] = (3, 7)
    alone: int = 12
    level: tuple[float, float] = (60.0, 1_500.0)  # probes per hour, log-uniform
    memory: float = 0.98  # of the AR(1) processes, per hour
    spread: float = 0.45  # their stationary deviation, in logarithms
    lag: tuple[int, int] = (0, 8)
    day: tuple[float, float] = (0.1, 0.4)  # amplitude of the daily wave, in logarithms
    week: tuple[float, float] = (0.05, 0.2)
    growth: tuple[float, float] = (-0.2, 0.6)  # over the whole recording, in logarithms
    dispersion: float = 40.0  # of the negative binomial: variance = mean + mean^2 / dispersion
    campaigns_per_month: float = 1.5  # per group
    campaign_hours: tuple[int, int] = (12, 96)
    campaign_factor: tuple[float, float] = (1.5, 4.0)
    bursts_per_month: float = 1.0  # per port
    burst_hours: tuple[int, int] = (1, 3)
    burst_factor: tuple[float, float] = (3.0, 10.0)
    outages: int = 3
    outage_hours: tuple[int, int] = (3, 24)
    sources_per_day: float = 20.0  # that probe two ports of one group in sequence
    strays_per_day: float = 0.3  # that probe any two ports in sequence


@dataclass(frozen=True, eq=False)
class Simulated:
    """The series, the counts of sequential sources (equation 3's sums) over `days`, and the truth.

    `groups` (p,), -1 for a port of no group; `lags` (p,), hours after the group's first port; `bursts` bool (n, p);
    `expected` (n, p), the rate without bursts and counting noise, which no forecast from the past can know better.
    """

    rates: Rates
    sequential: NDArray[np.int64]
    days: int
    groups: NDArray[np.int64]
    lags: NDArray[np.int64]
    bursts: NDArray[np.bool_]
    expected: NDArray[np.float64]


def autoregressive(rng: np.random.Generator, n: int, memory: float, spread: float) -> NDArray[np.float64]:
    """A stationary AR(1) process of mean 0 and deviation `spread`: (n,)."""
    steps = rng.normal(0, spread * np.sqrt(1 - memory**2), n)
    steps[0] = rng.normal(0, spread)
    found = np.empty(n)
    value = 0.0
    for t in range(n):
        value = memory * value + steps[t]
        found[t] = value
    return found


def campaigns(rng: np.random.Generator, n: int, telescope: Telescope) -> NDArray[np.float64]:
    """What campaigns add to a group's activity, in logarithms: (n,). Each rises and fades over a sixth of its time."""
    found = np.zeros(n)
    for _ in range(rng.poisson(telescope.campaigns_per_month * n / MONTH)):
        length = int(rng.integers(telescope.campaign_hours[0], telescope.campaign_hours[1] + 1))
        start = int(rng.integers(0, n))
        edge = max(1, length // 6)
        ramp = np.minimum(1, np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / edge)
        wave = np.log(rng.uniform(*telescope.campaign_factor)) * ramp
        part = found[start : start + length]
        part += wave[: len(part)]
    return found


def simulate(telescope: Telescope, seed: int) -> Simulated:
    """Draw a telescope. The same seed gives the same series on every machine with the same numpy."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(telescope.group_size[0], telescope.group_size[1] + 1, telescope.groups)
    groups = np.concatenate([np.repeat(np.arange(telescope.groups), sizes), np.full(telescope.alone, -1)])
    p, n = len(groups), telescope.hours
    lags = rng.integers(telescope.lag[0], telescope.lag[1] + 1, p)
    for group in range(telescope.groups):
        lags[groups == group] -= lags[groups == group].min()
    lags[groups < 0] = 0
    longest = telescope.lag[1]

    def activity() -> NDArray[np.float64]:
        walk = autoregressive(rng, n + longest, telescope.memory, telescope.spread)
        return walk + campaigns(rng, n + longest, telescope)

    shared = [activity() for _ in range(telescope.groups)]
    hour = np.arange(n)
    log_rate = np.empty((n, p))
    for port in range(p):
        driver = shared[groups[port]] if groups[port] >= 0 else activity()
        delayed = driver[longest - lags[port] : longest - lags[port] + n]
        day = rng.uniform(*telescope.day) * np.sin(2 * np.pi * (hour / 24 + rng.random()))
        week = rng.uniform(*telescope.week) * np.sin(2 * np.pi * (hour / 168 + rng.random()))
        growth = rng.uniform(*telescope.growth) * hour / n
        level = rng.uniform(*np.log(telescope.level))
        log_rate[:, port] = level + delayed + day + week + growth

    expected = np.exp(log_rate)
    bursts = np.zeros((n, p), dtype=bool)
    for port in range(p):
        for _ in range(rng.poisson(telescope.bursts_per_month * n / MONTH)):
            start = int(rng.integers(0, n))
            length = int(rng.integers(telescope.burst_hours[0], telescope.burst_hours[1] + 1))
            log_rate[start : start + length, port] += np.log(rng.uniform(*telescope.burst_factor))
            bursts[start : start + length, port] = True
    mean = np.exp(log_rate)
    counts = rng.poisson(mean * rng.gamma(telescope.dispersion, 1 / telescope.dispersion, (n, p))).astype(float)
    for _ in range(telescope.outages):
        start = int(rng.integers(0, n))
        length = int(rng.integers(telescope.outage_hours[0], telescope.outage_hours[1] + 1))
        counts[start : start + length] = np.nan
        bursts[start : start + length] = False

    days = -(-n // 24)
    same = (groups[:, None] == groups[None, :]) & (groups[:, None] >= 0)
    sources = days * np.where(same, telescope.sources_per_day * rng.gamma(4, 0.25, (p, p)), telescope.strays_per_day)
    upper = np.triu(rng.poisson(sources), 1)
    ports = tuple(Port(1_000 + number, "tcp") for number in range(p))
    rates = Rates(ports, hour.astype(np.int64) * HOUR + 1_577_836_800, counts, HOUR, "UTC", synthetic=True)
    return Simulated(rates, (upper + upper.T).astype(np.int64), days, groups, lags, bursts, expected)
