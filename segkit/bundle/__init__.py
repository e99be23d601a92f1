"""Bundles: trained models as files, without pickles."""
