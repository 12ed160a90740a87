//! Checks of names before any call.

use platform_core::{Charset, Error, ErrorKind, NameRule, Result};

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
    } else {
        let legal = |c: char| c.is_ascii_alphanumeric() || "/_+=.-".contains(c);
        if !name.chars().all(legal) {
            return refuse("letters, digits and /_+=.- only".to_owned());
        }
        if name.starts_with("aws/") {
            return refuse("`aws/` is reserved by AWS".to_owned());
        }
        // Secrets Manager appends a hyphen and six characters to an ARN: such a name would match another secret's ARN.
        if kind == "secretsmanager.Secret" && ends_like_an_arn(name) {
            return refuse("it must not end in a hyphen and six characters, as ARNs of secrets do".to_owned());
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
    use super::check;
    use platform_core::{Charset, NameRule};

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
            ("kms.Key", "ml-platform-prod/data", &path, true),
            ("kms.Key", "a.b", &path, false),
            ("kms.Key", "aws/s3", &path, false),
            ("secretsmanager.Secret", "ml-platform-prod/grafana", &path, true),
            ("secretsmanager.Secret", "ml-platform-abc123", &path, false),
            ("secretsmanager.Secret", "a b", &path, false),
        ] {
            assert_eq!(check(kind, name, rule).is_ok(), legal, "{kind} {name}");
        }
    }
}
