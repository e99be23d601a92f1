"""Networks as files for programs that compute without segkit."""
