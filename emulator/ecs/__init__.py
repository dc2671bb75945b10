"""ECS with real processes.

moto keeps clusters, task definitions and capacity providers; container instances and ECS tasks are this package's own.

`model` what there is; `placement` pure decisions on what fits where; `images` from ECR to a folder; `logs` the awslogs
driver; `agent` one ECS task's life; `clusters` and `backend` the state of a region and its rules; `api` requests and
answers.
"""
