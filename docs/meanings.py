"""What each setting does, in a sentence; ``docs/generate.py`` puts it beside the default and what is allowed."""

from __future__ import annotations

#: Section -> what stands below its heading.
SECTIONS = {
    "name": "",
    "aws": "Where the environment is. Every command that changes something says it first.",
    "data": "Where the images are and how they are split. Another protocol, share or seed is another split.",
    "training": "How the model is trained, and on which machines the steps Preprocess, Train and Evaluate run.",
    "gate": "When a model is registered. Limits compare point estimates; the report has the intervals."
    " Metrics: `balanced_accuracy`, `accuracy`, `f1`, `auc`, `precision`, `recall`, `ece` (15 equal bins, hard labels),"
    " `latency_ms` (median of one-image calls, one thread), `bundle_mb`; slices have all but the last two.",
    "serving": "The endpoint. A changed value reaches it with `local up` (env local) or `infra apply`, then `deploy`.",
    "release": "How an approved model reaches the endpoint.",
    "network": "Where jobs and the endpoint run, and which of them reach nothing.",
    "tracking": "A SQLite store in the training job's output data is always written.",
    "operations": "Who is told, and how long things are kept.",
    "github": "Which repository's workflows may act on the account; empty: no role is made.",
    "environments": "Environments are named by you: 1 to 10 of a-z and 0-9. Each holds any of the sections above."
    " `local` is always there, `--env` chooses, and in `prod` a person approves.",
}

