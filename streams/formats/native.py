"""The native format: one JSON object a record; its field names and its validation serve all formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec

from streams.errors import ConfigError
from streams.events import EVENT_TYPES, FIELD_NAMES, KIND_OF_TYPE, LONGEST_ID, MAX_QUANTITY, Event, Item
from streams.structs import plainly_stored

__all__ = ["NativeReader", "translate"]

IDS: Final = ("event_id", "session_id", "visitor_id", "user_id", "order_id", "payment_id")
NOT_DIMENSIONS: Final = {*FIELD_NAMES, "quantity"} - {"event_type", "decline", "currency"}

BEFORE_DIMENSIONS: Final = ("event_id", "event_type", "event_time", "session_id", "visitor_id", "user_id")
"""The decoder looks for a field behind the one before it: in the order of the documentation it is found at once."""

PLAIN: Final[dict[str, Any]] = {
    "event_type": Literal[tuple(name for name in EVENT_TYPES if name != "ad_report")],
    "event_id": Annotated[str, msgspec.Meta(min_length=1)],
    "session_id": Annotated[str, msgspec.Meta(max_length=LONGEST_ID)] | None,
    **dict.fromkeys(("order_id", "payment_id", "amount", "currency", "sent_at", "append_time")),
}
"""What a plain event has narrower types for."""


def translate(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The object itself: a native record holds one event."""
    return [record]


class NativeReader:
    """Reads native objects into events that also have the configured dimensions.

    Parameters
    ----------
    event_dimensions, item_dimensions
        Names of fields of an event and of its items. The attributes that hold them are ``event_attributes`` and
        ``item_attributes``, in the same order.
    """

    def __init__(self, event_dimensions: tuple[str, ...], item_dimensions: tuple[str, ...] = ()) -> None:
        self.event_attributes, event_fields = _attributes("d", event_dimensions, Event)
        self.item_attributes, item_fields = _attributes("i", item_dimensions, Item)
        self._event_names = dict(zip(self.event_attributes, event_dimensions, strict=True))
        self._item_names = dict(zip(self.item_attributes, item_dimensions, strict=True))
        self._item_type: Any = msgspec.defstruct("ShopItem", item_fields, bases=(Item,), gc=False)
        lines: Any = list.__class_getitem__(self._item_type)
        self._event_type = _event_type("ShopEvent", {"items": lines | None}, event_fields)
        self.decode: Callable[[bytes], Event] = cast(Any, msgspec.json.Decoder(self._event_type)).decode
        """Bytes of one clean native record → event; raises where anything in it needs a closer look (``read``)."""
        plain = _event_type("PlainEvent", {"items": lines | None, **PLAIN}, event_fields)
        self.decode_plain: Callable[[bytes], Event] = cast(Any, msgspec.json.Decoder(plain)).decode
        """The same for an event with an id, no order, no money and no clocks; raises for every other one."""

    def read(self, told: Any, defects: list[str]) -> Event | tuple[str, str]:
        """The event of one native object, or a reason and a detail; adds the names of defective fields.

        >>> reader = NativeReader(("device",))
        >>> defects: list[str] = []
        >>> event = reader.read({"event_type": "page_view", "event_time": 1, "device": [], "user_id": 7}, defects)
        >>> event.user_id, defects
        ('7', ['device'])
        >>> reader.read({"event_type": "sneeze", "event_time": 1}, [])
        ('unknown_event_type', "'sneeze'")
        """
        if not isinstance(told, dict):
            return "not_json", "not an object"
        event_type, event_time = told.get("event_type"), told.get("event_time")
        if event_type is None or event_type == "":
            return "no_event_type", ""
        if not isinstance(event_type, str) or event_type not in KIND_OF_TYPE:
            return "unknown_event_type", repr(event_type)[:80]
        if event_time is None or event_time == "":
            return "no_event_time", ""
        if isinstance(event_time, bool) or not isinstance(event_time, int | str):
            return "bad_event_time", repr(event_time)[:80]
        event: Event = self._event_type(event_type=event_type, event_time=event_time)
        for name in IDS:
            setattr(event, name, _text(told, name, defects))
        for attribute, name in self._event_names.items():
            if attribute != name:
                setattr(event, attribute, _text(told, name, defects))
        event.decline = told["decline"] if isinstance(told.get("decline"), str) else None
        for name in ("amount", "currency", "sent_at", "append_time"):
            setattr(event, name, told.get(name))
        event.items = self._items(told.get("items"), defects)
        return event

    def _items(self, told: Any, defects: list[str]) -> list[Item] | None:
        if told is None or told == "":
            return None
        if not isinstance(told, list):
            defects.append("items")
            return None
        items: list[Item] = []
        for line in told:
            item: Item = self._item_type()
            items.append(item)
            if not isinstance(line, dict):
                defects.append("items")
                continue
            item.product_id = _text(line, "product_id", defects)
            item.quantity = _quantity(line.get("quantity"), defects)
            for attribute, name in self._item_names.items():
                if attribute != name:
                    setattr(item, attribute, _text(line, name, defects))
        return items


def _event_type(name: str, types: dict[str, Any], dimensions: list[Any]) -> Any:
    """A struct like ``Event``, with dimensions and with other types of some fields.

    It does not inherit from it: fields would keep their order then.
    """
    known = {one.name: one for one in msgspec.structs.fields(Event)}
    order = (*BEFORE_DIMENSIONS, *(field for field in known if field not in BEFORE_DIMENSIONS))
    fields = [(field, types.get(field, known[field].type), *_default(known[field], types)) for field in order]
    fields[len(BEFORE_DIMENSIONS) : len(BEFORE_DIMENSIONS)] = dimensions
    return plainly_stored(msgspec.defstruct(name, fields, kw_only=True, gc=False))


def _default(known: msgspec.structs.FieldInfo, types: dict[str, Any]) -> tuple[Any, ...]:
    """The default of a field and its name in JSON; nothing where it has to be there."""
    told = types.get(known.name)
    if known.required or (told is not None and type(None) not in get_args(told)):
        return ()
    return (msgspec.field(default=known.default, name=known.encode_name),)


def _attributes(prefix: str, names: tuple[str, ...], base: type[msgspec.Struct]) -> tuple[tuple[str, ...], list[Any]]:
    """The attribute of each dimension, and the fields that have to be added to ``base`` for them."""
    attributes, fields = [], []
    for place, name in enumerate(names):
        if name in NOT_DIMENSIONS or not name.isprintable() or name[:1] in ("", " ") or '"' in name or "\\" in name:
            raise ConfigError("cannot be a dimension", key="dimensions", value=name, way_out="name another field")
        if name in base.__struct_encode_fields__:
            attributes.append(name)
            continue
        attributes.append(f"{prefix}_{place}")
        fields.append((attributes[-1], str | None, msgspec.field(default=None, name=name)))
    return tuple(attributes), fields


def _text(told: dict[str, Any], name: str, defects: list[str]) -> str | None:
    value = told.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    defects.append(name)
    return None


def _quantity(value: Any, defects: list[str]) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_QUANTITY:
        return value
    defects.append("quantity")
    return None
