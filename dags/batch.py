"""Makes one Airflow DAG of each job specification in `jobs/`."""

from winbatch import spec
from winbatch.dag import batch_dag

for name in spec.names():
    globals()[name] = batch_dag(spec.load(name))
