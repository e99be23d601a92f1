"""Presentation of results: tables, HTML pages and previews. No metric is computed here."""
