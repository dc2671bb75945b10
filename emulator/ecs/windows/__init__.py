"""Windows containers: images for Windows run under Wine, each with a drive C, a registry and processes of its own.

`wine` finds the Wine of this machine, `installation` makes of it what all containers share, `drive` a container's own
drive, `environment` what its program finds in its environment, and `container` starts, stops and ends it with the help
of `init.c`, its first process.
"""
