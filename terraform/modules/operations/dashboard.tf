# One page of the whole: executions, the deployer, what it could not handle, the endpoint.

locals {
  variant = { EndpointName = var.endpoint, VariantName = var.variant }

  # Title, statistic, then [namespace, metric, dimensions] of each line. Namespaces and metrics: SageMaker Developer
  # Guide, "Amazon SageMaker AI metrics in Amazon CloudWatch"; Lambda Developer Guide, "Types of metrics".
  charts = [
    {
      title = "Executions", statistic = "Sum"
      lines = [for metric in ["ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed", "ExecutionStopped"] :
      ["AWS/Sagemaker/ModelBuildingPipeline", metric, { PipelineName = var.pipeline }]]
    },
    {
      title = "Execution time (ms)", statistic = "Maximum"
      lines = [["AWS/Sagemaker/ModelBuildingPipeline", "ExecutionDuration", { PipelineName = var.pipeline }]]
    },
    {
      title = "Deployer", statistic = "Sum"
      lines = concat(
        [for metric in ["Invocations", "Errors", "Throttles"] : ["AWS/Lambda", metric, { FunctionName = var.deployer }]],
        [[var.prefix, local.error_metric, {}]],
      )
    },
    {
      title = "Deployer, time of a call (ms)", statistic = "Maximum"
      lines = [["AWS/Lambda", "Duration", { FunctionName = var.deployer }]]
    },
    {
      title = "Events that the deployer could not handle", statistic = "Maximum"
      lines = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", { QueueName = var.failed_queue }]]
    },
    {
      title = "Endpoint, requests", statistic = "Sum"
      lines = [for metric in ["Invocations", "Invocation4XXErrors", "Invocation5XXErrors"] : ["AWS/SageMaker", metric, local.variant]]
    },
    {
      title = "Endpoint, time of a request at the 99th percentile (µs)", statistic = "p99"
      lines = [for metric in ["ModelLatency", "OverheadLatency"] : ["AWS/SageMaker", metric, local.variant]]
    },
    {
      title = "Endpoint, machines (%)", statistic = "Average"
      lines = [for metric in ["CPUUtilization", "MemoryUtilization", "DiskUtilization"] : ["/aws/sagemaker/Endpoints", metric, local.variant]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix
  dashboard_body = jsonencode({
    widgets = [for index, chart in local.charts : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title  = chart.title
        region = var.region
        stat   = chart.statistic
        period = 300
        view   = "timeSeries"
        # CloudWatch wants names and values of dimensions in one flat list.
        metrics = [for line in chart.lines : concat(
          [line[0], line[1]],
          flatten([for name, value in line[2] : [name, value]]),
        )]
      }
    }]
  })
}
