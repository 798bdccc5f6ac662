"""A seeded shop: shoppers with day and week shape, labelled incidents, and writers to a file and to topics."""

from streams.simulate.shop import Shop, SimRecord
from streams.simulate.spec import FunnelSpec, IncidentSpec, ShopSpec, parse_incident

__all__ = ["FunnelSpec", "IncidentSpec", "Shop", "ShopSpec", "SimRecord", "parse_incident"]
