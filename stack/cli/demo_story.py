"""The content of the demo's conversation: the agent, a short document, a long one, and the questions."""

from __future__ import annotations

MODEL = "demo/extractive"
AGENT = {
    "name": "harbour-guide",
    "model": MODEL,
    "instructions": "You answer visitors of the harbour museum from the documents that you are given.",
}
LEAFLET = """\
The lighthouse on Skerry Point was built in 1874 by the engineer Ada Thorne. Its tower is 41 metres high and
stands on granite. The lamp burned whale oil at first and was changed to electricity in 1926. The keepers lived
in two cottages next to the tower; the last keeper, Jonas Eide, left in 1988 when the light became automatic.
Visitors may climb the 198 steps from May to September, every day from ten to five. Tickets cost six crowns and
are sold in the boathouse. Dogs are welcome in the garden but not in the tower."""
# Each question with its document.
QUESTIONS = (
    ("Who built the lighthouse, and when?", LEAFLET),
    ("When may visitors climb the steps, and where are tickets sold?", ""),
)
LAST_QUESTION = "Why was the fog horn silent?"

_WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_SIGHTS = ("clear", "haze", "rain", "drizzle", "snow showers", "high clouds")
_SILENT_ON = 1_733


def keepers_log() -> str:
    """Returns five and a half years of a keeper's log, one line per day: searching it takes a noticeable
    time."""
    lines = [
        f"Day {day}: wind {_WINDS[day * 7 % 8]} {day * 3 % 9 + 1}, {_SIGHTS[day * 5 % 6]}; lamp lit, "
        f"{day * 11 % 17} ships passed."
        for day in range(1, 2_001)
    ]
    lines[_SILENT_ON - 1] = (
        f"Day {_SILENT_ON}: the fog horn was silent because a gannet had nested in it; moved the nest by hand."
    )
    return "\n".join(lines)
