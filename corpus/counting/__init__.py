"""What the corpus holds: tables, views and questions to them."""
