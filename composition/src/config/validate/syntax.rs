//! What names may look like, and checks that blocks share.

use platform_core::value::Size;

use crate::config::block::Reader;
use crate::config::problem::Rule;
use crate::config::yaml::Node;

pub(super) const NAME_HELP: &str =
    "write lower-case letters, digits and hyphens, with a letter first and no hyphen last";
/// Longest Kubernetes name and label value.
pub(super) const LABEL: usize = 63;

pub(super) fn version(wanted: &str, server: &str, known: &[&str], node: &Node, reader: &mut Reader) {
    if !known.contains(&wanted) {
        let major = wanted
            .split('.')
            .next()
            .filter(|major| known.contains(major) && wanted.contains('.'));
        let help = match major {
            Some(major) => format!("write \"{major}\": the catalogue chooses the minor version"),
            None => format!("write one of: \"{}\"", known.join("\", \"")),
        };
        reader.refuse_key(
            node,
            Rule::Version,
            "version",
            format!("{server} {wanted:?} is not supported"),
            help,
        );
    }
}

pub(super) fn range(value: u32, least: u32, most: u32, key: &str, node: &Node, reader: &mut Reader) {
    if !(least..=most).contains(&value) {
        let help = format!("write {least} to {most}");
        reader.refuse_key(
            node,
            Rule::NumberRange,
            key,
            format!("{value} is outside the range"),
            help,
        );
    }
}

pub(super) fn minimum(value: Option<Size>, least: Size, key: &str, who: &str, node: &Node, reader: &mut Reader) {
    if let Some(value) = value.filter(|v| *v < least) {
        let message = format!("{value} is too small for {who}");
        reader.refuse_key(node, Rule::SizeMinimum, key, message, format!("write at least {least}"));
    }
}

pub(super) fn storage_class(name: Option<&str>, node: &Node, reader: &mut Reader) {
    if let Some(name) = name.filter(|n| !is_object_name(n)) {
        let message = format!("{name:?} is not a name of a StorageClass");
        reader.refuse_key(node, Rule::NameSyntax, "storage_class", message, NAME_HELP);
    }
}

pub(super) fn aws_class(name: Option<&str>, key: &str, prefix: &str, node: &Node, reader: &mut Reader) {
    let valid = |name: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(family, size)| {
                [family, size]
                    .iter()
                    .all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
            })
    };
    if let Some(name) = name.filter(|n| !valid(n)) {
        let message = format!("{name:?} is not a class of AWS");
        reader.refuse_key(
            node,
            Rule::NameSyntax,
            key,
            message,
            format!("write {prefix}FAMILY.SIZE, such as {prefix}t4g.medium"),
        );
    }
}

/// Why a text is no bucket name.
pub(super) fn bucket_name(name: &str) -> Option<&'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        Some("has not 3 to 63 characters")
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        // Dots are legal, but break TLS for virtual hosts.
        Some("has characters that a bucket cannot have")
    } else if !name.starts_with(edge) || !name.ends_with(edge) {
        Some("starts or ends with a hyphen")
    } else if name.starts_with("xn--")
        || name.starts_with("sthree-")
        || name.ends_with("-s3alias")
        || name.ends_with("--ol-s3")
    {
        Some("is reserved by S3")
    } else {
        None
    }
}

/// Lower-case letters, digits and hyphens, not at the ends (RFC 1123), of any length.
pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels joined by dots.
pub(super) fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Letters, digits, dots, hyphens and underscores, at most 63, with a letter or digit at both ends.
pub(super) fn is_qualified(text: &str) -> bool {
    !text.is_empty() && is_label_value(text)
}

pub(super) fn is_label_value(text: &str) -> bool {
    text.len() <= LABEL
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.is_empty() | text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.is_empty() | text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_qualified(name),
        None => is_qualified(text),
    }
}
