"""Makes one Airflow DAG of each job specification in `jobs/`; for an Airflow task that is to run, its own alone."""

from airflow.sdk import get_parsing_context

from winbatch import spec
from winbatch.dag import batch_dag

_asked = get_parsing_context().dag_id
for each in [spec.load(_asked)] if _asked in spec.names() else spec.load_all():
    globals()[each.dag] = batch_dag(each)
