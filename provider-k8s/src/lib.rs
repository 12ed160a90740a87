//! provider-k8s
