//! Names: how they are made, and checks of them before any call.

use platform_core::value::Digest;
use platform_core::{Charset, Context, Error, ErrorKind, NameRule, Result};

/// What the names of a platform's objects start with: `<name>-<environment>`, and the prefix of a second platform behind
/// that. A capability used alone has its own name.
pub(crate) fn stem(context: &Context) -> String {
    if context.alone {
        return context.set.to_string();
    }
    let prefix = context.namespace_prefix.trim_matches('-');
    let dash = if prefix.is_empty() { "" } else { "-" };
    format!("{}-{}{dash}{prefix}", context.name, context.environment)
}

/// A name that has at most `max` characters: one that is longer ends in a hash of what was cut.
pub(crate) fn fit(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let hash = Digest::of_text(name);
    let kept: String = name.chars().take(max.saturating_sub(HASH + 1)).collect();
    format!("{}-{}", kept.trim_end_matches('-'), hash.short(HASH))
}

/// Characters of the hash of a shortened name.
const HASH: usize = 6;

/// What every name that [`fit`] makes of `stem` and a part starts with: what a list can be cut by.
pub(crate) fn start(stem: &str, max: usize) -> &str {
    let kept = stem.get(..max.saturating_sub(HASH + 1)).unwrap_or(stem);
    kept.trim_end_matches('-')
}

/// The partition that a region lies in.
pub(crate) fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// What the names of a region's hosts and of its partition's services end in.
pub(crate) fn suffix(region: &str) -> &'static str {
    match partition(region) {
        "aws-cn" => "amazonaws.com.cn",
        _ => "amazonaws.com",
    }
}

/// Refuses a name that the service would refuse.
pub(crate) fn check(kind: &str, name: &str, rule: &NameRule) -> Result<()> {
    let refuse = |why: String| {
        Err(
            Error::new(ErrorKind::Invalid, format!("{name:?} is no name for {kind}: {why}"))
                .with_help("choose another name under `names:` in the config"),
        )
    };
    if name.len() > rule.max {
        return refuse(format!("it has {} characters, {} are allowed", name.len(), rule.max));
    }
    if rule.charset == Charset::Bucket {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.len() < 3 || !name.chars().all(legal) || name.starts_with('-') || name.ends_with('-') {
            return refuse("3 to 63 lower case letters, digits and inner hyphens".to_owned());
        }
        if name.starts_with("xn--") || name.starts_with("sthree-") || name.ends_with("-s3alias") {
            return refuse("the prefix or suffix is reserved by S3".to_owned());
        }
    } else if rule.charset == Charset::AwsIdentifier {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || !name.chars().all(legal) || name.ends_with('-') || name.contains("--") {
            return refuse("a letter, then lower case letters, digits and single inner hyphens".to_owned());
        }
    } else {
        let legal = |c: char| c.is_ascii_alphanumeric() || "/_+=.-".contains(c);
        if !name.chars().all(legal) {
            return refuse("letters, digits and /_+=.- only".to_owned());
        }
        if name.starts_with("aws/") && kind != "logs.LogGroup" {
            return refuse("`aws/` is reserved by AWS".to_owned());
        }
        // Secrets Manager appends a hyphen and six characters to an ARN: such a name would match another secret's ARN.
        if kind == "secretsmanager.Secret" && ends_like_an_arn(name) {
            return refuse("it must not end in a hyphen and six characters, as ARNs of secrets do".to_owned());
        }
        if kind == "iam.Role" && name.contains('/') {
            return refuse("letters, digits and _+=.- only; the path is a setting of its own".to_owned());
        }
        let narrow = match kind {
            "sns.Topic" | "cloudwatch.Dashboard" | "backup.Vault" => Some("_-"),
            "events.Rule" | "backup.Plan" => Some("._-"),
            "logs.LogGroup" => Some("/._-"),
            _ => None,
        };
        if let Some(marks) = narrow
            && name.chars().any(|c| !c.is_ascii_alphanumeric() && !marks.contains(c))
        {
            return refuse(format!("letters, digits and {marks} only"));
        }
        if kind == "kms.Key" && name.chars().any(|c| "+=.".contains(c)) {
            return refuse("letters, digits and /_- only".to_owned());
        }
    }
    Ok(())
}

