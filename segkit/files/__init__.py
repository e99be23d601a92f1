"""Files on disk: names, atomic writing, locks, and files whose content is missing."""
