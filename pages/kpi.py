"""One KPI: how it stands, its actual values against its target, and each of them with who recorded it when."""

import streamlit as st

from kpi_core import periods
from kpi_core.errors import NotAllowed, NotFound
from kpi_core.model import Grain
from kpi_core.periods import Calendar
from pages.ui import board, cards, charts, ranges, session, states, tables
from pages.ui import format as text

actor, tracker = session.actor(), session.tracker()
key = st.query_params.get("key", "")
try:
    card = tracker.kpi(actor, key)
except NotAllowed as error:
    states.refused(error, what="You do not have access to this KPI")
    st.stop()
except NotFound as error:
    states.refused(error, what="There is no such KPI", icon="search_off")
    st.stop()

version, company = tracker.version(actor), tracker.company(actor)
calendar, kpi = Calendar.of(company), card.kpi
if kpi is None:
    st.stop()
cards.style()
tables.board_link(kpi.tracking_period)
st.markdown(f"# {text.md(kpi.name)}", anchors=False)
st.markdown(text.about(kpi))

with st.container(horizontal=True, vertical_alignment="center", gap="small"):
    grain: Grain = ranges.grain_of(kpi)
    present = periods.span_of(tracker.today(actor), grain, calendar)
    start, end = ranges.choose(present, calendar)
if grain is not card.grain:
    card = tracker.kpi(actor, key, grain)
history = tracker.history(actor, key, grain, start, end)
points = charts.from_first_value(history.points)

headline, chart = st.columns([1, 2.2], border=True)
with headline:
    cards.headline(card, cards.Frame(company, calendar))
with chart:
    if points:
        charts.draw(kpi, points, company.currency)
    else:
        states.empty("No values in this range", "Choose a longer range, or another period.", icon="show_chart")
if points:
    st.markdown("## Values", anchors=False)
    tables.values(kpi, points, company, calendar)
board.keep_fresh(version)
