"""Quality of a label map without a reference: measured signs, expected Dice, calibration."""
