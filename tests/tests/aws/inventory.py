# What an account holds, by AWS's own client: reads {endpoints, account, region, name} from stdin, writes the names of each
# kind of ours, one for each object, so that what is there twice shows twice.
import boto3, json, sys
from botocore.config import Config

ask = json.load(sys.stdin)
name = ask["name"]


def client(service):
    s3 = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    one = boto3.client(service, endpoint_url=ask["endpoints"][service], region_name=ask["region"], aws_access_key_id=ask["account"],
        aws_secret_access_key="secret", config=Config(retries={"mode": "standard"}, **s3))
    one.meta.events.register("before-parse.elasticache.DescribeUsers", escaped)
    return one


def escaped(response_dict, **_):
    # ministack leaves the rules of users as they are.
    response_dict["body"] = response_dict["body"].replace(b"&*", b"&amp;*")


def each(service, operation, key, **parameters):
    one = client(service)
    if one.can_paginate(operation):
        for page in one.get_paginator(operation).paginate(**parameters):
            yield from page[key]
    else:
        yield from getattr(one, operation)(**parameters)[key]


def named(field, things):
    return [thing[field] for thing in things if name in thing[field]]


def ec2(operation, key):
    # By the mark of ours, which says kind and name; EC2 shows what is gone for a while.
    there = [thing for thing in each("ec2", operation, key) if thing.get("State") != "deleted"]
    marks = [tag["Value"] for thing in there for tag in thing.get("Tags", []) if tag["Key"] == "mlplat:id"]
    return [mark.split("/", 1)[1] for mark in marks if name in mark]


def keys():
    kms = client("kms")
    for key in each("kms", "list_keys", "Keys"):
        if kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Enabled"]:
            aliases = kms.list_aliases(KeyId=key["KeyId"])["Aliases"]
            yield from [alias["AliasName"].removeprefix("alias/") for alias in aliases] or ["nameless " + key["KeyId"]]


def of_clusters(operation, key):
    eks = client("eks")
    for cluster in eks.list_clusters()["clusters"]:
        for one in getattr(eks, operation)(clusterName=cluster)[key]:
            yield cluster + "/" + (one if isinstance(one, str) else one["namespace"] + "/" + one["serviceAccount"])


print(json.dumps({kind: sorted(names) for kind, names in {
    "backup.Plan": named("BackupPlanName", each("backup", "list_backup_plans", "BackupPlansList")),
    "backup.Vault": named("BackupVaultName", each("backup", "list_backup_vaults", "BackupVaultList")),
    "cloudwatch.Alarm": named("AlarmName", each("cloudwatch", "describe_alarms", "MetricAlarms")),
    "cloudwatch.Dashboard": named("DashboardName", each("cloudwatch", "list_dashboards", "DashboardEntries")),
    "ec2.ElasticIp": ec2("describe_addresses", "Addresses"),
    "ec2.FlowLog": ec2("describe_flow_logs", "FlowLogs"),
    "ec2.InternetGateway": ec2("describe_internet_gateways", "InternetGateways"),
    "ec2.NatGateway": ec2("describe_nat_gateways", "NatGateways"),
    "ec2.RouteTable": ec2("describe_route_tables", "RouteTables"),
    "ec2.SecurityGroup": ec2("describe_security_groups", "SecurityGroups"),
    "ec2.Subnet": ec2("describe_subnets", "Subnets"),
    "ec2.Vpc": ec2("describe_vpcs", "Vpcs"),
    "ec2.VpcEndpoint": ec2("describe_vpc_endpoints", "VpcEndpoints"),
    "eks.Addon": of_clusters("list_addons", "addons"),
    "eks.Cluster": client("eks").list_clusters()["clusters"],
    "eks.Nodegroup": of_clusters("list_nodegroups", "nodegroups"),
    "eks.PodIdentityAssociation": of_clusters("list_pod_identity_associations", "associations"),
    "elasticache.ReplicationGroup": named("ReplicationGroupId", each("elasticache", "describe_replication_groups", "ReplicationGroups")),
    "elasticache.SubnetGroup": named("CacheSubnetGroupName", each("elasticache", "describe_cache_subnet_groups", "CacheSubnetGroups")),
    "elasticache.User": named("UserId", each("elasticache", "describe_users", "Users")),
    "elasticache.UserGroup": named("UserGroupId", each("elasticache", "describe_user_groups", "UserGroups")),
    "events.Rule": named("Name", client("events").list_rules()["Rules"]),
    "iam.Role": named("RoleName", each("iam", "list_roles", "Roles")),
    "kms.Key": keys(),
    "logs.LogGroup": [group["logGroupName"].removeprefix("/") for group in each("logs", "describe_log_groups", "logGroups")],
    "rds.DbInstance": named("DBInstanceIdentifier", each("rds", "describe_db_instances", "DBInstances")),
    "rds.DbParameterGroup": named("DBParameterGroupName", each("rds", "describe_db_parameter_groups", "DBParameterGroups")),
    "rds.DbSubnetGroup": named("DBSubnetGroupName", each("rds", "describe_db_subnet_groups", "DBSubnetGroups")),
    "s3.Bucket": named("Name", client("s3").list_buckets()["Buckets"]),
    "secretsmanager.Secret": named("Name", each("secretsmanager", "list_secrets", "SecretList")),
    "sns.Topic": [arn.rsplit(":", 1)[1] for arn in named("TopicArn", each("sns", "list_topics", "Topics"))],
}.items()}))
