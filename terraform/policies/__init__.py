"""Our own checkov checks: what its hundreds do not cover of this system. `.checkov.yaml` names this folder."""
