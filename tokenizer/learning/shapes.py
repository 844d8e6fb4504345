"""What names a person or leads to a site: addresses, telephone, ID, account and card numbers.

A number counts by its form and, where it has one, by its check digit (resident IDs: ISO 7064 MOD
11-2, GB 11643; bank cards: Luhn), also in full-width digits or in Han numerals (`一三八零零...`).
Dates, counts and versions have none of these forms.  A piece that is only part of a number cannot
be told from any other digits: the base's digits stay single for that reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date

_HAN_DIGITS = str.maketrans(
    "〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖", "000" + "123456789" + "1" + "123456789"
)
_HAN_RUN = re.compile(r"[〇零○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖]{10,}")
_CANDIDATE = re.compile(
    r"[0-9]{5}|[0-9][- ][0-9]|[@:./]|www|qq|微信|薇信|wechat|weixin|" + _HAN_RUN.pattern
)

_EMAIL = re.compile(r"@[a-z0-9-]+\.[a-z]{2}|[a-z0-9._%+-]+@[a-z0-9]")
_URL = re.compile(
    r"(?:https?|ftp):/|www\.|(?<![a-z])[a-z0-9-]+\.(?:com|net|org|cn|cc|vip|xyz|info|top)(?![a-z(])"
)
_PHONE = re.compile(
    r"(?<!\d)(?:(?:\+?86|0086)[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)"
    r"|(?<!\d)[48]00[- ]?\d{3,4}[- ]?\d{3,4}(?!\d)"
    r"|(?<!\d)\(?0(?:10|2\d|[3-9]\d\d)\)?[- ]?[2-9]\d{6,7}(?!\d)"
)
_ID_NUMBER = re.compile(r"(?<!\d)[1-9]\d{14}(?:\d\d[\dx])?(?![\dx])")
_CARD = re.compile(r"(?<!\d)[3-6](?:[- ]?\d){14,18}(?!\d)")
_ACCOUNT = re.compile(r"(?:qq|微信|薇信|wechat|weixin)(?:号码?|群)?[:： ]?[a-z0-9_-]{5}")

_PROVINCES = frozenset(
    (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55))
) | {*range(61, 66), 71, 81, 82, 83}
_ID_FACTORS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10x98765432"
_REASONS = {
    "email": "looks like an e-mail address",
    "url": "looks like a web address",
    "id-number": "looks like a resident ID number (its date and check digit agree)",
    "bank-card": "looks like a bank-card number (its check digit agrees)",
    "phone": "looks like a telephone number",
    "account": "looks like an account of QQ or WeChat",
}


def find_shape(folded: str) -> tuple[str, str] | None:
    """Name and reason of the first shape in a text folded by `fold_phrase`."""
    if not _CANDIDATE.search(folded):
        return None
    plain = _HAN_RUN.sub(lambda match: match.group().translate(_HAN_DIGITS), folded)
    for name, holds in _SHAPES.items():
        if holds(plain):
            return name, _REASONS[name]
    return None


def _holds_id(text: str) -> bool:
    return any(map(_is_id, _list_matches(_ID_NUMBER, text)))


def _is_id(number: str) -> bool:
    if int(number[:2]) not in _PROVINCES:
        return False
    if len(number) == 15:
        return _is_date("19" + number[6:12])
    total = sum(int(digit) * factor for digit, factor in zip(number, _ID_FACTORS, strict=False))
    return _is_date(number[6:14]) and number[17] == _ID_CHECKS[total % 11]


def _is_date(digits: str) -> bool:
    try:
        return 1900 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= 2100
    except ValueError:
        return False


def _holds_card(text: str) -> bool:
    return any(_is_card(re.sub(r"\D", "", found)) for found in _list_matches(_CARD, text))


def _is_card(number: str) -> bool:
    """Luhn's check digit, and an issuer's first digits (UnionPay, Visa, Mastercard, Amex, JCB)."""
    if not re.match(r"62|4|5[1-5]|3[457]", number):
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _list_matches(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    return (match.group() for match in pattern.finditer(text))


_SHAPES: dict[str, Callable[[str], object]] = {
    "email": _EMAIL.search,
    "url": _URL.search,
    "id-number": _holds_id,
    "bank-card": _holds_card,
    "phone": _PHONE.search,
    "account": _ACCOUNT.search,
}
