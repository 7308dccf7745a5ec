"""Who is sent what, read from the frames on the wire: a page that does not draw a number may still have sent it.

A server of its own, over a company made for this: KPIs in every category and period, each with values, a target and a
description that occur nowhere else, some confidential, one archived; and a person for each role. What a person may see
is what the Tracker says; every page is then asked for by every person, each time as a cold deep link, and every frame
is searched for what they may not see.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from argon2 import PasswordHasher
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from kpi_core.access import SYSTEM
from kpi_core.model import Actor, Category, Grain, Grant
from kpi_core.periods import Calendar, span_of
from kpi_core.server.definition_files import parse_texts
from kpi_core.server.passwords import Passwords
from kpi_core.server.settings import Settings
from kpi_core.server.web import IDENTITY
from kpi_core.server.wiring import House, build
from kpi_core.service.tracker import Entry
from kpi_core.store import people
from tests.e2e.conftest import PASSWORD, start, stop
from tests.raw_session import RawSession, Refused, Run, post, sign_in

GRAINS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
CALENDAR = Calendar()
SPANS = 12
"""Spans back that have a value."""
WORDS = [
    "Amber",
    "Basalt",
    "Cedar",
    "Dahlia",
    "Ember",
    "Fjord",
    "Garnet",
    "Heron",
    "Indigo",
    "Juniper",
    "Krill",
    "Larch",
    "Maple",
    "Nectar",
    "Onyx",
    "Plover",
    "Quartz",
    "Raven",
    "Sorrel",
    "Thistle",
]
ANONYMOUS = "anonymous"
FRAME = {"shell", "welcome"}
"""Files of pages/ that are no page: the script, and the first run."""
PAGES = sorted(path.stem for path in (Path(__file__).parents[2] / "pages").glob("*.py") if path.stem not in FRAME)
BOARDS = {"daily": Grain.DAILY, "weekly": Grain.WEEKLY, "monthly": Grain.MONTHLY}
ASKED: dict[str, tuple[Mapping[str, str], ...]] = {
    "overview": ({},),
    **dict.fromkeys(BOARDS, ({}, {"status": "none"}, {"category": "finance", "q": "a"}, {"day": "2020-02-29"})),
    "custom": ({}, {"q": "a"}),
}
"""What a link to a page may carry beside its address. (A KPI's own page has tests of its own.)"""


@dataclass(frozen=True, slots=True)
class Secret:
    """What is known of a KPI, and occurs nowhere else."""

    key: str
    name: str
    category: Category
    grain: Grain
    number: int
    confidential: bool = False
    archived: bool = False

    def value(self, back: int) -> int:
        """Its value so many spans back."""
        return 200_000 + self.number * 10_000 + back * 531

    @property
    def target(self) -> int:
        return 600_000 + self.number * 10_007

    @property
    def description(self) -> str:
        return f"Counts every {self.name.casefold()} thing"

    @property
    def definition(self) -> dict[str, object]:
        return {
            "key": self.key,
            "name": self.name,
            "category": self.category.value,
            "tracking_period": self.grain.value,
            "kind": "stock",
            "description": self.description,
            "target": {"value": self.target},
            "confidential": self.confidential,
        }

    def entries(self, today: date) -> list[Entry]:
        """A value for each of the last spans, the present one first."""
        days, day = [], today
        for _ in range(SPANS):
            days.append(day)
            day = span_of(day, self.grain, CALENDAR).start - timedelta(days=1)
        return [Entry(day, Decimal(self.value(back))) for back, day in enumerate(days)]

    def told_by(self, run: Run) -> list[str]:
        """What a run gave away of it, its name aside: as text, in a chart's JSON, or as the bytes of a float."""
        numbers = [self.target, *(self.value(back) for back in range(SPANS))]
        texts = [self.description, *(f"{n:,}" for n in numbers), *(f"{n}" for n in numbers)]
        floats = [n for n in numbers if struct.pack("<d", n) in run.sent]
        return [text for text in texts if run.says(text)] + [f"{n} as a float" for n in floats]


def _secrets() -> list[Secret]:
    """A KPI for each category and period, one confidential in each period, one archived."""
    words = iter(WORDS)

    def make(category: Category, grain: Grain, *, confidential: bool = False, archived: bool = False) -> Secret:
        word = next(words)
        key, name = f"zz{word.lower()}", f"{word} tally"
        return Secret(key, name, category, grain, WORDS.index(word), confidential, archived)

    return [
        *(make(category, grain) for category in Category for grain in GRAINS),
        *(make(Category.FINANCE, grain, confidential=True) for grain in GRAINS),
        make(Category.SALES, Grain.DAILY, archived=True),
    ]


SECRETS = _secrets()
CONFIDENTIAL = [secret for secret in SECRETS if secret.confidential]
SALES_DAILY = next(secret for secret in SECRETS if secret.category is Category.SALES)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with an account, and what the Tracker gives them."""

    cookie: str
    session: str
    open: frozenset[str]
    locked: frozenset[str]


NOBODY = Member("", "", frozenset(), frozenset())
PEOPLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ("admin", ()),
    "ceo": ("ceo", ()),
    "sales_manager": ("sales_manager", ()),
    "marketing_manager": ("marketing_manager", ()),
    "operations_manager": ("operations_manager", ()),
    "finance_manager": ("finance_manager", ()),
    "sales_rep": ("sales_rep", ()),
    "team_lead": ("team_lead", ("operations", "custom")),
    "viewer": ("viewer", ()),
    "guest": ("viewer", ("marketing",)),
}
"""User name -> role and categories given to the person. The guest has a right of their own to one confidential KPI, and
one sales KPI is taken away from sales reps."""
EVERYBODY = [*PEOPLE, ANONYMOUS]


@dataclass(frozen=True, slots=True)
class Company:
    """The server, and who is who in it."""

    url: str
    members: Mapping[str, Member]
    ids: Mapping[str, int]

    def tab(self, who: str, **how: Any) -> RawSession:
        return RawSession(self.url, cookie=self.members[who].cookie or None, **how)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    data_dir = tmp_path_factory.mktemp("company")
    weak = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    house = build(Settings(data_dir=data_dir), passwords=weak)
    try:
        members = _furnish(house)
        ids = {s.key: kpi.id for s in CONFIDENTIAL if (kpi := house.tracker.kpi(SYSTEM, s.key).kpi)}
    finally:
        house.close()
    server, process = start(data_dir)
    try:
        yield Company(server.url, members, ids)
    finally:
        stop(process)


def _furnish(house: House) -> dict[str, Member]:
    """Definitions, values, people and rights; and the cookie of a session for everybody."""
    house.start_empty()
    _define(house, [s.definition for s in SECRETS])
    for secret in SECRETS:
        house.tracker.record(SYSTEM, secret.key, secret.entries(house.tracker.today(SYSTEM)))
    _define(house, [{**s.definition, "is_active": False} for s in SECRETS if s.archived])
    house.sessions.claim("admin", "Admin", PASSWORD)
    for username, (role, categories) in PEOPLE.items():
        if username != "admin":
            house.sessions.add_person(username, username, PASSWORD, roles=[role], categories=categories)
    _give_rights(house)
    return {username: _member(house, username) for username in PEOPLE} | {ANONYMOUS: NOBODY}


def _define(house: House, kpis: list[dict[str, object]]) -> None:
    house.tracker.define(SYSTEM, parse_texts({"kpis.yaml": yaml.safe_dump({"kpis": kpis})}))


def _give_rights(house: House) -> None:
    confidential, sales = (house.tracker.kpi(SYSTEM, s.key).kpi for s in (CONFIDENTIAL[0], SALES_DAILY))
    assert confidential
    assert sales
    with house.main.write() as conn:
        guest = people.by_username(conn, "guest")
        assert guest
        now = datetime.now(UTC)
        people.grant(conn, Grant(confidential.id, user_id=guest.id, can_view=True), None, now)
        people.grant(conn, Grant(sales.id, role="sales_rep", can_view=False), None, now)


def _member(house: House, username: str) -> Member:
    cookie = house.sessions.exchange(house.sessions.sign_in(username, PASSWORD, address="here"))
    session = house.sessions.find(cookie)
    assert session
    return Member(cookie, session.id, *_seen(house, house.sessions.actor(session.id)))


def _seen(house: House, actor: Actor) -> tuple[frozenset[str], frozenset[str]]:
    cards = [card for grain in GRAINS for card in house.tracker.board(actor, grain).cards]
    return frozenset(c.key for c in cards if not c.locked), frozenset(c.key for c in cards if c.locked)


def _leaks(run: Run, member: Member, asked: str = "") -> list[str]:
    """What a run told a person that the Tracker would not. `asked` is a key that the link itself named."""
    told = []
    for secret in SECRETS:
        if secret.key in member.open:
            continue
        told += secret.told_by(run)
        if secret.key not in member.locked:
            told += [text for text in {secret.name, secret.key} - {asked} if run.says(text)]
    return told


def _is_sign_in(run: Run) -> bool:
    return "Sign in" in run.texts and not run.cards and not list(run.elements("metric"))


# -- pages -----------------------------------------------------------------------------------------------------------


def test_the_people_of_this_company_see_different_things(company: Company) -> None:
    """Else the tests below would say nothing. Fifteen KPIs stand on boards for all, and three confidential ones."""
    counts = {who: (len(company.members[who].open), len(company.members[who].locked)) for who in EVERYBODY}
    assert counts == {
        "admin": (18, 0),
        "ceo": (18, 0),
        "sales_manager": (3, 12),
        "marketing_manager": (3, 12),
        "operations_manager": (3, 12),
        "finance_manager": (3, 12),
        "sales_rep": (2, 13),
        "team_lead": (6, 9),
        "viewer": (0, 15),
        "guest": (4, 12),
        "anonymous": (0, 0),
    }


@pytest.mark.parametrize("secret", [s for s in SECRETS if not s.archived], ids=lambda s: s.key)
def test_what_may_be_seen_is_found_by_the_search(company: Company, secret: Secret) -> None:
    """The yardstick measures: value, target and floats of each KPI are found where they are shown."""
    with company.tab("admin") as tab:
        told = secret.told_by(tab.go(secret.grain.value))
        told += secret.told_by(tab.go("kpi", query={"key": secret.key}))
    assert {f"{secret.value(0):,}", f"{secret.target:,}", secret.description} <= set(told)
    assert f"{secret.value(SPANS - 1)} as a float" in told


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_sends_a_person_nothing_that_the_tracker_would_not(company: Company, page: str, who: str) -> None:
    member = company.members[who]
    for query in ASKED.get(page, ({},)):
        with company.tab(who) as tab:
            run = tab.go(page, query=query)
        assert not run.errors
        assert _leaks(run, member) == []
        assert _is_sign_in(run) == (who == ANONYMOUS)


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("page", BOARDS)
def test_a_board_has_a_card_for_each_kpi_and_a_title_alone_on_a_locked_one(
    company: Company, page: str, who: str
) -> None:
    member = company.members[who]
    here = {secret.key: secret for secret in SECRETS if secret.grain is BOARDS[page]}
    with company.tab(who) as tab:
        run = tab.go(page)
    titles = {key: here[key].name for key in here}
    assert sorted(c.title for c in run.cards if not c.is_locked) == sorted(titles[k] for k in member.open & here.keys())
    locked = [card for card in run.cards if card.is_locked]
    assert sorted(card.text for card in locked) == sorted(titles[key] for key in member.locked & here.keys())


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_kpis_own_page_opens_for_those_who_may_see_it(company: Company, who: str) -> None:
    member = company.members[who]
    with company.tab(who) as tab:
        for secret in SECRETS:
            run = tab.go("kpi", query={"key": secret.key})
            assert not run.errors
            assert (f"{secret.value(0):,}" in secret.told_by(run)) == (secret.key in member.open)
            assert _leaks(run, member, asked=secret.key) == []


@pytest.mark.parametrize("who", [who for who in PEOPLE if who not in ("admin", "ceo")])
def test_a_hidden_kpi_reads_like_one_that_does_not_exist(company: Company, who: str) -> None:
    member = company.members[who]
    hidden = [s for s in CONFIDENTIAL if s.key not in member.open]
    assert hidden
    with company.tab(who) as tab:
        for stranger, asked in (
            ("nosuchthing", [s.key for s in hidden]),
            ("999999", [str(company.ids[s.key]) for s in hidden]),
        ):
            expected = _words(tab.go("kpi", query={"key": stranger}), stranger)
            for key in asked:
                assert _words(tab.go("kpi", query={"key": key}), key) == expected


def _words(run: Run, key: str) -> list[str]:
    """The texts of a page, but for the key that was asked for and ids that are made anew each time."""
    return [text.replace(key, "KEY") for text in run.texts if not text.startswith("$$ID-")]


# -- sessions --------------------------------------------------------------------------------------------------------


def test_the_sign_in_form_leads_to_a_session(company: Company) -> None:
    cookie = sign_in(company.url, "finance_manager", PASSWORD)
    with RawSession(company.url, cookie=cookie) as tab:
        run = tab.go("daily")
    assert not _is_sign_in(run)
    assert len([card for card in run.cards if not card.is_locked]) == 1
    with pytest.raises(Refused):
        sign_in(company.url, "finance_manager", "wrong horse battery")


def test_a_tab_that_lost_its_socket_comes_back_to_its_own_session(company: Company) -> None:
    """The yardstick of the tests below: with the right cookie, it is resumed."""
    with company.tab("ceo") as tab:
        tab.go("daily")
        session = tab.session_id
    with company.tab("ceo", resume=session) as tab:
        tab.go("daily")
        assert tab.session_id == session


@pytest.mark.parametrize("thief", ["viewer", "sales_rep", ANONYMOUS])
@pytest.mark.parametrize("is_open", [True, False], ids=["still-open", "closed"])
def test_nobody_resumes_a_session_with_another_cookie(company: Company, thief: str, is_open: bool) -> None:
    owner = company.tab("admin")
    owner.go("daily")
    session = owner.session_id
    if not is_open:
        owner.close()
    with company.tab(thief, resume=session) as tab:
        for run in (tab.go(), tab.go("daily")):
            assert _leaks(run, company.members[thief]) == []
        assert tab.session_id != session
    if is_open:
        assert owner.go().cards, "the owner's tab goes on"
        owner.close()


FORGED = [IDENTITY, IDENTITY.lower(), IDENTITY.upper(), IDENTITY.replace("-", "_"), "X_Kpi-Session", "X-Streamlit-User"]


@pytest.mark.parametrize("who", [ANONYMOUS, "viewer"])
@pytest.mark.parametrize("header", FORGED)
def test_an_identity_header_from_outside_has_no_effect(company: Company, header: str, who: str) -> None:
    with company.tab(who, headers=[(header, company.members["admin"].session)]) as tab:
        run = tab.go("daily")
    assert _is_sign_in(run) == (who == ANONYMOUS)
    assert _leaks(run, company.members[who]) == []


@pytest.mark.parametrize("cookie", ["", "x", "admin", "SESSION", "A" * 4000])
def test_a_made_up_cookie_is_nobody(company: Company, cookie: str) -> None:
    """A session's id too, which is all that the database knows of a cookie."""
    made_up = company.members["admin"].session if cookie == "SESSION" else cookie
    with RawSession(company.url, cookie=made_up) as tab:
        run = tab.go("daily")
    assert _is_sign_in(run)
    assert _leaks(run, NOBODY) == []


def test_a_socket_from_another_origin_is_refused(company: Company) -> None:
    with pytest.raises(Refused):
        company.tab("admin", origin="http://elsewhere.example")


def test_after_sign_out_an_open_tab_gets_nothing_more(company: Company) -> None:
    """Neither by a rerun, nor by one of a fragment, nor on another page, nor through a new socket."""
    cookie = sign_in(company.url, "ceo", PASSWORD)
    with RawSession(company.url, cookie=cookie) as tab, RawSession(company.url, cookie=cookie) as other:
        fragments = tab.go("daily").fragments
        assert fragments
        assert other.go("daily").cards
        assert tab.go(values={"q": "a"}).cards
        assert post(company.url, "/sign-out", {}, cookie) == (204, "")
        runs = [other.go(fragment=fragments[-1]) if fragments[-1] in other.talk.run.fragments else other.go()]
        runs += [tab.go(fragment=fragment) for fragment in fragments[-1:]]
        runs += [tab.go(), tab.go("overview"), tab.go("kpi", query={"key": SALES_DAILY.key})]
        runs += [tab.go(values={"q": ""})]
    with RawSession(company.url, cookie=cookie) as again:
        runs += [again.go("daily")]
    for run in runs:
        assert _leaks(run, NOBODY, asked=SALES_DAILY.key) == []
    assert all(_is_sign_in(run) for run in runs)


def test_a_filter_asks_again_who_may_see_what(company: Company) -> None:
    """It draws the board without the shell: after sign-out it draws the sign-in, in this tab and in others."""
    cookie = sign_in(company.url, "ceo", PASSWORD)
    with RawSession(company.url, cookie=cookie) as tab:
        tab.go("daily")
        run = tab.go(values={"q": SALES_DAILY.name})
        assert [card.title for card in run.cards] == [SALES_DAILY.name]
        assert run.messages[-1].script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
        assert not run.pages, "the board alone was drawn"
        assert post(company.url, "/sign-out", {}, cookie) == (204, "")
        after = tab.go(values={"q": ""})
    assert _is_sign_in(after)
    assert _leaks(after, NOBODY) == []


def test_a_filter_sends_a_person_nothing_that_the_tracker_would_not(company: Company) -> None:
    with company.tab("viewer") as viewer:
        viewer.go("daily")
        run = viewer.go(values={"q": "a"})
        assert run.cards
        assert all(card.is_locked for card in run.cards)
        assert _leaks(run, company.members["viewer"]) == []


def test_the_button_signs_out_every_tab(company: Company) -> None:
    cookie = sign_in(company.url, "ceo", PASSWORD)
    with RawSession(company.url, cookie=cookie) as tab, RawSession(company.url, cookie=cookie) as other:
        tab.go("daily")
        other.go("weekly")
        tab.go(press="Sign out")
        for run in (other.go(), tab.go()):
            assert _is_sign_in(run)
            assert _leaks(run, NOBODY) == []
