# Who may talk to whom. The group of jobs and endpoint: among themselves (several instances of a job), and out on 443 to
# the interface endpoints and S3; with a NAT gateway to anywhere on 443.

# The group that whatever names none would get: it allows nothing. Empty lists, because without them the provider takes
# a rule that somebody adds for its own.
resource "aws_default_security_group" "this" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []
  tags    = { Name = "${var.name}-unused" }
}

resource "aws_security_group" "jobs" {
  name        = "${var.name}-jobs"
  description = "Jobs and endpoint of ${var.name}"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${var.name}-jobs" }
}

resource "aws_vpc_security_group_ingress_rule" "between_instances" {
  security_group_id            = aws_security_group.jobs.id
  referenced_security_group_id = aws_security_group.jobs.id
  description                  = "Between the instances of a job"
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "between_instances" {
  security_group_id            = aws_security_group.jobs.id
  referenced_security_group_id = aws_security_group.jobs.id
  description                  = "Between the instances of a job"
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  count = length(var.services) > 0 ? 1 : 0

  security_group_id            = aws_security_group.jobs.id
  referenced_security_group_id = module.endpoints[0].security_group_id
  description                  = "HTTPS to the interface endpoints"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.jobs.id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  description       = "HTTPS to S3"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  count = var.nat ? 1 : 0

  security_group_id = aws_security_group.jobs.id
  cidr_ipv4         = "0.0.0.0/0"
  description       = "HTTPS through the NAT gateway"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
