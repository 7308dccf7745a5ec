"""The API: who may ask, what is answered to the digit, and how it says no."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from kpi_core.access import SYSTEM
from kpi_core.errors import KpiError, StoreUnusable
from kpi_core.server import shapes
from kpi_core.server.api import create_api
from kpi_core.server.shapes import to_json
from kpi_core.server.wiring import House
from kpi_core.store import people
from tests.server.conftest import PASSWORD, AsgiClient, Clock

LISTED = {
    "id", "key", "name", "category", "period", "unit", "direction", "value", "target", "progress", "status", "span",
    "comparison", "trend", "sparkline", "through", "freshness",
}  # fmt: skip
"""The fields of a KPI in a list, as the contract has them."""


class Caller:
    """Somebody with a token (or without), who asks and reads numbers as they stand in the text."""

    def __init__(self, client: AsgiClient, token: str | None = None) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str | bytes) -> httpx.Response:
        return self._client.get(path, headers={**self._headers, **headers})

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text, parse_float=Decimal)


def token_of(house: House, username: str, scopes: tuple[str, ...] = ("read",)) -> str:
    with house.main.read() as conn:
        person = people.by_username(conn, username)
    assert person is not None
    return house.sessions.create_token(person.id, "test", scopes=scopes)


@pytest.fixture
def client(furnished: House) -> AsgiClient:
    return AsgiClient(create_api(lambda: furnished))


@pytest.fixture
def ada(furnished: House, client: AsgiClient) -> Caller:
    """The administrator."""
    return Caller(client, token_of(furnished, "ada"))


@pytest.fixture
def sam(furnished: House, client: AsgiClient) -> Caller:
    """Sees sales; the rest is locked or not there."""
    return Caller(client, token_of(furnished, "sam"))


@pytest.fixture
def eve(furnished: House, client: AsgiClient) -> Caller:
    """Signed in, and may see nothing."""
    return Caller(client, token_of(furnished, "eve"))


@pytest.fixture
def nobody(client: AsgiClient) -> Caller:
    return Caller(client)


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail"} <= said.keys()
    assert said["status"] == status
    return dict(said)


# --- the shapes -------------------------------------------------------------------------------------------------------


def test_a_kpi_in_a_list_has_the_fields_of_the_contract(ada: Caller) -> None:
    items = ada.json("/kpis/")["items"]
    assert [item["key"] for item in items] == ["calls", "cash", "salaries", "load", "margin"]
    for item in items:
        assert item.keys() >= LISTED
        assert item["span"].keys() == {"start", "end", "state"}
        assert item["comparison"].keys() >= {"value", "change", "change_percent", "like_for_like"}
        shapes.KpiListed.model_validate_json(to_json(item))


def test_a_daily_kpi_says_value_target_progress_status_and_trend(ada: Caller) -> None:
    calls = ada.json("/kpis/?category=sales")["items"][0]
    assert calls["value"] == 47
    assert calls["target"] == 50
    assert calls["progress"] == 94
    assert calls["status"] == "on_track"
    assert calls["span"] == {"start": "2026-11-25", "end": "2026-11-26", "state": "open"}
    assert calls["sparkline"][-1] == 47
    assert calls["comparison"]["value"] == 46
    assert calls["trend"].startswith("+1 from")


def test_numbers_are_exact_to_the_stored_digits(ada: Caller) -> None:
    assert ada.json("/kpis/cash")["value"] == Decimal("1234567890123456.123456789")
    assert '"value": 1234567890123456.123456789' in ada.get("/kpis/cash").text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Decimal("47.500000000"), "47.5"),
        (Decimal("100"), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-9"), "0"),
        (Decimal("-0.000000001"), "-0.000000001"),
        (Decimal("-0.0"), "0"),
        (Decimal("12345678901234567890123456789.123456789"), "12345678901234567890123456789.123456789"),
    ],
)
def test_a_decimal_becomes_the_same_number_in_json(number: Decimal, text: str) -> None:
    assert to_json(number) == text
    assert json.loads(text, parse_float=Decimal, parse_int=Decimal) == number


def test_text_is_answered_as_it_was_recorded(ada: Caller) -> None:
    calls = ada.json("/kpis/calls")
    assert calls["description"] == '<b>"Jörg" & Co</b> – 50 %'
    assert calls["history"][-1]["recorded_by"] == "system"


def test_what_is_absent_is_null_with_a_reason(ada: Caller) -> None:
    items = {item["key"]: item for item in ada.json("/kpis/")["items"]}
    assert items["load"]["value"] is None
    assert items["load"]["reason"]
    assert items["cash"]["target"] is None
    assert items["cash"]["progress"] is None
    assert items["cash"]["reason"]
    assert items["cash"]["comparison"]["value"] is None
    assert items["cash"]["comparison"]["reason"]


def test_a_range_is_a_target_with_two_ends(ada: Caller) -> None:
    assert ada.json("/kpis/load")["target"] == {"low": 70, "high": 85}


def test_one_kpi_has_its_definition_and_its_history(ada: Caller) -> None:
    calls = ada.json("/kpis/calls?days=5")
    assert calls.keys() >= LISTED
    assert calls["definition"]["name"] == "Calls"
    assert calls["definition"]["target"]["value"] == 50
    assert [point["value"] for point in calls["history"]] == [43, 44, 45, 46, 47]
    assert calls["history"][0]["span"]["start"] == "2026-11-21"


def test_a_ratio_keeps_its_two_parts(ada: Caller) -> None:
    points = {point["span"]["start"]: point for point in ada.json("/kpis/margin?days=60")["history"]}
    october = points["2026-10-01"]
    assert (october["numerator"], october["denominator"]) == (1, 3)
    assert str(october["value"]).startswith("33.33333")


def test_a_kpi_is_asked_for_by_key_or_by_id(ada: Caller) -> None:
    by_key = ada.json("/kpis/calls")
    assert ada.json(f"/kpis/{by_key['id']}") == by_key


def test_the_history_is_of_thirty_days_unless_asked_otherwise(ada: Caller) -> None:
    assert len(ada.json("/kpis/calls")["history"]) == 30
    assert len(ada.json("/kpis/calls?days=1")["history"]) == 1


def test_the_dashboard_has_a_board_for_each_period(ada: Caller) -> None:
    boards = ada.json("/kpis/dashboard")
    assert boards.keys() == {"daily", "weekly", "monthly", "alerts"}
    assert [item["key"] for item in boards["daily"]] == ["calls", "cash", "salaries"]
    assert [item["key"] for item in boards["weekly"]] == ["calls", "load"]
    assert [item["key"] for item in boards["monthly"]] == ["margin"]
    assert boards["alerts"] == []


def test_a_period_lists_what_is_tracked_at_it(ada: Caller) -> None:
    weekly = ada.json("/kpis/?period=weekly")["items"]
    assert [(item["key"], item["period"]) for item in weekly] == [("calls", "weekly"), ("load", "weekly")]
    assert [item["key"] for item in ada.json("/kpis/?period=weekly&category=operations")["items"]] == ["load"]


def test_both_spellings_of_the_list_answer(ada: Caller) -> None:
    assert ada.json("/kpis") == ada.json("/kpis/")


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_without_gap_or_repetition(ada: Caller) -> None:
    seen, cursor = [], ""
    for _ in range(9):
        page = ada.json(f"/kpis/?limit=2{cursor}")
        seen += [item["key"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [item["key"] for item in ada.json("/kpis/")["items"]]


def test_a_full_last_page_has_no_next_one(ada: Caller) -> None:
    assert ada.json("/kpis/?limit=5")["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "!!!", "W10", "WzEsMiwzLDRd", "eyJhIjoxfQ", "%00"])
def test_a_made_up_cursor_is_refused(ada: Caller, cursor: str) -> None:
    said = problem(ada.get(f"/kpis/?cursor={cursor}"), 422)
    assert said["errors"][0]["path"] == "query.cursor"


# --- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/kpis/", "/kpis/calls", "/kpis/nothing", "/kpis/dashboard", "/docs", "/kpis/?limit=x"]
)
def test_without_a_credential_nothing_is_said(nobody: Caller, path: str) -> None:
    answer = nobody.get(path)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Calls" not in answer.text


@pytest.mark.parametrize("credential", ["Bearer kpi_wrong", "Bearer ", "Basic YTpi", "kpi_wrong", "Bearer \u00e9"])
def test_a_bad_credential_is_refused(nobody: Caller, credential: str) -> None:
    problem(nobody.get("/kpis/", Authorization=credential.encode()), 401)


def test_a_token_that_expired_is_refused(furnished: House, client: AsgiClient, clock: Clock) -> None:
    with furnished.main.read() as conn:
        person = people.by_username(conn, "ada")
    assert person is not None
    token = furnished.sessions.create_token(person.id, "short", expires_at=clock() + timedelta(days=1))
    caller = Caller(client, token)
    assert caller.get("/kpis/").status_code == 200
    clock.forward(timedelta(days=2))
    problem(caller.get("/kpis/"), 401)


def test_a_browsers_session_may_ask_too(furnished: House, client: AsgiClient) -> None:
    cookie = furnished.sessions.exchange(furnished.sessions.sign_in("sam", PASSWORD, address="here"))
    browser = {"Cookie": f"kpi_session={cookie}"}
    assert [item["key"] for item in client.get("/kpis/", headers=browser).json()["items"]] == ["calls"]
    session = furnished.sessions.find(cookie)
    assert session is not None
    furnished.sessions.end(session.id)
    problem(client.get("/kpis/", headers=browser), 401)


def test_the_identity_header_of_the_gate_is_no_credential(furnished: House, client: AsgiClient) -> None:
    cookie = furnished.sessions.exchange(furnished.sessions.sign_in("sam", PASSWORD, address="here"))
    session = furnished.sessions.find(cookie)
    assert session is not None
    problem(client.get("/kpis/", headers={"X-Kpi-Session": session.id}), 401)


def test_a_list_holds_what_the_caller_may_see(sam: Caller, eve: Caller) -> None:
    assert [item["key"] for item in sam.json("/kpis/")["items"]] == ["calls"]
    assert sam.json("/kpis/dashboard")["monthly"] == []
    assert eve.json("/kpis/")["items"] == []


def test_a_locked_kpi_is_403(sam: Caller) -> None:
    said = problem(sam.get("/kpis/cash"), 403)
    assert "1234567890123456" not in str(said)


def test_a_confidential_kpi_is_not_there_for_who_may_not_know_of_it(furnished: House, ada: Caller, sam: Caller) -> None:
    number = ada.json("/kpis/salaries")["id"]
    for asked in ("salaries", str(number)):
        unknown = "nothing_here" if asked == "salaries" else "987654"
        hidden, absent = problem(sam.get(f"/kpis/{asked}"), 404), problem(sam.get(f"/kpis/{unknown}"), 404)
        assert json.dumps(hidden).replace(asked, "X") == json.dumps(absent).replace(unknown, "X")
    assert "salaries" not in sam.get(f"/kpis/{number}").text


def test_a_formula_that_names_what_may_not_be_known_is_not_shown(
    furnished: House, ada: Caller, client: AsgiClient
) -> None:
    from kpi_core.server.definition_files import parse_texts

    text = (
        "kpis:\n- {name: Cost Share, key: cost_share, category: sales, tracking_period: daily, confidential: false, "
        "formula: 'salaries / calls'}\n"
    )
    with furnished.data.read() as conn:
        from kpi_core.catalog import Catalog
        from kpi_core.store import definitions

        known = Catalog(tuple(definitions.load(conn)), ())
    furnished.tracker.define(SYSTEM, parse_texts({"x.yaml": text}, known=known))
    sam = Caller(client, token_of(furnished, "sam"))
    assert ada.json("/kpis/cost_share")["definition"]["formula"] == "salaries / calls"
    answer = sam.get("/kpis/cost_share")
    assert answer.status_code in (200, 404)  # 404 where confidentiality is passed on to what is computed from it
    assert "salaries" not in answer.text.replace("/kpis/cost_share", "")


# --- how it says no ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("/kpis/?period=hourly", "query.period"),
        ("/kpis/?period=yearly", "query.period"),
        ("/kpis/?category=legal", "query.category"),
        ("/kpis/?limit=0", "query.limit"),
        ("/kpis/?limit=many", "query.limit"),
        ("/kpis/calls?days=0", "query.days"),
        ("/kpis/calls?days=99999999999999999999", "query.days"),
    ],
)
def test_a_wrong_parameter_is_422_with_its_path(ada: Caller, query: str, path: str) -> None:
    said = problem(ada.get(query), 422)
    assert [error["path"] for error in said["errors"]] == [path]


@pytest.mark.parametrize("path", ["/", "/nothing", "/kpis/calls/values", "/kpis//", "/internal/nothing"])
def test_an_unknown_address_is_404(ada: Caller, path: str) -> None:
    problem(ada.get(path), 404)


@pytest.mark.parametrize("asked", ["nothing", "0", "999999999999999999999999", "%00", "a" * 300, "9" * 5000, "-1", "٣"])
def test_an_unknown_kpi_is_404(ada: Caller, asked: str) -> None:
    problem(ada.get(f"/kpis/{asked}"), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_method_is_405_with_those_allowed(client: AsgiClient, method: str) -> None:
    answer = client.request(method, "/kpis/")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"


def test_a_failing_database_is_503_in_words(furnished: House, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StoreUnusable("secret details of the connection")

    monkeypatch.setattr(furnished.tracker, "board", fails)
    said = problem(ada.get("/kpis/"), 503)
    assert "secret" not in str(said)


@pytest.mark.parametrize("error", [RuntimeError("secret inside"), KpiError("secret inside")])
def test_a_defect_is_500_and_tells_nothing_of_its_insides(
    furnished: House, ada: Caller, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(furnished.tracker, "board", fails)
    said = problem(ada.get("/kpis/"), 500)
    assert "secret" not in str(said)


def test_answers_are_kept_by_nobody(ada: Caller) -> None:
    for path in ("/kpis/", "/kpis/nothing"):
        assert ada.get(path).headers["cache-control"] == "no-store"
        assert ada.get(path).headers["x-content-type-options"] == "nosniff"


# --- health, document, docs -------------------------------------------------------------------------------------------


def test_health_says_little_to_anybody_and_more_to_who_is_known(
    nobody: Caller, ada: Caller, client: AsgiClient
) -> None:
    assert nobody.json("/health") == {"status": "ok"}
    assert ada.json("/health").keys() > {"status", "database", "data_version"}
    problem(Caller(client, "kpi_wrong").get("/health"), 401)


def test_health_is_503_when_the_database_is_gone(
    furnished: House, nobody: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise StoreUnusable("gone")

    monkeypatch.setattr(furnished.main, "read", gone)
    problem(nobody.get("/health"), 503)


def test_the_document_is_openapi_3_1_and_names_every_call(client: AsgiClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/kpis/", "/kpis/{kpi_id}", "/kpis/dashboard", "/health"}
    number = document["components"]["schemas"]["KpiListed"]["properties"]["value"]
    assert {"type": "number"} in number["anyOf"]


def test_the_docs_come_from_here_alone(ada: Caller) -> None:
    page = ada.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "/api/kpis/{kpi_id}" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace("http://localhost", "")
