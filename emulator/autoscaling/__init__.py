"""Auto Scaling groups whose instances take time to come, join ECS clusters, drain before they go, and may be refused.

`capacity` where and how an instance is asked for, and EC2's words when there is none; `activities` what a group did and
why; `group` one group and its instances; `backend` a region's groups and their rules; `api` requests and answers.
"""
