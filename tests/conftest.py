"""Its place makes the modules of this folder importable from the tests below it."""
