"""What a run did, on one page: HTML, Markdown and JSON from the files that the stages left.

`reports` reads the run folder and nothing else.  The way through it: `collect` turns files into
one plain dict; `sections` turn the dict into blocks of words, tables and drawings (`charts`);
`page` and `markdown` write the blocks down; `steps` does all of it.
"""

from reports.collect import collect, collect_machine
from reports.markdown import render_markdown
from reports.page import render_html
from reports.sections import make_sections
from reports.steps import build_report

__all__ = [
    "build_report",
    "collect",
    "collect_machine",
    "make_sections",
    "render_html",
    "render_markdown",
]
