"""What every test begins with."""

import signal

# A shell without job control starts what it puts into the background with SIGINT ignored, which children inherit: then
# no Ctrl-C that a test sends reaches anything.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
