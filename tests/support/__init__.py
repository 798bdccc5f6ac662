"""What tests share: a reference engine, event stories, generated streams."""
