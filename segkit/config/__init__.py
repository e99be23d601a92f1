"""Configuration of a training: typed settings with defaults, composed from overrides by Hydra."""
