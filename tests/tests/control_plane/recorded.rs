//! Records what the real server answers to the script of [`platform_tests::recording`].

use platform_core::value::SystemClock;
use provider_k8s::KubeProvider;
use std::sync::Arc;

use crate::shared::{control_plane, prefix};

/// Set to rewrite the recording from the real server's answers.
const UPDATE: &str = "UPDATE_RECORDINGS";

#[test]
fn answers_are_those_recorded() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answers = runtime.block_on(async {
        let context = xtask::control_plane::CONTEXT;
        let provider = KubeProvider::builder(control_plane().admin().kubeconfig(), context)
            .connect()
            .await
            .unwrap();
        let clock = Arc::new(SystemClock::new());
        platform_tests::recording::record(Arc::new(provider), clock, &prefix())
            .await
            .unwrap()
    });
    let file = platform_tests::recording::recorded();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &answers).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap();
    assert_eq!(answers, recorded, "{UPDATE}=1 rewrites {}", file.display());
}
