"""The REST API, mounted at /api: what people see on boards, for programs. Read-only for now.

Every call reads through the `Tracker` with the caller as the actor, so the same rights hold as on a screen. The
caller is a personal token's person (`Authorization: Bearer`), or the person whom the browser's session cookie names.

    401   no credential, or a bad one
    403   seen but not allowed: a locked KPI, a token without the scope
    404   not there, or may not be known: both read alike, to the letter
    422   a wrong parameter, each with its path
    429   too many tries, with Retry-After
    503   the database is gone

All errors are problem details (RFC 9457), those of the framework too. Lists page by cursor: the place of the last item
in an order that does not change (period, category, id), so a KPI added meanwhile neither repeats nor hides another.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from kpi_core import formula as formulas
from kpi_core.catalog import dump_kpi
from kpi_core.errors import (
    Conflict,
    InvalidInput,
    KpiError,
    NotAllowed,
    NotFound,
    Problem,
    SignInRefused,
    Unavailable,
)
from kpi_core.model import Actor, Card, Category, Grain, Kpi
from kpi_core.server import loopback, shapes
from kpi_core.server.shapes import Period
from kpi_core.server.web import COOKIE, SECURE_COOKIE
from kpi_core.server.wiring import House, house

__all__ = ["create_api"]

log = structlog.get_logger("kpi_core.api")
PERIODS = (Grain.DAILY, Grain.WEEKLY, Grain.MONTHLY)
CATEGORIES = tuple(Category)
MOST_DAYS = 3660
IDENTIFIER = re.compile(r"[a-z0-9_]{1,100}")
"""What may be a key or an id. A number of five thousand digits, or one in another script, is neither."""
PROBLEM = "application/problem+json"


class ProblemShape(BaseModel):
    """What went wrong, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


def create_api(get_house: Callable[[], House] = house) -> FastAPI:
    """The application to mount at /api. `get_house` is for tests."""
    api = FastAPI(
        title="KPI tracking",
        version="1",
        description=(__doc__ or "").partition("\n")[0],
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        root_path_in_servers=False,
        servers=[{"url": "/api"}],
        responses={
            code: {"description": HTTPStatus(code).phrase, "content": {PROBLEM: {"schema": SCHEMA}}}
            for code in (401, 403, 422, 429, 503)
        },
    )
    api.dependency_overrides[_house] = get_house
    api.include_router(routes)
    api.include_router(loopback.router(get_house))
    _answer_with_problems(api)
    return api


SCHEMA = ProblemShape.model_json_schema()
routes = APIRouter()


# --- who asks ---------------------------------------------------------------------------------------------------------


def _house() -> House:
    raise NotImplementedError("create_api says which")


CurrentHouse = Annotated[House, Depends(_house)]


def _actor(request: Request, house: CurrentHouse) -> Actor:
    actor = _known_actor(request, house)
    if actor is None:
        raise HTTPException(401, "give a personal token (Authorization: Bearer ...), or sign in")
    if not actor.scopes & {"read", "write", "admin"}:
        raise NotAllowed("this token may not read")
    return actor


def _known_actor(request: Request, house: CurrentHouse) -> Actor | None:
    """The caller; None without any credential. Raises SignInRefused for a bad one."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise SignInRefused("the Authorization header must read: Bearer TOKEN")
        return house.sessions.token_actor(token.strip(), house.data)
    cookie = request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)
    session = house.sessions.find(cookie)
    return house.sessions.actor(session.id, house.data) if session else None


CurrentActor = Annotated[Actor, Depends(_actor)]
PerhapsActor = Annotated[Actor | None, Depends(_known_actor)]


# --- the calls --------------------------------------------------------------------------------------------------------


@routes.get("/kpis/", response_model=shapes.KpiPage, summary="The KPIs that the caller may see")
@routes.get("/kpis", include_in_schema=False)
def list_kpis(
    actor: CurrentActor,
    house: CurrentHouse,
    period: Annotated[Period | None, Query(description="Default: each KPI at its own tracking period.")] = None,
    category: Category | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Each with value, target, progress, status and trend for the present span, or the last one that has data."""
    after = _place_of(cursor) if cursor else ()
    cards = sorted(_cards(house, actor, Grain(period) if period else None, category), key=_place)
    left = [card for card in cards if _place(card) > after]
    page = left[:limit]
    more = _cursor_of(page[-1]) if len(left) > limit else None
    return _json(shapes.KpiPage(items=_shapes(house, actor, page), next_cursor=more))


