"""Harmonization: remove what scanner, site and protocol do to intensities and measurements.

Scans are grouped by the hidden structure of this nuisance variation, and normalized within the
groups (as print-tip groups of microarrays are: Yang et al. 2002).

values              a scan in a few numbers: quantiles, mean and standard deviation
mixture             groups discovered from intensities
methods, fit        z-scores, landmarks of Nyul, curves of the groups: fitted and applied to a scan
model, model_file   what was fitted, and its JSON file
scan                the group of one scan, and the function of each of its channels
combat              ComBat; `combat_model` fits it to a table, `combat_file` reads what was fitted
site_prediction     how well classifiers recognize the group of a scan

Nothing here reads a scan: `segkit.preprocessing` measures its values (`content_values`) and applies
the functions (`harmonization` in the preprocessing chain, `harmonized_scan` by itself).
"""
