"""Recording and alerting rules, and the group that holds them."""