fn ends_like_an_arn(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(_, tail)| tail.len() == 6 && tail.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::{check, fit, partition, start, stem};
    use platform_core::{Charset, Context, Environment, NameRule};

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let context = Context::new(&"n".repeat(40), Environment::Staging, "team-a-");
        let stem = stem(&context);
        assert_eq!(stem, format!("{}-staging-team-a", "n".repeat(40)));
        for max in [20, 37, 40, 63, 255] {
            let (one, other) = (fit(&format!("{stem}-a"), max), fit(&format!("{stem}-b"), max));
            assert!(one.len() <= max && one != other, "{one} {other}");
            assert!(one.starts_with(start(&stem, max)), "{one}");
        }
        assert_eq!(fit("short", 40), "short");
    }

    #[test]
    fn a_region_has_a_partition() {
        for (region, partition_of) in [
            ("eu-west-1", "aws"),
            ("us-east-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("cn-north-1", "aws-cn"),
        ] {
            assert_eq!(partition(region), partition_of);
        }
    }

    #[test]
    fn names_are_refused_before_any_call() {
        let bucket = NameRule {
            max: 63,
            charset: Charset::Bucket,
        };
        let path = NameRule {
            max: 230,
            charset: Charset::AwsPath,
        };
        let identifier = NameRule {
            max: 63,
            charset: Charset::AwsIdentifier,
        };
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        for (kind, name, rule, legal) in [
            ("s3.Bucket", "ml-platform-prod-data", &bucket, true),
            ("s3.Bucket", longest.as_str(), &bucket, true),
            ("s3.Bucket", too_long.as_str(), &bucket, false),
            ("s3.Bucket", "Upper", &bucket, false),
            ("s3.Bucket", "-a-b", &bucket, false),
            ("s3.Bucket", "a.b", &bucket, false),
            ("s3.Bucket", "ab", &bucket, false),
            ("s3.Bucket", "x-s3alias", &bucket, false),
            ("rds.DbInstance", "ml-platform-prod", &identifier, true),
            ("rds.DbInstance", longest.as_str(), &identifier, true),
            ("rds.DbInstance", too_long.as_str(), &identifier, false),
            ("rds.DbInstance", "Prod", &identifier, false),
            ("rds.DbInstance", "7-prod", &identifier, false),
            ("rds.DbInstance", "ml--prod", &identifier, false),
            ("rds.DbInstance", "ml-prod-", &identifier, false),
            ("kms.Key", "ml-platform-prod/data", &path, true),
            ("kms.Key", "a.b", &path, false),
            ("kms.Key", "aws/s3", &path, false),
            ("secretsmanager.Secret", "ml-platform-prod/grafana", &path, true),
            ("secretsmanager.Secret", "ml-platform-abc123", &path, false),
            ("secretsmanager.Secret", "a b", &path, false),
            ("elasticache.User", "ml-platform-prod-app", &identifier, true),
            ("elasticache.User", "ml--platform", &identifier, false),
            ("elasticache.User", "Ml", &identifier, false),
            ("elasticache.User", "1ml", &identifier, false),
            ("elasticache.User", "ml-", &identifier, false),
            ("iam.Role", "ml-platform-prod-backup", &path, true),
            ("iam.Role", "ml-platform-prod/backup", &path, false),
            ("backup.Vault", "ml-platform-prod", &path, true),
            ("backup.Vault", "ml.platform", &path, false),
            ("backup.Plan", "ml.platform-prod", &path, true),
            ("backup.Plan", "ml/platform", &path, false),
            ("sns.Topic", "ml-platform-prod-critical", &path, true),
            ("sns.Topic", "ml/critical", &path, false),
            ("cloudwatch.Alarm", "ml-platform-prod/a+b", &path, true),
            ("cloudwatch.Dashboard", "ml.platform", &path, false),
            ("events.Rule", "ml.platform-prod", &path, true),
            ("events.Rule", "ml/platform", &path, false),
            ("logs.LogGroup", "aws/rds/instance/a/postgresql", &path, true),
            ("logs.LogGroup", "a+b", &path, false),
        ] {
            assert_eq!(check(kind, name, rule).is_ok(), legal, "{kind} {name}");
        }
    }
}
