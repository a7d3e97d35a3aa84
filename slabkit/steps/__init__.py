"""What commands do: a module a command, each a typed `Options` and `run(options, frame)`.

Files in, files out, no argv and no printing. The command line, the demo and programs call these.
"""
