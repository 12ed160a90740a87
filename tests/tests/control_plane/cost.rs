//! That 201 objects cost less than kubectl takes for them, in requests and in time: ratios only, since the machine may
//! be busy. `cargo xtask bench` gives the figures.

use std::time::Duration;

use platform_tests::cost::{Kubectl, ours};

use crate::shared::{control_plane, prefix, proxied};

/// One way between client and server: 30 ms round trip.
const DISTANCE: Duration = Duration::from_millis(15);
/// The identity, the parent, and a list for each of three kinds.
const PLAN: usize = 1 + 1 + 3;

#[test]
fn two_hundred_objects_beside_kubectl() {
    let (proxy, through) = proxied(control_plane().admin());
    let count = || proxy.calls().len();
    let spaces = [format!("{}ours", prefix()), format!("{}kubectls", prefix())];
    let ours_here = ours(&through, &spaces[0], &count);
    let kubectl = Kubectl::new(control_plane(), &through, &spaces[1], &count);
    kubectl.apply();
    let diff = kubectl.diff();
    kubectl.delete();
    assert_eq!(ours_here.plan.requests, PLAN);
    assert_eq!(ours_here.again.requests, PLAN);
    assert!(ours_here.create.requests <= 240, "create: {:?}", ours_here.create);
    // a namespace is looked through for objects of others, all kinds of the server, before the first write and its own;
    // while it waits for the end of the namespace, the lease is renewed and watches begin again
    let waited = usize::try_from(ours_here.destroy.settled.as_secs()).unwrap();
    assert!(
        ours_here.destroy.requests <= 340 + waited,
        "destroy: {:?}",
        ours_here.destroy
    );
    assert!(
        diff.settled > ours_here.plan.settled * 5,
        "plan {:?}, kubectl diff {:?}",
        ours_here.plan,
        diff
    );

    proxy.set_delay(DISTANCE);
    let spaces = [format!("{}ours", prefix()), format!("{}kubectls", prefix())];
    let ours_far = ours(&through, &spaces[0], &count);
    let kubectl = Kubectl::new(control_plane(), &through, &spaces[1], &count);
    let theirs = kubectl.apply();
    kubectl.delete();
    assert!(
        theirs.accepted > ours_far.create.accepted * 2,
        "create {:?}, kubectl {:?}",
        ours_far.create,
        theirs
    );
    println!("here {ours_here:#?}\nkubectl diff {diff:?}\n30 ms away {ours_far:#?}\nkubectl apply {theirs:?}");
}
