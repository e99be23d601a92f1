"""Harmonization: remove what scanner, site and protocol do to intensities and measurements.

Scans are grouped by the hidden structure of this nuisance variation, and normalized within the
groups (as print-tip groups of microarrays are: Yang et al. 2002).

values              the values of a scan: quantiles, mean and standard deviation of its content
mixture             groups discovered from intensities
methods, fit        z-scores, landmarks of Nyul, curves of the groups: fitted and applied to a scan
model, model_file   what was fitted, and its JSON file
scan                a harmonized scan, computed block by block
combat              ComBat; `combat_model` fits it to a table, `combat_file` reads what was fitted
site_prediction     how well classifiers recognize the group of a scan
"""
