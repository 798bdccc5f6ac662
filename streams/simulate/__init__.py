"""A seeded shop: shoppers with day and week shape, labelled incidents."""