@routes.get("/kpis/dashboard", response_model=shapes.KpisByPeriod, summary="The boards of today, this week, this month")
def dashboard(actor: CurrentActor, house: CurrentHouse) -> Response:
    """Every KPI that the caller may see, at each period it is tracked at. Alerts are empty until there are rules."""
    boards = {grain.value: _shapes(house, actor, _cards(house, actor, grain)) for grain in PERIODS}
    return _json(shapes.KpisByPeriod(**boards, alerts=[]))


@routes.get(
    "/kpis/{kpi_id}",
    response_model=shapes.KpiWhole,
    summary="One KPI: definition, score and history",
    responses={404: {"description": "Not Found", "content": {PROBLEM: {"schema": SCHEMA}}}},
)
def one_kpi(
    kpi_id: str, actor: CurrentActor, house: CurrentHouse, days: Annotated[int, Query(ge=1, le=MOST_DAYS)] = 30
) -> Response:
    """`kpi_id` is the id or the key. The history holds the spans of the last `days` days, at the tracking period."""
    tracker = house.tracker
    try:
        card = tracker.kpi(actor, kpi_id if IDENTIFIER.fullmatch(kpi_id) else "")
        history = tracker.history(actor, card.key, start=tracker.today(actor) - timedelta(days=days - 1))
    except NotFound:
        raise NotFound(f"there is no KPI '{kpi_id}'") from None  # what was asked for, and nothing that was not
    company = tracker.company(actor)
    definition = _definition(house, actor, card.kpi) if card.kpi else {}
    return _json(shapes.whole(card, company.currency, definition, history.points))


@routes.get("/health", summary="Whether the product works", responses={200: {"description": "It does"}})
def health(house: CurrentHouse, actor: PerhapsActor) -> Response:
    """For anybody, `status` alone; with a credential, details."""
    with house.main.read() as conn:
        conn.exec_driver_sql("SELECT 1")
    if actor is None:
        return _json({"status": "ok"})
    return _json(
        {
            "status": "ok",
            "database": "duckdb" if house.main.is_duckdb else "postgresql",
            "demo": house.is_demo,
            "data_version": house.data.data_version(),
            "now": house.clock(),
        }
    )


@routes.get("/docs", include_in_schema=False)
def docs(request: Request, actor: CurrentActor) -> HTMLResponse:
    """The API, for people: made from the document, with nothing from other servers and without scripts."""
    return HTMLResponse(_docs_page(request.app.openapi()), headers={"Cache-Control": "no-store"})


# --- reading ----------------------------------------------------------------------------------------------------------


def _cards(house: House, actor: Actor, period: Grain | None, category: Category | None = None) -> list[Card]:
    """The open cards of a board; without a period, every KPI once, at its tracking period."""
    found: list[Card] = []
    for grain in PERIODS if period is None else (period,):
        for card in house.tracker.board(actor, grain).cards:
            if card.locked or card.kpi is None or card.score is None:
                continue
            if (period is not None or card.kpi.tracking_period is grain) and category in (None, card.category):
                found.append(card)
    return found


def _shapes(house: House, actor: Actor, cards: Iterable[Card]) -> list[shapes.KpiListed]:
    currency = house.tracker.company(actor).currency
    return [shapes.listed(card, currency) for card in cards]


def _definition(house: House, actor: Actor, kpi: Kpi) -> Mapping[str, Any]:
    """As a definition file has it; without the formula where that names a KPI that the caller may not know of."""
    definition = dict(dump_kpi(kpi))
    texts = [text for text in (kpi.formula, kpi.guard.formula if kpi.guard else None) if text]
    named = {name for text in texts for name in formulas.parse(text).names} - set(kpi.inputs)
    if all(_may_know(house, actor, name) for name in named):
        return definition
    hidden = {"formula": None, "reason": "it is computed from something that you may not see"}
    return {key: value for key, value in definition.items() if key not in ("formula", "guard", "inputs")} | hidden


def _may_know(house: House, actor: Actor, key: str) -> bool:
    try:
        house.tracker.kpi(actor, key)
    except NotFound:
        return False
    except NotAllowed:
        return True  # a locked card has a title: that it exists is no secret
    return True


Place = tuple[int, int, int]


def _place(card: Card) -> Place:
    return PERIODS.index(card.grain), CATEGORIES.index(card.category), card.kpi.id if card.kpi else 0


