"""Cross-validation: one model per fold; each case is predicted by the model that did not see it."""
