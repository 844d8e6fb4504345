"""The documentation says what the code reads."""

from pathlib import Path

from tongwen.reference import TABLES, is_table, write_reference

FORMATS = Path(__file__).parents[2] / "FORMATS.md"


def test_formats_lists_every_key_as_the_code_reads_it() -> None:
    """After a change of the recipe: python -m tongwen.reference, into the end of FORMATS.md."""
    assert FORMATS.read_text(encoding="utf-8").endswith(write_reference())


def test_every_key_says_what_it_means() -> None:
    for name, section in TABLES:
        for key, field in section.model_fields.items():
            assert field.description or is_table(field.annotation), f"{name} {key}"
