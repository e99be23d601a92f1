"""Tables, pages and pictures for people; nothing is computed here."""
