//! The product's own names, in one place.

/// Field manager, lease prefix, IAM path.
pub const PRODUCT: &str = "mlplat";
/// Domain of our labels and annotations.
pub const DOMAIN: &str = "mlplat.dev";
/// Prefix of our tags.
pub const TAG_PREFIX: &str = "mlplat:";
