"""``config/shop.example.toml``, written from the models: every key with its default and what it means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streams.config import Config
from streams.config_sections import CustomKpi, Note, Source
from streams.durations import format_duration

__all__ = ["example_toml", "main"]

PATH = Path(__file__).parent.parent / "config" / "shop.example.toml"
_TABLES: dict[str, type[BaseModel]] = {"source": Source, "kpi": CustomKpi, "note": Note}
_EXAMPLES = {
    "kpi": """\
# [[kpi]]                                  # a KPI of your own, as many as you like
# name = "coupon_ratio"
# numerator = ["orders_paid"]              # counters of docs/kpis.md that add up
""",
    "note": """\
# [[note]]                                 # as many as you like
# name = "summer sale"                     # shown where it matters
# start = 2026-06-18T00:00:00              # TOML date-time; without an offset it is the shop's clock
# end = 2026-06-19T00:00:00                # exclusive
""",
}


def example_toml() -> str:
    """The whole file; every key that may be left out is there with its default."""
    lines = [
        "# Every key of funnelwatch with its default; a file needs only the keys that differ.",
        '# Durations carry their unit: "250ms", "30s", "5m", "1h30m", "7d".',
        "# Generated from the models: edit those, then `make generate`.",
    ]
    for name, field in Config.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            lines += ["", *_header(f"[{name}]", type(default)), *_keys(type(default), default)]
        elif not default:
            lines += ["", *_header("", _TABLES[name]), _EXAMPLES[name].rstrip()]
            lines += [f"# {key}" for key in _keys(_TABLES[name], None)]
        else:
            model = _TABLES[name]
            for item in default:
                lines += ["", *_header(f"[[{name}]]", model), *_keys(model, item)]
    return "\n".join(lines) + "\n"


def _header(table: str, model: type[BaseModel]) -> list[str]:
    doc = [f"# {line.strip()}" for line in (model.__doc__ or "").strip().splitlines() if line.strip()]
    return [*doc, table] if table else doc


def _keys(model: type[BaseModel], item: BaseModel | None) -> list[str]:
    lines = []
    for key, field in model.model_fields.items():
        if item is None and field.is_required():
            continue
        value = getattr(item, key) if item is not None else field.get_default(call_default_factory=True)
        text = f"{key} = {_toml(value, field)}"
        lines.append(f"{text:<40} # {field.description}" if field.description else text)
    return lines


def _toml(value: Any, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and extra.get("duration"):
        return f'"{format_duration(value)}"'
    if isinstance(value, list) and value and isinstance(value[0], int):
        return "[" + ", ".join(f'"{format_duration(one)}"' for one in value) + "]"
    return orjson.dumps(value).decode().replace('","', '", "')


def main() -> int:
    """Write the file, or with ``--check`` say whether it is current."""
    if "--check" in sys.argv[1:]:
        if PATH.read_text(encoding="utf-8") == example_toml():
            return 0
        print(f"{PATH} is not current; run `make generate`", file=sys.stderr)
        return 1
    PATH.write_text(example_toml(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