def _cursor_of(card: Card) -> str:
    return base64.urlsafe_b64encode(json.dumps(_place(card)).encode()).decode().rstrip("=")


def _place_of(cursor: str) -> tuple[int, ...]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        place = None
    if not isinstance(place, list) or len(place) != 3 or not all(type(part) is int for part in place):
        raise InvalidInput([Problem("query.cursor", "is not a cursor of this list; take it from `next_cursor`")])
    return tuple(place)


def _json(value: object, status: int = 200, media_type: str = "application/json") -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(shapes.to_json(value), status, headers, media_type)


# --- problems ---------------------------------------------------------------------------------------------------------

STATUS_OF: Sequence[tuple[type[KpiError], int]] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (NotAllowed, 403),
    (SignInRefused, 401),
    (Conflict, 409),
    (Unavailable, 503),
)


def _answer_with_problems(api: FastAPI) -> None:
    """Every way to fail, ours and the framework's, ends in one shape."""

    @api.exception_handler(KpiError)
    async def refused(request: Request, error: KpiError) -> Response:
        status = next((code for kind, code in STATUS_OF if isinstance(error, kind)), 500)
        if isinstance(error, SignInRefused) and error.retry_after > 0:
            return _problem(429, str(error), headers={"Retry-After": str(round(error.retry_after + 0.5))})
        if isinstance(error, InvalidInput):
            return _problem(status, str(error), errors=[_told(problem) for problem in error.problems])
        if status >= 500:
            log.error("request failed", path=request.url.path, reason=str(error))
            return _problem(status, "the product cannot answer just now; try again in a minute")
        return _problem(status, str(error))

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"path": ".".join(map(str, said["loc"])), "detail": str(said["msg"])} for said in error.errors()]
        return _problem(422, "; ".join(f"{said['path']}: {said['detail']}" for said in errors), errors=errors)

    @api.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        detail = f"{phrase}: {request.method} {request.url.path}" if error.detail == phrase else str(error.detail)
        return _problem(error.status_code, detail, headers=error.headers)

    @api.exception_handler(DBAPIError)
    async def unreachable(request: Request, error: DBAPIError) -> Response:
        log.error("database failed", path=request.url.path, reason=str(error.orig))
        return _problem(503, "the database does not answer; try again in a minute", headers={"Retry-After": "60"})

    @api.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("request failed", path=request.url.path, exc_info=error)
        return _problem(500, "something went wrong here; the server's log says what")


def _problem(
    status: int,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    answer = _json(body | ({"errors": errors} if errors else {}), status, PROBLEM)
    answer.headers.update(dict(headers or {}))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _told(problem: Problem) -> dict[str, str]:
    return {"path": problem.where, "detail": problem.says}


# --- the docs page ----------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem } code, pre { font-size: .9em } table { border-collapse: collapse }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
section { border-top: 1px solid #8886; margin-top: 2rem }
"""
EXAMPLE = 'curl -H "Authorization: Bearer $TOKEN" "http://localhost:8501/api/kpis/?period=daily&amp;category=sales"'


def _docs_page(document: Mapping[str, Any]) -> str:
    calls = "".join(
        _docs_call(path, method, call)
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    )
    title = html.escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{title}: API</h1><p>The whole document, for tools: <a href="openapi.json">openapi.json</a>. '
        f"A personal token comes from <code>python -m kpi_core token create</code>.</p>"
        f"<pre>{EXAMPLE}</pre>{calls}</body></html>"
    )


def _docs_call(path: str, method: str, call: Mapping[str, Any]) -> str:
    rows = "".join(_docs_parameter(parameter) for parameter in call.get("parameters", ()))
    table = f"<table><tr><th>parameter</th><th>in</th><th>what</th></tr>{rows}</table>" if rows else ""
    return (
        f"<section><h2><code>{method.upper()} /api{html.escape(path)}</code></h2>"
        f"<p><strong>{html.escape(call.get('summary', ''))}.</strong> {html.escape(call.get('description', ''))}</p>"
        f"{table}</section>"
    )


def _docs_parameter(parameter: Mapping[str, Any]) -> str:
    shape = parameter.get("schema", {})
    what = [parameter.get("description", "")]
    what += [f"default {shape['default']}"] if "default" in shape else []
    cells = (parameter["name"], parameter["in"], "; ".join(text for text in what if text))
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"
