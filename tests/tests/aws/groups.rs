//! Security groups as EC2 holds on to them, where moto lets go: one that a rule of another names is not deleted, nor a VPC in
//! which one is left.

use crate::between::{answer, between, fields, signed_for};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, SecurityGroup};
use aws_smithy_runtime_api::client::http::{
    HttpConnector as _, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

/// What a call takes away.
#[derive(Debug)]
enum Goes {
    Group(String),
    Vpc(String),
}

/// An HTTP client whose EC2, which this one asks, is as strict; other services are as they are.
pub(crate) fn held(ec2: Client, inner: SharedHttpClient) -> SharedHttpClient {
    between(inner, move |wire, request| pass(ec2.clone(), wire, request))
}

fn pass(ec2: Client, wire: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
    let Some(goes) = goes(&request) else {
        return wire.call(request);
    };
    let wire = wire.clone();
    HttpConnectorFuture::new(async move {
        if is_held(&ec2, &goes).await {
            return Ok(refused(&goes));
        }
        wire.call(request).await
    })
}

fn goes(request: &HttpRequest) -> Option<Goes> {
    signed_for(request).filter(|(_, service)| *service == "ec2")?;
    let form = fields(std::str::from_utf8(request.body().bytes()?).ok()?);
    match form.get("Action")?.as_str() {
        "DeleteSecurityGroup" => Some(Goes::Group(form.get("GroupId")?.clone())),
        "DeleteVpc" => Some(Goes::Vpc(form.get("VpcId")?.clone())),
        _ => None,
    }
}

async fn is_held(ec2: &Client, goes: &Goes) -> bool {
    match goes {
        Goes::Group(group) => {
            let is_other = |one: &SecurityGroup| one.group_id() != Some(group);
            let ingress = groups(ec2, "ip-permission.group-id", group).await;
            let egress = groups(ec2, "egress.ip-permission.group-id", group).await;
            ingress.iter().chain(&egress).any(is_other)
        }
        Goes::Vpc(vpc) => {
            let inside = groups(ec2, "vpc-id", vpc).await;
            inside.iter().any(|one| one.group_name() != Some("default"))
        }
    }
}

async fn groups(ec2: &Client, filter: &str, value: &str) -> Vec<SecurityGroup> {
    let filter = Filter::builder().name(filter).values(value).build();
    let answer = ec2.describe_security_groups().filters(filter).send().await;
    answer.unwrap().security_groups.unwrap_or_default()
}

fn refused(goes: &Goes) -> HttpResponse {
    let (Goes::Group(id) | Goes::Vpc(id)) = goes;
    let body = format!(
        "<Response><Errors><Error><Code>DependencyViolation</Code><Message>resource {id} has a dependent object</Message></Error>\
         </Errors><RequestID>held</RequestID></Response>"
    );
    answer(400, body)
}
