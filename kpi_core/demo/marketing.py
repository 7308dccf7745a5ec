"""Raw records of marketing: visits, advertising, e-mails, social media, mentions, content."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kpi_core.demo.business import Business
from kpi_core.demo.days import OFFICE, WEB, Days
from kpi_core.demo.noise import Floats, Ints, steady_counts
from kpi_core.demo.sales import CAMPAIGNS, QUIET_SEASON, window
from kpi_core.demo.tables import Amounts, Codes, Column, Names, Table, joined, numbers

__all__ = ["AD_CHANNELS", "ad_budget", "ad_spend", "ad_total", "content", "emails", "hours_of", "mentions", "social"]
__all__ += ["visits"]

AD_CHANNELS = ("search", "social", "display")
AD_SHARES = (0.55, 0.30, 0.15)
AD_SLOTS = 12
NETWORKS = ("LinkedIn", "Instagram")
DEVICES, PAGES = ("phone", "desktop", "tablet"), ("/", "/pricing", "/tour", "/blog", "/help")
TOPICS = ("bookings", "guest experience", "running a hotel")


def visit_counts(business: Business) -> Ints:
    days = business.days
    week = np.array([1.03, 1.05, 1.04, 1.03, 1.0, 0.93, 0.94])[days.weekday]
    chance = 1.0 + 0.035 * business.noise.normal("visits", days.ordinal)
    lifted = (1 + 0.35 * business.campaign) * (1 - 0.3 * business.outage)
    return steady_counts(140 * business.growth * week * chance * days.season(120, 0.05) * lifted)


def visits(business: Business, first: int, last: int) -> Table:
    """One record a visit; a third are by people who were here in the month before."""
    noise, days = business.noise, business.days
    counts = visit_counts(business)
    place, index = window(counts, first, last)
    day = days.ordinal[place]
    back = 1 + (30 * noise.uniform("visits/back", day, index) ** 2).astype(np.int64)
    again = (noise.uniform("visits/again", day, index) < 0.33) & (place >= back)
    then = np.where(again, place - back, place)
    who = np.where(again, (noise.uniform("visits/who", day, index) * counts[then]).astype(np.int64), index)
    paid = 0.16 * (1 + 0.9 * business.campaign[place])
    source = noise.uniform("visits/channel", day, index)
    channel = np.where(source < paid, 0, 1 + np.searchsorted((0.52, 0.68, 0.84), (source - paid) / (1 - paid)))
    return Table(
        days.moments(place, noise.uniform("visits/at", day, index), WEB),
        {
            "visitor": Names(days.ordinal[then] * 10_000 + who, "V"),
            "channel": Codes(channel, ("paid", "organic", "direct", "referral", "social")),
            "device": Codes(noise.choice("visits/device", (0.52, 0.41, 0.07), day, index), DEVICES),
            "landing_page": Codes(noise.choice("visits/page", (4, 2, 2, 1, 1), day, index), PAGES),
        },
    )


def ad_budget(business: Business) -> Floats:
    """What may be spent on advertising a day, set for each quarter; more while the campaign runs."""
    days = business.days
    level = 1300 * business.growth[days.quarter_start]
    return np.asarray(np.round(level / 50) * 50, dtype=np.float64)


def ad_total(business: Business) -> Ints:
    """What is spent on advertising each day, in cents; the campaign went over its budget, and was worth it."""
    chance = 0.94 + 0.035 * business.noise.normal("ads", business.days.ordinal) + 0.5 * business.campaign
    return np.rint(100 * ad_budget(business) * chance).astype(np.int64)


def ad_spend(business: Business, first: int, last: int) -> Table:
    """One record for each channel and two hours, at their end; a day's add up to its total, to the cent."""
    days, noise = business.days, business.noise
    cells = AD_SLOTS * len(AD_CHANNELS)
    place = np.repeat(np.arange(max(first, 0), min(last, len(days))), cells)
    cell = np.tile(np.arange(cells), len(place) // cells)
    channel, slot = cell % len(AD_CHANNELS), cell // len(AD_CHANNELS)
    by_slot = np.array(WEB).reshape(AD_SLOTS, 2).sum(axis=1)
    upto = np.cumsum((by_slot[:, None] * np.array(AD_SHARES)[None, :]).ravel())
    total = ad_total(business)[place]
    edge = np.concatenate(([0.0], upto / upto[-1]))
    edge[-1] = 1.0
    amount = np.floor(total * edge[cell + 1]).astype(np.int64) - np.floor(total * edge[cell]).astype(np.int64)
    running = (business.campaign[place] > 0) & (slot % 2 == 1)
    campaign = np.where(running, QUIET_SEASON, np.where(channel == 0, 0, 2))
    price = 1.9 + 0.4 * noise.uniform("ads/price", days.ordinal[place], cell)
    return Table(
        days.clock(place, slot * 7200 + 7199),
        {
            "channel": Codes(channel, AD_CHANNELS),
            "campaign": Codes(campaign, CAMPAIGNS),
            "amount": Amounts(amount * 10_000),
            "clicks": numbers(amount / 100 / price),
        },
    )


def emails(business: Business, first: int, last: int) -> Table:
    """Three sends a working day, to lists that grow; opens are counted two hours after the send."""
    days, noise = business.days, business.noise
    place, index = window(np.where(days.working, 3, 0), first, last)
    day = days.ordinal[place]
    chance = 1 + 0.08 * noise.normal("emails/delivered", day, index)
    delivered = np.rint(np.array([620, 410, 880])[index] * business.growth[place] * chance)
    share = np.array([0.27, 0.31, 0.22])[index] * (1 + 0.05 * noise.normal("emails/opened", day, index))
    opened = np.rint(delivered * share)
    late = (3000 * noise.uniform("emails/at", day, index)).astype(np.int64)
    return Table(
        days.clock(place, np.array([9, 11, 14])[index] * 3600 + late),
        {
            "mailing": Codes(index, ("Newsletter", "Product news", "Nurture")),
            "list": Codes(index, ("subscribers", "customers", "leads")),
            "delivered": numbers(delivered),
            "opened": numbers(opened),
            "clicked": numbers(opened * 0.17),
        },
    )


@lru_cache(maxsize=4)
def hours_of(days: Days, first: int, last: int) -> tuple[Ints, Ints]:
    """Every full hour of the days [first, last): the instant it starts, and the position of its local day."""
    start = np.arange(days.midnight[max(first, 0)], days.midnight[min(last, len(days))], 3600)
    return start, days.place_at(start)


def social(business: Business, first: int, last: int) -> Table:
    """What each network reports at two minutes past every hour."""
    days, noise = business.days, business.noise
    start, place = hours_of(days, first, last)
    hour = np.minimum((start - days.midnight[place]) // 3600, 23)
    made = []
    for code, likes in enumerate((11.0, 19.0)):
        level = likes * business.growth[place] * np.array(WEB)[hour] * (1 + 0.5 * business.campaign[place])
        level = level * (1 + 0.08 * noise.normal(f"social/{code}", days.ordinal[place]))
        counted = level * (1 + 0.15 * noise.normal(f"social/hour/{code}", days.ordinal[place], hour))
        columns: dict[str, Column] = {
            "network": Codes(np.full(len(start), code, dtype=np.int64), NETWORKS),
            "likes": numbers(counted),
            "shares": numbers(counted * 0.13),
            "comments": numbers(counted * 0.19),
        }
        made.append(Table(start + 120, columns))
    return joined(made)


def mentions(business: Business, first: int, last: int) -> Table:
    """One record a mention; people talk about an outage, and about a campaign."""
    days, noise = business.days, business.noise
    talk = 1 + 1.5 * business.outage + 0.7 * business.campaign + 0.2 * business.unrest
    level = 19 * np.sqrt(business.growth) * talk
    place, index = window(steady_counts(level * (1 + 0.1 * noise.normal("mentions", days.ordinal))), first, last)
    day = days.ordinal[place]
    gloom = 0.14 + 0.5 * business.outage[place] + 0.15 * business.unrest[place]
    mood = noise.uniform("mentions/mood", day, index)
    sentiment = np.where(mood < gloom, 2, np.where(mood < 0.6, 1, 0))
    return Table(
        days.moments(place, noise.uniform("mentions/at", day, index), WEB),
        {
            "network": Codes(noise.choice("mentions/network", (3, 4, 2), day, index), (*NETWORKS, "Reddit")),
            "sentiment": Codes(sentiment, ("positive", "neutral", "negative")),
        },
    )


def content(business: Business, first: int, last: int) -> Table:
    """One record for each post, article or video."""
    days, noise = business.days, business.noise
    level = np.where(days.working, 5.2, 1.3) * np.sqrt(business.growth)
    place, index = window(steady_counts(level * (1 + 0.1 * noise.normal("content", days.ordinal))), first, last)
    day = days.ordinal[place]
    return Table(
        days.moments(place, noise.uniform("content/at", day, index), OFFICE),
        {
            "kind": Codes(noise.choice("content/kind", (0.62, 0.28, 0.10), day, index), ("post", "article", "video")),
            "topic": Codes(noise.choice("content/topic", (3, 2, 2), day, index), TOPICS),
        },
    )
