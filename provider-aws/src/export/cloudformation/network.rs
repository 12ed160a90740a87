//! The network. Its kinds live in a crate of their own, so what is wished for is taken as it stands, without their defaults.

use super::super::of::{Of, Part, Peer, is_by_nat, security_rule, some};
use super::tags;
use serde_json::{Value, json};

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "ec2.Vpc" => vpc(of),
        "ec2.Subnet" => vec![Part::new(
            "AWS::EC2::Subnet",
            json!({
                "VpcId": of.get("vpc"),
                "CidrBlock": of.get("cidr"),
                "AvailabilityZone": of.get("zone"),
                "MapPublicIpOnLaunch": of.is("map_public_ip"),
                "Tags": tags(of),
            }),
        )],
        "ec2.InternetGateway" => vec![
            Part::new("AWS::EC2::InternetGateway", json!({ "Tags": tags(of) })),
            Part::new(
                "AWS::EC2::VPCGatewayAttachment",
                json!({ "VpcId": of.get("vpc"), "InternetGatewayId": of.own("id") }),
            ),
        ],
        "ec2.ElasticIp" => vec![Part::new("AWS::EC2::EIP", json!({ "Domain": "vpc", "Tags": tags(of) }))],
        "ec2.NatGateway" => vec![Part::new(
            "AWS::EC2::NatGateway",
            json!({ "SubnetId": of.get("subnet"), "AllocationId": of.get("allocation"), "Tags": tags(of) }),
        )],
        "ec2.RouteTable" => routes(of),
        "ec2.SecurityGroup" => group(of),
        "ec2.VpcEndpoint" => vec![Part::new(
            "AWS::EC2::VPCEndpoint",
            json!({
                "VpcId": of.get("vpc"),
                "ServiceName": of.get("service"),
                "VpcEndpointType": of.get("type"),
                "RouteTableIds": some(of.list("route_tables")),
                "SubnetIds": some(of.list("subnets")),
                "SecurityGroupIds": some(of.list("security_groups")),
                "PrivateDnsEnabled": of.is("private_dns"),
                "Tags": tags(of),
            }),
        )],
        "ec2.FlowLog" => vec![Part::new(
            "AWS::EC2::FlowLog",
            json!({
                "ResourceType": "VPC",
                "ResourceId": of.get("vpc"),
                "TrafficType": of.said("traffic", "ALL"),
                "LogDestinationType": "cloud-watch-logs",
                "LogGroupName": of.log_group(&of.get("log_group"), "name"),
                "DeliverLogsPermissionArn": of.get("role"),
                "MaxAggregationInterval": of.said("interval_seconds", 600),
                "Tags": tags(of),
            }),
        )],
        _ => return None,
    })
}

/// Its default group cannot be emptied here: CloudFormation makes none, and takes on none.
fn vpc(of: &Of<'_>) -> Vec<Part> {
    vec![Part::new(
        "AWS::EC2::VPC",
        json!({
            "CidrBlock": of.get("cidr"),
            "EnableDnsSupport": of.said("dns_support", true),
            "EnableDnsHostnames": of.said("dns_hostnames", true),
            "Tags": tags(of),
        }),
    )]
}

fn routes(of: &Of<'_>) -> Vec<Part> {
    let table = json!({ "VpcId": of.get("vpc"), "Tags": tags(of) });
    let mut parts = vec![Part::new("AWS::EC2::RouteTable", table)];
    for (index, route) in of.list("routes").iter().enumerate() {
        let target = if is_by_nat(route) { "NatGatewayId" } else { "GatewayId" };
        let route = json!({ "RouteTableId": of.own("id"), "DestinationCidrBlock": route["to"], target: route["by"] });
        parts.push(Part::called("AWS::EC2::Route", &index.to_string(), route));
    }
    for (index, subnet) in of.list("subnets").iter().enumerate() {
        let association = json!({ "RouteTableId": of.own("id"), "SubnetId": subnet });
        parts.push(Part::called(
            "AWS::EC2::SubnetRouteTableAssociation",
            &index.to_string(),
            association,
        ));
    }
    parts
}

/// Rules about the group itself are resources of their own: it has to be there first.
fn group(of: &Of<'_>) -> Vec<Part> {
    let (mut inside, mut own) = (Vec::new(), Vec::new());
    for (key, r#type, source) in [
        ("ingress", "AWS::EC2::SecurityGroupIngress", "Source"),
        ("egress", "AWS::EC2::SecurityGroupEgress", "Destination"),
    ] {
        let mut rules = Vec::new();
        for (index, rule) in of.list(key).iter().enumerate() {
            let (peer, protocol, from, to) = security_rule(rule);
            let (by, peer) = match peer {
                Peer::Itself => (format!("{source}SecurityGroupId"), Value::Null),
                Peer::List(list) => (format!("{source}PrefixListId"), list.clone()),
                Peer::Ipv4(block) => ("CidrIp".to_owned(), block.clone()),
                Peer::Ipv6(block) => ("CidrIpv6".to_owned(), block.clone()),
                Peer::Group(group) => (format!("{source}SecurityGroupId"), group.clone()),
            };
            let mut drawn = json!({
                "Description": rule["description"], "IpProtocol": protocol, "FromPort": from, "ToPort": to, by.as_str(): peer,
            });
            if peer.is_null() {
                drawn[by] = of.own("id");
                drawn["GroupId"] = of.own("id");
                own.push(Part::called(r#type, &index.to_string(), drawn));
            } else {
                rules.push(drawn);
            }
        }
        inside.push(some(rules));
    }
    let group = json!({
        "GroupName": of.name(),
        "GroupDescription": of.get("description"),
        "VpcId": of.get("vpc"),
        "SecurityGroupIngress": inside.first(),
        "SecurityGroupEgress": inside.last(),
        "Tags": tags(of),
    });
    own.insert(0, Part::new("AWS::EC2::SecurityGroup", group));
    own
}
