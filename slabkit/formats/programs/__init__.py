"""The formats of other programs, a folder or module a program."""
