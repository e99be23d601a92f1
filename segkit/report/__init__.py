"""Rows and pictures for people: tables, pages, previews. Renders, computes nothing."""
