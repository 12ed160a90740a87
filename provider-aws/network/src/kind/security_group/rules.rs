//! The rules of a group: one by one as they are wanted, in bundles as EC2 shows them.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use platform_core::{Error, ErrorKind, Result};
use provider_aws::kind::Outcome;
use serde::{Deserialize, Serialize};

/// What a peer is called that is the group itself.
const ITSELF: &str = "self";
/// All protocols.
const ANY: &str = "-1";

/// A peer and the ports to talk at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    description: String,
    /// A security group's id, a prefix list's, a block of addresses, or `self`.
    peer: String,
    #[serde(default = "tcp")]
    protocol: String,
    /// First and last port; -1 where the protocol has none.
    from: i32,
    to: i32,
}

fn tcp() -> String {
    "tcp".to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

impl Rule {
    pub(super) fn check(&self) -> Result<()> {
        let legal = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
        let why = if self.description.is_empty() || self.description.len() > 255 || !self.description.chars().all(legal)
        {
            "it needs a description: 1 to 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*"
        } else if self.peer.is_empty() {
            "it names no peer"
        } else if self.from > self.to {
            "its first port comes after its last"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Invalid, format!("rule {:?}: {why}", self.description)).with_help("correct the rule"))
    }

    /// The same but for what people read.
    fn lets_the_same_pass(&self, other: &Self) -> bool {
        (&self.peer, &self.protocol, self.from, self.to) == (&other.peer, &other.protocol, other.from, other.to)
    }

    fn permission(&self, group: &str) -> IpPermission {
        let ports = (self.protocol != ANY).then_some((self.from, self.to));
        let permission = IpPermission::builder()
            .ip_protocol(&self.protocol)
            .set_from_port(ports.map(|(from, _)| from))
            .set_to_port(ports.map(|(_, to)| to));
        let description = (!self.description.is_empty()).then(|| self.description.clone());
        let peer = if self.peer == ITSELF { group } else { &self.peer };
        let permission = if peer.starts_with("sg-") {
            let pair = UserIdGroupPair::builder().group_id(peer).set_description(description);
            permission.user_id_group_pairs(pair.build())
        } else if peer.starts_with("pl-") {
            let list = PrefixListId::builder()
                .prefix_list_id(peer)
                .set_description(description);
            permission.prefix_list_ids(list.build())
        } else if peer.contains(':') {
            let range = Ipv6Range::builder().cidr_ipv6(peer).set_description(description);
            permission.ipv6_ranges(range.build())
        } else {
            let range = IpRange::builder().cidr_ip(peer).set_description(description);
            permission.ip_ranges(range.build())
        };
        permission.build()
    }
}

/// The rules that EC2 shows of a group.
pub(super) fn of(permissions: &[IpPermission], group: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for permission in permissions {
        let mut add = |peer: Option<&str>, description: Option<&str>| {
            let peer = peer.unwrap_or_default();
            rules.push(Rule {
                description: description.unwrap_or_default().to_owned(),
                peer: if peer == group { ITSELF } else { peer }.to_owned(),
                protocol: permission.ip_protocol().unwrap_or(ANY).to_owned(),
                from: permission.from_port().unwrap_or(-1),
                to: permission.to_port().unwrap_or(-1),
            });
        };
        for pair in permission.user_id_group_pairs() {
            add(pair.group_id(), pair.description());
        }
        for range in permission.ip_ranges() {
            add(range.cidr_ip(), range.description());
        }
        for range in permission.ipv6_ranges() {
            add(range.cidr_ipv6(), range.description());
        }
        for list in permission.prefix_list_ids() {
            add(list.prefix_list_id(), list.description());
        }
    }
    rules.sort();
    rules
}

/// Makes the rules as wanted: what only reads differently is taken away and given again, last.
pub(super) async fn change(
    client: &Client,
    group: &str,
    direction: Direction,
    have: &[Rule],
    want: &[Rule],
) -> Result<()> {
    let permissions = |rules: &[&Rule]| -> Vec<IpPermission> {
        let all = rules.iter().map(|rule| rule.permission(group));
        all.collect()
    };
    let missing: Vec<&Rule> = want.iter().filter(|rule| !have.contains(rule)).collect();
    let surplus: Vec<&Rule> = have.iter().filter(|rule| !want.contains(rule)).collect();
    let renamed = |rule: &&&Rule| surplus.iter().any(|other| other.lets_the_same_pass(rule));
    let (again, new): (Vec<&Rule>, Vec<&Rule>) = missing.iter().partition(renamed);
    // First what lets more pass: nobody who stays is cut off.
    for (rules, revoked) in [(&new, Vec::new()), (&again, surplus.clone())] {
        if !revoked.is_empty() {
            let revoked = Some(permissions(&revoked));
            match direction {
                Direction::In => {
                    let call = client.revoke_security_group_ingress().group_id(group);
                    let call = call.set_ip_permissions(revoked).send();
                    call.await.during("ec2:RevokeSecurityGroupIngress")?;
                }
                Direction::Out => {
                    let call = client.revoke_security_group_egress().group_id(group);
                    let call = call.set_ip_permissions(revoked).send();
                    call.await.during("ec2:RevokeSecurityGroupEgress")?;
                }
            }
        }
        if !rules.is_empty() {
            let added = Some(permissions(rules));
            match direction {
                Direction::In => {
                    let call = client.authorize_security_group_ingress().group_id(group);
                    let call = call.set_ip_permissions(added).send();
                    call.await.during("ec2:AuthorizeSecurityGroupIngress")?;
                }
                Direction::Out => {
                    let call = client.authorize_security_group_egress().group_id(group);
                    let call = call.set_ip_permissions(added).send();
                    call.await.during("ec2:AuthorizeSecurityGroupEgress")?;
                }
            }
        }
    }
    Ok(())
}