MEANINGS = {
    "name": "Begins the name of every resource; the same for all environments.",
    "aws.region": "The region of every resource.",
    "aws.account_id": "Compared with the account of the credentials before anything is done.",
    "aws.existing.vpc_id": "The VPC that subnets and groups must be of, for `network.vpc: existing`; not set:"
    " the first subnet's.",
    "aws.existing.subnet_ids": "Subnets of jobs and endpoint, for `network.vpc: existing`.",
    "aws.existing.security_group_ids": "Security groups of jobs and endpoint, for `network.vpc: existing`.",
    "aws.existing.permissions_boundary": "Set on every role that is made.",
    "aws.existing.pipeline_role": "Used instead of making the role of the pipeline.",
    "aws.existing.job_role": "Used instead of making the role of the jobs.",
    "aws.existing.endpoint_role": "Used instead of making the role of the model's container.",
    "aws.existing.deployer_role": "Used instead of making the role of the deployer Lambda.",
    "aws.existing.oidc_provider": "GitHub's identity provider, where the account has it already.",
    "data.source": "`elpv`, a folder relative to the file (`./photos`), or `s3://bucket/prefix`.",
    "data.protocol": "`group`: images of one group stay on one side of the split. `random`: each image by itself.",
    "data.test_share": "Share of the images that only the evaluation sees.",
    "data.validation_share": "Share of the rest that training is watched on and that the temperature is fitted on.",
    "data.seed": "Of the split.",
    "data.positive_class": "What precision and recall speak of; empty: what the source says, else the rarer of two.",
    "data.bad_file_share": "An import with a larger share of unusable files is refused.",
    "data.max_file_mb": "A larger file is unusable.",
    "data.max_pixels": "An image with more pixels is unusable; the header decides, before anything is decoded.",
    "training.recipe": "`quick`, `strong`, `full`, or your own `my_module:Recipe` ([training](training.md)).",
    "training.seed": "Of the training.",
    "training.instance_type": "Of the jobs Preprocess, Train and Evaluate.",
    "training.instance_count": "Instances that share Preprocess. The training itself runs on one.",
    "training.volume_gb": "Disk of each job's instance.",
    "training.spot": "Train on spare capacity; it goes on from its checkpoint after an interruption.",
    "training.max_minutes": "A job that takes longer is stopped and the step fails.",
    "training.cache_days": "How long a step's result is used again.",
    "gate.min": "Metric → at least.",
    "gate.min_per_slice": "Metric → at least, in every slice with 30 images of each class or more.",
    "gate.max": "Metric → at most.",
    "gate.champion_margin": "Passes if, with 95 % confidence, balanced accuracy is not lower by more.",
    "serving.instance_type": "Of the endpoint.",
    "serving.fallback_instance_types": "Tried in this order when there is no capacity for `instance_type`; said aloud.",
    "serving.instance_count": "Instances of the endpoint; on a laptop, processes.",
    "serving.max_instances": "Equal to `instance_count`: a fixed fleet. More: it is scaled between both; the number of"
    " instances survives an update.",
    "serving.requests_per_instance": "Requests a minute that an autoscaled fleet has an instance for.",
    "serving.serverless": "An endpoint without instances of its own: memory in steps of 1,024 MB up to 6,144,"
    " up to 200 requests at a time; no VPC, isolation, capture or autoscaling. The local SageMaker refuses it.",
    "serving.image_url_hosts": "Hosts that `{\"image_url\": …}` may name. Empty: it is refused.",
    "serving.capture_share": "Share of requests and answers that SageMaker keeps in S3.",
    "serving.max_body_mb": "A larger request is refused. SageMaker's own limit for real-time requests is 6 MB.",
    "serving.max_pixels": "A request's image with more pixels is refused.",
    "serving.max_images_per_request": "Of `{\"instances\": […]}`, and lines of JSON Lines.",
    "serving.max_frames": "An image with more frames (animated) is refused; of those allowed the first is read.",
    "serving.max_json_depth": "Objects and lists that lie deeper in each other are refused.",
    "serving.max_headers": "A request with more headers is refused.",
    "serving.max_header_kb": "A request whose headers have more KiB is refused.",
    "serving.queue": "Requests of a process that may wait for a thread; one more is an immediate 503.",
    "serving.deadline_seconds": "From a request's headers to its answer, waiting included; then it is a 503.",
    "serving.read_seconds": "For a request's headers, and again for its body; then it is a 408.",
    "serving.precision": "Which graph of the bundle is served. `int8` is quantised: less than half the time on a CPU.",
    "serving.int8_max_loss": "Balanced accuracy that int8 may lose against float32 on the test split; if it loses more,"
    " float32 is served, and the report says so.",
    "serving.log_share": "Share of the requests whose line is logged; errors of the server always are.",
    "release.approval": "`manual`: a person approves. `automatic`: the gate is enough; refused in `prod`.",
    "release.staging": (
        "`true`: before a roll-out the bundle's golden requests are answered by a temporary endpoint of one instance, "
        "which is there for some minutes."
    ),
    "release.scan_severity": (
        "An image whose scan in ECR found this or worse is not rolled out; nor is one that was never scanned. `none`: "
        "scans are not looked at."
    ),
    "release.strategy": "How traffic moves to the new model.",
    "release.percent": "Of the traffic (canary, linear) or the fleet (rolling) in one step.",
    "release.bake_minutes": "Wait after each step.",
    "release.owners": "ARNs of who may take the role `<name>-<env>-owner`. Empty: whoever the account's IAM lets.",
    "release.keep": "Good releases whose artefacts `cleanup` never touches, the newest first.",
    "release.four_eyes": "Where who started an execution may not approve its model. `never`: a team of one.",
    "release.soak_hours": "That a model must have served elsewhere, without an alarm, before it is promoted to here.",
    "release.expire_hours": "Since its last release, after which `cleanup` takes an endpoint down. 0: never.",
    "release.termination_minutes": "How long the old fleet stays after the traffic has moved; rolling: no effect.",
    "release.guards": "Guard → threshold; an update that passes one is rolled back, and what is not named is off."
    " `errors_5xx`: answers a minute; `share_4xx`: of all answers; `latency_p99_ms`; `memory_percent`; `label_shift`:"
    " how far a label's share may move from the day before ([what is watched](release.md#what-is-watched)).",
    "release.readers": "Other accounts that may read the registered packages, their files and the inference images.",
    "network.vpc": "`none`: SageMaker's own network. `create`: a VPC is made, with private subnets in two zones."
    " `existing`: the ids of `aws.existing`.",
    "network.cidr": "Addresses of the VPC for `create`. A change makes the VPC again.",
    "network.nat": "For `create`: a NAT gateway, the only way to the internet. It costs by the hour.",
    "network.endpoints": "Interface endpoints for what the steps call. `auto`: in a VPC that is made; `always`: in an"
    " existing one too; `none`. Each costs by the hour and zone.",
    "network.isolated": "What runs without any network.",
    "network.encrypt_between_instances": "Traffic between a job's instances.",
    "tracking.mlflow": "The tracking server that trainings are logged to as well. `create`: Terraform makes one, which"
    " costs by the hour; not in env `local`.",
    "operations.email": "Who is told of the deployer's errors, failed executions and the budget; empty: nobody.",
    "operations.budget_usd": "US dollars a month, of what has this environment's tags: told at 80 % forecast and at"
    " 100 % spent. 0: no budget.",
    "operations.log_days": "Log groups and access logs; one of the values that CloudWatch Logs knows.",
    "operations.images_keep": "Training images that stay, the newest. Inference images never expire.",
    "operations.reserved_concurrency": "Calls of the deployer at a time, kept for it and never exceeded; 0: neither.",
    "operations.runs_days": "Results of runs and checkpoints expire; at least 7 days after the step cache does.",
    "github.repository": "Whose workflows may take the role, `owner/repository`.",
    "github.branch": "The branch that may.",
}  # fmt: skip
