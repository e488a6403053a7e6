"""What checks types and shapes while tests run: beartype, with an int welcome where a float is, as for mypy."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
