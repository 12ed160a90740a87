//! The network. Its kinds live in a crate of their own, so what is wished for is taken as it stands, without their defaults.

use super::{Of, Part};
use serde_json::{Value, json};

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
                "traffic_type": said(of, "traffic", "ALL"),
                "log_destination_type": "cloud-watch-logs",
                "log_destination": of.log_group(&of.get("log_group"), "arn"),
                "iam_role_arn": of.get("role"),
                "max_aggregation_interval": said(of, "interval_seconds", 600),
                "tags": of.tags,
            }),
        )],
        _ => return None,
    })
}

/// A setting, or its default.
fn said(of: &Of<'_>, key: &str, otherwise: impl Into<Value>) -> Value {
    of.settings.get(key).cloned().unwrap_or_else(|| otherwise.into())
}

fn vpc(of: &Of<'_>) -> Vec<Part> {
    let vpc = json!({
        "cidr_block": of.get("cidr"),
        "enable_dns_support": said(of, "dns_support", true),
        "enable_dns_hostnames": said(of, "dns_hostnames", true),
        "tags": of.tags,
    });
    let mut parts = vec![Part::new("aws_vpc", vpc)];
    if said(of, "closed_default_group", true) == true {
        let closed = json!({ "vpc_id": of.own("id"), "ingress": [], "egress": [] });
        parts.push(Part::new("aws_default_security_group", closed));
    }
    parts
}

fn routes(of: &Of<'_>) -> Vec<Part> {
    let list = |key: &str| of.get(key).as_array().cloned().unwrap_or_default();
    let mut parts = vec![Part::new(
        "aws_route_table",
        json!({ "vpc_id": of.get("vpc"), "tags": of.tags }),
    )];
    for (index, route) in list("routes").iter().enumerate() {
        let by = route["by"].to_string();
        let target = if by.contains("ec2.NatGateway") || by.contains("nat-") {
            "nat_gateway_id"
        } else {
            "gateway_id"
        };
        let route = json!({
            "route_table_id": of.own("id"), "destination_cidr_block": route["to"], target: route["by"],
        });
        parts.push(Part::called("aws_route", &format!("r{index}"), route));
    }
    for (index, subnet) in list("subnets").iter().enumerate() {
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
        let rules = of.get(key);
        for (index, rule) in rules.as_array().into_iter().flatten().enumerate() {
            let protocol = rule["protocol"].as_str().unwrap_or("tcp");
            let (peer, by) = match rule["peer"].as_str() {
                Some("self") => (of.own("id"), "referenced_security_group_id"),
                Some(list) if list.starts_with("pl-") => (rule["peer"].clone(), "prefix_list_id"),
                Some(block) if block.contains(':') => (rule["peer"].clone(), "cidr_ipv6"),
                Some(block) if block.contains('/') => (rule["peer"].clone(), "cidr_ipv4"),
                _ => (rule["peer"].clone(), "referenced_security_group_id"),
            };
            let bound = |key: &str| {
                if protocol == "-1" {
                    Value::Null
                } else {
                    rule[key].clone()
                }
            };
            let rule = json!({
                "security_group_id": of.own("id"),
                "description": rule["description"],
                "ip_protocol": protocol,
                "from_port": bound("from"),
                "to_port": bound("to"),
                by: peer,
            });
            parts.push(Part::called(r#type, &format!("r{index}"), rule));
        }
    }
    parts
}
