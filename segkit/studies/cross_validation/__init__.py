"""A cross-validation: one model per fold, every case predicted by the model that did not see it."""
