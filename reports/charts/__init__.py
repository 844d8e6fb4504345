"""Charts as inline SVG: plain functions from numbers to markup.

Colours are CSS variables of the page, so that one drawing serves light, dark and print.  Every
drawing carries a title and a description; every text from data is escaped and cut to its place,
the whole of it in a tooltip.
"""

from reports.charts.bars import Bar, Dumbbell, Slice, bar_chart, column_chart, dumbbell_chart
from reports.charts.flow import Outlet, flow_chart
from reports.charts.heat import heat_map
from reports.charts.lines import Flag, Line, line_chart
from reports.charts.stacks import Stack, stack_chart

__all__ = [
    "Bar",
    "Dumbbell",
    "Flag",
    "Line",
    "Outlet",
    "Slice",
    "Stack",
    "bar_chart",
    "column_chart",
    "dumbbell_chart",
    "flow_chart",
    "heat_map",
    "line_chart",
    "stack_chart",
]
