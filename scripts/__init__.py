"""The operator's verbs, a folder (a room) a concern; tasks.py is their entry.

Imports go down this list and never up (import-linter holds it), in functions, too::

    cli                   the verbs: options in, one call, its outcome shown
    bench                 what is promised in numbers, measured
    chaos, verify         real faults on the real stack; AWS asked whether it does what the local AWS does
    checks                what must hold: static checks, tests, generated pages
    environments          up, plan, apply, down and what they stand on
    dag_releases, jobs    the DAGs' releases; jobs started, followed, taken in hand
    images                workloads' images built and pushed; new workloads
    windows, terraform    Windows images from bytes; Terraform and an environment's workspace
    tools                 the programs that the project starts
    core                  what every room uses: settings, errors, console, AWS
    bootstrap.py          makes `.venv` from nothing, with any Python
"""
