"""An embedded SageMaker for laptops and CI: moto's server plus the verbs that moto lacks, executed.

One process on loopback answers the same API calls that AWS answers. Pipelines are interpreted, jobs are child
processes, endpoints serve, events are delivered. It knows no step, file or name of any product that uses it.
"""
