//! The network. Its kinds live in a crate of their own, so what is wished for is taken as it stands, without their defaults.

use super::super::of::{Of, Part, Peer, is_by_nat, security_rule};
use serde_json::json;

/// The parts of one of these kinds.
pub(super) fn parts(of: &Of<'_>) -> Option<Vec<Part>> {
    Some(match of.id.kind().as_str() {
        "ec2.Vpc" => vpc(of),
        "ec2.Subnet" => vec![Part::new(
            "aws_subnet",
            json!({
                "vpc_id": of.get("vpc"),
                "cidr_block": of.get("cidr"),
                "availability_zone": of.get("zone"),
                "map_public_ip_on_launch": of.is("map_public_ip"),
                "tags": of.tags,
            }),
        )],
        "ec2.InternetGateway" => vec![Part::new(
            "aws_internet_gateway",
            json!({ "vpc_id": of.get("vpc"), "tags": of.tags }),
        )],
        "ec2.ElasticIp" => vec![Part::new("aws_eip", json!({ "domain": "vpc", "tags": of.tags }))],
        "ec2.NatGateway" => vec![Part::new(
            "aws_nat_gateway",
            json!({ "subnet_id": of.get("subnet"), "allocation_id": of.get("allocation"), "tags": of.tags }),
        )],
        "ec2.RouteTable" => routes(of),
        "ec2.SecurityGroup" => group(of),
        "ec2.VpcEndpoint" => vec![Part::new(
            "aws_vpc_endpoint",
            json!({
                "vpc_id": of.get("vpc"),
                "service_name": of.get("service"),
                "vpc_endpoint_type": of.get("type"),
                "route_table_ids": of.get("route_tables"),
                "subnet_ids": of.get("subnets"),
                "security_group_ids": of.get("security_groups"),
                "private_dns_enabled": of.is("private_dns"),
                "tags": of.tags,
            }),
        )],
        "ec2.FlowLog" => vec![Part::new(
            "aws_flow_log",
            json!({
                "vpc_id": of.get("vpc"),
                "traffic_type": of.said("traffic", "ALL"),
                "log_destination_type": "cloud-watch-logs",
                "log_destination": of.log_group(&of.get("log_group"), "arn"),
                "iam_role_arn": of.get("role"),
                "max_aggregation_interval": of.said("interval_seconds", 600),
                "tags": of.tags,
            }),
        )],
        _ => return None,
    })
}

fn vpc(of: &Of<'_>) -> Vec<Part> {
    let vpc = json!({
        "cidr_block": of.get("cidr"),
        "enable_dns_support": of.said("dns_support", true),
        "enable_dns_hostnames": of.said("dns_hostnames", true),
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_vpc", vpc)];
    if of.said("closed_default_group", true) == true {
        let closed = json!({ "vpc_id": of.own("id"), "ingress": [], "egress": [] });
        parts.push(Part::new("aws_default_security_group", closed));
    }
    parts
}

fn routes(of: &Of<'_>) -> Vec<Part> {
    let mut parts = vec![Part::new(
        "aws_route_table",
        json!({ "vpc_id": of.get("vpc"), "tags": of.tags }),
    )];
    for (index, route) in of.list("routes").iter().enumerate() {
        let target = if is_by_nat(route) {
            "nat_gateway_id"
        } else {
            "gateway_id"
        };
        let route = json!({
            "route_table_id": of.own("id"), "destination_cidr_block": route["to"], target: route["by"],
        });
        parts.push(Part::called("aws_route", &format!("r{index}"), route));
    }
    for (index, subnet) in of.list("subnets").iter().enumerate() {
        let association = json!({ "route_table_id": of.own("id"), "subnet_id": subnet });
        parts.push(Part::called(
            "aws_route_table_association",
            &format!("s{index}"),
            association,
        ));
    }
    parts
}

fn group(of: &Of<'_>) -> Vec<Part> {
    let group = json!({
        "name": of.name(), "description": of.get("description"), "vpc_id": of.get("vpc"), "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_security_group", group)];
    for (key, r#type) in [
        ("ingress", "aws_vpc_security_group_ingress_rule"),
        ("egress", "aws_vpc_security_group_egress_rule"),
    ] {
        for (index, rule) in of.list(key).iter().enumerate() {
            let (peer, protocol, from, to) = security_rule(rule);
            let (by, peer) = match peer {
                Peer::Itself => ("referenced_security_group_id", of.own("id")),
                Peer::List(list) => ("prefix_list_id", list.clone()),
                Peer::Ipv4(block) => ("cidr_ipv4", block.clone()),
                Peer::Ipv6(block) => ("cidr_ipv6", block.clone()),
                Peer::Group(group) => ("referenced_security_group_id", group.clone()),
            };
            let rule = json!({
                "security_group_id": of.own("id"),
                "description": rule["description"],
                "ip_protocol": protocol,
                "from_port": from,
                "to_port": to,
                by: peer,
            });
            parts.push(Part::called(r#type, &format!("r{index}"), rule));
        }
    }
    parts
}
