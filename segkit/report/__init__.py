"""Render rows and pictures for people: tables, pages and previews. Nothing is computed here."""
