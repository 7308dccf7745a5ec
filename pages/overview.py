"""The overview: how things are in one sentence, what needs attention first, and every KPI in a compact scorecard."""

import streamlit as st

from kpi_core.periods import Calendar
from pages.ui import board, cards, session, states, tables
from pages.ui import format as text

MOST_CARDS = 6

actor, tracker = session.actor(), session.tracker()
company, overview = tracker.company(actor), tracker.overview(actor)
shown = [card for drawn in overview.boards.values() for card in drawn.cards]
cards.style()

st.markdown(f"# {text.md(overview.sentence)}", anchors=False)
tables.strip(shown)

if not shown:
    states.empty("No KPIs yet", "KPIs appear here once they are defined and you may see them.", icon="dashboard")
if overview.attention:
    st.markdown("## Needs attention first", anchors=False)
    cards.wall(overview.attention[:MOST_CARDS], cards.Frame(company, Calendar.of(company)))
    if len(overview.attention) > MOST_CARDS:
        st.markdown(f":gray[and {len(overview.attention) - MOST_CARDS} more, marked in the scorecard]")
if shown:
    st.markdown("## Scorecard", anchors=False)
    tables.scorecard(overview.boards, company)

board.keep_fresh(min((drawn.version for drawn in overview.boards.values()), default=0))
