"""Makes one Airflow DAG of each job specification in `jobs/`."""

from winbatch import spec
from winbatch.dag import batch_dag

for each in spec.load_all():
    globals()[each.dag] = batch_dag(each)
